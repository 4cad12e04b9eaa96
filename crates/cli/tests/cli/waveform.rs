//! Networks that read waveforms: a second of sound at 8 kHz.

use candle_core::Device;
use ndarray::{Array2, Axis, Ix1, Ix2, stack};
use serde_json::{Value, json};
use speechlens_frontend::{FrontEnd, Placement, Reading};
use speechlens_models::{Model, Probability, audionet};
use speechlens_nn::tensor_file;

use crate::support::{Folder, model, waveform_model};

#[test]
fn waveforms_are_those_of_the_front_end() {
    let folder = Folder::new();
    folder.tone("tone.wav", 16000, 10000);
    let audio = speechlens_audio::read(folder.path("tone.wav")).unwrap();
    let front_end = FrontEnd::load("thesis-waveform").unwrap();
    for (options, offset) in [(&[][..], 0), (&["--offset", "1234"], 1234)] {
        let fixed = ["features", "waveform", "tone.wav", "-o", "new/tone.npy"];
        assert_eq!(folder.run(&[&fixed, options].concat()), "");
        let reading = Reading {
            placement: Placement::At(offset),
            ..Reading::default()
        };
        let expected = front_end.compute(&audio, &reading).unwrap().windows;
        let got = folder.read_npy::<Ix1>("new/tone.npy");
        assert_eq!(got.into_dyn(), expected.index_axis(Axis(0), 0));
    }
}

#[test]
fn recordings_and_arrays_are_classified_alike() {
    let folder = Folder::new();
    folder.tone("tone.wav", 22050, 15000);
    folder.tone("other.wav", 8000, 5000);
    for name in ["tone", "other"] {
        let (wav, npy) = (format!("{name}.wav"), format!("{name}.npy"));
        folder.run(&["features", "waveform", &wav, "-o", &npy]);
    }
    let rows = ["tone.npy", "other.npy"].map(|name| folder.read_npy::<Ix1>(name));
    let both = stack(Axis(0), &rows.each_ref().map(|row| row.view())).unwrap();
    folder.npy("both.npy", &both);
    let inputs = ["tone.wav", "tone.npy", "both.npy"];
    let text = folder.run(&[&["predict", waveform_model(), "--json"], &inputs[..]].concat());
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let answers: Vec<Value> = lines.collect();
    let names: Vec<_> = answers
        .iter()
        .map(|a| a["input"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["tone.wav", "tone.npy", "both.npy[0]", "both.npy[1]"]
    );
    assert_eq!(answers[0]["logits"], answers[1]["logits"]);
    assert_ne!(answers[2]["logits"], answers[3]["logits"]);
    for answer in &answers {
        let logit = |class: usize| answer["logits"][class].as_f64().unwrap();
        let index = answer["index"].as_u64().unwrap() as usize;
        let softmax = 1.0 / (1.0 + (logit(1 - index) - logit(index)).exp());
        assert!((answer["probability"].as_f64().unwrap() - softmax).abs() < 1e-6);
    }
}

#[test]
fn explanations_have_the_shape_of_their_input() {
    let folder = Folder::new();
    folder.tone("tone.wav", 8000, 6000);
    let explain = ["explain", waveform_model(), "--quiet", "-o", "out"];
    assert_eq!(folder.run(&[&explain[..], &["tone.wav"]].concat()), "");
    let relevance = folder.read_npy::<Ix1>("out/relevance.npy");
    assert_eq!(relevance.len(), 8000);
    // Zeros cannot speak for a class by LRP-0.
    assert!(
        relevance
            .iter()
            .skip(6000)
            .all(|relevance| *relevance == 0.0)
    );
    let picture = image::open(folder.path("out/heatmap.png")).unwrap();
    assert!(picture.width() > 2 * picture.height());
    let summary = folder.json("out/summary.json");
    assert_eq!(summary["shape"], json!([8000]));
    assert_eq!(summary["rules"], "lrp-0");
    let sum: f64 = relevance.iter().map(|r| f64::from(*r)).sum();
    assert_eq!(summary["explanations"][0]["relevance_sum"], sum);

    folder.npy(
        "two.npy",
        &Array2::from_shape_fn((2, 8000), |(n, t)| ((n + 3) * t % 7) as f32),
    );
    folder.run(&[&explain[..], &["two.npy", "--layer", "features.2"]].concat());
    assert_eq!(folder.read_npy::<Ix2>("out/relevance.npy").dim(), (2, 8000));
    assert_eq!(folder.json("out/summary.json")["shape"], json!([2, 8000]));
    let layer = speechlens_report::npy::read(&folder.path("out/layers/features.2.npy")).unwrap();
    assert_eq!(layer.shape(), [2, 100, 4000]);
}

#[test]
fn a_network_is_trained_on_waveforms_and_tested() {
    let folder = Folder::new();
    let data = ["synthetic", "--limit", "8"];
    let train = [
        "train", "--task", "gender", "--arch", "audionet", "--epochs", "1",
    ];
    let output = ["--batch", "4", "-o", "m.safetensors"];
    let said = folder.run(&[&train[..], &data, &output].concat());
    assert!(said.contains("% right on validation speakers"), "{said}");
    let model = Model::load(&folder.path("m.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.arch(), Some("audionet"));
    assert_eq!(model.classes(), ["male", "female"]);
    assert_eq!(model.front_end.name(), Some("thesis-waveform"));
    let training: Value = serde_json::from_str(&model.metadata["training"]).unwrap();
    assert_eq!(
        (&training["loss"], &training["recordings"]),
        (&json!("cross-entropy"), &json!(8))
    );
    let said = folder.run(&[&train[..], &data, &output, &["--resume"]].concat());
    assert!(said.contains("trained already"), "{said}");

    let flip = ["evaluate", "flip", "m.safetensors", "--percentages", "0,1"];
    let output = ["--recordings", "3", "-o", "out"];
    folder.run(&[&flip[..], &data, &output].concat());
    let found = folder.json("out/flip.json");
    assert_eq!(
        (&found["bins"], &found["value"]),
        (&json!(8000), &json!(0.0))
    );
    assert_eq!(found["counts"], json!([0, 80]));
}

#[test]
fn a_checkpoint_is_imported() {
    let folder = Folder::new();
    let graph = audionet::architecture(2).unwrap();
    let weights = graph.random(5, &Device::Cpu).unwrap().weights();
    tensor_file::write(&folder.path("c.safetensors"), &weights, &Default::default()).unwrap();
    let import = [
        "import",
        "--arch",
        "audionet",
        "c.safetensors",
        "-o",
        "m.safetensors",
    ];
    let text = folder.run(&import);
    assert_eq!(text, "m.safetensors: audionet, 2 classes\n");
    let model = Model::load(&folder.path("m.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.classes(), ["male", "female"]);
    assert_eq!(model.front_end.name(), Some("thesis-waveform"));
    assert_eq!(model.task.probability(), Some(Probability::Softmax));
}

#[test]
fn mistakes_are_told_in_a_line() {
    let folder = Folder::new();
    folder.tone("long.wav", 16000, 16001);
    folder.npy("short.npy", &Array2::<f32>::zeros((1, 7999)));
    folder.npy("none.npy", &Array2::<f32>::zeros((0, 8000)));
    folder.npy("square.npy", &Array2::<f32>::zeros((227, 227)));
    for (input, words) in [
        ("long.wav", &["long.wav", "--trim"][..]),
        (
            "short.npy",
            &[
                "[8000] or [N, 8000]",
                "[1, 7999]",
                "features thesis-waveform",
            ],
        ),
        ("none.npy", &["[0, 8000]"]),
        ("square.npy", &["[227, 227]"]),
    ] {
        let message = folder.fail(&["predict", waveform_model(), input]);
        for word in words {
            assert!(message.contains(word), "{input}: {message}");
        }
    }
    folder.npy("wave.npy", &ndarray::Array1::<f32>::zeros(8000));
    let message = folder.fail(&["predict", model(), "wave.npy"]);
    assert!(message.contains("[227, 227] or [N, 227, 227]"), "{message}");
    for (task, arch, words) in [
        ("gender", "resnet34", "alexnet and audionet"),
        ("speaker", "audionet", "resnet34"),
    ] {
        let train = [
            "train",
            "--task",
            task,
            "--arch",
            arch,
            "synthetic",
            "-o",
            "m.safetensors",
        ];
        let message = folder.fail(&train);
        assert!(message.contains(words), "{message}");
    }
    std::fs::create_dir(folder.path("preprocessed")).unwrap();
    folder.write("preprocessed/AlexNet_1_01_1.hdf5", "");
    let train = [
        "train",
        "--task",
        "gender",
        "--arch",
        "audionet",
        "preprocessed",
        "-o",
        "m.st",
    ];
    let message = folder.fail(&train);
    assert!(
        message.contains("preprocessed") && message.contains("recordings"),
        "{message}"
    );
}

/// Relevance of samples in time and frequency: bins add up to what samples have, and tell their axes.
#[test]
fn samples_are_seen_in_time_and_frequency() {
    let folder = Folder::new();
    folder.tone("tone.wav", 8000, 8000);
    let explain = [
        "explain",
        waveform_model(),
        "tone.wav",
        "--method",
        "lrp,gradient-times-input",
    ];
    for (view, rows, slots) in [
        ("stft", 129, 125),
        ("stft:100/50", 51, 160),
        ("octaves", 7, 125),
    ] {
        folder.run(&[&explain[..], &["--view", view, "-o", "out"]].concat());
        for way in ["lrp-0", "gradient-times-input"] {
            let samples = folder.read_npy::<Ix1>(&format!("out/{way}/relevance.npy"));
            let bins = folder.read_npy::<Ix2>(&format!("out/{way}/view.npy"));
            assert_eq!((samples.len(), bins.dim()), (8000, (rows, slots)));
            let size: f32 = samples.iter().map(|r| r.abs()).sum();
            assert!(
                (samples.sum() - bins.sum()).abs() < 1e-4 * size,
                "{view}, {way}"
            );
            let seen = &folder.json(&format!("out/{way}/summary.json"))["view"];
            assert_eq!(seen["frequencies"].as_array().unwrap().len(), rows);
        }
    }
    let page = folder.text("out/index.html");
    assert!(page.contains("level (dB)"));
    for (arguments, told) in [
        (
            &["--view", "stft", "--method", "occlusion"][..],
            "that of occlusion is none",
        ),
        (&["--view", "stft:50/100"][..], "leaves samples unseen"),
    ] {
        let explain = ["explain", waveform_model(), "tone.wav", "-o", "out"];
        let error = folder.fail(&[&explain[..], arguments].concat());
        assert!(error.contains(told), "{error}");
    }
    folder.npy("bins.npy", &crate::support::spectrogram(0));
    let error = folder.fail(&[
        "explain",
        crate::support::model(),
        "bins.npy",
        "--view",
        "stft",
        "-o",
        "out",
    ]);
    assert!(error.contains("reads level"), "{error}");
}
