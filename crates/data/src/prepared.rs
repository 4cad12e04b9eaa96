//! Recordings made ready: silence taken off, and what becomes of those that cannot be used.

use speechlens_audio::Audio;
use speechlens_audio::silence::{TRIM_DB, trim};

use crate::corpus::{Corpus, Recording};
use crate::left_out::{LeftOut, Reason};
use crate::{Error, Result};

/// How the recordings of a corpus are made ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preparation {
    /// Whether silence is taken off both ends: what is 40 dB below the loudest.
    pub trim: bool,
    /// Whether words that are longer than a second are cut at their pauses, as utterances always are.
    pub pieces: bool,
    /// Whether the first recording that cannot be used is an error. Else it is left out, and told.
    pub strict: bool,
}

impl Preparation {
    /// The names of what was not asked for and can make room where recordings are too long: `trim` and `pieces`.
    pub fn left_to_try(&self, left_out: &[LeftOut]) -> Vec<&'static str> {
        let is_too_long = left_out.iter().any(|one| one.reason == Reason::TooLong);
        let all = [("trim", self.trim), ("pieces", self.pieces)];
        let missing = all
            .into_iter()
            .filter(|(_, is_asked)| is_too_long && !is_asked);
        missing.map(|(name, _)| name).collect()
    }
}

/// Another corpus, made ready.
pub(crate) struct Prepared<C> {
    corpus: C,
    preparation: Preparation,
}

impl<C: Corpus> Prepared<C> {
    /// Fails if nothing may be left out, and something was.
    pub fn new(corpus: C, preparation: Preparation) -> Result<Self> {
        match corpus.left_out().first() {
            Some(first) if preparation.strict => Err(Error::Unusable(Box::new(first.clone()))),
            _ => Ok(Prepared {
                corpus,
                preparation,
            }),
        }
    }
}

impl<C: Corpus> Corpus for Prepared<C> {
    fn name(&self) -> &str {
        self.corpus.name()
    }

    fn recordings(&self) -> &[Recording] {
        self.corpus.recordings()
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        let audio = self.corpus.audio(index)?;
        Ok(match self.preparation.trim && audio.rate > 0 {
            true => trim(&audio, TRIM_DB),
            false => audio,
        })
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        let sound = self.corpus.fingerprint(index)?;
        Ok(match self.preparation.trim {
            true => format!("{sound}; its ends trimmed by {TRIM_DB} dB"),
            false => sound,
        })
    }

    fn origin(&self) -> String {
        let origin = self.corpus.origin();
        match self.preparation.trim {
            true => origin + ", trimmed",
            false => origin,
        }
    }

    fn left_out(&self) -> &[LeftOut] {
        self.corpus.left_out()
    }

    fn is_strict(&self) -> bool {
        self.preparation.strict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Synthetic;

    #[test]
    fn silence_is_taken_off_both_ends() {
        /// Words with half a second of silence before them, and as much behind.
        struct Padded(Synthetic);

        impl Corpus for Padded {
            fn name(&self) -> &str {
                self.0.name()
            }
            fn recordings(&self) -> &[Recording] {
                self.0.recordings()
            }
            fn audio(&self, index: usize) -> Result<Audio> {
                let mut audio = self.0.audio(index)?;
                let silence = vec![0.0; audio.rate as usize / 2];
                audio.samples = [&silence[..], &audio.samples, &silence].concat();
                Ok(audio)
            }
            fn fingerprint(&self, index: usize) -> Result<String> {
                self.0.fingerprint(index)
            }
            fn origin(&self) -> String {
                "here".into()
            }
        }

        let words = || Padded(Synthetic::new(1, 1, 1));
        let trimmed = Preparation {
            trim: true,
            ..Preparation::default()
        };
        let plain = Prepared::new(words(), Preparation::default()).unwrap();
        let trimmed = Prepared::new(words(), trimmed).unwrap();
        let of_word = words().0.audio(0).unwrap().samples.len();
        let padded = plain.audio(0).unwrap().samples.len();
        assert_eq!(padded, of_word + 16_000);
        // Two steps of 10 ms at each end may still hear the word.
        assert!(trimmed.audio(0).unwrap().samples.len() <= of_word + 640);
        assert_ne!(
            plain.fingerprint(0).unwrap(),
            trimmed.fingerprint(0).unwrap()
        );
        assert_eq!(
            [plain.origin(), trimmed.origin()],
            ["here", "here, trimmed"]
        );
    }
}
