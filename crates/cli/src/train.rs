//! `speechlens train`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use candle_core::Device;
use clap::ValueEnum;
use serde_json::json;
use speechlens_audio::Crop;
use speechlens_data::Sex;
use speechlens_eval::Dataset;
use speechlens_models::{Arch, Model, spectrogram_metadata};
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::train::Config;
use speechlens_nn::{Graph, Trainer, tensor_file};
use speechlens_report::progress;

use crate::common::{Common, at_least_one, check_writable};
use crate::data::{self, Part};

/// The key of a model's metadata under which stands how, and on whose voices, it was trained.
pub const TRAINING: &str = "training";

/// Train a network on recordings.
///
/// Writes MODEL.safetensors at the end. While it runs, MODEL.checkpoint.safetensors (three times a model's size) holds what
/// `--resume` needs to go on to the same weights as if it had never stopped; it is removed at the end.
#[derive(clap::Args)]
pub struct Arguments {
    /// What the network is to tell.
    #[arg(long, value_enum)]
    task: Task,
    #[command(flatten)]
    data: data::Arguments,
    /// Where to write the model.
    #[arg(short, long, value_name = "MODEL.safetensors")]
    output: PathBuf,
    /// Passes over the training recordings.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    epochs: u64,
    /// Recordings a step.
    #[arg(long, default_value_t = 50, value_parser = at_least_one, value_name = "N")]
    batch: usize,
    /// Learning rate.
    #[arg(long, default_value_t = 1e-4, value_parser = positive, value_name = "X")]
    lr: f64,
    /// How weights follow their gradients: adamw (weight decay 0.01), or sgd (momentum 0.9) as in the thesis.
    #[arg(long, value_enum, default_value = "adamw")]
    optimizer: Algorithm,
    /// Go on from the checkpoint of a run that was stopped. Without a checkpoint, training starts from the beginning, unless
    /// the model is there and was trained in just this way: then nothing is left to do.
    #[arg(long)]
    resume: bool,
    /// How long training runs between checkpoints, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    checkpoint_seconds: u64,
    /// Which 227 of the 230 frames are kept: `thesis` cuts the last three, `audiomnist` the first two and the last.
    #[arg(long, default_value_t, value_parser = clap::value_parser!(Crop), value_name = "thesis|audiomnist")]
    crop: Crop,
}

#[derive(Clone, Copy, ValueEnum)]
enum Task {
    /// Male or female, by AlexNet on decibel spectrograms.
    Gender,
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    Adamw,
    Sgd,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("say a number above 0".into()),
    }
}

/// Where a run's checkpoint is kept.
fn checkpoint(model: &Path) -> PathBuf {
    model.with_extension("checkpoint.safetensors")
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    check_writable(&arguments.output)?;
    let device = common.device()?;
    let Task::Gender = arguments.task;
    let crop = arguments.crop;
    let config = Config {
        epochs: arguments.epochs,
        batch: arguments.batch,
        optimizer: match arguments.optimizer {
            Algorithm::Adamw => Optimizer::AdamW {
                lr: arguments.lr,
                weight_decay: 0.01,
            },
            Algorithm::Sgd => Optimizer::Sgd {
                lr: arguments.lr,
                momentum: 0.9,
            },
        },
        seed: common.seed,
        loss: Loss::BinaryCrossEntropy,
    };
    let datasets = arguments
        .data
        .read(&[Part::Train, Part::Validation], crop, common)?;
    let (training, validation) = (&datasets[0], &datasets[1]);
    let mut metadata = spectrogram_metadata(&crop.to_string());
    metadata.insert(TRAINING.to_owned(), description(&config, training));
    let path = checkpoint(&arguments.output);
    if arguments.resume && !path.exists() {
        let trained = Model::load(&arguments.output, &device);
        if trained.is_ok_and(|model| model.metadata == metadata) {
            if !common.quiet {
                println!("{}: is trained already", arguments.output.display());
            }
            return Ok(());
        }
    }
    let graph = Arch::AlexNet
        .architecture(Sex::ALL.len())?
        .random(common.seed, &device)?;
    let mut trainer = start(arguments.resume, &path, &graph, config, &device)?;
    drop(graph);
    let per_epoch = trainer.steps_per_epoch(training)?;
    let steps = per_epoch * arguments.epochs;
    let bar = progress::bar("training, steps", steps as usize, common.quiet);
    bar.set_position(trainer.steps());
    bar.reset_eta();
    let mut saved = Instant::now();
    trainer.run(training, validation, &device, |trainer, ends_epoch| {
        bar.set_position(trainer.steps());
        bar.set_message(
            trainer
                .history()
                .loss
                .last()
                .map_or(String::new(), |loss| format!("loss {loss:.3}")),
        );
        if let (true, Some((step, score))) = (ends_epoch, trainer.history().validation.last()) {
            let right = 100.0 * score.accuracy;
            let (epoch, loss) = (step / per_epoch, score.loss);
            let line = format!(
                "epoch {epoch} of {}: validation loss {loss:.3}, {right:.1} % right",
                arguments.epochs
            );
            if !common.quiet {
                bar.suspend(|| println!("{line}"));
            }
        }
        if saved.elapsed() >= Duration::from_secs(arguments.checkpoint_seconds) {
            trainer.save(&path)?;
            saved = Instant::now();
        }
        Ok(true)
    })?;
    bar.finish_and_clear();
    let model = Model {
        arch: Arch::AlexNet,
        graph: trainer.graph(),
        classes: Sex::ALL.iter().map(|sex| sex.name().to_owned()).collect(),
        metadata,
    };
    model.save(&arguments.output)?;
    if path.exists() {
        std::fs::remove_file(&path)
            .with_context(|| format!("{}: cannot be removed; remove it", path.display()))?;
    }
    if let (false, Some((_, score))) = (common.quiet, trainer.history().validation.last()) {
        let right = 100.0 * score.accuracy;
        println!(
            "{}: {right:.1} % right on validation speakers",
            arguments.output.display()
        );
    }
    Ok(())
}

/// Training from the checkpoint, or else from the graph's weights.
fn start(
    resume: bool,
    checkpoint: &Path,
    graph: &Graph,
    config: Config,
    device: &Device,
) -> Result<Trainer> {
    tensor_file::remove_partial(checkpoint)?;
    let there = checkpoint.exists();
    if resume && there {
        return Ok(Trainer::resume(checkpoint, graph, config, device)?);
    }
    let path = checkpoint.display();
    if resume {
        tracing::warn!("{path}: there is no checkpoint; training starts from the beginning");
    } else if there {
        // Else `--resume` might go on from the wrong run.
        tracing::warn!("{path}: removed; --resume would have gone on from it");
        std::fs::remove_file(checkpoint)
            .with_context(|| format!("{path}: cannot be removed; remove it, or say --resume"))?;
    }
    Ok(Trainer::new(graph, config)?)
}

/// How a model was trained and on whose voices, as JSON.
fn description(config: &Config, training: &Dataset) -> String {
    let recordings = training.recordings();
    let speakers: BTreeSet<&str> = recordings.iter().map(|r| r.speaker.as_str()).collect();
    let Config {
        epochs,
        batch,
        optimizer,
        seed,
        loss,
    } = config;
    json!({
        "epochs": epochs, "batch": batch, "optimizer": optimizer, "seed": seed, "loss": loss, "recordings": recordings.len(),
        "speakers": speakers,
    })
    .to_string()
}
