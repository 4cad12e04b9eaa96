//! The recordings: which, how many, and their spectrograms.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use speechlens_data::audiomnist::published_split;
use speechlens_data::split::check_both;
use speechlens_data::{Corpus, LeftOut, Recording, Sex, Sizes, Speakers, Split};
use speechlens_eval::Windows;
use speechlens_frontend::FrontEnd;
use speechlens_frontend::thesis::{HOP, SIZE};
use speechlens_models::alexnet;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Config, Samples};
use speechlens_report::progress;
use speechlens_report::thesis::Thesis;

use crate::shared::recordings::{explained, features, told};
use crate::shared::{Arguments, Profile};

/// How the thesis trained (4.3.1).
pub fn thesis_training(seed: u64) -> Config {
    let thesis = &Thesis::published().gender;
    Config {
        epochs: thesis.epochs,
        batch: thesis.batch,
        optimizer: Optimizer::Sgd {
            lr: thesis.learning_rate,
            momentum: thesis.momentum,
        },
        schedule: Schedule::Constant,
        seed,
        loss: Loss::BinaryCrossEntropy,
    }
}

/// How many recordings the thesis took (4.1).
fn thesis_sizes() -> Sizes {
    let thesis = &Thesis::published().gender;
    Sizes::at_most(thesis.train, thesis.validation, thesis.test)
}

/// What a profile decides.
pub struct Setting {
    speakers: Speakers,
    sizes: Sizes,
    /// How to train.
    pub config: Config,
    /// Recordings whose bins are flipped.
    pub flipped: usize,
}

impl Setting {
    /// The setting of the profile asked for.
    pub fn new(arguments: &Arguments) -> Self {
        let thesis = thesis_training(arguments.seed);
        let fast = Config {
            optimizer: Optimizer::AdamW {
                lr: 1e-4,
                weight_decay: 0.01,
            },
            ..thesis.clone()
        };
        let speakers = of_each_sex(arguments);
        match arguments.profile {
            Profile::Smoke => Setting {
                speakers: Speakers::PerSex(4),
                sizes: Sizes::at_most(40, 8, 8),
                config: Config {
                    epochs: 1,
                    batch: 10,
                    ..fast
                },
                flipped: 4,
            },
            Profile::Quick if arguments.has_synthetic_voices() => Setting {
                speakers,
                sizes: Sizes::at_most(1200, 200, 300),
                config: Config { epochs: 4, ..fast },
                flipped: 100,
            },
            Profile::Quick => Setting {
                speakers,
                sizes: Sizes::at_most(2500, 500, 500),
                config: Config { epochs: 8, ..fast },
                flipped: 100,
            },
            Profile::Full => Setting {
                speakers,
                sizes: thesis_sizes(),
                config: thesis,
                flipped: Thesis::published().flipping.recordings,
            },
        }
    }
}

/// The speakers who take part: of AudioMNIST and the synthetic voices as many of one sex as of the other, which are twelve of each.
/// They have hours of speech, and minutes in LibriSpeech, of whom all take part.
pub fn of_each_sex(arguments: &Arguments) -> Speakers {
    match arguments.has_voices_of_librispeech() {
        true => Speakers::All,
        false => Speakers::PerSex(usize::MAX),
    }
}

/// Opens the corpus, and splits it.
pub fn open(arguments: &Arguments, setting: &Setting) -> Result<(Box<dyn Corpus>, Split)> {
    let source = arguments.voices()?;
    let reading = progress::counter("reading recordings", arguments.quiet);
    let done = |done: usize| reading.set_position(done as u64);
    let corpus = speechlens_data::open(&source, arguments.seed, arguments.preparation(), &done);
    reading.finish_and_clear();
    let corpus = corpus.map_err(|error| explained(arguments, error))?;
    let split = match arguments.fold {
        Some(fold) => published_split(
            corpus.recordings(),
            fold.into(),
            setting.sizes,
            arguments.seed,
        )
        .with_context(|| format!("--fold {fold} is for AudioMNIST as published; leave it out"))?,
        None => Split::draw(
            corpus.recordings(),
            setting.speakers,
            setting.sizes,
            arguments.seed,
        )?,
    };
    Ok((corpus, split))
}

/// Recordings of one part.
pub struct Part {
    /// Their spectrograms.
    pub dataset: Windows,
    padding: Vec<u32>,
    left_out: Vec<LeftOut>,
}

impl Part {
    /// Each recording's sex and number of padding frames.
    fn padding(&self) -> impl Iterator<Item = (Sex, u32)> {
        let recordings = self.dataset.recordings().into_iter();
        recordings
            .zip(&self.padding)
            .filter_map(|(recording, padding)| Some((recording.sex?, *padding)))
    }

    /// How many speakers there are.
    pub fn speakers(&self) -> usize {
        let recordings = self.dataset.recordings().into_iter();
        recordings
            .map(|recording| &recording.speaker)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// The class of a recording.
    pub fn label(&self, place: usize) -> u32 {
        self.dataset.label(place)
    }
}

/// Training, validation and test; no speaker is in two of them.
pub struct Data {
    /// For training.
    pub train: Part,
    /// Watched while training.
    pub validation: Part,
    /// For every number that is reported.
    pub test: Part,
    /// What the data are, in words.
    pub description: String,
}

impl Data {
    /// Opens the corpus, splits it, computes the spectrograms or takes them from the run's stores.
    pub fn prepare(arguments: &Arguments, setting: &Setting, folder: &Path) -> Result<Self> {
        let (corpus, split) = open(arguments, setting)?;
        let front_end = FrontEnd::load(alexnet::NETWORK.front_end)?;
        let store = |name: &str, indices: &[usize]| -> Result<Part> {
            let label = format!("spectrograms, {name}");
            let path = folder.join("features").join(format!("{name}.h5"));
            let kept = (label.as_str(), path.as_path());
            let (store, places) = features(arguments, corpus.as_ref(), indices, &front_end, kept)?;
            check_both(store.recordings(), name)?;
            let padding = |place: &usize| padding_frames(&store.samples(*place));
            let (padding, left_out) = (
                places.iter().map(padding).collect(),
                store.left_out().to_vec(),
            );
            let mut dataset = Windows::default();
            dataset.append_of_sexes(&store, &places, [0, 1])?;
            Ok(Part {
                padding,
                left_out,
                dataset,
            })
        };
        let mut data = Data {
            train: store("train", &split.train)?,
            validation: store("validation", &split.validation)?,
            test: store("test", &split.test)?,
            description: String::new(),
        };
        let of_parts = data.parts().map(|part| part.left_out.clone()).concat();
        let left_out = [corpus.left_out(), &split.left_out, &of_parts].concat();
        data.description =
            data.describe(corpus.as_ref()) + &told(arguments, corpus.as_ref(), &left_out);
        Ok(data)
    }

    fn parts(&self) -> [&Part; 3] {
        [&self.train, &self.validation, &self.test]
    }

    fn describe(&self, corpus: &dyn Corpus) -> String {
        let [train, validation, test] = self.parts().map(|part| {
            let (recordings, speakers) = (part.dataset.len(), part.speakers());
            format!("{recordings} recordings of {speakers} speakers")
        });
        let of_sex = |recordings: &[Recording], sex: Sex| {
            let of_sex = recordings.iter().filter(|r| r.sex == Some(sex));
            of_sex
                .map(|r| r.speaker.clone())
                .collect::<BTreeSet<_>>()
                .len()
        };
        let parts = self.parts().into_iter();
        let recordings = parts.flat_map(|part| part.dataset.recordings());
        let used: Vec<Recording> = recordings.cloned().collect();
        let [men, women] = Sex::ALL.map(|sex| {
            format!(
                "{} of {}",
                of_sex(&used, sex),
                of_sex(corpus.recordings(), sex)
            )
        });
        format!(
            "{}: {train} for training, {validation} for validation, {test} for test; {men} men and {women} women, and as many \
             recordings of men as of women",
            corpus.name()
        )
    }

    /// The average number of padding frames of each sex, over all parts.
    pub fn padding_by_sex(&self) -> [(&'static str, f64); 2] {
        Sex::ALL.map(|sex| {
            let frames = self.parts().into_iter().flat_map(Part::padding);
            let of_sex: Vec<f64> = frames
                .filter(|(label, _)| *label == sex)
                .map(|(_, padding)| f64::from(padding))
                .collect();
            (sex.name(), of_sex.iter().sum::<f64>() / of_sex.len() as f64)
        })
    }

    /// How many of the test recordings, as a share, the best threshold on the training recordings' padding tells right.
    pub fn accuracy_of_padding_alone(&self) -> f64 {
        let right = |part: &Part, threshold: u32, below: Sex| {
            let right = part
                .padding()
                .filter(|(sex, padding)| (*padding < threshold) == (*sex == below));
            right.count() as f64 / part.padding.len() as f64
        };
        let mut best = (0.0, 0, Sex::Male);
        for threshold in 0..=SIZE as u32 {
            for below in Sex::ALL {
                let share = right(&self.train, threshold, below);
                if share > best.0 {
                    best = (share, threshold, below);
                }
            }
        }
        right(&self.test, best.1, best.2)
    }
}

/// How many frames of a spectrogram are padding: centred on a sample outside of the recording, which is those of the second that are
/// given. (Such a frame may still see an end of the recording through half its window, 28 ms.)
fn padding_frames(recording: &Range<usize>) -> u32 {
    let centres = (0..SIZE).map(|frame| frame * HOP);
    centres.filter(|centre| !recording.contains(centre)).count() as u32
}

#[cfg(test)]
mod tests {
    use super::padding_frames;

    #[test]
    fn padding_is_counted_in_frames() {
        assert_eq!(padding_frames(&(0..8000)), 0);
        // Frames are centred on 0, 35, 70, …: 3 of them (0, 35, 70) before 71, and those of 100 .. 227 from 3500 on.
        assert_eq!(padding_frames(&(71..3500)), 3 + 127);
    }
}
