//! Utterances cut into pieces of at most one second, for networks that read as much.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use speechlens_audio::Audio;
use speechlens_audio::silence::{Cutting, segments};

use crate::corpus::{Corpus, Recording};
use crate::left_out::{LeftOut, sound, usable};
use crate::{Error, Result};

/// Decoded utterances that are kept. Neighbouring pieces come from one utterance, and every thread works on another.
const KEPT: usize = 32;

/// Utterances that are decoded before their errors are looked at.
const AT_A_TIME: usize = 256;

/// How utterances are cut. Silence between the pieces is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// At pauses, and at the quietest moment where there is none for a second: pieces of 0.25 to 1 s.
    Pauses,
    /// As [`Cut::Pauses`], those that are longer than a second; others stay as they are.
    Longer,
    /// Into pieces of so many seconds, one after another within what lies between pauses of 0.3 s.
    Fixed(f64),
}

impl Cut {
    fn pieces(self, audio: &Audio) -> Vec<Range<usize>> {
        match self {
            Cut::Longer if audio.samples.len() <= audio.rate as usize => {
                iter::once(0..audio.samples.len()).collect()
            }
            Cut::Pauses | Cut::Longer => segments(audio, &Cutting::default()),
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

/// The pieces of another corpus's recordings. Their ids are `RECORDING:FIRST-END`, the range in samples; one that is left whole
/// keeps its own.
pub struct Pieces<C> {
    utterances: C,
    left_out: Vec<LeftOut>,
    /// The utterance and the samples of each recording.
    pieces: Vec<(usize, Range<usize>)>,
    recordings: Vec<Recording>,
    decoded: Mutex<VecDeque<(usize, Arc<Audio>)>>,
}

impl<C: Corpus> Pieces<C> {
    /// Decodes the utterances in parallel and cuts them. `progress` hears the number of utterances done so far.
    ///
    /// # Errors
    /// If an utterance cannot be used, or has no piece, and that is not to be passed over; or if none can be used.
    pub fn cut(utterances: C, cut: Cut, progress: &(dyn Fn(usize) + Sync)) -> Result<Pieces<C>> {
        let done = AtomicUsize::new(0);
        let cut_one = |index: usize| {
            let utterance = &utterances.recordings()[index];
            let pieces = sound(&utterances, index).and_then(|audio| match cut.pieces(&audio) {
                none if none.is_empty() => Err(Error::NoPiece(utterance.id.clone())),
                pieces => Ok((pieces, audio.samples.len())),
            });
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            usable(&utterances, utterance, pieces)
        };
        let all: Vec<usize> = (0..utterances.recordings().len()).collect();
        let mut cuts = Vec::with_capacity(all.len());
        for some in all.chunks(AT_A_TIME) {
            let cut: Vec<Result<_>> = some.par_iter().map(|index| cut_one(*index)).collect();
            // The first error in order, whichever came first.
            cuts.extend(cut.into_iter().collect::<Result<Vec<_>>>()?);
        }

        let mut pieces = Vec::new();
        let mut recordings = Vec::new();
        let mut left_out = utterances.left_out().to_vec();
        for (number, (utterance, pieces_of)) in utterances.recordings().iter().zip(cuts).enumerate()
        {
            let (ranges, length) = match pieces_of {
                Ok(pieces) => pieces,
                Err(unusable) => {
                    left_out.push(unusable);
                    continue;
                }
            };
            for range in ranges {
                let mut recording = utterance.clone();
                if cut != Cut::Longer || range != (0..length) {
                    recording.id = format!("{}:{}-{}", utterance.id, range.start, range.end);
                }
                recordings.push(recording);
                pieces.push((number, range));
            }
        }
        if recordings.is_empty() {
            return Err(Error::NothingUsable(left_out));
        }
        Ok(Pieces {
            utterances,
            left_out,
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

    fn origin(&self) -> String {
        self.utterances.origin() + ", in pieces"
    }

    fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    fn is_strict(&self) -> bool {
        self.utterances.is_strict()
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
