//! What a corpus is, and opening one.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use speechlens_audio::Audio;

use crate::librispeech::Cut;
use crate::{AudioMnist, Error, LibriSpeech, Result, Synthetic};

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
    /// Unique in the corpus. AudioMNIST and the synthetic corpus: `DIGIT_SPEAKER_REPETITION`; LibriSpeech:
    /// `UTTERANCE:FIRST-END`, the range in samples.
    pub id: String,
    /// The corpus's name for the speaker.
    pub speaker: String,
    /// The speaker's sex.
    pub sex: Sex,
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

/// Opens the corpus that `source` names: the folder of AudioMNIST or LibriSpeech, or the word `synthetic` (24 voices of 500
/// recordings, drawn by `seed`).
///
/// LibriSpeech is cut at its pauses, for which every file is decoded; `progress` hears the number of files done so far.
pub fn open(source: &str, seed: u64, progress: &(dyn Fn(usize) + Sync)) -> Result<Box<dyn Corpus>> {
    if source == "synthetic" {
        return Ok(Box::new(Synthetic::new(12, 500, seed)));
    }
    let folder = Path::new(source);
    if !folder.is_dir() {
        return Err(Error::UnknownSource(source.to_owned()));
    }
    if AudioMnist::is_at(folder) {
        Ok(Box::new(AudioMnist::open(folder)?))
    } else if LibriSpeech::is_at(folder) {
        Ok(Box::new(LibriSpeech::open(folder, Cut::Pauses, progress)?))
    } else {
        Err(Error::malformed(
            folder,
            "neither AudioMNIST (no audioMNIST_meta.txt, here or in data/) nor LibriSpeech (no SPEAKERS.TXT)",
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
