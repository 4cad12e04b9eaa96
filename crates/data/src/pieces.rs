//! Utterances cut into pieces of at most one second, for networks that read as much.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use speechlens_audio::Audio;
use speechlens_audio::silence::{Cutting, segments};

use crate::corpus::{Corpus, Recording};
use crate::{Error, Result};

/// Decoded utterances that are kept. Neighbouring pieces come from one utterance, and every thread works on another.
const KEPT: usize = 32;

/// How utterances are cut. Silence is left out either way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// At pauses, and at the quietest moment where there is none for a second: pieces of 0.25 to 1 s.
    Pauses,
    /// Into pieces of so many seconds, one after another within what lies between pauses of 0.3 s.
    Fixed(f64),
}

impl Cut {
    fn pieces(self, audio: &Audio) -> Vec<Range<usize>> {
        match self {
            Cut::Pauses => segments(audio, &Cutting::default()),
            Cut::Fixed(seconds) => {
                let length = ((seconds.min(1.0) * f64::from(audio.rate)) as usize).max(1);
                let whole = Cutting {
                    pause: 0.3,
                    longest: audio.seconds() + 1.0,
                    ..Cutting::default()
                };
                let stretches = segments(audio, &whole).into_iter();
                stretches
                    .flat_map(|speech| {
                        let starts = (speech.start..).step_by(length);
                        let pieces = starts.map(move |start| start..start + length);
                        pieces.take_while(move |piece| piece.end <= speech.end)
                    })
                    .collect()
            }
        }
    }
}

/// The pieces of another corpus's recordings. Their ids are `RECORDING:FIRST-END`, the range in samples.
pub struct Pieces<C> {
    utterances: C,
    /// The utterance and the samples of each recording.
    pieces: Vec<(usize, Range<usize>)>,
    recordings: Vec<Recording>,
    decoded: Mutex<VecDeque<(usize, Arc<Audio>)>>,
}

impl<C: Corpus> Pieces<C> {
    /// Decodes the utterances in parallel and cuts them. `progress` hears the number of utterances done so far.
    pub fn cut(utterances: C, cut: Cut, progress: &(dyn Fn(usize) + Sync)) -> Result<Pieces<C>> {
        let done = AtomicUsize::new(0);
        let cut_one = |utterance: usize| {
            let pieces = cut.pieces(&utterances.audio(utterance)?);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(pieces)
        };
        let cuts = (0..utterances.recordings().len())
            .into_par_iter()
            .map(cut_one)
            .collect::<Result<Vec<_>>>()?;

        let mut pieces = Vec::new();
        let mut recordings = Vec::new();
        for (number, (utterance, ranges)) in utterances.recordings().iter().zip(cuts).enumerate() {
            for range in ranges {
                recordings.push(Recording {
                    id: format!("{}:{}-{}", utterance.id, range.start, range.end),
                    ..utterance.clone()
                });
                pieces.push((number, range));
            }
        }
        Ok(Pieces {
            utterances,
            pieces,
            recordings,
            decoded: Mutex::default(),
        })
    }

    /// An utterance's sound, decoded or still known.
    fn decode(&self, utterance: usize) -> Result<Arc<Audio>> {
        let lock = || self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, audio)) = lock().iter().find(|(number, _)| *number == utterance) {
            return Ok(audio.clone());
        }
        let audio = Arc::new(self.utterances.audio(utterance)?);
        let mut decoded = lock();
        decoded.push_back((utterance, audio.clone()));
        if decoded.len() > KEPT {
            decoded.pop_front();
        }
        Ok(audio)
    }
}

impl<C: Corpus> Corpus for Pieces<C> {
    fn name(&self) -> &str {
        self.utterances.name()
    }

    fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        let (utterance, range) = &self.pieces[index];
        let audio = self.decode(*utterance)?;
        // The file may have changed since it was cut.
        if range.end > audio.samples.len() {
            return Err(Error::Changed(
                self.utterances.recordings()[*utterance].id.clone(),
            ));
        }
        Ok(audio.slice(range.clone()))
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        self.utterances.fingerprint(self.pieces[index].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_pieces_have_one_length_and_leave_silence_out() {
        // 1.2 s of tone, 0.6 s of silence, 0.7 s of tone.
        let tone = |n: usize| 0.3 * (n as f32 * 0.3).sin();
        let samples = (0..40_000).map(|n| {
            if (19_200..28_800).contains(&n) {
                0.0
            } else {
                tone(n)
            }
        });
        let audio = Audio {
            samples: samples.collect(),
            rate: 16_000,
        };
        let pieces = Cut::Fixed(0.5).pieces(&audio);
        assert!(pieces.iter().all(|piece| piece.len() == 8000));
        assert_eq!(pieces.len(), 3);
        assert!(pieces[1].end <= 19_200 + 400 && pieces[2].start >= 28_800 - 400);
    }
}
