//! LibriSpeech (Panayotov et al. 2015) and LibriTTS (Zen et al. 2019): read books.
//!
//! As their authors publish them: `SPEAKERS.TXT` or `speakers.tsv`, with a sex for every speaker, and
//! `SUBSET/SPEAKER/CHAPTER/*.flac` or `.wav`, utterances of up to 35 s; any format is read. The sex of a speaker who is not in the
//! table is not known. A recording here is an utterance; [`Pieces`](crate::Pieces) cuts them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::corpus::{Corpus, Recording, Sex};
use crate::folder::{self, folders, stem};
use crate::{Error, Files, Result};

/// The table of LibriSpeech, which lies beside that of LibriTTS too.
const LIBRISPEECH: &str = "SPEAKERS.TXT";
/// The table of LibriTTS.
const LIBRITTS: &str = "speakers.tsv";

/// The table of speakers, what it is a table of, and whether it lies in the folder itself or, as the folder is a subset, beside
/// it.
fn table(folder: &Path) -> Option<(PathBuf, &'static str, bool)> {
    let places = [(folder.to_owned(), true), (folder.join(".."), false)];
    places.iter().find_map(|(place, is_whole)| {
        let of = |table, name| Some((folder::find(place, table)?, name, *is_whole));
        of(LIBRITTS, "LibriTTS").or_else(|| of(LIBRISPEECH, "LibriSpeech"))
    })
}

/// Whether a folder, or the one that it lies in, looks like LibriSpeech or LibriTTS.
pub fn is_at(folder: &Path) -> bool {
    table(folder).is_some()
}

/// Lists the utterances of all subsets in a folder, or of the subset that the folder is. No sound is read yet. An utterance
/// that is there in several formats is taken once.
///
/// # Errors
/// If the table cannot be read, or there are no utterances.
pub fn open(folder: &Path) -> Result<Files> {
    let (table, name, is_whole) = table(folder).ok_or_else(|| {
        Error::malformed(
            folder,
            format!("no {LIBRISPEECH} or {LIBRITTS}, here or in the folder above: not LibriSpeech"),
        )
    })?;
    let sexes = parse_speakers(&folder::text(&table)?)
        .map_err(|reason| Error::malformed(&table, reason))?;
    let subsets = match is_whole {
        true => folders(folder)?,
        false => vec![folder.to_owned()],
    };

    let mut files = Files::new(name, folder);
    for subset in subsets {
        for speaker in folders(&subset)? {
            let speaker_name = folder::name(&speaker);
            for chapter in folders(&speaker)? {
                let found = folder::recordings(&chapter)?.into_iter();
                let utterances: BTreeMap<_, _> =
                    found.rev().map(|path| (stem(&path), path)).collect();
                for (id, path) in utterances {
                    let recording = Recording {
                        id,
                        speaker: speaker_name.clone(),
                        sex: sexes.get(&speaker_name).copied(),
                        ..Recording::default()
                    };
                    files.push(path, recording);
                }
            }
        }
    }
    if files.recordings().is_empty() {
        return Err(Error::malformed(
            folder,
            "no recordings SUBSET/SPEAKER/CHAPTER/*.flac or .wav in this folder",
        ));
    }
    Ok(files)
}

/// The sex of every speaker of whom it is told: lines of `ID | SEX | …`, comments after `;`; in LibriTTS tabs and a line of
/// titles.
fn parse_speakers(text: &str) -> Result<HashMap<String, Sex>, String> {
    let mut sexes = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        let mut fields = line.split(['|', '\t']).map(str::trim);
        let (Some(id), Some(sex)) = (fields.next(), fields.next()) else {
            return Err(format!("line {number}: expected `ID | SEX | …`"));
        };
        if let Ok(sex) = sex.parse() {
            sexes.insert(id.to_owned(), sex);
        }
    }
    Ok(sexes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_speaker_table() {
        let text = ";ID |SEX| SUBSET\n14   | F | train-clean-360  | 25.03 | Kristin LeMoine\r\n\n17|M|x|1|a | b\n18 | X |\n";
        let sexes = parse_speakers(text).unwrap();
        assert_eq!(sexes.len(), 2);
        assert_eq!((sexes["14"], sexes["17"]), (Sex::Female, Sex::Male));
        let error = parse_speakers("; fine\n14 F").unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        let tts = "READER\tGENDER\tSUBSET\tNAME\n14\tF\ttrain-clean-360\tKristin LeMoine\n";
        assert_eq!(parse_speakers(tts).unwrap()["14"], Sex::Female);
    }

    #[test]
    fn the_sex_of_a_stranger_is_not_known() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(LIBRISPEECH), "1 | F | x | 1 | a\n").unwrap();
        let opened = || open(root.path());
        assert!(opened().err().unwrap().to_string().contains("SUBSET"));
        for path in ["dev/1/3/1-3-0000.flac", "dev/2/3/2-3-0000.flac"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let sexes: Vec<_> = opened()
            .unwrap()
            .recordings()
            .iter()
            .map(|r| r.sex)
            .collect();
        assert_eq!(sexes, [Some(Sex::Female), None]);
    }

    #[test]
    fn a_subset_opens_by_itself() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(
            root.path().join(LIBRISPEECH),
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
            assert!(is_at(folder));
            let corpus = open(folder).unwrap();
            let ids = corpus.recordings().iter().map(|r| r.id.clone());
            ids.collect::<Vec<_>>()
        };
        assert_eq!(ids(root.path()), ["1-7-0000", "1-7-0001", "2-8-0000"]);
        assert_eq!(ids(&root.path().join("x")), ["1-7-0000", "1-7-0001"]);
        assert!(!is_at(&root.path().join("x/1")));
    }
}
