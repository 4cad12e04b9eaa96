//! Training with a bar, that goes on from its checkpoint when a run is started again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use speechlens_nn::Graph;
use speechlens_nn::train::{Config, History, Samples, Score, Trainer};
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::{Picture, progress};

use crate::shared::Lab;

/// How long training runs between checkpoints.
const CHECKPOINT: Duration = Duration::from_secs(120);

/// What the files end in that hold checkpoints.
pub const SUFFIX: &str = ".checkpoint.safetensors";

/// Trains a network from the graph's weights, or takes up a run that was stopped.
pub fn fit(
    lab: &Lab,
    network: &str,
    graph: &Graph,
    config: &Config,
    [training, validation]: [&dyn Samples; 2],
) -> Result<Trainer> {
    let device = lab.device;
    let path = lab.folder.join(format!("{network}{SUFFIX}"));
    let mut trainer = match path.exists() {
        true => Trainer::resume(&path, graph, config.clone(), device).with_context(|| {
            format!("to start this run anew, move {} elsewhere", path.display())
        })?,
        false => Trainer::new(graph, config.clone())?,
    };
    let steps = trainer.steps_per_epoch(training)? * config.epochs;
    let label = format!("training the {network} network, steps");
    let bar = progress::bar(&label, steps as usize, lab.arguments.quiet);
    bar.set_position(trainer.steps());
    bar.reset_eta();
    let mut saved = Instant::now();
    let after_step = |trainer: &mut Trainer, ends_epoch| {
        bar.set_position(trainer.steps());
        if let Some(loss) = trainer.history().loss.last() {
            let heard = trainer.history().validation.last();
            let heard = heard.map_or(String::new(), |(_, score)| {
                format!(", {:.1} % right", 100.0 * score.accuracy)
            });
            bar.set_message(format!("loss {loss:.3}{heard}"));
        }
        let stop = lab.interrupt.is_asked();
        let is_due = ends_epoch && saved.elapsed() > CHECKPOINT;
        if stop || trainer.steps() == steps || is_due {
            trainer.save(&path)?;
            saved = Instant::now();
        }
        Ok(!stop)
    };
    let run = || trainer.run(training, validation, device, after_step);
    lab.interrupt.during(run)?;
    bar.finish_and_clear();
    if lab.interrupt.is_asked() {
        return Err(lab.interrupt.stopped().into());
    }
    Ok(trainer)
}

/// The first so many of some samples.
pub struct First<'a>(pub &'a dyn Samples, pub usize);

impl Samples for First<'_> {
    fn len(&self) -> usize {
        self.0.len().min(self.1)
    }

    fn key(&self) -> String {
        self.0.key()
    }

    fn batch(
        &self,
        places: &[usize],
        device: &Device,
    ) -> speechlens_nn::Result<(Tensor, Vec<u32>)> {
        self.0.batch(places, device)
    }
}

/// Loss and accuracy by step.
pub fn chart(history: &History) -> Result<Picture> {
    let steps = history.loss.len() as f64;
    // About two hundred points, each the mean of the steps around it.
    let width = history.loss.len().div_ceil(200).max(1);
    let mean = |(index, losses): (usize, &[f64])| {
        (
            (index * width) as f64 + losses.len() as f64 / 2.0,
            losses.iter().sum::<f64>() / losses.len() as f64,
        )
    };
    let loss = history.loss.chunks(width).enumerate().map(mean).collect();
    let validation = |pick: fn(&Score) -> f64| {
        let scores = history.validation.iter();
        scores
            .map(|(step, score)| (*step as f64, pick(score)))
            .collect()
    };
    let chart = Chart {
        title: "Training".into(),
        axes: Axes {
            x: Axis::linear("step", 0.0, steps),
            y: Axis::linear("loss; share classified right", 0.0, 1.0),
        },
        series: vec![
            Series::new("loss, training", loss),
            Series::new("loss, validation", validation(|score| score.loss)),
            Series::new(
                "classified right, validation",
                validation(|score| score.accuracy),
            ),
        ],
    };
    Ok(chart.picture()?)
}
