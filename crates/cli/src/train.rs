//! `speechlens train`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use speechlens_data::Sex;
use speechlens_models::{Arch, Model, spectrogram_metadata};
use speechlens_nn::Trainer;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::train::Config;
use speechlens_report::progress;

use crate::common::Common;
use crate::data::{self, Part};
use crate::features::Cut;

/// How long training runs between checkpoints.
const CHECKPOINT: Duration = Duration::from_secs(120);

/// Train a network on recordings.
///
/// Writes MODEL.safetensors at the end; while it runs, MODEL.checkpoint.safetensors holds what `--resume` needs to go on to
/// the same weights as if it had never stopped.
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
    #[arg(long, default_value_t = 5)]
    epochs: u64,
    /// Recordings a step.
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Learning rate.
    #[arg(long, default_value_t = 1e-4)]
    lr: f64,
    /// How weights follow their gradients: adamw (weight decay 0.01), or sgd (momentum 0.9) as in the thesis.
    #[arg(long, value_enum, default_value = "adamw")]
    optimizer: Algorithm,
    /// Go on from the checkpoint of a run that was stopped.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    cut: Cut,
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

/// Where a run's checkpoint is kept.
fn checkpoint(model: &Path) -> PathBuf {
    model.with_extension("checkpoint.safetensors")
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let Task::Gender = arguments.task;
    let crop = arguments.cut.crop;
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
    };
    let datasets = arguments
        .data
        .read(&[Part::Train, Part::Validation], crop, common)?;
    let (training, validation) = (&datasets[0], &datasets[1]);
    let graph = Arch::AlexNet
        .architecture(Sex::ALL.len())?
        .random(common.seed, &device)?;
    let path = checkpoint(&arguments.output);
    let mut trainer = match arguments.resume {
        true => Trainer::resume(&path, &graph, config, &device)?,
        false => Trainer::new(&graph, config)?,
    };
    let steps = trainer.steps_per_epoch(training)? * arguments.epochs;
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
            bar.println(format!(
                "step {step}: validation loss {:.3}, {right:.1} % right",
                score.loss
            ));
        }
        if saved.elapsed() > CHECKPOINT {
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
        metadata: spectrogram_metadata(&crop.to_string()),
    };
    model.save(&arguments.output)?;
    if path.exists() {
        std::fs::remove_file(&path)?;
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
