//! Training the network, and how well it does.

use anyhow::Result;
use candle_core::Tensor;
use speechlens_data::Sex;
use speechlens_lrp::Lrp;
use speechlens_models::{Model, alexnet};
use speechlens_nn::optim::Optimizer;
use speechlens_nn::train::{History, Samples, Score, logits};
use speechlens_nn::{Graph, Kind};
use speechlens_report::page::{Block, Section};
use speechlens_report::progress;
use speechlens_report::results::{Cell, Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use super::data::{Data, Setting};
use crate::shared::Lab;
use crate::shared::fit::{chart, fit};

/// The trained network and how it did.
pub struct Trained {
    /// The network.
    pub graph: Graph,
    pub history: History,
    per_epoch: u64,
    /// On the recordings it was trained on, and on those of speakers it never heard.
    train: Score,
    /// On the test recordings.
    pub test: Score,
    /// For each test recording, the predicted class and the sigmoid of its logit.
    pub predicted: Vec<(u32, f32)>,
}

/// Trains AlexNet, or takes up a run that was stopped, and writes `gender.safetensors`.
pub fn train(lab: &Lab, setting: &Setting, data: &Data) -> Result<Trained> {
    let device = lab.device;
    let graph = alexnet::architecture(Sex::ALL.len())?.random(lab.arguments.seed, device)?;
    let samples: [&dyn Samples; 2] = [&data.train.dataset, &data.validation.dataset];
    let config = &setting.config;
    let trainer = fit(lab, "gender", &graph, config, samples)?;
    let per_epoch = trainer.steps_per_epoch(&data.train.dataset)?;

    let graph = trainer.graph();
    let model = Model::of(&alexnet::NETWORK, graph.clone(), Sex::names())?;
    model.save(&lab.folder.join("gender.safetensors"))?;
    let batch = setting.config.batch;
    let bar = progress::bar("classifying", data.train.dataset.len(), lab.arguments.quiet);
    let classify = |dataset| {
        logits(&graph, dataset, batch, device, &|done| {
            bar.set_position(done as u64)
        })
    };
    let score =
        |(logits, labels): &(Tensor, Vec<u32>)| Score::of(setting.config.loss, logits, labels);
    let train = score(&classify(&data.train.dataset)?)?;
    let of_test = classify(&data.test.dataset)?;
    bar.finish_and_clear();
    let (test, logits) = (score(&of_test)?, of_test.0);
    let classes = logits.argmax(1)?.to_vec1::<u32>()?;
    let sigmoid = |logit: f32| 1.0 / (1.0 + (-logit).exp());
    let predicted = classes.iter().zip(logits.to_vec2::<f32>()?);
    let predicted = predicted
        .map(|(class, logits)| (*class, sigmoid(logits[*class as usize])))
        .collect();
    Ok(Trained {
        graph,
        history: trainer.history().clone(),
        per_epoch,
        train,
        test,
        predicted,
    })
}

impl Trained {
    /// Whether a test recording is classified right.
    pub fn is_right(&self, data: &Data, place: usize) -> bool {
        self.predicted[place].0 == data.test.label(place)
    }

    /// Accuracy, the recordings that were classified wrong, and the setting.
    pub fn experiments(&self, setting: &Setting, data: &Data, lrp: &Lrp) -> [Experiment; 3] {
        let printed = Thesis::published().gender.accuracy;
        let percent = |score: &Score| 100.0 * score.accuracy;
        let accuracy = Experiment {
            id: "accuracy".into(),
            title: "Accuracy of the gender network, in percent".into(),
            columns: vec!["accuracy".into(), "recordings".into()],
            rows: vec![
                Row::measured(
                    "speakers never heard",
                    [percent(&self.test), data.test.dataset.len() as f64],
                )
                .with_thesis(Some(vec![printed.into(), Cell::Missing])),
                Row::measured(
                    "training recordings",
                    [percent(&self.train), data.train.dataset.len() as f64],
                ),
            ],
            files: vec!["training.png".into(), "gender.safetensors".into()],
        };
        let recordings = data.test.dataset.recordings();
        let wrong = recordings
            .iter()
            .enumerate()
            .filter(|(place, _)| !self.is_right(data, *place));
        let rows = wrong.map(|(place, recording)| {
            let (class, probability) = self.predicted[place];
            let said = Sex::from_index(class as usize).map_or("?", Sex::name);
            let cells: [Cell; 4] = [
                recording.speaker.clone().into(),
                recording.sex.map_or("?", Sex::name).into(),
                said.into(),
                f64::from(probability).into(),
            ];
            Row::measured(recording.id.clone(), cells)
        });
        let errors = Experiment {
            id: "wrongly-classified".into(),
            title: "Recordings classified wrong".into(),
            columns: ["speaker", "sex", "classified as", "probability"]
                .map(str::to_owned)
                .to_vec(),
            rows: rows.collect(),
            files: Vec::new(),
        };
        [accuracy, errors, self.settings(setting, data, lrp)]
    }

    /// The thesis's setting and this one.
    fn settings(&self, setting: &Setting, data: &Data, lrp: &Lrp) -> Experiment {
        let (thesis, printed) = (&Thesis::published().gender, &Thesis::published().flipping);
        let parts = [&data.train, &data.validation, &data.test];
        let recordings = parts.map(|part| part.dataset.len());
        let speakers: usize = parts.iter().map(|part| part.speakers()).sum();
        let (rate, momentum) = match setting.config.optimizer {
            Optimizer::Sgd { lr, momentum } => (lr, Cell::from(momentum)),
            Optimizer::AdamW { lr, .. } => (lr, "none: AdamW".into()),
        };
        let rules = |kind: Kind| -> Cell {
            let mut layers = lrp.assignments().into_iter();
            let layer = layers.find(|layer| layer.kind == kind);
            layer.and_then(|layer| layer.rule).into()
        };
        let rows: [(&str, Cell, Cell); 11] = [
            ("speakers", thesis.speakers.into(), speakers.into()),
            (
                "recordings, training",
                thesis.train.into(),
                recordings[0].into(),
            ),
            (
                "recordings, validation",
                thesis.validation.into(),
                recordings[1].into(),
            ),
            ("recordings, test", thesis.test.into(), recordings[2].into()),
            (
                "epochs",
                (thesis.epochs as usize).into(),
                (setting.config.epochs as usize).into(),
            ),
            (
                "recordings a step",
                thesis.batch.into(),
                setting.config.batch.into(),
            ),
            ("learning rate", thesis.learning_rate.into(), rate.into()),
            ("momentum", thesis.momentum.into(), momentum),
            (
                "recordings whose bins are set to 0",
                printed.recordings.into(),
                setting.flipped.into(),
            ),
            (
                "rule of convolutions",
                format!("ε = {}", thesis.epsilon).into(),
                rules(Kind::Conv),
            ),
            ("rule of dense layers", "LRP-0".into(), rules(Kind::Linear)),
        ];
        settings("gender-setting", "How the gender network is trained", rows)
    }

    /// The section on training, with the entries of [`Trained::experiments`].
    pub fn section(&self, [accuracy, errors, settings]: &[Experiment; 3]) -> Result<Section> {
        let wrong = errors.rows.len();
        let mut blocks = vec![
            Block::text(
                "AlexNet reads one second of sound as a spectrogram of 227 frequencies by 227 frames, in decibels below the \
                 recording's loudest bin, and tells the speaker's sex. No speaker of the test was heard in training.",
            ),
            Block::table(
                Table::from(accuracy),
                "Accuracy in percent, and the number of recordings it is taken over.",
            ),
            Block::table(
                Table::from(settings),
                "The thesis's setting and this run's.",
            ),
            Block::figure(
                chart(&self.history)?,
                "Loss and accuracy over the steps of training",
                format!(
                    "Training, {} steps an epoch. The loss is binary cross entropy; validation follows every epoch.",
                    self.per_epoch
                ),
            ),
        ];
        if wrong > 0 {
            blocks.push(Block::Fold {
                summary: format!("The {wrong} test recordings that were classified wrong"),
                blocks: vec![Block::table(
                    Table::from(errors),
                    "The probability is the sigmoid of the logit of the class that was given.",
                )],
            });
        }
        Ok(Section {
            id: "training".into(),
            title: "The network and its data".into(),
            blocks,
        })
    }
}

/// Numbers of the thesis's setting beside those of this run.
pub fn settings<const N: usize>(
    id: &str,
    title: &str,
    rows: [(&str, Cell, Cell); N],
) -> Experiment {
    let row = |(name, thesis, here): (&str, Cell, Cell)| {
        Row::measured(name, [here]).with_thesis(Some(vec![thesis]))
    };
    Experiment {
        id: id.into(),
        title: title.into(),
        columns: vec!["value".into()],
        rows: rows.into_iter().map(row).collect(),
        files: Vec::new(),
    }
}
