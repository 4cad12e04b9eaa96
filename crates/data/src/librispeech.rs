//! LibriSpeech (Panayotov et al. 2015): read books.
//!
//! As its authors publish it: `SPEAKERS.TXT`, with a sex for every speaker, and `SUBSET/SPEAKER/CHAPTER/*.flac`, utterances
//! of up to 35 s. A recording here is an utterance; [`Pieces`](crate::Pieces) cuts them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use speechlens_audio::Audio;

use crate::corpus::{Corpus, Recording, Sex, entries, file_stamp, folders};
use crate::{Error, Result};

const SPEAKERS: &str = "SPEAKERS.TXT";

/// The corpus in a folder: all subsets, or one.
pub struct LibriSpeech {
    paths: Vec<PathBuf>,
    recordings: Vec<Recording>,
}

/// The table of speakers, in the folder itself or, if the folder is a subset, beside it.
fn table(folder: &Path) -> Option<PathBuf> {
    [folder.join(SPEAKERS), folder.join("..").join(SPEAKERS)]
        .into_iter()
        .find(|table| table.is_file())
}

impl LibriSpeech {
    /// Whether a folder, or the one that it lies in, looks like LibriSpeech.
    pub fn is_at(folder: &Path) -> bool {
        table(folder).is_some()
    }

    /// Lists the utterances of all subsets in a folder, or of the subset that the folder is. No sound is read yet.
    pub fn open(folder: &Path) -> Result<LibriSpeech> {
        let table = table(folder).ok_or_else(|| {
            Error::malformed(
                folder,
                format!("no {SPEAKERS}, here or in the folder above: not LibriSpeech"),
            )
        })?;
        let text = std::fs::read_to_string(&table).map_err(Error::io(&table))?;
        let sexes = parse_speakers(&text).map_err(|reason| Error::malformed(&table, reason))?;
        let subsets = match folder.join(SPEAKERS).is_file() {
            true => folders(folder)?,
            false => vec![folder.to_owned()],
        };

        let (mut paths, mut recordings) = (Vec::new(), Vec::new());
        for subset in subsets {
            for speaker in folders(&subset)? {
                let name = speaker.file_name().unwrap_or_default().to_string_lossy();
                let Some(&sex) = sexes.get(&*name) else {
                    let reason = format!(
                        "{SPEAKERS} has no speaker {name}; expected SUBSET/SPEAKER/CHAPTER/*.flac"
                    );
                    return Err(Error::malformed(&speaker, reason));
                };
                for chapter in folders(&speaker)? {
                    for path in entries(&chapter)? {
                        if path.extension().is_some_and(|ending| ending == "flac") {
                            let id = path.file_stem().unwrap_or_default().to_string_lossy();
                            recordings.push(Recording {
                                id: id.into_owned(),
                                speaker: name.clone().into_owned(),
                                sex: Some(sex),
                                digit: None,
                            });
                            paths.push(path);
                        }
                    }
                }
            }
        }
        if paths.is_empty() {
            return Err(Error::malformed(
                folder,
                "no SUBSET/SPEAKER/CHAPTER/*.flac in this folder",
            ));
        }
        Ok(LibriSpeech { paths, recordings })
    }
}

/// The sex of every speaker: lines of `ID | SEX | …`, comments after `;`.
fn parse_speakers(text: &str) -> Result<HashMap<String, Sex>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with(';'))
        .map(|(number, line)| {
            let mut fields = line.split('|').map(str::trim);
            let (Some(id), Some(sex)) = (fields.next(), fields.next()) else {
                return Err(format!("line {}: expected `ID | SEX | …`", number + 1));
            };
            let sex = sex
                .parse()
                .map_err(|e| format!("line {}: {e}", number + 1))?;
            Ok((id.to_owned(), sex))
        })
        .collect()
}

impl Corpus for LibriSpeech {
    fn name(&self) -> &str {
        "LibriSpeech"
    }

    fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        Ok(speechlens_audio::read(&self.paths[index])?)
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        file_stamp(&self.paths[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_speaker_table() {
        let text = ";ID |SEX| SUBSET\n14   | F | train-clean-360  | 25.03 | Kristin LeMoine\n\n17|M|x|1|a | b\n";
        let sexes = parse_speakers(text).unwrap();
        assert_eq!(sexes.len(), 2);
        assert_eq!((sexes["14"], sexes["17"]), (Sex::Female, Sex::Male));
        assert!(
            parse_speakers("; fine\n14 | X |")
                .unwrap_err()
                .contains("line 2")
        );
        assert!(parse_speakers("14").unwrap_err().contains("line 1"));
    }

    #[test]
    fn a_speaker_without_a_sex_is_an_error_that_names_the_folder() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(SPEAKERS), "1 | F | x | 1 | a\n").unwrap();
        let open = || LibriSpeech::open(root.path()).err().unwrap().to_string();
        assert!(open().contains("no SUBSET"));
        std::fs::create_dir_all(root.path().join("dev/2/3")).unwrap();
        assert!(open().contains("no speaker 2"));
    }

    #[test]
    fn a_subset_opens_by_itself() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(
            root.path().join(SPEAKERS),
            "1 | F | x | 1 | a\n2 | M | y | 1 | b\n",
        )
        .unwrap();
        for file in [
            "x/1/7/1-7-0001.flac",
            "x/1/7/1-7-0000.flac",
            "y/2/8/2-8-0000.flac",
        ] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let ids = |folder: &Path| {
            assert!(LibriSpeech::is_at(folder));
            let corpus = LibriSpeech::open(folder).unwrap();
            let ids = corpus.recordings().iter().map(|r| r.id.clone());
            ids.collect::<Vec<_>>()
        };
        assert_eq!(ids(root.path()), ["1-7-0000", "1-7-0001", "2-8-0000"]);
        assert_eq!(ids(&root.path().join("x")), ["1-7-0000", "1-7-0001"]);
        assert!(!LibriSpeech::is_at(&root.path().join("x/1")));
    }
}
