//! Where there is nothing to answer, none is given: silence, and networks whose answers are no numbers.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use ndarray::Array2;
use speechlens_nn::tensor_file;

use crate::support::{Folder, model, speaker_model, waveform_model};

#[test]
fn silence_gets_no_class() {
    let folder = Folder::new();
    folder.silence("silent.wav", 8000);
    folder.silence("long.wav", 40000);
    folder.npy("flat.npy", &Array2::<f32>::from_elem((227, 227), -80.0));
    for (model, input) in [
        (model(), "silent.wav"),
        (waveform_model(), "silent.wav"),
        (speaker_model(), "long.wav"),
        (model(), "flat.npy"),
    ] {
        for command in [&["predict"][..], &["explain", "-o", "out"]] {
            let message = folder.fail(&[command, &[model, input]].concat());
            let start = format!("error: {input}: is silent");
            assert!(message.starts_with(&start), "{message}");
        }
    }
    assert!(!folder.path("out").exists());
}

#[test]
fn channels_that_cancel_get_no_class() {
    let folder = Folder::new();
    let against = (0..4000).flat_map(|n| {
        let sample = (9000.0 * (f64::from(n) * 0.3).sin()) as i16;
        [sample, -sample]
    });
    folder.recording("against.wav", 2, 8000, against);
    let message = folder.fail(&["predict", model(), "against.wav"]);
    assert!(message.contains("cancel"), "{message}");
}

/// Two seconds of a tone and four of nothing: three windows, of which one is heard.
#[test]
fn silent_windows_are_told_apart() {
    let folder = Folder::new();
    folder.tone("tone.wav", 16000, 34000);
    let mut samples: Vec<i16> = hound::WavReader::open(folder.path("tone.wav"))
        .unwrap()
        .into_samples()
        .map(Result::unwrap)
        .collect();
    samples.resize(6 * 16000 + 240, 0);
    folder.recording("part.wav", 1, 16000, samples);

    let said = folder.run(&["predict", speaker_model(), "part.wav"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("part.wav[0]  ") && lines[0].ends_with('%'),
        "{said}"
    );
    assert_eq!(lines.last(), Some(&"part.wav[2]  silent"), "{said}");
    let json = folder.run(&["predict", speaker_model(), "part.wav", "--json"]);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(last["silent"], true);
    assert_eq!(last.get("class"), None);

    let explain = ["explain", speaker_model(), "part.wav", "-o", "out"];
    let said = folder.run(&[&explain[..], &["--method", "random"]].concat());
    assert!(said.contains("3 windows, 1 of them silent"), "{said}");
    let page = std::fs::read_to_string(folder.path("out/index.html")).unwrap();
    assert!(page.contains("Silent windows: "));
    // The picture of a contact sheet is that of one window.
    let size = |name: &str| image::image_dimensions(folder.path(name)).unwrap();
    assert!(size("out/surest.png").0 < size("out/heatmap.png").0);
    let summary = folder.json("out/summary.json");
    assert_eq!(summary["explanations"][2]["silent"], true);
}

/// The model with one of its weights changed.
fn with_weight(folder: &Folder, model: &str, name: &str, change: impl Fn(&Tensor) -> Tensor) {
    let (mut tensors, metadata): (BTreeMap<_, _>, _) =
        tensor_file::read(model.as_ref(), &Device::Cpu).unwrap();
    let changed = change(&tensors[name]);
    tensors.insert(name.to_owned(), changed);
    tensor_file::write(&folder.path("broken.safetensors"), &tensors, &metadata).unwrap();
}

#[test]
fn answers_that_are_no_numbers_are_errors() {
    let folder = Folder::new();
    folder.tone("long.wav", 16000, 40000);
    folder.tone("short.wav", 8000, 4000);
    let run = |input: &str, words: [&str; 2]| {
        for command in [&["predict"][..], &["explain", "-o", "out"]] {
            let message = folder.fail(&[command, &["broken.safetensors", input]].concat());
            for word in words.iter().chain(&["broken.safetensors"]) {
                assert!(message.contains(word), "{word}: {message}");
            }
        }
    };
    let (tensors, _) = tensor_file::read(speaker_model().as_ref(), &Device::Cpu).unwrap();
    let variance = tensors.keys().find(|name| name.ends_with("running_var"));
    let variance = variance.unwrap();
    with_weight(&folder, speaker_model(), variance, |values| {
        values.affine(-1.0, -1.0).unwrap()
    });
    run("long.wav", [variance, "negative variance"]);
    // What measures explanations asks no such network.
    let data = ["synthetic", "--limit", "8", "-o", "data"];
    for command in [&["evaluate", "flip"][..], &["augment"]] {
        let message = folder.fail(&[command, &["broken.safetensors"], &data].concat());
        for word in [variance, "negative variance", "broken.safetensors"] {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
    with_weight(&folder, model(), "classifier.6.weight", |values| {
        values.affine(0.0, 3e38).unwrap()
    });
    run(
        "short.wav",
        ["to short.wav is not a finite number", "values outgrow"],
    );
}
