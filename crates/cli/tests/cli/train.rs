use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use speechlens_data::{Corpus, Synthetic};
use speechlens_models::Model;
use speechlens_nn::tensor_file;

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
    assert_eq!(model.arch(), Some("resnet34"));
    assert_eq!(model.classes(), ["id00001", "id00002"]);
    assert_eq!(model.front_end.name(), Some("thesis-fbank"));
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
    assert_eq!(model.front_end.name(), Some("thesis-fbank-recording"));
    assert!(!model.metadata["training"].contains("schedule"));
}

/// At this rate the loss falls until the second epoch and rises after it: what a run of two epochs gives is kept by one of four.
/// Neither learns anything, and says so.
#[test]
fn the_best_epoch_is_kept_and_chance_is_told() {
    let folder = Folder::new();
    let run = |epochs: &str, model: &str| {
        let data = ["train", "--task", "gender", "synthetic", "--limit", "8"];
        let how = ["--batch", "4", "--lr", "3e-3", "--seed", "2"];
        let command = [&data[..], &how, &["--epochs", epochs, "-o", model]].concat();
        let output = folder.command(&command).output().unwrap();
        let warned = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{warned}");
        assert!(
            warned.contains("has learned nothing that shows"),
            "{warned}"
        );
        let said = String::from_utf8(output.stdout).unwrap();
        let (tensors, _) = tensor_file::read(&folder.path(model), &Device::Cpu).unwrap();
        let bits = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let values: Vec<Vec<f32>> = tensors.values().map(bits).collect();
        (said.lines().last().unwrap().to_owned(), values)
    };
    let (two, after_two) = run("2", "two.safetensors");
    let (four, kept) = run("4", "four.safetensors");
    assert!(
        two.contains("as after epoch 2 of 2, which is kept"),
        "{two}"
    );
    assert!(
        four.contains("as after epoch 2 of 4, which is kept"),
        "{four}"
    );
    assert!(kept == after_two);
}

/// Of MUSAN's files one cannot be read, then none of music.
#[test]
fn music_and_noise_that_cannot_be_read_are_passed_over() {
    let folder = Folder::new();
    voxceleb(&folder);
    // The last of few is held out.
    for kind in ["music", "noise"] {
        folder.write_below(
            &format!("musan/{kind}/c.txt"),
            "not a recording by its name",
        );
        for name in ["a", "b", "c"] {
            folder.tone(&format!("musan/{kind}/{name}.wav"), 16000, 30000);
        }
    }
    let spoil = |name: &str| {
        let whole = read(&folder, name);
        folder.write(name, &whole[..whole.len() / 2]);
    };
    let options = ["--augment", "music,noise", "--musan", "musan", "-o"];
    let train = |output| [&SPEAKERS[..], &options, &[output]].concat();
    spoil("musan/music/b.wav");
    let output = folder.command(&train("one.safetensors")).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let told = "musan: left out are 1 recording: 1 truncated or damaged (music/b.wav)";
    assert_eq!(errors.matches(told).count(), 1, "{errors}");
    assert!(folder.path("one.safetensors").exists());
    let strict = [&train("two.safetensors")[..], &["--strict"]].concat();
    let message = folder.fail(&strict);
    assert!(message.contains("musan/music/b.wav"), "{message}");

    spoil("musan/music/a.wav");
    let message = folder.fail(&train("two.safetensors"));
    for words in [
        "musan/music: none of the 2 recordings",
        "2 truncated or damaged",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert!(!folder.path("two.safetensors").exists());
}

#[test]
fn speakers_are_trained_with_music_and_noise_behind_them() {
    let folder = Folder::new();
    voxceleb(&folder);
    fn train<'a>(options: &[&'a str]) -> Vec<&'a str> {
        [&SPEAKERS[..], options].concat()
    }
    let augmented = ["--augment", "music,noise", "-o"];
    let said = folder.run(&train(&[&augmented[..], &["one.safetensors"]].concat()));
    for kind in ["music", "noise"] {
        let named = format!("% right on the same with {kind}");
        assert!(said.contains(&named), "{said}");
    }
    folder.run(&train(&[&augmented[..], &["two.safetensors"]].concat()));
    assert!(read(&folder, "one.safetensors") == read(&folder, "two.safetensors"));
    let model = Model::load(&folder.path("one.safetensors"), &Device::Cpu).unwrap();
    let training: serde_json::Value = serde_json::from_str(&model.metadata["training"]).unwrap();
    assert_eq!(training["behind"], serde_json::json!(["music", "noise"]));

    let store = folder.stored("stores", "voxceleb-filterbanks");
    let of_store = ["train", "--task", "speaker", store.to_str().unwrap()];
    let said = folder.fail(&[&of_store[..], &augmented[..], &["three.safetensors"]].concat());
    assert!(said.contains("give the recordings"), "{said}");
    let of_gender = ["train", "--task", "gender", "synthetic"];
    let said = folder.fail(&[&of_gender[..], &augmented[..], &["three.safetensors"]].concat());
    assert!(said.contains("--task speaker"), "{said}");
    let musan = [
        "--musan",
        "vox",
        "--augment",
        "music",
        "-o",
        "three.safetensors",
    ];
    let said = folder.fail(&train(&musan));
    assert!(said.contains("no music/ with recordings"), "{said}");
}
