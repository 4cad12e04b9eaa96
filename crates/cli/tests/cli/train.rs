use std::time::{Duration, Instant};

use candle_core::Device;
use speechlens_data::{Corpus, Synthetic};
use speechlens_models::{Arch, Model};

use crate::support::{Folder, spectrogram};

const DATA: [&str; 11] = [
    "train",
    "--task",
    "gender",
    "synthetic",
    "--limit",
    "8",
    "--batch",
    "4",
    "--lr",
    "1e-3",
    "-o",
];

fn train(folder: &Folder, output: &str, options: &[&str]) -> String {
    folder.run(&[&DATA[..], &[output], options].concat())
}

fn read(folder: &Folder, name: &str) -> Vec<u8> {
    std::fs::read(folder.path(name)).unwrap()
}

#[test]
fn a_killed_run_goes_on_to_the_same_weights() {
    let folder = Folder::new();
    // Two epochs of two steps.
    let said = train(&folder, "whole.safetensors", &["--epochs", "2"]);
    assert!(
        said.contains("epoch 1 of 2: validation loss") && said.contains("epoch 2 of 2"),
        "{said}"
    );
    assert!(
        said.contains("whole.safetensors: ") && said.contains("% right on validation speakers"),
        "{said}"
    );
    let answer = {
        folder.npy("a.npy", &spectrogram(0));
        folder.run(&["predict", "whole.safetensors", "a.npy", "--json"])
    };
    assert!(answer.contains("male"), "{answer}");

    // Killed at whatever moment follows the first checkpoint: in a step, or while another checkpoint is written.
    let arguments = [
        &DATA[..],
        &[
            "killed.safetensors",
            "--epochs",
            "2",
            "--checkpoint-seconds",
            "0",
        ],
    ]
    .concat();
    let mut run = folder.command(&arguments).spawn().unwrap();
    let (checkpoint, started) = (folder.path("killed.checkpoint.safetensors"), Instant::now());
    while !checkpoint.exists() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "no checkpoint in a minute"
        );
        assert!(
            run.try_wait().unwrap().is_none(),
            "the run ended before its first checkpoint"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(
        !folder.path("killed.safetensors").exists(),
        "the run ended before it was killed"
    );

    // Other settings are no continuation.
    let other = [
        &DATA[..],
        &["killed.safetensors", "--resume", "--seed", "2"],
    ]
    .concat();
    let message = folder.fail(&other);
    assert!(
        message.contains("killed.checkpoint.safetensors") && message.contains("same settings"),
        "{message}"
    );

    train(
        &folder,
        "killed.safetensors",
        &["--epochs", "2", "--resume"],
    );
    assert!(
        read(&folder, "killed.safetensors") == read(&folder, "whole.safetensors"),
        "other weights"
    );
    assert!(!checkpoint.exists());
    let names: Vec<_> = folder
        .path("")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().starts_with('.')),
        "left over: {names:?}"
    );

    // Nothing is left to do, and nothing is done.
    let before = folder
        .path("whole.safetensors")
        .metadata()
        .unwrap()
        .modified()
        .unwrap();
    let said = train(&folder, "whole.safetensors", &["--epochs", "2", "--resume"]);
    assert!(said.contains("trained already"), "{said}");
    assert_eq!(
        folder
            .path("whole.safetensors")
            .metadata()
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
}

#[test]
fn resume_without_a_checkpoint_starts_from_the_beginning() {
    let folder = Folder::new();
    let once = ["--epochs", "1", "--limit", "4"];
    let arguments = |output| {
        let data = DATA
            .iter()
            .filter(|word| !["--limit", "8"].contains(word))
            .copied();
        data.chain([output]).chain(once).collect::<Vec<_>>()
    };
    folder.run(&arguments("fresh.safetensors"));
    let output = folder
        .command(&[&arguments("resumed.safetensors")[..], &["--resume"]].concat())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("resumed.checkpoint.safetensors") && said.contains("from the beginning"),
        "{said}"
    );
    assert!(read(&folder, "resumed.safetensors") == read(&folder, "fresh.safetensors"));
    let other = folder.run(
        &[
            &arguments("other.safetensors")[..],
            &["--seed", "2", "--quiet"],
        ]
        .concat(),
    );
    assert_eq!(other, "");
    assert!(read(&folder, "other.safetensors") != read(&folder, "fresh.safetensors"));
}

/// `vox/wav/idNNNNN/VIDEO/UTTERANCE.wav`: two voices, two utterances of each, of 3 to 6 s.
pub fn voxceleb(folder: &Folder) {
    let voices = Synthetic::utterances(1, 2, 1);
    for (index, recording) in voices.recordings().iter().enumerate() {
        let path = folder.path(&format!(
            "vox/wav/id000{}/video/0000{}.wav",
            recording.speaker,
            index % 2
        ));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        speechlens_audio::write_wav(path, &voices.audio(index).unwrap()).unwrap();
    }
}

const SPEAKERS: [&str; 10] = [
    "train", "--task", "speaker", "vox", "--epochs", "1", "--batch", "8", "--store", "stores",
];

#[test]
fn speakers_are_trained_on_a_part_of_their_speech() {
    let folder = Folder::new();
    voxceleb(&folder);
    let train = |options: &[&str]| folder.run(&[&SPEAKERS[..], options].concat());
    let said = train(&["-o", "one.safetensors"]);
    assert!(
        said.contains("epoch 1 of 1: validation loss")
            && said.contains("one.safetensors: ")
            && said.contains("% right on ")
            && said.contains(" held-out segments"),
        "{said}"
    );
    let store = folder.stored("stores", "voxceleb-filterbanks");
    let model = Model::load(&folder.path("one.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.arch, Arch::ResNet34);
    assert_eq!(model.classes, ["id00001", "id00002"]);
    assert_eq!(model.metadata["features"], "filterbank");
    assert_eq!(model.metadata["normalization"], "segment");
    let training: serde_json::Value = serde_json::from_str(&model.metadata["training"]).unwrap();
    assert_eq!(training["loss"], "cross-entropy");
    assert_eq!(training["optimizer"]["lr"], 2e-3);
    assert_eq!(training["schedule"]["schedule"], "one-cycle");
    let steps = training["segments"].as_u64().unwrap() / 8;
    assert!(steps > 0 && training["schedule"]["steps"] == steps);

    let said = train(&["-o", "one.safetensors", "--resume"]);
    assert!(said.contains("trained already"), "{said}");
    // The same from the store alone; otherwise normalized, otherwise trained.
    let store = store.to_str().unwrap();
    let mut from_store = SPEAKERS
        .map(|word| if word == "vox" { store } else { word })
        .to_vec();
    from_store.extend(["-o", "two.safetensors"]);
    folder.run(&from_store);
    assert!(read(&folder, "two.safetensors") == read(&folder, "one.safetensors"));
    train(&[
        "-o",
        "three.safetensors",
        "--normalization",
        "utterance",
        "--schedule",
        "constant",
    ]);
    let model = Model::load(&folder.path("three.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.metadata["normalization"], "utterance");
    assert!(!model.metadata["training"].contains("schedule"));
}
