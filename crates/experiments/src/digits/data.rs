//! Recordings of digits, as a network's front end has them.

use anyhow::{Context, Result};
use speechlens_data::task::{classes, open_digits};
use speechlens_data::{Corpus, LeftOut, Sizes, Split};
use speechlens_eval::Windows;
use speechlens_frontend::FrontEnd;
use speechlens_models::Network;
use speechlens_nn::train::Samples;
use speechlens_report::progress;

use crate::shared::recordings::{features, told};
use crate::shared::{Lab, Profile};

/// Training, validation and test; no speaker is in two of them.
pub struct Data {
    pub classes: Vec<String>,
    pub train: Windows,
    pub validation: Windows,
    pub test: Windows,
    /// The value that stands for silence.
    pub silence: f64,
    /// What the data are, in words.
    pub description: String,
}

fn sizes(profile: Profile) -> Sizes {
    match profile {
        Profile::Smoke => Sizes::at_most(40, 20, 20),
        Profile::Quick => Sizes::at_most(2000, 300, 300),
        Profile::Full => Sizes::all(),
    }
}

impl Data {
    pub fn prepare(lab: &Lab, network: &Network) -> Result<Self> {
        let arguments = lab.arguments;
        let front_end = FrontEnd::load(network.front_end)?;
        let voices = arguments.digits()?;
        let reading = progress::counter("reading recordings", arguments.quiet);
        let done = |done: usize| reading.set_position(done as u64);
        let corpus = open_digits(&voices, arguments.seed, arguments.preparation(), &done);
        reading.finish_and_clear();
        let corpus = corpus?;
        let split = Split::of_classes(
            corpus.recordings(),
            &speechlens_data::Part::ALL,
            sizes(arguments.profile),
            arguments.seed,
        )?;
        let classes = classes(corpus.recordings());
        let mut left_out: Vec<LeftOut> = corpus.left_out().to_vec();
        let mut part = |name: &str, indices: &[usize]| -> Result<Windows> {
            let label = format!("{}, {name}", network.front_end);
            let path = format!("features/digits-{network}-{name}.h5");
            let path = lab.folder.join(path);
            let kept = (label.as_str(), path.as_path());
            let made = features(arguments, corpus.as_ref(), indices, &front_end, kept);
            let (store, places) = made.with_context(|| voices.clone())?;
            left_out.extend(store.left_out().iter().cloned());
            let mut windows = Windows::default();
            left_out.extend(windows.append(&store, &places, None, &classes)?);
            Ok(windows)
        };
        let (train, validation, test) = (
            part("train", &split.train)?,
            part("validation", &split.validation)?,
            part("test", &split.test)?,
        );
        let description = format!(
            "{}, digits: {} recordings for training, {} for validation, {} for test, of other speakers each{}",
            corpus.name(),
            train.len(),
            validation.len(),
            test.len(),
            told(arguments, corpus.as_ref(), &left_out)
        );
        Ok(Data {
            classes,
            train,
            validation,
            test,
            silence: front_end.silence().unwrap_or_default(),
            description,
        })
    }
}
