//! What a corpus is, and opening one.

use std::path::Path;
use std::str::FromStr;

use speechlens_audio::Audio;

use crate::left_out::LeftOut;
use crate::pieces::Cut;
use crate::prepared::{Preparation, Prepared};
use crate::split::Part;
use crate::{Error, Pieces, Result, Synthetic, audiomnist, librispeech, voxceleb};

/// A speaker's sex as the corpora state it. The numbers are the class indices, those of AudioMNIST's own labels.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
pub enum Sex {
    /// Class 0.
    Male = 0,
    /// Class 1.
    Female = 1,
}

impl Sex {
    /// Both, in the order of the class indices.
    pub const ALL: [Sex; 2] = [Sex::Male, Sex::Female];

    /// The class index: 0 male, 1 female.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The class name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The class names, in the order of the class indices.
    pub fn names() -> Vec<String> {
        Sex::ALL.map(|sex| sex.name().to_owned()).to_vec()
    }

    /// The sex of a class index, or nothing for other numbers.
    pub fn from_index(index: usize) -> Option<Sex> {
        Sex::ALL.get(index).copied()
    }
}

/// Reads the words and letters that corpora use: male, female, M, F, in any case.
impl FromStr for Sex {
    type Err = String;

    fn from_str(s: &str) -> Result<Sex, String> {
        match s.trim().to_ascii_lowercase().as_str() {
            "m" | "male" => Ok(Sex::Male),
            "f" | "female" => Ok(Sex::Female),
            _ => Err(format!("`{s}` is neither male nor female")),
        }
    }
}

/// What is known of a recording without listening to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Unique in the corpus. AudioMNIST and the synthetic words: `DIGIT_SPEAKER_REPETITION`; VoxCeleb: `SPEAKER/VIDEO/UTTERANCE`;
    /// a piece of an utterance: `UTTERANCE:FIRST-END`, the range in samples; of a table of labels: the path that stands there.
    pub id: String,
    /// The corpus's name for the speaker.
    pub speaker: String,
    /// The speaker's sex, if the corpus tells it.
    pub sex: Option<Sex>,
    /// The digit that is spoken, in the corpora of digits.
    pub digit: Option<u8>,
    /// What a network is to tell of it, where a [task](crate::task) says so.
    pub class: Option<String>,
    /// What it is for, where a table of labels says so.
    pub part: Option<Part>,
}

/// A list of recordings and their sound.
pub trait Corpus: Send + Sync {
    /// What to call the corpus in reports.
    fn name(&self) -> &str;

    /// Every recording, in an order that does not change between runs.
    fn recordings(&self) -> &[Recording];

    /// The sound of recording `index`.
    fn audio(&self, index: usize) -> Result<Audio>;

    /// A text that changes when the sound of recording `index` does: size and modification time of its file, or the seed, and
    /// what is done to it. It does not hold the path, so that a corpus can be moved.
    fn fingerprint(&self, index: usize) -> Result<String>;

    /// Where the recordings come from and what is done to them, in words.
    fn origin(&self) -> String {
        self.name().to_owned()
    }

    /// What turned out to be of no use when the corpus was opened; it is not among the recordings.
    fn left_out(&self) -> &[LeftOut] {
        &[]
    }

    /// Whether a recording that cannot be used is an error. Else it is left out, and told.
    fn is_strict(&self) -> bool {
        false
    }
}

/// A boxed corpus is one too.
impl Corpus for Box<dyn Corpus> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn recordings(&self) -> &[Recording] {
        (**self).recordings()
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        (**self).audio(index)
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        (**self).fingerprint(index)
    }

    fn origin(&self) -> String {
        (**self).origin()
    }

    fn left_out(&self) -> &[LeftOut] {
        (**self).left_out()
    }

    fn is_strict(&self) -> bool {
        (**self).is_strict()
    }
}

/// The name of the built-in voices.
const SYNTHETIC: &str = "synthetic";

/// Opens the corpus that `source` names, in recordings that are to last a second at most: the folder of AudioMNIST, LibriSpeech,
/// LibriTTS or VoxCeleb, or the word `synthetic` (24 voices of 500 words, drawn by `seed`).
///
/// Utterances are cut at their pauses, for which every file is decoded; `progress` hears the number of files done so far. Words
/// are cut only if asked for.
///
/// # Errors
/// If there is no corpus, its table cannot be read, or all of it is of no use.
pub fn open(
    source: &str,
    seed: u64,
    preparation: Preparation,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Box<dyn Corpus>> {
    if source == SYNTHETIC {
        let words = Synthetic::new(12, 500, seed);
        return Ok(Box::new(Prepared::new(words, preparation)?));
    }
    let folder = Path::new(source);
    let (recordings, cut): (Box<dyn Corpus>, _) = match audiomnist::is_at(folder) {
        true => (Box::new(audiomnist::open(folder)?), Cut::Longer),
        false => (utterances(source, seed)?, Cut::Pauses),
    };
    let recordings = Prepared::new(recordings, preparation)?;
    Ok(match cut == Cut::Pauses || preparation.pieces {
        true => Box::new(Pieces::cut(recordings, cut, progress)?),
        false => Box::new(recordings),
    })
}

/// Opens the corpus that `source` names, in whole utterances: the folder of LibriSpeech, LibriTTS, of one of their subsets, or of
/// VoxCeleb, or the word `synthetic` (24 voices of 10 utterances, drawn by `seed`). No sound is read yet.
///
/// # Errors
/// As [`open`].
pub fn open_utterances(
    source: &str,
    seed: u64,
    preparation: Preparation,
) -> Result<Box<dyn Corpus>> {
    let utterances = utterances(source, seed)?;
    Ok(Box::new(Prepared::new(utterances, preparation)?))
}

fn utterances(source: &str, seed: u64) -> Result<Box<dyn Corpus>> {
    if source == SYNTHETIC {
        return Ok(Box::new(Synthetic::utterances(12, 10, seed)));
    }
    let folder = Path::new(source);
    if !folder.is_dir() {
        return Err(Error::UnknownSource(source.to_owned()));
    }
    if audiomnist::is_at(folder) {
        Err(Error::malformed(
            folder,
            "AudioMNIST's recordings are single words, and a speaker is told by two seconds of speech; give LibriSpeech, \
             LibriTTS, VoxCeleb or the word `synthetic`",
        ))
    } else if librispeech::is_at(folder) {
        Ok(Box::new(librispeech::open(folder)?))
    } else if voxceleb::is_at(folder) {
        Ok(Box::new(voxceleb::open(folder)?))
    } else {
        Err(Error::malformed(
            folder,
            "neither AudioMNIST (no audioMNIST_meta.txt, here or in data/) nor LibriSpeech or LibriTTS (no SPEAKERS.TXT or \
             speakers.tsv, here or above) nor VoxCeleb (no folders idNNNNN)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sexes_round_trip() {
        for sex in Sex::ALL {
            assert_eq!(sex.name().parse(), Ok(sex));
            assert_eq!(Sex::from_index(sex.index()), Some(sex));
        }
        assert_eq!(" F ".parse(), Ok(Sex::Female));
        assert!("unknown".parse::<Sex>().is_err());
    }

    #[test]
    fn an_unknown_source_says_what_is_possible() {
        let Err(error) = open("no/such/folder", 0, Preparation::default(), &|_| ()) else {
            panic!("opened a folder that is not there");
        };
        let message = error.to_string();
        assert!(
            message.contains("no/such/folder") && message.contains("synthetic"),
            "{message}"
        );

        let empty = tempfile::tempdir().unwrap();
        let Err(error) = open(
            empty.path().to_str().unwrap(),
            0,
            Preparation::default(),
            &|_| (),
        ) else {
            panic!("opened an empty folder");
        };
        assert!(error.to_string().contains("SPEAKERS.TXT"), "{error}");
    }
}
