//! `speechlens serve`

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::Result;
use speechlens_models::Model;
use speechlens_serve::{Limits, Service, serve};

use crate::common::{Common, at_least_one};

/// Explain recordings on a local page: drop a file or speak, and see and hear what the network listens to.
///
/// The page holds all it needs and asks nothing of any other host; recordings are kept in memory and not written. It is for this
/// machine alone unless --host says otherwise.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` or `speechlens import` wrote.
    model: PathBuf,
    /// The address to answer on. One that others reach, such as 0.0.0.0, lets them use this machine.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// The port to answer on; 0 takes one that is free.
    #[arg(long, default_value_t = 7861, value_name = "N")]
    port: u16,
    /// The largest recording taken, in MB.
    #[arg(long, default_value_t = 20, value_parser = at_least_one, value_name = "N")]
    max_megabytes: usize,
    /// The longest recording taken, in seconds.
    #[arg(long, default_value_t = 30, value_parser = at_least_one, value_name = "N")]
    max_seconds: usize,
    /// Requests that are worked on or wait; the next are told that the server is busy.
    #[arg(long, default_value_t = 8, value_parser = at_least_one, value_name = "N")]
    queue: usize,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let model = Model::load(&arguments.model, &device)?;
    let name = arguments.model.file_stem().unwrap_or_default();
    let service = Service {
        model,
        name: name.to_string_lossy().into_owned(),
        device,
        seed: common.seed,
        limits: Limits {
            bytes: arguments.max_megabytes.saturating_mul(1_000_000),
            seconds: arguments.max_seconds as f64,
            queue: arguments.queue,
            ..Limits::default()
        },
    };
    let address = SocketAddr::new(arguments.host, arguments.port);
    serve(service, address, |address| {
        // Whoever closed the output has the page all the same.
        let _ = writeln!(std::io::stdout(), "http://{address}/  (Ctrl-C ends it)");
    })?;
    Ok(())
}
