//! Training the network, and how well it does.

use anyhow::Result;
use candle_core::Tensor;
use speechlens_data::Sex;
use speechlens_models::{Model, audionet};
use speechlens_nn::Graph;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::train::{Config, History, Samples, Score, logits};
use speechlens_report::page::{Block, Section};
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;

use super::Data;
use crate::shared::Lab;
use crate::shared::fit::{chart, fit};

/// The trained network and how it did.
pub struct Trained {
    pub graph: Graph,
    pub history: History,
    /// On recordings of speakers it never heard, and on those it was trained on.
    pub test: Score,
    train: Score,
    recordings: [usize; 2],
    /// The logits of each test recording.
    pub logits: Vec<Vec<f32>>,
}

/// Trains AudioNet, or takes up a run that was stopped, and writes `audionet.safetensors`.
pub fn train(lab: &Lab, config: &Config, data: &Data) -> Result<Trained> {
    let device = lab.device;
    let graph = audionet::architecture(Sex::ALL.len())?.random(lab.arguments.seed, device)?;
    let samples: [&dyn Samples; 2] = [&data.train, &data.validation];
    let trainer = fit(lab, "audionet", &graph, config, samples)?;
    let graph = trainer.graph();
    let model = Model::of(&audionet::NETWORK, graph.clone(), Sex::names())?;
    model.save(&lab.folder.join("audionet.safetensors"))?;
    let bar = progress::bar("classifying", data.train.len(), lab.arguments.quiet);
    let classify = |samples| {
        logits(&graph, samples, config.batch, device, &|done| {
            bar.set_position(done as u64)
        })
    };
    let score = |(logits, labels): &(Tensor, Vec<u32>)| Score::of(config.loss, logits, labels);
    let train = score(&classify(&data.train)?)?;
    let of_test = classify(&data.test)?;
    bar.finish_and_clear();
    Ok(Trained {
        history: trainer.history().clone(),
        test: score(&of_test)?,
        train,
        recordings: [data.test.len(), data.train.len()],
        logits: of_test.0.to_vec2()?,
        graph,
    })
}

impl Trained {
    /// Accuracy, with the files.
    pub fn experiment(&self) -> Experiment {
        let row = |name: &str, score: &Score, recordings: usize| {
            Row::measured(name, [100.0 * score.accuracy, recordings as f64])
        };
        Experiment {
            id: "audionet-accuracy".into(),
            title: "Accuracy of AudioNet, in percent".into(),
            columns: vec!["accuracy".into(), "recordings".into()],
            rows: vec![
                row("speakers never heard", &self.test, self.recordings[0]),
                row("training recordings", &self.train, self.recordings[1]),
            ],
            files: vec![
                "audionet-training.png".into(),
                "audionet.safetensors".into(),
            ],
        }
    }

    /// The section on training.
    pub fn section(&self, config: &Config) -> Result<Section> {
        let optimizer = match config.optimizer {
            Optimizer::Sgd { lr, momentum } => {
                format!("SGD, learning rate {lr}, momentum {momentum}")
            }
            Optimizer::AdamW { lr, weight_decay } => {
                format!("AdamW, learning rate {lr}, weight decay {weight_decay}")
            }
        };
        Ok(Section {
            id: "audionet".into(),
            title: "AudioNet: the same question to the waveform".into(),
            blocks: vec![
                Block::text(
                    "AudioNet (Becker et al. 2018) reads the second of sound itself: 8000 samples, divided by their 95th \
                     percentile. Six convolutions of three samples and three dense layers tell the speaker's sex, of the \
                     same recordings as the gender network.",
                ),
                Block::text(format!(
                    "Here: {optimizer}, batches of {}, {} steps. Its authors: SGD, learning rate 0.0001, momentum 0.9, batches \
                     of 100, 50,000 steps.",
                    config.batch,
                    self.history.loss.len()
                )),
                Block::table(
                    Table::from(&self.experiment()),
                    "Accuracy in percent, and the number of recordings it is taken over.",
                ),
                Block::figure(
                    chart(&self.history)?,
                    "Loss and accuracy over the steps of training",
                    "Training. The loss is cross entropy; validation follows every epoch.",
                ),
            ],
        })
    }
}
