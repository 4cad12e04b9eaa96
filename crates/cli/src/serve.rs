//! `speechlens serve`

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::Result;
use speechlens_models::Model;
use speechlens_serve::{Limits, Service, serve};

use crate::common::{Common, at_least_one};

/// What programs may ask, in short lines: they are shown as they stand.
const REQUESTS: &str = "\
Programs ask as the page does:

  curl -F file=@voice.wav http://127.0.0.1:7861/explain
  curl -F file=@voice.wav -F target=female -F ways=lrp:epsilon-plus,occlusion \\
       http://127.0.0.1:7861/explain
  curl --data-binary @voice.wav 'http://127.0.0.1:7861/explain?name=voice.wav'

Beside the file, as fields of the form or in the address, all optional:
  name     what the recording is called
  ways     up to four methods with commas between; lrp:RULES for rules
  target   the class that is asked about; else the one that is predicted
  against  rather than which class

The answer is JSON: title, lead, facts, answers (the likeliest classes and their
probabilities), figures (heatmaps and sounds) and warnings; or {\"error\": …}
with status 400 or above, 503 if the server is busy. GET /model tells the
classes, the methods, and the rules that suit the network.";

/// Explain recordings on a local page: drop a file or speak, and see and hear what the network listens to.
///
/// The page holds all it needs and asks nothing of any other host; recordings are kept in memory and not written. It is for this
/// machine alone unless --host says otherwise.
#[derive(clap::Args)]
#[command(after_long_help = REQUESTS)]
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
