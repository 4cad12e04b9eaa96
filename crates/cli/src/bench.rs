//! `speechlens bench`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use candle_core::Device;
use clap::ValueEnum;
use serde_json::json;
use speechlens_attribution::{Method, methods};
use speechlens_eval::flip::relevance_by;
use speechlens_eval::throughput::Load;
use speechlens_models::{Model, Network};
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::Config;

use crate::common::{Common, at_least_one};
use crate::rules;

/// Measure how fast networks answer, learn and are explained: those of a file, or random weights, and random inputs.
///
/// One pass warms up; then passes run for the given time, and the median of their rates is printed, in recordings a second.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to measure: a forward pass, a training step (SGD), or layer-wise relevance propagation.
    #[arg(value_enum)]
    what: What,
    /// A model that `speechlens train` or `speechlens import` wrote.
    #[arg(required_unless_present = "arch", conflicts_with = "arch")]
    model: Option<PathBuf>,
    /// A network with random weights: alexnet, audionet or resnet34.
    #[arg(long, value_name = "ARCH", value_parser = Network::named)]
    arch: Option<&'static Network>,
    /// How long axes are that may be of any length.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = at_least_one)]
    length: usize,
    /// Recordings a pass.
    #[arg(long, default_value_t = 32, value_parser = at_least_one)]
    batch: usize,
    #[command(flatten)]
    rules: rules::Arguments,
    /// How long to measure.
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    seconds: f64,
    /// One JSON object: what, arch (or model), batch, threads, device, per_second.
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

impl Arguments {
    /// The network of the file, or one of random weights.
    fn network(&self, seed: u64, device: &Device) -> Result<Model> {
        match (&self.model, self.arch) {
            (Some(path), _) => Ok(Model::load(path, device)?),
            (None, Some(arch)) => {
                let graph = arch.architecture(CLASSES)?.random(seed, device)?;
                let classes = (0..CLASSES).map(|class| class.to_string());
                Ok(Model::of(arch, graph, classes.collect())?)
            }
            (None, None) => bail!("name a model, or a network with --arch"),
        }
    }
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let model = arguments.network(common.seed, &device)?;
    let graph = &model.graph;
    let classes = match model.classes().len() {
        0 => 1,
        classes => classes,
    };
    let axes = graph.architecture().input_shape().iter();
    let shape: Vec<usize> = axes.map(|axis| axis.unwrap_or(arguments.length)).collect();
    let limit = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let load = Load::new(graph, &shape, classes, arguments.batch, &device, limit)?;
    let (name, per_second) = match arguments.what {
        What::Forward => ("forward", load.forward()?),
        What::Lrp => {
            let composite = arguments.rules.composite(&model)?;
            let lrp = methods::Lrp(composite).of(graph)?;
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
    let (key, network) = match (&arguments.model, arguments.arch) {
        (None, Some(arch)) => ("arch", arch.to_string()),
        (path, _) => (
            "model",
            path.iter().map(|path| path.display().to_string()).collect(),
        ),
    };
    if arguments.json {
        let summary = json!({
            "what": name, key: network, "batch": arguments.batch,
            "threads": rayon::current_num_threads(),
            "device": speechlens_nn::device_name(&device), "per_second": per_second,
        });
        println!("{summary}");
    } else {
        println!(
            "{name}, {network}, batches of {}: {per_second:.1} recordings a second",
            arguments.batch
        );
    }
    Ok(())
}
