//! AudioMNIST (Becker et al., arXiv:1807.03418): 60 speakers say each digit 50 times.
//!
//! As its authors publish it: `data/NN/D_NN_R.wav`, the digit, the speaker and the repetition, and
//! `data/audioMNIST_meta.txt`, a JSON object by speaker with a `gender`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use speechlens_audio::Audio;

use crate::corpus::{Corpus, Recording, Sex, entries, file_stamp};
use crate::{Error, Result, Sizes, Split};

const META: &str = "audioMNIST_meta.txt";

/// The corpus in a folder.
pub struct AudioMnist {
    data: PathBuf,
    recordings: Vec<Recording>,
}

#[derive(Deserialize)]
struct Speaker {
    gender: String,
}

/// The folder with the meta file: `folder` itself or its `data`.
fn data_folder(folder: &Path) -> Option<PathBuf> {
    [folder.to_owned(), folder.join("data")]
        .into_iter()
        .find(|candidate| candidate.join(META).is_file())
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

impl AudioMnist {
    /// Whether a folder, or its `data`, looks like AudioMNIST.
    pub fn is_at(folder: &Path) -> bool {
        data_folder(folder).is_some()
    }

    /// Reads the list of recordings from the repository's folder or from its `data`. No sound is read yet.
    pub fn open(folder: &Path) -> Result<AudioMnist> {
        let data = data_folder(folder).ok_or_else(|| {
            Error::malformed(
                folder,
                format!("no {META}, here or in data/: not AudioMNIST"),
            )
        })?;
        let meta = data.join(META);
        let text = std::fs::read_to_string(&meta).map_err(Error::io(&meta))?;
        let speakers: BTreeMap<String, Speaker> = serde_json::from_str(&text).map_err(|e| {
            Error::malformed(
                &meta,
                format!("not a JSON object of speakers with a gender: {e}"),
            )
        })?;

        let mut recordings = Vec::new();
        for (speaker, about) in &speakers {
            let sex: Sex = about.gender.parse().map_err(|e| {
                Error::malformed(&meta, format!("gender of speaker {speaker}: {e}"))
            })?;
            let folder = data.join(speaker);
            // The meta file may list speakers whose recordings were not downloaded.
            if !folder.is_dir() {
                continue;
            }
            let mut of_speaker = Vec::new();
            for path in entries(&folder)? {
                if path.extension().is_none_or(|ending| ending != "wav") {
                    continue;
                }
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                match parse_stem(&stem) {
                    Some((digit, named, repetition)) if named == speaker => {
                        of_speaker.push((digit, repetition))
                    }
                    _ => {
                        let reason = format!(
                            "expected the name DIGIT_{speaker}_REPETITION.wav in the folder {speaker}"
                        );
                        return Err(Error::malformed(&path, reason));
                    }
                }
            }
            of_speaker.sort_unstable();
            recordings.extend(of_speaker.into_iter().map(|(digit, repetition)| Recording {
                id: format!("{digit}_{speaker}_{repetition}"),
                speaker: speaker.clone(),
                sex: Some(sex),
                digit: Some(digit),
            }));
        }
        if recordings.is_empty() {
            let reason = "no recordings NN/D_NN_R.wav for any speaker of the meta file";
            return Err(Error::malformed(&data, reason));
        }
        Ok(AudioMnist { data, recordings })
    }

    fn path(&self, index: usize) -> PathBuf {
        let recording = &self.recordings[index];
        self.data
            .join(&recording.speaker)
            .join(format!("{}.wav", recording.id))
    }
}

impl Corpus for AudioMnist {
    fn name(&self) -> &str {
        "AudioMNIST"
    }

    fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        Ok(speechlens_audio::read(self.path(index))?)
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        file_stamp(&self.path(index))
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
            assert!(AudioMnist::is_at(folder));
            let corpus = AudioMnist::open(folder).unwrap();
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
        let open = || AudioMnist::open(root.path()).err().unwrap().to_string();
        assert!(open().contains(META));
        let meta = root.path().join(META);
        write(&meta, "not json");
        assert!(open().contains(META));
        write(&meta, r#"{"01": {"gender": "robot"}}"#);
        assert!(open().contains("speaker 01") && open().contains("robot"));
        write(&meta, r#"{"01": {"gender": "male"}}"#);
        assert!(open().contains("no recordings"));
        write(&root.path().join("01/3_02_1.wav"), "");
        assert!(open().contains("3_02_1.wav"));
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
