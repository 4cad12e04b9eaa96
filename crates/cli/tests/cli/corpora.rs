//! Corpora as people have them, and where features are kept.

use candle_core::Device;
use serde_json::Value;
use speechlens_audio::{Audio, write_wav};
use speechlens_data::{Corpus, FeatureStore, Synthetic};
use speechlens_models::Model;

use crate::support::{Folder, model};

/// Digits kept as AudioMNIST, of three men and three women who say ten each, with half a second of silence before them and as much
/// behind.
fn digits(folder: &Folder) {
    let words = Synthetic::new(3, 10, 1);
    let mut speakers = Vec::new();
    for (index, recording) in words.recordings().iter().enumerate() {
        let mut audio = words.audio(index).unwrap();
        let silence = vec![0.0; audio.rate as usize / 2];
        audio.samples = [&silence[..], &audio.samples, &silence].concat();
        let path = format!("digits/{}/{}.wav", recording.speaker, recording.id);
        folder.write_below(&path, "");
        write_wav(folder.path(&path), &audio).unwrap();
        if recording.digit == Some(0) {
            let (name, sex) = (&recording.speaker, recording.sex.unwrap());
            speakers.push(format!(r#""{name}": {{"gender": "{sex}"}}"#));
        }
    }
    let table = format!("{{{}}}", speakers.join(","));
    folder.write("digits/audioMNIST_meta.txt", table);
}

const TRAIN: [&str; 12] = [
    "train",
    "--task",
    "gender",
    "--arch",
    "audionet",
    "digits",
    "--epochs",
    "1",
    "--batch",
    "4",
    "-o",
    "m.safetensors",
];

/// What a run says on standard error that succeeds; that it learned so little is not what is asked here.
fn told(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.command(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let lines = said.split_inclusive('\n');
    lines
        .filter(|line| !line.contains("has learned nothing"))
        .collect()
}

fn training(folder: &Folder) -> Value {
    let model = Model::load(&folder.path("m.safetensors"), &Device::Cpu).unwrap();
    serde_json::from_str(&model.metadata["training"]).unwrap()
}

#[test]
fn digits_of_ones_own_need_no_preparation() {
    let folder = Folder::new();
    digits(&folder);
    let message = folder.fail(&TRAIN);
    for word in [
        "longer than one second (",
        "--trim or --pieces can make them fit",
    ] {
        assert!(message.contains(word), "{message}");
    }
    let trimmed = [&TRAIN[..], &["--trim"]].concat();
    assert_eq!(told(&folder, &trimmed), "");
    // A man and a woman each for training, validation and test.
    let about = training(&folder);
    assert_eq!(
        (&about["recordings"], &about["trim"]),
        (&20.into(), &true.into())
    );
    assert_eq!(about["pieces"], Value::Null);
    let cut = [&TRAIN[..], &["--pieces"]].concat();
    assert_eq!(told(&folder, &cut), "");
    assert_eq!(training(&folder)["pieces"], true);

    // One bad file among many, and one that is too long even so.
    let heard = about["speakers"].as_array().unwrap();
    let victim = |place: usize| {
        let name = heard[place].as_str().unwrap();
        (
            format!("3_{name}_0"),
            format!("digits/{name}/3_{name}_0.wav"),
        )
    };
    let (damaged, path) = victim(0);
    let bytes = std::fs::read(folder.path(&path)).unwrap();
    folder.write(&path, &bytes[..bytes.len() / 2]);
    let (long, path) = victim(1);
    let tone = |n: usize| 0.3 * (n as f32 * 0.2).sin();
    let audio = Audio {
        samples: (0..20_000).map(tone).collect(),
        rate: 16_000,
    };
    write_wav(folder.path(&path), &audio).unwrap();
    for _ in 0..2 {
        let said = told(&folder, &trimmed);
        for word in [
            "digits: left out are 2 recordings: ",
            &format!("1 truncated or damaged ({damaged})"),
            &format!("1 longer than one second ({long})"),
            "--pieces can make them fit",
        ] {
            assert!(said.contains(word), "no `{word}`: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(training(&folder)["recordings"], 18);
    }
    let said = told(&folder, &[&trimmed[..], &["-v"]].concat());
    assert!(
        said.contains(&format!("{damaged}.wav: truncated")),
        "{said}"
    );
    let message = folder.fail(&[&trimmed[..], &["--strict"]].concat());
    assert!(
        message.contains(&damaged) || message.contains(&long),
        "{message}"
    );

    // The same for spectrograms, which are kept, and of the same network's test.
    let flip = [
        "evaluate",
        "flip",
        model(),
        "digits",
        "--part",
        "train",
        "--recordings",
        "2",
        "--percentages",
        "0,1",
        "--quiet",
        "-o",
        "out",
    ];
    let message = folder.fail(&flip);
    assert!(message.contains("--trim or --pieces"), "{message}");
    let augment = ["augment", model(), "digits", "-o", "a.h5", "--limit", "6"];
    for (command, store) in [(&flip[..], false), (&augment, true)] {
        let command: Vec<_> = command
            .iter()
            .filter(|word| **word != "--quiet")
            .copied()
            .collect();
        for _ in 0..2 {
            let said = told(&folder, &[&command[..], &["--trim"]].concat());
            assert_eq!(said.contains("left out are 2 recordings"), !store, "{said}");
        }
    }
    let store = FeatureStore::open(&folder.path("a.h5")).unwrap();
    let speakers: std::collections::BTreeSet<_> =
        store.recordings().iter().map(|r| &r.speaker).collect();
    assert_eq!((store.recordings().len(), speakers.len()), (6, 6));
    // A store can be augmented in part too.
    let again = ["augment", model(), "a.h5", "-o", "b.h5", "--limit", "2"];
    assert!(folder.run(&again).contains("b.h5: 2 recordings"));
    let message = folder.fail(&[&again[..], &["--trim"]].concat());
    assert!(message.contains("a.h5: holds features"), "{message}");
}

#[test]
fn features_are_kept_beside_each_other_and_can_be_cleared() {
    let folder = Folder::new();
    let cache = |arguments: &[&str]| folder.run(&[&["cache"], arguments].concat());
    let path = cache(&["path"]);
    assert!(cache(&[]).contains("0 stores, 0 B"));
    let flip = |options: &[&str]| {
        let fixed = [
            "evaluate",
            "flip",
            model(),
            "synthetic",
            "--recordings",
            "1",
            "--percentages",
            "0",
            "-o",
            "out",
            "-v",
        ];
        told(&folder, &[&fixed, options].concat())
    };
    for (limit, tested) in [("4", 2), ("8", 4), ("4", 2)] {
        let said = flip(&["--limit", limit]);
        let line = format!("features, test: {tested} recordings, ");
        assert!(said.contains(&line) && said.contains(path.trim()), "{said}");
    }
    flip(&["--limit", "4", "--trim"]);
    flip(&["--limit", "4", "--seed", "2"]);
    let listed = cache(&["list"]);
    let stores: Vec<&str> = listed
        .lines()
        .filter(|line| line.contains("synthetic-test-"))
        .collect();
    assert_eq!(stores.len(), 4, "{listed}");
    for word in [
        "thesis-spectrogram",
        "kB",
        "second",
        "synthetic, seed 1",
        "seed 1, trimmed",
        "seed 2",
    ] {
        assert!(listed.contains(word), "no {word}: {listed}");
    }
    assert!(listed.contains("4 stores, "), "{listed}");
    assert!(cache(&["clear", "--older-than", "1"]).contains("removed 0 stores"));
    assert!(cache(&["clear"]).contains("removed 4 stores"));
    assert!(!flip(&["--limit", "4", "--store", "mine"]).is_empty());
    assert_eq!(folder.list("mine").len(), 1);
    assert!(cache(&[]).contains("0 stores"));
    assert!(cache(&["--store", "mine"]).contains("1 store, "));
}
