//! What a corpus is, and opening one.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use speechlens_audio::Audio;

use crate::pieces::Cut;
use crate::{AudioMnist, Error, LibriSpeech, Pieces, Result, Synthetic, VoxCeleb};

/// A speaker's sex as the corpora state it. The numbers are the class indices, those of AudioMNIST's own labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        ["male", "female"][self.index()]
    }

    /// The sex of a class index, or nothing for other numbers.
    pub fn from_index(index: usize) -> Option<Sex> {
        Sex::ALL.get(index).copied()
    }
}

impl fmt::Display for Sex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Unique in the corpus. AudioMNIST and the synthetic words: `DIGIT_SPEAKER_REPETITION`; VoxCeleb: `SPEAKER/VIDEO/UTTERANCE`;
    /// a piece of an utterance: `UTTERANCE:FIRST-END`, the range in samples.
    pub id: String,
    /// The corpus's name for the speaker.
    pub speaker: String,
    /// The speaker's sex, if the corpus tells it.
    pub sex: Option<Sex>,
    /// The digit that is spoken, in the corpora of digits.
    pub digit: Option<u8>,
}

/// A list of recordings and their sound.
pub trait Corpus: Send + Sync {
    /// What to call the corpus in reports.
    fn name(&self) -> &str;

    /// Every recording, in an order that does not change between runs.
    fn recordings(&self) -> &[Recording];

    /// The sound of recording `index`.
    fn audio(&self, index: usize) -> Result<Audio>;

    /// A text that changes when the sound of recording `index` does: size and modification time of its file, or the seed.
    /// It does not hold the path, so that a corpus can be moved.
    fn fingerprint(&self, index: usize) -> Result<String>;
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
}

/// Opens the corpus that `source` names, in recordings of at most a second: the folder of AudioMNIST, LibriSpeech or
/// VoxCeleb, or the word `synthetic` (24 voices of 500 words, drawn by `seed`).
///
/// Utterances are cut at their pauses, for which every file is decoded; `progress` hears the number of files done so far.
pub fn open(source: &str, seed: u64, progress: &(dyn Fn(usize) + Sync)) -> Result<Box<dyn Corpus>> {
    if source == "synthetic" {
        return Ok(Box::new(Synthetic::new(12, 500, seed)));
    }
    if AudioMnist::is_at(Path::new(source)) {
        return Ok(Box::new(AudioMnist::open(Path::new(source))?));
    }
    let utterances = open_utterances(source, seed)?;
    Ok(Box::new(Pieces::cut(utterances, Cut::Pauses, progress)?))
}

/// Opens the corpus that `source` names, in whole utterances: the folder of LibriSpeech, of one of its subsets, or of
/// VoxCeleb, or the word `synthetic` (24 voices of 10 utterances, drawn by `seed`). No sound is read yet.
pub fn open_utterances(source: &str, seed: u64) -> Result<Box<dyn Corpus>> {
    if source == "synthetic" {
        return Ok(Box::new(Synthetic::utterances(12, 10, seed)));
    }
    let folder = Path::new(source);
    if !folder.is_dir() {
        return Err(Error::UnknownSource(source.to_owned()));
    }
    if AudioMnist::is_at(folder) {
        Err(Error::malformed(
            folder,
            "AudioMNIST's recordings are single words, and a speaker is told by two seconds of speech; give LibriSpeech, \
             VoxCeleb or the word `synthetic`",
        ))
    } else if LibriSpeech::is_at(folder) {
        Ok(Box::new(LibriSpeech::open(folder)?))
    } else if VoxCeleb::is_at(folder) {
        Ok(Box::new(VoxCeleb::open(folder)?))
    } else {
        Err(Error::malformed(
            folder,
            "neither AudioMNIST (no audioMNIST_meta.txt, here or in data/) nor LibriSpeech (no SPEAKERS.TXT, here or above) \
             nor VoxCeleb (no folders idNNNNN)",
        ))
    }
}

/// Size and modification time of a file, as a fingerprint.
pub(crate) fn file_stamp(path: &Path) -> Result<String> {
    let metadata = path.metadata().map_err(Error::io(path))?;
    let modified = metadata.modified().map_err(Error::io(path))?;
    let since_epoch = modified
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos());
    Ok(format!("{} bytes, {since_epoch} ns", metadata.len()))
}

/// The entries of a folder in the order of their names.
pub(crate) fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<Vec<_>>>()
        })
        .map_err(Error::io(folder))?;
    paths.sort();
    Ok(paths)
}

/// The folders in a folder, in the order of their names.
pub(crate) fn folders(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut entries = entries(folder)?;
    entries.retain(|path| path.is_dir());
    Ok(entries)
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
        let Err(error) = open("no/such/folder", 0, &|_| ()) else {
            panic!("opened a folder that is not there");
        };
        let message = error.to_string();
        assert!(
            message.contains("no/such/folder") && message.contains("synthetic"),
            "{message}"
        );

        let empty = tempfile::tempdir().unwrap();
        let Err(error) = open(empty.path().to_str().unwrap(), 0, &|_| ()) else {
            panic!("opened an empty folder");
        };
        assert!(error.to_string().contains("SPEAKERS.TXT"), "{error}");
    }
}
