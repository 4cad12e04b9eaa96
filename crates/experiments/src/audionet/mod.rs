//! The AudioNet experiment (thesis 3.3, after Becker et al. 2018): the gender experiment's question to the waveforms of its
//! recordings; which samples the network listens to, and whether that is true.

mod explaining;
mod training;

use anyhow::Result;
use speechlens_eval::Windows;
use speechlens_frontend::FrontEnd;
use speechlens_models::audionet;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Config, Samples};

use crate::shared::fit;
use crate::shared::gender::data::{self, Setting};
use crate::shared::recordings::{features, told};
use crate::shared::{Arguments, Findings, Lab, Profile};

/// The gender experiment's recordings as waveforms.
struct Data {
    train: Windows,
    validation: Windows,
    test: Windows,
    /// What the data are, in words.
    description: String,
}

impl Data {
    fn prepare(lab: &Lab, setting: &Setting) -> Result<Self> {
        let arguments = lab.arguments;
        let front_end = FrontEnd::load(audionet::NETWORK.front_end)?;
        let (corpus, split) = data::open(arguments, setting)?;
        let mut left_out = [corpus.left_out(), &split.left_out].concat();
        let mut part = |name: &str, indices: &[usize]| -> Result<Windows> {
            let label = format!("waveforms, {name}");
            let path = lab.folder.join(format!("features/waveforms-{name}.h5"));
            let kept = (label.as_str(), path.as_path());
            let (store, places) = features(arguments, corpus.as_ref(), indices, &front_end, kept)?;
            left_out.extend(store.left_out().iter().cloned());
            let mut windows = Windows::default();
            windows.append_of_sexes(&store, &places, [0, 1])?;
            Ok(windows)
        };
        let (train, validation, test) = (
            part("train", &split.train)?,
            part("validation", &split.validation)?,
            part("test", &split.test)?,
        );
        let description = format!(
            "{}: waveforms of {} recordings for training, {} for validation, {} for test{}",
            corpus.name(),
            train.len(),
            validation.len(),
            test.len(),
            told(arguments, corpus.as_ref(), &left_out)
        );
        Ok(Data {
            train,
            validation,
            test,
            description,
        })
    }
}

/// How to train on so many recordings.
fn config(arguments: &Arguments, recordings: usize) -> Config {
    // As in the authors' `audionet_solver.prototxt`: 50,000 steps of 100 recordings. (The rate would be halved after the last.)
    let steps_per_epoch = (recordings as u64 / 100).max(1);
    let published = Config {
        epochs: 50_000_u64.div_ceil(steps_per_epoch),
        batch: 100,
        optimizer: Optimizer::Sgd {
            lr: 1e-4,
            momentum: 0.9,
        },
        schedule: Schedule::Constant,
        seed: arguments.seed,
        loss: Loss::CrossEntropy,
    };
    let epochs = match arguments.profile {
        Profile::Full => return published,
        Profile::Quick => 4,
        Profile::Smoke => 1,
    };
    Config {
        epochs,
        batch: 20,
        optimizer: Optimizer::AdamW {
            lr: 3e-4,
            weight_decay: 0.01,
        },
        ..published
    }
}

/// Trains, explains and tests.
pub fn run(lab: &Lab) -> Result<Findings> {
    let setting = Setting::new(lab.arguments);
    let data = Data::prepare(lab, &setting)?;
    let config = config(lab.arguments, data.train.len());
    let trained = training::train(lab, &config, &data)?;
    fit::chart(&trained.history)?.write_png(&lab.folder.join("audionet-training.png"))?;
    let explained = explaining::explain(lab, &setting, &trained, &data)?;
    Ok(Findings {
        lead: explained.lead,
        sections: vec![trained.section(&config)?, explained.section],
        experiments: vec![trained.experiment(), explained.figure, explained.flipping],
        data: data.description,
        ..Findings::default()
    })
}
