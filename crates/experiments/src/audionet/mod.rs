//! The AudioNet experiment (thesis 3.3, after Becker et al. 2018): the gender experiment's question to the waveforms of its
//! recordings; which samples the network listens to, and whether that is true.

mod explaining;
mod training;

use anyhow::Result;
use speechlens_eval::Waveforms;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Config, Samples};
use speechlens_report::progress;

use crate::shared::fit;
use crate::shared::gender::data::{self, Setting};
use crate::shared::{Arguments, Findings, Lab, Profile};

/// The gender experiment's recordings as waveforms.
struct Data {
    train: Waveforms,
    validation: Waveforms,
    test: Waveforms,
    /// What the data are, in words.
    description: String,
}

impl Data {
    fn prepare(arguments: &Arguments, setting: &Setting) -> Result<Self> {
        let (corpus, split) = data::open(arguments, setting)?;
        let part = |name: &str, indices: &[usize]| {
            let label = format!("waveforms, {name}");
            let bar = progress::bar(&label, indices.len(), arguments.quiet);
            let done = |done: usize| bar.set_position(done as u64);
            let waveforms = Waveforms::compute(corpus.as_ref(), indices, arguments.seed, &done);
            bar.finish_and_clear();
            waveforms
        };
        let (train, validation, test) = (
            part("train", &split.train)?,
            part("validation", &split.validation)?,
            part("test", &split.test)?,
        );
        let mut left_out = [corpus.left_out(), &split.left_out].concat();
        for part in [&train, &validation, &test] {
            left_out.extend(part.left_out().iter().cloned());
        }
        let description = format!(
            "{}: waveforms of {} recordings for training, {} for validation, {} for test{}",
            corpus.name(),
            train.len(),
            validation.len(),
            test.len(),
            data::told(arguments, corpus.as_ref(), &left_out)
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
    let data = Data::prepare(lab.arguments, &setting)?;
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
