//! `speechlens bench`

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use clap::ValueEnum;
use serde_json::json;
use speechlens_lrp::Lrp;
use speechlens_models::Arch;
use speechlens_nn::Trainer;
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
    #[arg(long, value_name = "ARCH")]
    arch: Arch,
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
    let shape = [&[arguments.batch], graph.architecture().input_shape()].concat();
    let input = Tensor::randn(0f32, 1.0, shape, &Device::Cpu)?
        .to_dtype(DType::F32)?
        .to_device(&device)?;
    let labels: Vec<u32> = (0..arguments.batch as u32)
        .map(|place| place % CLASSES as u32)
        .collect();
    let (name, per_second) = match arguments.what {
        What::Forward => {
            let pass = || graph.forward(&input).map(|_| ()).map_err(Into::into);
            ("forward", measure(arguments, &device, pass)?)
        }
        What::Lrp => {
            let lrp = Lrp::new(
                &graph,
                &arguments.rules.composite(arguments.arch.features())?,
            )?;
            let pass = || lrp.explain(&input, &labels).map(|_| ()).map_err(Into::into);
            ("lrp", measure(arguments, &device, pass)?)
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
            let mut trainer = Trainer::new(&graph, config)?;
            let pass = || trainer.step(&input, &labels).map_err(Into::into);
            ("train", measure(arguments, &device, pass)?)
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

/// The median rate of the passes that fit in the time, at least one, in recordings a second.
fn measure(
    arguments: &Arguments,
    device: &Device,
    mut pass: impl FnMut() -> Result<()>,
) -> Result<f64> {
    pass()?;
    device.synchronize()?;
    let limit = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || start.elapsed() < limit {
        let before = Instant::now();
        pass()?;
        device.synchronize()?;
        times.push(before.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(arguments.batch as f64 / times[times.len() / 2])
}
