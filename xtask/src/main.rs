//! `cargo xtask reproduce` repeats the experiments of the thesis and writes a report; `cargo xtask fetch` downloads the data sets;
//! `cargo xtask bench` measures speed; `cargo xtask cuda-toolkit` and `cargo xtask gpu-check` are for GPUs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use speechlens_report::interrupt;

mod account;
mod bench;
mod cuda_toolkit;
mod fetch;
mod gpu_check;
mod repository;
mod reproduce;

/// Keeps freed memory for the next tensor, as in `speechlens`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One place for what is freed, as there.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &[u8; 10] = b"narenas:1\0";

/// Tasks of the SpeechLens project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Reproduce(reproduce::Arguments),
    Account(account::Arguments),
    Fetch(fetch::Arguments),
    /// Measure how fast SpeechLens is, beside the peers, and write BENCHMARKS.md.
    Bench(bench::Arguments),
    CudaToolkit(cuda_toolkit::Arguments),
    GpuCheck(gpu_check::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Reproduce(arguments) => reproduce::run(&arguments),
        Task::Account(arguments) => account::run(&arguments),
        Task::Fetch(arguments) => fetch::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::CudaToolkit(arguments) => cuda_toolkit::run(&arguments),
        Task::GpuCheck(arguments) => gpu_check::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(interrupted) = error.downcast_ref::<interrupt::Interrupted>() {
                eprintln!("{interrupted}");
                return ExitCode::from(interrupt::STATUS);
            }
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
