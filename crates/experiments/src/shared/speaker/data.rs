//! The speakers: which, how many, and their filterbanks, as they are and with music and noise behind the speech.

use std::collections::BTreeMap;
use std::iter;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use speechlens_data::background::{Backdrop, Background};
use speechlens_data::left_out::summary;
use speechlens_data::{FeatureStore, HeldOut, LeftOut, Preparation, Recording};
use speechlens_eval::noisy_windows::Sounds;
use speechlens_eval::{NoisyWindows, Windows};
use speechlens_frontend::FrontEnd;
use speechlens_models::resnet34::{self, FRAMES};
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Config, Samples};
use speechlens_report::progress;

use crate::shared::recordings::told;
use crate::shared::{Arguments, Profile};

/// Frames between the segments of training. They overlap: that takes the place of cutting them out at random.
const TRAINING_HOP: usize = 25;

/// What training makes small.
pub const LOSS: Loss = Loss::CrossEntropy;

/// What a profile decides.
pub struct Setting {
    /// At most so many speakers, those with the most recordings.
    speakers: usize,
    /// Steps of training.
    steps: u64,
    /// Segments a step.
    pub batch: usize,
    /// Segments whose bins are flipped.
    pub flipped: usize,
    /// How to train; the epochs follow from the steps and the segments.
    config: Config,
}

impl Setting {
    /// The setting of the profile asked for.
    pub fn new(arguments: &Arguments) -> Self {
        let (speakers, steps, batch, flipped) = match arguments.profile {
            Profile::Smoke => (2, 2, 4, 2),
            Profile::Quick => (10, 230, 16, 100),
            Profile::Full => (usize::MAX, 20_000, 64, 20_000),
        };
        Setting {
            speakers,
            steps,
            batch,
            flipped,
            config: Config {
                epochs: 1,
                batch,
                optimizer: Optimizer::AdamW {
                    lr: 2e-3,
                    weight_decay: 0.01,
                },
                schedule: Schedule::Constant,
                seed: arguments.seed,
                loss: LOSS,
            },
        }
    }

    /// How to train on so many segments: whole epochs, about as many steps as the profile has.
    pub fn config(&self, segments: usize) -> Config {
        let per_epoch = (segments / self.batch).max(1) as u64;
        let epochs = self.steps.div_ceil(per_epoch);
        Config {
            epochs,
            schedule: Schedule::OneCycle {
                steps: epochs * per_epoch,
            },
            ..self.config.clone()
        }
    }
}

/// Held-out segments of speech with something behind it, or nothing.
pub struct Condition {
    /// What it is called.
    pub name: &'static str,
    /// The segments.
    pub held_out: NoisyWindows,
}

/// Training and held-out segments of the same speakers.
pub struct Data {
    /// The speakers: the classes.
    pub speakers: Vec<String>,
    /// For training: each segment as it was recorded, with music or with noise, drawn anew each epoch.
    pub training: NoisyWindows,
    /// Held out, as they were recorded, with music and with noise that training did not hear.
    pub conditions: Vec<Condition>,
    /// The held-out segments whose bins are flipped: each as it was recorded, with music or with noise.
    pub flipped: NoisyWindows,
    /// The same of those that training heard, as the thesis flips them.
    pub flipped_of_training: NoisyWindows,
    /// What the data are, in words.
    pub description: String,
    /// Where music and noise come from: to train with, and to test with.
    backgrounds: [Arc<Background>; 2],
}

impl Data {
    /// Opens the corpus, splits it, computes filterbanks or takes them from the run's stores.
    pub fn prepare(arguments: &Arguments, setting: &Setting, folder: &Path) -> Result<Self> {
        let preparation = Preparation {
            strict: arguments.strict,
            ..Preparation::default()
        };
        let corpus =
            speechlens_data::open_utterances(&arguments.speakers()?, arguments.seed, preparation)?;
        let chosen = most_recorded(corpus.recordings(), setting.speakers);
        let background = match &arguments.musan {
            Some(folder) => Background::musan(folder, arguments.seed, arguments.strict)?,
            None => Background::synthetic(arguments.seed),
        };
        let backgrounds = background.split()?.map(Arc::new);
        let [to_train, to_test] = &backgrounds;
        let bar = progress::bar("filterbanks", chosen.len(), arguments.quiet);
        let path = folder.join("features").join("speakers.h5");
        let done = |done: usize| bar.set_position(done as u64);
        let front_end = FrontEnd::load(resnet34::NETWORK.front_end)?;
        let making = (&front_end, arguments.seed);
        let store = FeatureStore::open_or_compute(&path, corpus.as_ref(), &chosen, making, &done);
        bar.finish_and_clear();
        let store = Arc::new(store?);
        let split = HeldOut::split(store.recordings(), &store.lengths(), FRAMES)?;
        let segments = |stretches, hop| {
            let mut segments = Windows::default();
            segments.append_stretches(&store, stretches, hop, &split.speakers)?;
            Ok::<_, anyhow::Error>(segments)
        };
        let training = segments(&split.train, TRAINING_HOP)?;
        let held_out = segments(&split.test, FRAMES / 2)?;
        let corpus_name = corpus.name().to_owned();
        let left_out = [corpus.left_out(), store.left_out(), &split.left_out].concat();
        let told = told(arguments, corpus.as_ref(), &left_out);
        let sounds = Arc::new(Sounds::new(vec![corpus]));
        let some = Backdrop::ALL.map(Some);
        let all: Vec<Option<Backdrop>> = iter::once(None).chain(some).collect();
        let with = |segments: &Windows, background, kinds: &[Option<Backdrop>]| {
            NoisyWindows::new(segments.clone(), &sounds, background, kinds)
        };
        let training = with(&training, to_train, &all);
        let conditions = ["as recorded", "with music", "with noise"]
            .into_iter()
            .zip(&all)
            .map(|(name, kind)| Condition {
                name,
                held_out: with(&held_out, to_test, &[*kind]),
            });
        Ok(Data {
            description: format!(
                "{corpus_name}: {} speakers, {} segments of two seconds for training, {} held out{told}",
                split.speakers.len(),
                training.len(),
                held_out.len(),
            ),
            flipped: with(&held_out, to_test, &all).sample(setting.flipped, arguments.seed),
            flipped_of_training: training.sample(setting.flipped, arguments.seed),
            training,
            conditions: conditions.collect(),
            backgrounds,
            speakers: split.speakers,
        })
    }

    /// Where music and noise come from, and which of it was drawn so far and could not be used.
    pub fn background(&self) -> String {
        let name = self.backgrounds[0].name();
        let left_out: Vec<LeftOut> = (self.backgrounds.iter())
            .flat_map(|background| background.left_out())
            .collect();
        match left_out.is_empty() {
            true => name.to_owned(),
            false => format!("{name}; left out are {}", summary(&left_out)),
        }
    }

    /// Held-out segments as they were recorded.
    pub fn held_out(&self) -> &NoisyWindows {
        &self.conditions[0].held_out
    }
}

/// The recordings of at most so many speakers: those with the most, and of as many the first by name.
fn most_recorded(recordings: &[Recording], speakers: usize) -> Vec<usize> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for recording in recordings {
        *counts.entry(&recording.speaker).or_default() += 1;
    }
    let mut names: Vec<&str> = counts.keys().copied().collect();
    names.sort_by_key(|name| std::cmp::Reverse(counts[name]));
    names.truncate(speakers);
    let chosen = |index: &usize| names.contains(&recordings[*index].speaker.as_str());
    (0..recordings.len()).filter(chosen).collect()
}
