//! AudioMNIST (Becker et al., arXiv:1807.03418): 60 speakers say each digit 50 times.
//!
//! As its authors publish it: `data/NN/D_NN_R.wav`, the digit, the speaker and the repetition, and
//! `data/audioMNIST_meta.txt`, a JSON object by speaker with a `gender`. Digits of any number of speakers, of any rate and format,
//! that are kept so are read likewise; the sex of a speaker who is not in the table is not known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::corpus::{Corpus, Recording};
use crate::folder::{self, folders, stem};
use crate::left_out::{LeftOut, Reason};
use crate::{Error, Files, Result, Sizes, Split};

const META: &str = "audioMNIST_meta.txt";

#[derive(Deserialize)]
struct Speaker {
    gender: Option<String>,
}

/// The meta file, in `folder` itself or in its `data`.
fn meta(folder: &Path) -> Option<PathBuf> {
    [folder.to_owned(), folder.join("data")]
        .iter()
        .find_map(|candidate| folder::find(candidate, META))
}

/// Digit, speaker and repetition from the name of a file without its ending, `D_NN_R`.
pub(crate) fn parse_stem(stem: &str) -> Option<(u8, &str, u32)> {
    let mut parts = stem.split('_');
    let digit = parts.next()?.parse().ok().filter(|digit| *digit < 10)?;
    let speaker = parts.next().filter(|speaker| !speaker.is_empty())?;
    let repetition = parts.next()?.parse().ok()?;
    parts
        .next()
        .is_none()
        .then_some((digit, speaker, repetition))
}

/// Whether a folder, or its `data`, looks like AudioMNIST.
pub fn is_at(folder: &Path) -> bool {
    meta(folder).is_some()
}

/// Reads the list of recordings from the repository's folder or from its `data`. No sound is read yet. A recording that is
/// there in several formats is taken once.
///
/// # Errors
/// If the table cannot be read, or there are no recordings.
pub fn open(folder: &Path) -> Result<Files> {
    let meta = meta(folder).ok_or_else(|| {
        Error::malformed(
            folder,
            format!("no {META}, here or in data/: not AudioMNIST"),
        )
    })?;
    let speakers: BTreeMap<String, Speaker> =
        serde_json::from_str(&folder::text(&meta)?).map_err(|e| {
            Error::malformed(
                &meta,
                format!("not a JSON object of speakers with a gender: {e}"),
            )
        })?;
    let data = meta.parent().unwrap_or(folder);

    let mut files = Files::new("AudioMNIST", data);
    for folder in folders(data)? {
        let speaker = folder::name(&folder);
        let about = speakers.get(&speaker);
        let mut of_speaker = BTreeMap::new();
        for path in folder::recordings(&folder)? {
            match parse_stem(&stem(&path)) {
                Some((digit, named, repetition)) if named == speaker => {
                    of_speaker.entry((digit, repetition)).or_insert(path);
                }
                // Folders of other things may hold other names.
                _ if about.is_none() => {}
                _ => files.left_out.push(misnamed(&path, &speaker)),
            }
        }
        for ((digit, repetition), path) in of_speaker {
            let recording = Recording {
                id: format!("{digit}_{speaker}_{repetition}"),
                speaker: speaker.clone(),
                sex: about.and_then(|about| about.gender.as_ref()?.parse().ok()),
                digit: Some(digit),
                ..Recording::default()
            };
            files.push(path, recording);
        }
    }
    if files.recordings().is_empty() {
        return Err(match files.left_out.is_empty() {
            true => Error::malformed(data, "no recordings NN/D_NN_R.wav"),
            false => Error::NothingUsable(files.left_out),
        });
    }
    Ok(files)
}

fn misnamed(path: &Path, speaker: &str) -> LeftOut {
    let reason = format!("expected the name DIGIT_{speaker}_REPETITION in the folder {speaker}");
    LeftOut {
        id: folder::name(path),
        reason: Reason::Misnamed,
        message: Error::malformed(path, reason).to_string(),
    }
}

/// The speakers of the gender task in AudioMNIST's repository (`preprocess_data.py`), in four groups of three women and
/// three men. Twelve speakers of each sex, as there are only twelve women.
const GROUPS: [[u8; 6]; 4] = [
    [36, 47, 56, 2, 44, 50],
    [12, 26, 57, 25, 37, 45],
    [28, 43, 52, 41, 48, 53],
    [58, 59, 60, 7, 23, 38],
];

/// One of the four splits that AudioMNIST's authors published for the gender task (`fold` 0 to 3): two groups of six
/// speakers for training, one for validation, one for test. `seed` chooses and orders their recordings.
pub fn published_split(
    recordings: &[Recording],
    fold: usize,
    sizes: Sizes,
    seed: u64,
) -> Result<Split> {
    if fold > 3 {
        return Err(Error::TooFew(format!(
            "AudioMNIST has gender splits 0 to 3, not {fold}"
        )));
    }
    let group = |offset: usize| GROUPS[(fold + offset) % 4].map(|speaker| format!("{speaker:02}"));
    let parts = [
        [group(0), group(1)].concat(),
        group(2).to_vec(),
        group(3).to_vec(),
    ];
    Split::of_speakers(recordings, &parts, sizes, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sex;
    use speechlens_audio::Audio;
    use std::fs;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn reads_the_layout_of_its_authors() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        let meta = r#"{"01": {"gender": "male", "age": 30}, "12": {"age": "26", "gender": "Female"}, "60": {"gender": "female"}}"#;
        write(&data.join(META), meta);
        let wav = Audio {
            samples: vec![0.25; 800],
            rate: 8000,
        };
        for name in [
            "01/10_x.txt",
            "01/3_01_10.wav",
            "01/3_01_9.wav",
            "12/0_12_0.wav",
        ] {
            write(&data.join(name), "");
        }
        speechlens_audio::write_wav(data.join("12/0_12_0.wav"), &wav).unwrap();

        for folder in [root.path(), &data] {
            assert!(is_at(folder));
            let corpus = open(folder).unwrap();
            let ids: Vec<_> = corpus.recordings().iter().map(|r| r.id.as_str()).collect();
            assert_eq!(ids, ["3_01_9", "3_01_10", "0_12_0"]);
            assert_eq!(corpus.recordings()[0].sex, Some(Sex::Male));
            assert_eq!(corpus.recordings()[2].sex, Some(Sex::Female));
            assert_eq!(corpus.recordings()[0].digit, Some(3));
            assert_eq!(corpus.audio(2).unwrap().samples.len(), 800);
            assert_ne!(
                corpus.fingerprint(2).unwrap(),
                corpus.fingerprint(0).unwrap()
            );
            let error = corpus.audio(0).err().unwrap().to_string();
            assert!(error.contains("3_01_9.wav"), "{error}");
        }
    }

    #[test]
    fn errors_name_the_file() {
        let root = tempfile::tempdir().unwrap();
        let error = || open(root.path()).err().unwrap().to_string();
        assert!(error().contains(META));
        let meta = root.path().join(META);
        write(&meta, "not json");
        assert!(error().contains(META));
        write(&meta, r#"{"01": {"gender": "male"}}"#);
        assert!(error().contains("no recordings"));
        write(&root.path().join("01/3_02_1.wav"), "");
        assert!(error().contains("3_02_1.wav"));
    }

    #[test]
    fn who_is_not_in_the_table_or_has_no_sex_there_is_a_speaker_too() {
        let root = tempfile::tempdir().unwrap();
        let meta = r#"{"01": {"gender": "male"}, "02": {"gender": "robot"}, "03": {"age": 3}}"#;
        write(&root.path().join(META), meta);
        for file in [
            "01/3_01_1.wav",
            "01/3_01_1.flac",
            "01/3_02_1.wav",
            "02/3_02_1.WAV",
            "03/3_03_1.wav",
            "stranger/3_stranger_1.wav",
            "scripts/hello.wav",
        ] {
            write(&root.path().join(file), "");
        }
        let corpus = open(root.path()).unwrap();
        let ids = corpus.recordings().iter().map(|r| (r.id.as_str(), r.sex));
        let expected = [
            ("3_01_1", Some(Sex::Male)),
            ("3_02_1", None),
            ("3_03_1", None),
            ("3_stranger_1", None),
        ];
        assert_eq!(ids.collect::<Vec<_>>(), expected);
        let [misnamed] = corpus.left_out() else {
            panic!("{:?}", corpus.left_out());
        };
        assert_eq!(
            (misnamed.id.as_str(), misnamed.reason),
            ("3_02_1.wav", Reason::Misnamed)
        );
    }

    #[test]
    fn published_folds_take_every_group_once() {
        let women = [12, 26, 28, 36, 43, 47, 52, 56, 57, 58, 59, 60];
        let recordings: Vec<_> = (1..=60)
            .flat_map(|speaker| (0..4).map(move |repetition| (speaker, repetition)))
            .map(|(speaker, repetition)| Recording {
                id: format!("0_{speaker:02}_{repetition}"),
                speaker: format!("{speaker:02}"),
                sex: Some(match women.contains(&speaker) {
                    true => Sex::Female,
                    false => Sex::Male,
                }),
                digit: Some(0),
                ..Recording::default()
            })
            .collect();
        let mut tested = Vec::new();
        for fold in 0..4 {
            let split = published_split(&recordings, fold, Sizes::all(), 0).unwrap();
            assert_eq!(
                (split.train.len(), split.validation.len(), split.test.len()),
                (48, 24, 24)
            );
            let female = split
                .test
                .iter()
                .filter(|&&i| recordings[i].sex == Some(Sex::Female))
                .count();
            assert_eq!(female, 12);
            tested.extend(split.test);
        }
        tested.sort_unstable();
        tested.dedup();
        assert_eq!(tested.len(), 24 * 4);
        assert!(published_split(&recordings, 4, Sizes::all(), 0).is_err());
        assert!(published_split(&recordings[..40], 0, Sizes::all(), 0).is_err());
    }
}
