//! Corpora with one planted flaw each: what is used of them and what is left out is exact, and the same when asked again.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use speechlens_audio::{Audio, write_wav};
use speechlens_data::left_out::Reason;
use speechlens_data::{
    Corpus, Error, FeatureStore, LeftOut, Preparation, Split, Synthetic, Window,
};
use speechlens_data::{Sizes, Speakers, open, open_utterances};
use speechlens_frontend::FrontEnd;

/// A corpus, what is wrong with it, and what is to come of that.
struct Flaw {
    name: &'static str,
    base: Base,
    plant: fn(&Path),
    preparation: Preparation,
    /// The recordings that are not used, and why; of the others all are.
    left_out: &'static [(&'static str, Reason)],
}

#[derive(Clone, Copy, PartialEq)]
enum Base {
    /// AudioMNIST: 01, a man, and 02, a woman, who say 0 and 1 twice.
    Digits,
    /// LibriSpeech, for gender: 14, a woman, and 17, a man, with three utterances each.
    Books,
    /// The same for the speaker task.
    Voices,
    /// The same voices as VoxCeleb, for gender.
    Interviews,
}

const PLAIN: Preparation = Preparation {
    trim: false,
    pieces: false,
    strict: false,
};
const TRIM: Preparation = Preparation {
    trim: true,
    ..PLAIN
};
const PIECES: Preparation = Preparation {
    pieces: true,
    ..PLAIN
};

const DIGITS: [&str; 8] = [
    "0_01_0", "0_01_1", "1_01_0", "1_01_1", "0_02_0", "0_02_1", "1_02_0", "1_02_1",
];
const BOOKS: [&str; 6] = [
    "14-1-0000",
    "14-1-0001",
    "14-1-0002",
    "17-1-0000",
    "17-1-0001",
    "17-1-0002",
];
const INTERVIEWS: [&str; 6] = [
    "id00014/v/0",
    "id00014/v/1",
    "id00014/v/2",
    "id00017/v/0",
    "id00017/v/1",
    "id00017/v/2",
];

const META: &str = r#"{"01": {"gender": "male"}, "02": {"gender": "female"}}"#;
const SPEAKERS: &str = "; ID | SEX\n14 | F | dev | 1 | A\n17 | M | dev | 1 | B\n";
const VOX: &str = "VoxCeleb1 ID\tName\tGender\nid00014\tA\tf\nid00017\tB\tm\n";

/// The one-letter word that is everyone's victim.
const VICTIM: &str = "data/01/1_01_0.wav";
const UTTERANCE: &str = "dev/14/1/14-1-0001.wav";

const FLAWS: &[Flaw] = &[
    Flaw {
        name: "nothing",
        base: Base::Digits,
        plant: |_| (),
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "hidden files",
        base: Base::Digits,
        plant: |root| {
            for name in [
                "._0_01_0.wav",
                ".DS_Store",
                "Thumbs.db",
                "._x.wav",
                "desktop.ini",
            ] {
                put(root, &format!("data/01/{name}"), b"\0\x05\x16\x07");
            }
            put(root, "data/._audioMNIST_meta.txt", b"\0\x05\x16\x07");
        },
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "folders of a file server and of an archive",
        base: Base::Books,
        plant: |root| {
            for folder in ["@eaDir", "__MACOSX", ".Trash"] {
                let copy = |to: &str| {
                    let to = root.join(to);
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::copy(root.join(UTTERANCE), to).unwrap();
                };
                copy(&format!("{folder}/14/1/14-1-0009.wav"));
                copy(&format!("dev/{folder}/1/14-1-0009.wav"));
                copy(&format!("dev/14/{folder}/14-1-0009.wav"));
                copy(&format!("dev/14/1/{folder}/14-1-0009.wav"));
            }
        },
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "endings in capitals",
        base: Base::Digits,
        plant: |root| {
            rename(root, VICTIM, "data/01/1_01_0.WAV");
            rename(root, "data/audioMNIST_meta.txt", "data/AUDIOMNIST_META.TXT");
        },
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "a byte order mark",
        base: Base::Digits,
        plant: |root| {
            let text = [b"\xef\xbb\xbf", META.as_bytes()].concat();
            put(root, "data/audioMNIST_meta.txt", &text);
        },
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "a byte order mark, and lines of another system",
        base: Base::Books,
        plant: |root| {
            let text = SPEAKERS
                .replacen("; ID | SEX\n", "", 1)
                .replace('\n', "\r\n");
            put(
                root,
                "SPEAKERS.TXT",
                &[b"\xef\xbb\xbf", text.as_bytes()].concat(),
            );
        },
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "Latin-1",
        base: Base::Books,
        plant: |root| {
            let text = SPEAKERS.replace("| A", "| Jos");
            let (before, after) = text.split_once("Jos").unwrap();
            put(
                root,
                "SPEAKERS.TXT",
                &[before.as_bytes(), b"Jos\xe9", after.as_bytes()].concat(),
            );
        },
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "Latin-1",
        base: Base::Interviews,
        plant: |root| {
            let (before, after) = VOX.split_once("\tA\t").unwrap();
            let text = [before.as_bytes(), b"\tBj\xf6rk\t", after.as_bytes()].concat();
            put(root, "vox1_meta.csv", &text);
        },
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "a damaged recording",
        base: Base::Digits,
        plant: |root| halve(root, VICTIM),
        preparation: PLAIN,
        left_out: &[("1_01_0", Reason::Damaged)],
    },
    Flaw {
        name: "a damaged utterance",
        base: Base::Books,
        plant: |root| halve(root, UTTERANCE),
        preparation: PLAIN,
        left_out: &[("14-1-0001", Reason::Damaged)],
    },
    Flaw {
        name: "a damaged utterance",
        base: Base::Voices,
        plant: |root| halve(root, UTTERANCE),
        preparation: PLAIN,
        left_out: &[("14-1-0001", Reason::Damaged)],
    },
    Flaw {
        name: "what is no recording",
        base: Base::Digits,
        plant: |root| put(root, VICTIM, b"<!doctype html><title>404 Not Found</title>"),
        preparation: PLAIN,
        left_out: &[("1_01_0", Reason::Undecodable)],
    },
    Flaw {
        name: "an empty file, and one of a header alone",
        base: Base::Digits,
        plant: |root| {
            put(root, VICTIM, b"");
            sound(root, "data/02/0_02_0.wav", 16_000, &[&[]]);
        },
        preparation: PLAIN,
        left_out: &[("1_01_0", Reason::Empty), ("0_02_0", Reason::Empty)],
    },
    Flaw {
        name: "silence, and channels that cancel each other",
        base: Base::Digits,
        plant: |root| {
            sound(root, VICTIM, 16_000, &[&[0.0; 8000]]);
            let (tone, inverse) = (
                tone(8000),
                tone(8000).iter().map(|x| -x).collect::<Vec<_>>(),
            );
            sound(root, "data/02/0_02_0.wav", 16_000, &[&tone, &inverse]);
        },
        preparation: PLAIN,
        left_out: &[("1_01_0", Reason::Silent), ("0_02_0", Reason::Cancelling)],
    },
    Flaw {
        name: "silence",
        base: Base::Books,
        plant: |root| sound(root, UTTERANCE, 16_000, &[&[0.0; 80_000]]),
        preparation: PLAIN,
        left_out: &[("14-1-0001", Reason::Silent)],
    },
    Flaw {
        name: "a sample that is no number",
        base: Base::Digits,
        plant: |root| sound(root, VICTIM, 16_000, &[&[0.5, f32::NAN, 0.5]]),
        preparation: PLAIN,
        left_out: &[("1_01_0", Reason::NotFinite)],
    },
    Flaw {
        name: "a long word",
        base: Base::Digits,
        plant: |root| sound(root, VICTIM, 16_000, &[&padded(16_001)]),
        preparation: PLAIN,
        left_out: &[("1_01_0", Reason::TooLong)],
    },
    Flaw {
        name: "a long word, trimmed",
        base: Base::Digits,
        plant: |root| sound(root, VICTIM, 16_000, &[&padded(22_400)]),
        preparation: TRIM,
        left_out: &[],
    },
    Flaw {
        name: "a long word, cut",
        base: Base::Digits,
        plant: |root| sound(root, VICTIM, 16_000, &[&tone(22_400)]),
        preparation: PIECES,
        left_out: &[],
    },
    Flaw {
        name: "a long word that trimming does not help",
        base: Base::Digits,
        plant: |root| sound(root, VICTIM, 16_000, &[&tone(22_400)]),
        preparation: TRIM,
        left_out: &[("1_01_0", Reason::TooLong)],
    },
    Flaw {
        name: "a short utterance",
        base: Base::Books,
        plant: |root| sound(root, UTTERANCE, 16_000, &[&tone(1600)]),
        preparation: PLAIN,
        left_out: &[("14-1-0001", Reason::TooShort)],
    },
    Flaw {
        name: "an utterance shorter than a frame",
        base: Base::Voices,
        plant: |root| sound(root, UTTERANCE, 16_000, &[&tone(300)]),
        preparation: PLAIN,
        left_out: &[("14-1-0001", Reason::TooShort)],
    },
    Flaw {
        name: "a word of other rate, format and name",
        base: Base::Digits,
        plant: |root| {
            fs::remove_file(root.join(VICTIM)).unwrap();
            let flac = "../audio/tests/data/tone.flac";
            let flac = Path::new(env!("CARGO_MANIFEST_DIR")).join(flac);
            fs::copy(flac, root.join("data/01/1_01_0.flac")).unwrap();
            put(root, "data/02/zero.wav", b"");
        },
        preparation: PLAIN,
        left_out: &[("zero.wav", Reason::Misnamed)],
    },
    Flaw {
        name: "the table of LibriTTS",
        base: Base::Books,
        plant: |root| {
            fs::remove_file(root.join("SPEAKERS.TXT")).unwrap();
            let table = "READER\tGENDER\tSUBSET\tNAME\n14\tF\tdev\tA\n17\tM\tdev\tB\n";
            put(root, "speakers.tsv", table.as_bytes());
            put(root, "dev/14/1/14-1-0001.normalized.txt", b"one two");
        },
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "a speaker who is not in the table",
        base: Base::Books,
        plant: |root| rename(root, "dev/14", "dev/15"),
        preparation: PLAIN,
        left_out: &[
            ("14-1-0000", Reason::SexUnknown),
            ("14-1-0001", Reason::SexUnknown),
            ("14-1-0002", Reason::SexUnknown),
        ],
    },
    Flaw {
        name: "a speaker who is not in the table, among speakers",
        base: Base::Voices,
        plant: |root| rename(root, "dev/14", "dev/15"),
        preparation: PLAIN,
        left_out: &[],
    },
    Flaw {
        name: "no sex in the table",
        base: Base::Digits,
        plant: |root| {
            let meta = META.replace("female", "robot");
            put(root, "data/audioMNIST_meta.txt", meta.as_bytes());
        },
        preparation: PLAIN,
        left_out: &[
            ("0_02_0", Reason::SexUnknown),
            ("0_02_1", Reason::SexUnknown),
            ("1_02_0", Reason::SexUnknown),
            ("1_02_1", Reason::SexUnknown),
        ],
    },
    Flaw {
        name: "blanks around names, and other letters",
        base: Base::Books,
        plant: |root| {
            rename(root, "dev/14", "dev/14 ");
            rename(root, "dev", " Hörbücher ");
        },
        preparation: PLAIN,
        left_out: &[],
    },
    #[cfg(unix)]
    Flaw {
        name: "a link to nowhere",
        base: Base::Digits,
        plant: |root| {
            fs::remove_file(root.join(VICTIM)).unwrap();
            std::os::unix::fs::symlink("nowhere.wav", root.join(VICTIM)).unwrap();
        },
        preparation: PLAIN,
        left_out: &[("1_01_0", Reason::Unreadable)],
    },
];

impl Base {
    fn all(self) -> &'static [&'static str] {
        match self {
            Base::Digits => &DIGITS,
            Base::Books | Base::Voices => &BOOKS,
            Base::Interviews => &INTERVIEWS,
        }
    }

    /// Writes it without a flaw.
    fn write(self, root: &Path) {
        match self {
            Base::Digits => {
                put(root, "data/audioMNIST_meta.txt", META.as_bytes());
                let words = Synthetic::new(1, 20, 1);
                for (index, recording) in words.recordings().iter().enumerate() {
                    let name = format!("data/{}/{}.wav", recording.speaker, recording.id);
                    if DIGITS.contains(&recording.id.as_str()) {
                        let audio = words.audio(index).unwrap();
                        sound(root, &name, audio.rate, &[&audio.samples]);
                    }
                }
            }
            Base::Books | Base::Voices | Base::Interviews => {
                put(root, "SPEAKERS.TXT", SPEAKERS.as_bytes());
                let voices = Synthetic::utterances(1, 3, 1);
                // The first voice is a man's.
                for (index, name) in [3, 4, 5, 0, 1, 2].into_iter().zip(self.all()) {
                    let audio = voices.audio(index).unwrap();
                    let path = match self {
                        Base::Interviews => format!("{name}.wav"),
                        _ => format!("dev/{}/1/{name}.wav", &name[..2]),
                    };
                    sound(root, &path, audio.rate, &[&audio.samples]);
                }
                if self == Base::Interviews {
                    fs::remove_file(root.join("SPEAKERS.TXT")).unwrap();
                    put(root, "vox1_meta.csv", VOX.as_bytes());
                }
            }
        }
    }
}

fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn rename(root: &Path, from: &str, to: &str) {
    fs::rename(root.join(from), root.join(to)).unwrap();
}

fn halve(root: &Path, name: &str) {
    let bytes = fs::read(root.join(name)).unwrap();
    put(root, name, &bytes[..bytes.len() / 2]);
}

/// Writes a recording of so many channels.
fn sound(root: &Path, name: &str, rate: u32, channels: &[&[f32]]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if let [samples] = channels
        && samples.iter().all(|sample| sample.is_finite())
    {
        let samples = samples.to_vec();
        return write_wav(path, &Audio { samples, rate }).unwrap();
    }
    let spec = hound::WavSpec {
        channels: channels.len() as u16,
        sample_rate: rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for n in 0..channels[0].len() {
        for channel in channels {
            writer.write_sample(channel[n]).unwrap();
        }
    }
    writer.finalize().unwrap();
}

fn tone(samples: usize) -> Vec<f32> {
    let wave = |n: usize| 0.3 * (n as f32 * 0.2).sin();
    (0..samples).map(wave).collect()
}

/// Half a second of tone amid silence, so many samples in all.
fn padded(samples: usize) -> Vec<f32> {
    let mut all = vec![0.0; samples];
    all[3000..11_000].copy_from_slice(&tone(8000));
    all
}

/// The recording that a piece is of.
fn whole(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

/// What is used of a corpus, in its order, and what is left out.
fn used(
    root: &Path,
    base: Base,
    preparation: Preparation,
    store: &Path,
) -> Result<(Vec<String>, Vec<LeftOut>), Error> {
    let root = root.to_str().unwrap();
    let of_speakers = base == Base::Voices;
    let corpus = match of_speakers {
        true => open_utterances(root, 1, preparation)?,
        false => open(root, 1, preparation, &|_| ())?,
    };
    let recordings = corpus.recordings();
    let has_class = |index: &usize| of_speakers || recordings[*index].sex.is_some();
    let (indices, others): (Vec<usize>, Vec<usize>) = (0..recordings.len()).partition(has_class);
    let mut left_out = corpus.left_out().to_vec();
    left_out.extend(
        others
            .iter()
            .map(|index| LeftOut::without_sex(&recordings[*index])),
    );
    let front_end = FrontEnd::load(match of_speakers {
        true => "thesis-fbank",
        false => "thesis-spectrogram",
    });
    let (front_end, corpus) = (front_end.unwrap(), corpus.as_ref());
    let store = FeatureStore::open_or_compute(store, corpus, &indices, (&front_end, 1), &|_| ())?;
    left_out.extend(store.left_out().iter().cloned());
    let ids = store.recordings().iter().map(|r| r.id.as_str());
    let mut ids: Vec<String> = match of_speakers {
        true => ids.map(str::to_owned).collect(),
        false => {
            for recording in 0..store.recordings().len() {
                let first = Window {
                    recording,
                    start: 0,
                };
                assert_eq!(store.one(first).unwrap().shape(), [227, 227]);
            }
            ids.map(|id| whole(id).to_owned()).collect()
        }
    };
    ids.dedup();
    for one in &mut left_out {
        one.id = whole(&one.id).to_owned();
    }
    left_out.dedup_by(|a, b| a.id == b.id);
    Ok((ids, left_out))
}

fn planted(flaw: &Flaw) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    flaw.base.write(root.path());
    (flaw.plant)(root.path());
    root
}

#[test]
fn what_is_used_and_what_is_left_out_is_exact() {
    for flaw in FLAWS {
        let root = planted(flaw);
        let scratch = tempfile::tempdir().unwrap();
        let store: PathBuf = scratch.path().join("store.h5");
        // A second time from the store.
        for time in ["computed", "kept"] {
            let found = used(root.path(), flaw.base, flaw.preparation, &store);
            let (ids, left_out) = found.unwrap_or_else(|error| panic!("{}: {error}", flaw.name));
            let out = left_out.iter().map(|one| (one.id.as_str(), one.reason));
            let out: Vec<_> = out.collect();
            assert_eq!(out, flaw.left_out, "{}, {time}", flaw.name);
            let is_used = |id: &&&str| !flaw.left_out.iter().any(|(out, _)| out == *id);
            let expected: Vec<_> = flaw.base.all().iter().filter(is_used).copied().collect();
            assert_eq!(ids, expected, "{}, {time}", flaw.name);
            for one in &left_out {
                // A line that names what it is about.
                assert!(!one.message.contains('\n') && one.message.len() > one.id.len());
            }
        }
    }
}

#[test]
fn the_first_of_them_is_an_error_where_nothing_is_to_be_left_out() {
    for flaw in FLAWS {
        let root = planted(flaw);
        let scratch = tempfile::tempdir().unwrap();
        let store = scratch.path().join("store.h5");
        let strict = Preparation {
            strict: true,
            ..flaw.preparation
        };
        let found = used(root.path(), flaw.base, strict, &store);
        let of_file = |(_, reason): &&(&str, Reason)| *reason != Reason::SexUnknown;
        match flaw.left_out.iter().find(of_file) {
            None => assert!(found.is_ok(), "{}", flaw.name),
            Some((id, _)) => {
                let error = found.err().unwrap_or_else(|| panic!("{}", flaw.name));
                assert!(error.to_string().contains(id), "{}: {error}", flaw.name);
                assert!(!store.exists());
            }
        }
    }
}

#[test]
fn nothing_usable_is_an_error_that_says_why() {
    let root = tempfile::tempdir().unwrap();
    Base::Digits.write(root.path());
    for id in DIGITS {
        let name = format!("data/{}/{id}.wav", &id[2..4]);
        sound(root.path(), &name, 16_000, &[&tone(22_400)]);
    }
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("store.h5");
    let error = used(root.path(), Base::Digits, PLAIN, &store)
        .err()
        .unwrap();
    let message = error.to_string();
    assert!(
        message.contains("none can be used of 8 recordings: 8 longer than one second (0_01_0, "),
        "{message}"
    );
    assert_eq!(PLAIN.left_to_try(&error.left_out()), ["trim", "pieces"]);
    assert_eq!(TRIM.left_to_try(&error.left_out()), ["pieces"]);
    assert!(!store.exists());
}

/// What cannot be used is not counted, and its partner of the other sex stays.
#[test]
fn a_split_stands_whatever_is_left_out() {
    let root = tempfile::tempdir().unwrap();
    let words = Synthetic::new(3, 10, 1);
    let mut speakers = Vec::new();
    for (index, recording) in words.recordings().iter().enumerate() {
        let name = format!("{}/{}.wav", recording.speaker, recording.id);
        let audio = words.audio(index).unwrap();
        sound(root.path(), &name, audio.rate, &[&audio.samples]);
        if recording.digit == Some(0) {
            let (name, sex) = (&recording.speaker, recording.sex.unwrap());
            speakers.push(format!(r#""{name}": {{"gender": "{sex}"}}"#));
        }
    }
    let meta = format!("{{{}}}", speakers.join(","));
    put(root.path(), "audioMNIST_meta.txt", meta.as_bytes());
    let split = || {
        let corpus = open(root.path().to_str().unwrap(), 1, PLAIN, &|_| ()).unwrap();
        let sizes = Sizes::all();
        let split = Split::draw(corpus.recordings(), Speakers::All, sizes, 1).unwrap();
        (corpus, split)
    };
    let (corpus, before) = split();
    let victim = corpus.recordings()[before.train[3]].clone();
    let name = format!("{}/{}.wav", victim.speaker, victim.id);
    halve(root.path(), &name);
    let (corpus, after) = split();
    assert_eq!(before, after);
    let path = root.path().join("train.h5");
    let front_end = FrontEnd::load("thesis-spectrogram").unwrap();
    let open = || {
        let (corpus, making) = (corpus.as_ref(), (&front_end, 1));
        FeatureStore::open_or_compute(&path, corpus, &after.train, making, &|_| ()).unwrap()
    };
    let store = open();
    let ids: Vec<_> = store.recordings().iter().map(|r| r.id.clone()).collect();
    let all = after
        .train
        .iter()
        .map(|index| &corpus.recordings()[*index].id);
    let expected: Vec<_> = all.filter(|id| **id != victim.id).cloned().collect();
    assert_eq!(ids, expected);
    assert_eq!(ids.len(), after.train.len() - 1);
    assert_eq!(store.left_out()[0].id, victim.id);

    // Once it is whole again, it is used.
    let index = words.recordings().iter().position(|r| r.id == victim.id);
    let audio = words.audio(index.unwrap()).unwrap();
    sound(root.path(), &name, audio.rate, &[&audio.samples]);
    let store = open();
    assert_eq!(
        (store.recordings().len(), store.left_out()),
        (after.train.len(), &[][..])
    );
}
