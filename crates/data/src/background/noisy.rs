use speechlens_audio::Audio;

use super::{Background, Kind};
use crate::corpus::{Corpus, Recording};
use crate::left_out::LeftOut;
use crate::{Error, Result};

/// A corpus with music or noise behind every recording.
pub struct Noisy<'a> {
    corpus: &'a dyn Corpus,
    background: &'a Background,
    kind: Kind,
    name: String,
}

impl<'a> Noisy<'a> {
    /// The corpus before that background.
    pub fn new(corpus: &'a dyn Corpus, background: &'a Background, kind: Kind) -> Self {
        Noisy {
            name: format!("{} with {kind}", corpus.name()),
            corpus,
            background,
            kind,
        }
    }
}

impl Corpus for Noisy<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn recordings(&self) -> &[Recording] {
        self.corpus.recordings()
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        let id = &self.recordings()[index].id;
        let mixed = self
            .background
            .mix(&self.corpus.audio(index)?, self.kind, id);
        match mixed {
            Ok(mixed) => Ok(mixed.audio),
            // It does not know which recording that is.
            Err(Error::Audio(source)) => Err(Error::Features {
                id: id.clone(),
                source,
            }),
            Err(error) => Err(error),
        }
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        let speech = self.corpus.fingerprint(index)?;
        Ok(format!(
            "{speech}; {} behind it: {}",
            self.kind,
            self.background.fingerprint()
        ))
    }

    fn origin(&self) -> String {
        format!("{}, with {}", self.corpus.origin(), self.kind)
    }

    fn left_out(&self) -> &[LeftOut] {
        self.corpus.left_out()
    }

    fn is_strict(&self) -> bool {
        self.corpus.is_strict()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Synthetic;

    #[test]
    fn every_recording_has_its_own_noise_behind_it() {
        let corpus = Synthetic::new(1, 2, 1);
        let [one, other] = [1, 2].map(Background::synthetic);
        let noisy = Noisy::new(&corpus, &one, Kind::Noise);
        let (speech, mixed) = (corpus.audio(1).unwrap(), noisy.audio(1).unwrap());
        let expected = one.mix(&speech, Kind::Noise, &corpus.recordings()[1].id);
        assert_eq!(mixed, expected.unwrap().audio);
        assert_eq!(noisy.recordings(), corpus.recordings());
        assert_eq!(noisy.name(), "synthetic with noise");
        let prints = [
            noisy.fingerprint(1),
            corpus.fingerprint(1),
            Noisy::new(&corpus, &other, Kind::Noise).fingerprint(1),
            Noisy::new(&corpus, &one, Kind::Music).fingerprint(1),
        ];
        let prints = prints.map(Result::unwrap);
        for (place, print) in prints.iter().enumerate() {
            assert!(!prints[..place].contains(print), "{print}");
        }
    }
}
