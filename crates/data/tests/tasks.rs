//! Tables of labels, their flaws, and splits of any classes.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use speechlens_data::task::{self, classes, labels};
use speechlens_data::{Corpus, Digits, Part, Preparation, Recording, Sizes, Split, Synthetic};

/// A folder with recordings `a.wav` to `f.wav`, and a table of these bytes.
fn table(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let path = folder.path().join(format!("{name}.wav"));
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        (0..800i16).for_each(|n| writer.write_sample(n % 50 * 100).unwrap());
        writer.finalize().unwrap();
    }
    let path = folder.path().join("labels.csv");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn error(text: &str) -> String {
    let (_folder, path) = table(text.as_bytes());
    let error = labels(&path).err().expect("the table has a flaw");
    error.to_string()
}

#[test]
fn a_table_is_read_in_any_order_of_columns_and_any_encoding() {
    let text = "speaker,Label,path\nMoser, cat ,a.wav\nM\u{fc}ller,\"dog, small\",b.wav\n";
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let with_mark = ["\u{feff}", text].concat().into_bytes();
    for bytes in [
        text.as_bytes().to_vec(),
        latin,
        with_mark,
        text.replace('\n', "\r\n").into(),
    ] {
        let (folder, path) = table(&bytes);
        let labels = labels(&path).unwrap();
        assert_eq!(classes(labels.recordings()), ["cat", "dog, small"]);
        let [one, two] = labels.recordings() else {
            panic!("two recordings");
        };
        assert_eq!((one.speaker.as_str(), one.id.as_str()), ("Moser", "a.wav"));
        assert_eq!((two.speaker.as_str(), two.part), ("M\u{fc}ller", None));
        let audio = labels.audio(1).unwrap();
        assert_eq!(
            audio,
            speechlens_audio::read(folder.path().join("b.wav")).unwrap()
        );
    }
}

#[test]
fn flaws_are_named_with_their_line() {
    for (text, wanted) in [
        (
            "path,label,gender\na.wav,x,f\n",
            &["labels.csv", "line 1", "`gender`", "speaker and split"][..],
        ),
        ("path,speaker\na.wav,x\n", &["line 1", "no column `label`"]),
        ("a.wav,x\nb.wav,y\n", &["line 1", "`a.wav`", "titles"]),
        ("path,label,label\na.wav,x,y\n", &["line 1", "twice"]),
        (
            "path,label\na.wav,x\nb.wav,\n",
            &["line 3", "label is empty"],
        ),
        ("path,label\n,x\n", &["line 2", "path is empty"]),
        (
            "path,label\na.wav,x\nb.wav,y,z\n",
            &["line 3", "3 fields", "2"],
        ),
        (
            "path,label\na.wav,x\nb.wav,y\na.wav,y\n",
            &["line 4", "a.wav", "line 2"],
        ),
        (
            "path,label,split\na.wav,x,train\nb.wav,y,tests\n",
            &["line 3", "`tests`", "validation"],
        ),
        (
            "path,label,split\na.wav,x,train\nb.wav,y,\n",
            &["line 3", "line 2", "every line"],
        ),
        (
            "path,label,speaker,split\na.wav,x,1,train\nb.wav,y,2,test\nc.wav,y,1,test\n",
            &["line 4", "speaker 1", "test", "train in line 2"],
        ),
        (
            "path,label\na.wav,x\nb.wav,x\n",
            &["labels.csv", "only class is `x`"],
        ),
        ("path,label\n", &["labels.csv", "no recordings"]),
        ("", &["labels.csv", "line 1", "titles"]),
        (
            "path,label\nnot.wav,x\n",
            &["none can be used", "line 2", "not.wav"],
        ),
    ] {
        let error = error(text);
        for wanted in wanted {
            assert!(error.contains(wanted), "{text:?}: {error}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_left_out_unless_nothing_may_be() {
    let (_folder, path) = table(b"path,label\na.wav,x\nb.wav,y\nnot.wav,y\n");
    let corpus = task::open(&path, Preparation::default(), &|_| ()).unwrap();
    assert_eq!(corpus.recordings().len(), 2);
    let [left_out] = corpus.left_out() else {
        panic!("one is left out");
    };
    assert!(left_out.message.contains("labels.csv: line 4") && left_out.id == "not.wav");
    let strict = Preparation {
        strict: true,
        ..Preparation::default()
    };
    let error = task::open(&path, strict, &|_| ())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("line 4"), "{error}");
    let error = labels(Path::new("not/there.csv")).err().unwrap();
    assert!(error.to_string().contains("not/there.csv"));
}

fn recordings(of: &[(&str, &str, usize)]) -> Vec<Recording> {
    let all = of.iter().flat_map(|(class, speaker, count)| {
        (0..*count).map(move |take| Recording {
            id: format!("{class}-{speaker}-{take}"),
            speaker: (*speaker).to_owned(),
            class: Some((*class).to_owned()),
            ..Recording::default()
        })
    });
    all.collect()
}

fn speakers<'a>(recordings: &'a [Recording], part: &[usize]) -> BTreeSet<&'a str> {
    part.iter()
        .map(|index| recordings[*index].speaker.as_str())
        .collect()
}

#[test]
fn digits_are_split_by_speaker_with_every_digit_in_every_part() {
    let corpus = Digits::new(Synthetic::new(6, 20, 1));
    let recordings = corpus.recordings();
    assert_eq!(classes(recordings).concat(), "0123456789");
    let draw = |sizes, seed| Split::of_classes(recordings, &Part::ALL, sizes, seed).unwrap();
    let split = draw(Sizes::all(), 1);
    assert_eq!(
        [&split.train, &split.validation, &split.test].map(Vec::len),
        [160, 40, 40]
    );
    let parts = [&split.train, &split.validation, &split.test];
    let heard = parts.map(|part| speakers(recordings, part));
    assert!(
        heard[0].is_disjoint(&heard[1])
            && heard[0].is_disjoint(&heard[2])
            && heard[1].is_disjoint(&heard[2])
    );
    for part in parts {
        // Every ten recordings are all digits.
        for ten in part.chunks(10) {
            let digits: BTreeSet<_> = ten.iter().map(|index| recordings[*index].digit).collect();
            assert_eq!(digits.len(), 10);
        }
    }
    assert_eq!(split, draw(Sizes::all(), 1));
    assert_ne!(split, draw(Sizes::all(), 2));
    let few = draw(Sizes::at_most(20, 10, 10), 1);
    assert_eq!(few.train, split.train[..20]);
}

#[test]
fn recordings_of_nobody_are_split_by_themselves_class_by_class() {
    let names: Vec<String> = (0..24).map(|n| format!("{n}.wav")).collect();
    let all = names
        .iter()
        .enumerate()
        .map(|(n, name)| (["x", "y"][n % 2], name.as_str(), 1));
    let recordings = recordings(&all.collect::<Vec<_>>());
    let split = Split::of_classes(&recordings, &Part::ALL, Sizes::all(), 3).unwrap();
    for (part, count) in [(&split.train, 8), (&split.validation, 2), (&split.test, 2)] {
        let mut of_class = BTreeMap::<_, usize>::new();
        for index in part {
            *of_class
                .entry(recordings[*index].class.as_deref())
                .or_default() += 1;
        }
        assert_eq!(of_class.into_values().collect::<Vec<_>>(), [count, count]);
    }
}

#[test]
fn a_given_split_is_kept_and_a_class_that_training_lacks_is_named() {
    let mut all = recordings(&[("x", "1", 3), ("y", "2", 3), ("x", "3", 2), ("y", "4", 2)]);
    let parts = [Part::Train, Part::Train, Part::Validation, Part::Test];
    for (recording, part) in all.iter_mut().map(|r| {
        let part = parts[r.speaker.parse::<usize>().unwrap() - 1];
        (r, part)
    }) {
        recording.part = Some(part);
    }
    let split = Split::of_classes(&all, &Part::ALL, Sizes::all(), 1).unwrap();
    assert_eq!(speakers(&all, &split.train), BTreeSet::from(["1", "2"]));
    assert_eq!(speakers(&all, &split.validation), BTreeSet::from(["3"]));
    assert_eq!(speakers(&all, &split.test), BTreeSet::from(["4"]));
    all.iter_mut()
        .filter(|r| r.speaker == "2")
        .for_each(|r| r.part = Some(Part::Test));
    let error = Split::of_classes(&all, &Part::ALL, Sizes::all(), 1)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("class `y`") && error.contains("training"),
        "{error}"
    );
    let two = recordings(&[("x", "1", 3), ("y", "2", 3)]);
    let error = Split::of_classes(&two, &Part::ALL, Sizes::all(), 1)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("validation") && error.contains("three speakers"),
        "{error}"
    );
}
