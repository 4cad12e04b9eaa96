//! `speechlens`: see what an audio network listens to.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};

mod augment;
mod bench;
mod cache;
mod common;
mod crop;
mod data;
mod evaluate;
mod explain;
mod features;
mod import;
mod input;
mod inspect;
mod method;
mod predict;
mod rules;
mod search;
mod serve;
mod train;

use common::{Common, one_line};
use speechlens_report::interrupt;

/// Keeps freed memory for the next tensor: giving tens of megabytes back to the system and asking for them again takes as
/// long as many a layer.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What one thread frees is there for all: passes run on any of the workers, and each would keep a pass's memory for itself. jemalloc
/// reads its settings under this name.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &[u8; 10] = b"narenas:1\0";

/// See what an audio network listens to: features, training, import, explanations, and whether these are true.
#[derive(Parser)]
#[command(name = "speechlens", version, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

// What each does stands at its arguments.
#[derive(Subcommand)]
enum Command {
    Features(features::Arguments),
    Import(import::Arguments),
    Inspect(inspect::Arguments),
    Train(train::Arguments),
    Predict(predict::Arguments),
    Explain(explain::Arguments),
    Serve(serve::Arguments),
    Evaluate(evaluate::Arguments),
    Rules(search::Arguments),
    Augment(augment::Arguments),
    Bench(bench::Arguments),
    Cache(cache::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A file that outgrows `ulimit -f` is then an error like a full disk, and not the end of the process.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::<AtomicBool>::default());
    arguments.common.log();
    let common = &arguments.common;
    let result = match &arguments.command {
        Command::Features(arguments) => features::run(arguments),
        Command::Import(arguments) => import::run(arguments, common),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Train(arguments) => train::run(arguments, common),
        Command::Predict(arguments) => predict::run(arguments, common),
        Command::Explain(arguments) => explain::run(arguments, common),
        Command::Serve(arguments) => serve::run(arguments, common),
        Command::Evaluate(arguments) => evaluate::run(arguments, common),
        Command::Rules(arguments) => search::run(arguments, common),
        Command::Augment(arguments) => augment::run(arguments, common),
        Command::Bench(arguments) => bench::run(arguments, common),
        Command::Cache(arguments) => cache::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if is_broken_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            if let Some(interrupted) = error.downcast_ref::<interrupt::Interrupted>() {
                eprintln!("{interrupted}");
                return ExitCode::from(interrupt::STATUS);
            }
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Whether the reader of standard output has had enough, as in `speechlens predict … | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
