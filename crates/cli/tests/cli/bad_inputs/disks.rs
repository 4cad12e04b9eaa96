//! Where nothing more may be written.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use speechlens_models::Model;
use speechlens_nn::tensor_file;

use crate::support::{Folder, model, waveform_model};

/// Every command says what it could not write, and takes away what it began.
#[test]
fn a_full_disk() {
    let folder = Folder::new();
    folder.tone("good.wav", 8000, 4000);
    let whole = Model::load(Path::new(waveform_model()), &Device::Cpu).unwrap();
    tensor_file::write(
        &folder.path("c.safetensors"),
        &whole.graph.weights(),
        &BTreeMap::new(),
    )
    .unwrap();
    drop(whole);
    let model = waveform_model();
    let few = ["train", "--task", "gender", "synthetic", "--limit", "4"];
    let train = [&few[..], &["--batch", "4"]].concat();
    let audionet = ["--arch", "audionet", "--epochs", "1", "--store", "kept"];
    // What it trains on is there already, and only the network is to be written.
    let keep = [
        &few[..],
        &audionet,
        &["--batch", "9", "-o", "new.safetensors"],
    ]
    .concat();
    assert!(folder.fail(&keep).contains("do not fill one batch"));
    let audionet = [&train[..], &audionet, &["--quiet"]].concat();
    let stored = [&train[..], &["-o", "new/m.safetensors", "--store", "new"]].concat();
    let speakers = [
        "train",
        "--task",
        "speaker",
        "synthetic",
        "--limit",
        "4",
        "-o",
        "new/m.safetensors",
        "--store",
        "new",
    ];
    let trained = [&audionet[..], &["-o", "new/m.safetensors"]].concat();
    let checkpoint = [&trained[..], &["--checkpoint-seconds", "0"]].concat();
    let cases: &[(&[&str], &str)] = &[
        (
            &["features", "spectrogram", "good.wav", "-o", "new/out.npy"],
            "new/out.npy",
        ),
        (
            &[
                "import",
                "--arch",
                "audionet",
                "c.safetensors",
                "-o",
                "new/m.safetensors",
            ],
            "new/m.safetensors",
        ),
        (&["explain", model, "good.wav", "-o", "new"], "new/"),
        (&trained, "new/m.safetensors"),
        (&checkpoint, "new/m.checkpoint.safetensors"),
        (&stored, "new/synthetic-train-"),
        (&speakers, "new/synthetic-filterbanks-"),
    ];
    let disk = "size=16k";
    let can_mount = folder.can_mount(disk);
    let before = folder.files();
    for (arguments, name) in cases {
        // A file that may not grow, as under a quota; and a disk that is full.
        let mut messages = vec![folder.fail_within(arguments, "ulimit -f 16").unwrap()];
        assert_eq!(
            folder.files(),
            before,
            "{arguments:?} leaves something behind"
        );
        if can_mount {
            messages.push(folder.fail_on_disk(arguments, disk).unwrap());
        }
        for message in messages {
            for word in [name, "check", "free space"] {
                assert!(
                    message.contains(word),
                    "{arguments:?} does not say `{word}`: {message}"
                );
            }
        }
    }
}

/// A folder in which nothing may be written.
#[test]
fn a_read_only_folder() {
    let folder = Folder::new();
    folder.tone("good.wav", 8000, 4000);
    if !folder.can_mount("ro") {
        return;
    }
    let train = [
        "train",
        "--task",
        "gender",
        "synthetic",
        "--limit",
        "4",
        "--batch",
        "4",
    ];
    let cases: &[(&[&str], &str)] = &[
        (
            &["features", "spectrogram", "good.wav", "-o", "new/out.npy"],
            "new/out.npy",
        ),
        (
            &[
                "import",
                "--arch",
                "audionet",
                "none.pt",
                "-o",
                "new/m.safetensors",
            ],
            "new/m.safetensors",
        ),
        (
            &["explain", waveform_model(), "good.wav", "-o", "new"],
            "new",
        ),
        (
            &[&train[..], &["-o", "new/m.safetensors"]].concat(),
            "new/m.safetensors",
        ),
        (
            &[&train[..], &["-o", "m.safetensors", "--store", "new"]].concat(),
            "new",
        ),
        (
            &["augment", model(), "synthetic", "-o", "new/a.h5"],
            "new/a.h5",
        ),
        (
            &["evaluate", "flip", model(), "synthetic", "-o", "new"],
            "new",
        ),
    ];
    for (arguments, name) in cases {
        let message = folder.fail_on_disk(arguments, "ro").unwrap();
        for word in [name, "check", "ermission"] {
            assert!(
                message.contains(word),
                "{arguments:?} does not say `{word}`: {message}"
            );
        }
    }
}
