//! `speechlens bench`

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::json;
use speechlens_attribution::{Method, methods};
use speechlens_eval::flip::relevance_by;
use speechlens_eval::throughput::Load;
use speechlens_frontend::FrontEnd;
use speechlens_models::Network;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::Config;

use crate::common::{Common, at_least_one};
use crate::rules;

/// Measure how fast networks answer, learn and are explained: random weights, random inputs.
///
/// One pass warms up; then passes run for the given time, and the median of their rates is printed, in recordings a second.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to measure: a forward pass, a training step (SGD), or layer-wise relevance propagation.
    #[arg(value_enum)]
    what: What,
    /// The network: alexnet, audionet or resnet34.
    #[arg(long, value_name = "ARCH", value_parser = Network::named)]
    arch: &'static Network,
    /// Recordings a pass.
    #[arg(long, default_value_t = 32, value_parser = at_least_one)]
    batch: usize,
    #[command(flatten)]
    rules: rules::Arguments,
    /// How long to measure.
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    seconds: f64,
    /// One JSON object: what, arch, batch, threads, device, per_second.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Forward,
    Train,
    Lrp,
}

/// Classes of the networks that are measured.
const CLASSES: usize = 10;

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let graph = arguments
        .arch
        .architecture(CLASSES)?
        .random(common.seed, &device)?;
    let limit = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let load = Load::new(&graph, CLASSES, arguments.batch, &device, limit)?;
    let (name, per_second) = match arguments.what {
        What::Forward => ("forward", load.forward()?),
        What::Lrp => {
            let composite = arguments
                .rules
                .composite(&FrontEnd::load(arguments.arch.front_end)?)?;
            let lrp = methods::Lrp(composite).of(&graph)?;
            ("lrp", load.explanation(relevance_by(lrp.as_ref()))?)
        }
        What::Train => {
            let config = Config {
                epochs: 1,
                batch: arguments.batch,
                optimizer: Optimizer::Sgd {
                    lr: 1e-4,
                    momentum: 0.9,
                },
                schedule: Schedule::Constant,
                seed: common.seed,
                loss: Loss::CrossEntropy,
            };
            ("train", load.training(config)?)
        }
    };
    if arguments.json {
        let summary = json!({
            "what": name, "arch": arguments.arch.to_string(), "batch": arguments.batch,
            "threads": rayon::current_num_threads(),
            "device": speechlens_nn::device_name(&device), "per_second": per_second,
        });
        println!("{summary}");
    } else {
        println!(
            "{name}, {}, batches of {}: {per_second:.1} recordings a second",
            arguments.arch, arguments.batch
        );
    }
    Ok(())
}
