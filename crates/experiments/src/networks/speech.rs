//! Speech for tests: utterances of several speakers, by speaker.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use speechlens_audio::silence::{TRIM_DB, trim};
use speechlens_audio::{Audio, resample};
use speechlens_data::{Corpus, Preparation, open_utterances};

use crate::shared::Arguments;

/// What all networks of the tests read, in Hz.
pub const RATE: u32 = 16_000;

/// Utterances at [`RATE`], silence taken off their ends.
pub struct Speech {
    corpus: Box<dyn Corpus>,
    /// The recordings of each speaker who has [`UTTERANCES`] or more.
    by_speaker: Vec<Vec<usize>>,
}

impl Speech {
    /// The corpus of utterances that a run is given.
    pub fn open(arguments: &Arguments) -> Result<Self> {
        let source = arguments.speakers()?;
        let corpus = open_utterances(&source, arguments.seed, Preparation::default())?;
        let mut speakers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, recording) in corpus.recordings().iter().enumerate() {
            speakers.entry(&recording.speaker).or_default().push(place);
        }
        let several = speakers
            .into_values()
            .filter(|places| places.len() >= UTTERANCES);
        let by_speaker: Vec<Vec<usize>> = several.collect();
        ensure!(
            by_speaker.len() > 1,
            "{source}: the networks are tested on two speakers or more with {UTTERANCES} utterances each"
        );
        Ok(Speech { corpus, by_speaker })
    }

    /// How many speakers there are.
    pub fn speakers(&self) -> usize {
        self.by_speaker.len()
    }

    /// An utterance of a speaker, both counted round and round: its samples.
    pub fn utterance(&self, speaker: usize, which: usize) -> Result<Vec<f32>> {
        let places = &self.by_speaker[speaker % self.by_speaker.len()];
        let audio = self.corpus.audio(places[which % places.len()])?;
        let audio = trim(&audio, TRIM_DB);
        Ok(resample(&audio.samples, audio.rate, RATE))
    }

    /// So many seconds of a speaker's utterances from one on, one after the other.
    pub fn seconds(&self, speaker: usize, which: usize, seconds: f64) -> Result<Vec<f32>> {
        let wanted = (seconds * f64::from(RATE)).round() as usize;
        let mut samples = Vec::with_capacity(wanted);
        for next in which.. {
            if samples.len() >= wanted {
                break;
            }
            samples.extend(self.utterance(speaker, next)?);
        }
        samples.truncate(wanted);
        Ok(scaled(samples, LEVEL))
    }
}

/// So many are there of a speaker that what is compared is never the same recording.
const UTTERANCES: usize = 8;

/// The level that speech is brought to: its root mean square.
const LEVEL: f32 = 0.05;

/// Samples of a root mean square of `level`.
pub fn scaled(mut samples: Vec<f32>, level: f32) -> Vec<f32> {
    let squares: f32 = samples.iter().map(|x| x * x).sum();
    let now = (squares / samples.len().max(1) as f32).sqrt();
    if now > 0.0 {
        samples.iter_mut().for_each(|x| *x *= level / now);
    }
    samples
}

/// Samples at [`RATE`] as a recording.
pub fn audio(samples: Vec<f32>) -> Audio {
    Audio {
        samples,
        rate: RATE,
    }
}
