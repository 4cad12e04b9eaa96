//! Training the network, and how well it does with music and noise behind the speech and without.

use anyhow::Result;
use speechlens_models::{Model, resnet34};
use speechlens_nn::Graph;
use speechlens_nn::train::{Config, History, Samples, Score, logits};
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};

use super::data::{Data, Setting};
use crate::shared::Lab;
use crate::shared::fit::fit;

/// The trained network and how it did.
pub struct Trained {
    pub graph: Graph,
    pub history: History,
    /// How it was trained.
    pub config: Config,
    /// On held-out segments, by condition.
    pub scores: Vec<(&'static str, Score, usize)>,
    /// Whether each held-out segment is classified right, whatever is behind it.
    pub right: Vec<bool>,
}

/// Trains ResNet34, or takes up a run that was stopped, and writes `speaker.safetensors`.
pub fn train(lab: &Lab, setting: &Setting, data: &Data) -> Result<Trained> {
    let (arguments, device) = (lab.arguments, lab.device);
    let graph = resnet34::architecture(data.speakers.len())?.random(arguments.seed, device)?;
    let config = setting.config(data.training.len());
    let samples: [&dyn Samples; 2] = [&data.training, data.held_out()];
    let trainer = fit(lab, "speaker", &graph, &config, samples)?;
    let graph = trainer.graph();
    let model = Model::of(&resnet34::NETWORK, graph.clone(), data.speakers.clone())?;
    model.save(&lab.folder.join("speaker.safetensors"))?;
    let all: usize = data.conditions.iter().map(|c| c.held_out.len()).sum();
    let bar = progress::bar("classifying", all, arguments.quiet);
    let (mut scores, mut right) = (Vec::new(), vec![true; data.held_out().len()]);
    for condition in &data.conditions {
        let before = bar.position();
        let (logits, labels) = logits(
            &graph,
            &condition.held_out,
            setting.batch,
            device,
            &|done| bar.set_position(before + done as u64),
        )?;
        let answers = logits.argmax(1)?.to_vec1::<u32>()?;
        for ((right, answer), label) in right.iter_mut().zip(answers).zip(&labels) {
            *right &= answer == *label;
        }
        let score = Score::of(config.loss, &logits, &labels)?;
        scores.push((condition.name, score, condition.held_out.len()));
        bar.set_position(before + condition.held_out.len() as u64);
    }
    bar.finish_and_clear();
    Ok(Trained {
        history: trainer.history().clone(),
        graph,
        config,
        scores,
        right,
    })
}

impl Trained {
    /// Accuracy by condition.
    pub fn experiment(&self) -> Experiment {
        let row = |(name, score, segments): &(&str, Score, usize)| {
            Row::measured(*name, [100.0 * score.accuracy, *segments as f64])
        };
        Experiment {
            id: "speaker-accuracy".into(),
            title: "Accuracy of the speaker network on held-out segments, in percent".into(),
            columns: vec!["accuracy".into(), "segments".into()],
            rows: self.scores.iter().map(row).collect(),
            files: vec!["speaker-training.png".into(), "speaker.safetensors".into()],
        }
    }
}
