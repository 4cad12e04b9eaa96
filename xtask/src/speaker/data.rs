//! The speakers: which, how many, and their filterbanks, as they are and with noise over them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use speechlens_data::background::{Background, Kind, Noisy};
use speechlens_data::{Corpus, FilterbankStore, HeldOut, Preparation, Recording};
use speechlens_eval::segments::{FRAMES, Normalization, Segments};
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Config, Samples};
use speechlens_report::progress;

use crate::gender::data::told;
use crate::reproduce::{Arguments, Profile};

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
            Profile::Quick => (10, 80, 32, 100),
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

/// A segment with noise over the speech or without.
pub struct Condition {
    /// What it is called.
    pub name: &'static str,
    /// Held-out segments.
    pub held_out: Segments,
}

/// Training and held-out segments of the same speakers.
pub struct Data {
    /// The speakers: the classes.
    pub speakers: Vec<String>,
    /// For training.
    pub training: Segments,
    /// Held out, as they were recorded, with music and with noise.
    pub conditions: Vec<Condition>,
    /// Those of the held-out segments as they were recorded whose bins are flipped.
    pub flipped: Segments,
    /// What the data are, in words.
    pub description: String,
    /// Where music and noise come from.
    pub background: String,
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
        let mut chosen = most_recorded(corpus.recordings(), setting.speakers);
        let background = match &arguments.musan {
            Some(folder) => Background::musan(folder, arguments.seed)?,
            None => Background::synthetic(arguments.seed),
        };
        let normalization = Normalization::Segment;
        let store = |name: &str, corpus: &dyn Corpus, chosen: &[usize]| {
            let bar = progress::bar(
                &format!("filterbanks, {name}"),
                chosen.len(),
                arguments.quiet,
            );
            let path = folder.join("features").join(format!("{name}.h5"));
            let done = |done: usize| bar.set_position(done as u64);
            let store = FilterbankStore::open_or_compute(&path, corpus, chosen, &done);
            bar.finish_and_clear();
            Ok::<_, anyhow::Error>(Arc::new(store?))
        };
        let clean = store("speakers", corpus.as_ref(), &chosen)?;
        // Whatever is laid over speech, it is laid over what can be used.
        let used: HashSet<&str> = clean.recordings().iter().map(|r| r.id.as_str()).collect();
        chosen.retain(|index| used.contains(corpus.recordings()[*index].id.as_str()));
        let split = HeldOut::split(clean.recordings(), &clean.frames(), FRAMES)?;
        let mut training = Segments::new(normalization);
        training.append(&clean, &split.train, TRAINING_HOP, &split.speakers)?;
        let mut conditions = Vec::new();
        for (name, kind) in [
            ("as recorded", None),
            ("with music", Some(Kind::Music)),
            ("with noise", Some(Kind::Noise)),
        ] {
            let store = match kind {
                None => clean.clone(),
                Some(kind) => {
                    let noisy = Noisy::new(corpus.as_ref(), &background, kind);
                    store(&format!("speakers-{kind}"), &noisy, &chosen)?
                }
            };
            let mut held_out = Segments::new(normalization);
            held_out.append(&store, &split.test, FRAMES / 2, &split.speakers)?;
            conditions.push(Condition { name, held_out });
        }
        let flipped = conditions[0]
            .held_out
            .sample(setting.flipped, arguments.seed);
        let mut data = Data {
            training,
            flipped,
            description: String::new(),
            background: background.name().to_owned(),
            speakers: split.speakers,
            conditions,
        };
        let left_out = [corpus.left_out(), clean.left_out(), &split.left_out].concat();
        data.description = format!(
            "{}: {} speakers, {} segments of two seconds for training, {} held out{}",
            corpus.name(),
            data.speakers.len(),
            data.training.len(),
            data.held_out().len(),
            told(arguments, corpus.as_ref(), &left_out),
        );
        Ok(data)
    }

    /// Held-out segments as they were recorded.
    pub fn held_out(&self) -> &Segments {
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
