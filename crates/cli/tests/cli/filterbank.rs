//! Networks that read filterbanks: recordings of any length, two seconds at a time.

use ndarray::{Array3, Axis, Ix3, s};
use serde_json::Value;
use speechlens_audio::{Filterbank, filterbank};

use crate::support::{Folder, speaker_model};

/// The segments of 200 frames that begin at `starts`, each with band means of 0.
fn segments(folder: &Folder, recording: &str, starts: &[usize]) -> Array3<f32> {
    let audio = speechlens_audio::read(folder.path(recording)).unwrap();
    let features = Filterbank::new().compute(&audio).unwrap();
    let mut all = Array3::zeros((starts.len(), 64, 200));
    for (mut segment, start) in all.outer_iter_mut().zip(starts) {
        segment.assign(&features.slice(s![.., *start..start + 200]));
        filterbank::subtract_mean(segment);
    }
    all
}

#[test]
fn a_recording_is_heard_segment_by_segment() {
    let folder = Folder::new();
    // 5 s at 22.05 kHz: 498 frames.
    folder.tone("long.wav", 22050, 110_250);
    let expected = segments(&folder, "long.wav", &[0, 200, 298]);
    folder.npy("three.npy", &expected);
    folder.npy("one.npy", &expected.index_axis(Axis(0), 2).to_owned());
    let inputs = ["long.wav", "three.npy", "one.npy"];
    let text = folder.run(&[&["predict", speaker_model(), "--json"], &inputs[..]].concat());
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = lines
        .iter()
        .map(|line| line["input"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "long.wav[0]",
            "long.wav[1]",
            "long.wav[2]",
            "three.npy[0]",
            "three.npy[1]",
            "three.npy[2]",
            "one.npy"
        ]
    );
    for (line, array) in lines[..3].iter().zip(&lines[3..]) {
        assert_eq!(line["logits"], array["logits"]);
    }
    for line in &lines {
        let logits = line["logits"].as_array().unwrap().iter();
        let powers: Vec<f64> = logits.map(|logit| logit.as_f64().unwrap().exp()).collect();
        let index = line["index"].as_u64().unwrap() as usize;
        let softmax = powers[index] / powers.iter().sum::<f64>();
        assert!((line["probability"].as_f64().unwrap() - softmax).abs() < 1e-6);
        assert_eq!(line["class"], ["anna", "ben", "carl"][index]);
    }
    // 2.015 s are 200 frames, one segment.
    folder.tone("short.wav", 16000, 32_240);
    let text = folder.run(&["predict", speaker_model(), "short.wav"]);
    assert!(
        text.starts_with("short.wav[0]  ") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn a_recording_is_explained_segment_by_segment() {
    let folder = Folder::new();
    folder.tone("long.wav", 16000, 50_000);
    let options = [
        "--rules", "lrp-0", "--target", "ben", "-o", "out", "--quiet",
    ];
    folder.run(&[&["explain", speaker_model(), "long.wav"][..], &options].concat());
    assert_eq!(
        folder.read_npy::<Ix3>("out/relevance.npy").dim(),
        (2, 64, 200)
    );
    image::open(folder.path("out/heatmap.png")).unwrap();
    let summary = folder.json("out/summary.json");
    assert_eq!(summary["shape"], serde_json::json!([2, 64, 200]));
    let explanations = summary["explanations"].as_array().unwrap();
    assert_eq!(explanations.len(), 2);
    assert!(explanations.iter().all(|one| one["target"] == "ben"));
}

#[test]
fn mistakes_are_told_in_a_line() {
    let folder = Folder::new();
    folder.tone("short.wav", 16000, 32_239);
    folder.tone("good.wav", 16000, 32_240);
    folder.npy("whole.npy", &Array3::<f32>::zeros((1, 64, 201)));
    for (arguments, words) in [
        (
            &["short.wav"][..],
            &["short.wav", "199 frames", "2.015 s"][..],
        ),
        (
            &["whole.npy"],
            &["whole.npy", "[64, 200]", "[1, 64, 201]", "recording itself"],
        ),
        (&["good.wav", "--offset", "3"], &["--offset"]),
    ] {
        let message = folder.fail(&[&["predict", speaker_model()], arguments].concat());
        for word in words {
            assert!(message.contains(word), "{arguments:?}: {message}");
        }
    }
}

/// Which rule each layer got, relevance inside the network, and where relevance went.
#[test]
fn an_explanation_says_how_it_came_about() {
    let folder = Folder::new();
    let rules = ["--rules", "thesis-speaker-epsilon-gamma", "--explain-rules"];
    let text = folder.run(&[&["explain", speaker_model()], &rules[..]].concat());
    for (layer, rule) in [
        ("layer2.1.conv1", "gamma-generalized (γ = 5)"),
        ("layer4.0.conv1", "epsilon (ε = 0.5)"),
        ("layer4.0.bn1", "epsilon (ε = 0.5)"),
        ("embedding_bn", "lrp-0"),
        ("layer1.0.sum", "in proportion"),
        ("relu", "passes on"),
    ] {
        let line = text
            .lines()
            .find(|line| line.split_whitespace().next() == Some(layer));
        let line = line.unwrap_or_else(|| panic!("{layer} is missing: {text}"));
        assert!(line.contains(rule), "{line}");
    }

    folder.tone("long.wav", 16000, 65_000);
    let asked = [
        "--layer",
        "pool",
        "--layer",
        "layer4.2.relu2",
        "--conservation",
        "-o",
        "out",
    ];
    let text = folder.run(&[&["explain", speaker_model(), "long.wav"], &asked[..]].concat());
    assert!(
        text.contains("passed on") && text.contains("classifier"),
        "{text}"
    );
    let shape = |name: &str| {
        let array = speechlens_report::npy::read(&folder.path(name)).unwrap();
        array.shape().to_vec()
    };
    let segments = shape("out/relevance.npy")[0];
    assert_eq!(shape("out/layers/pool.npy"), [segments, 4096]);
    assert_eq!(
        shape("out/layers/layer4.2.relu2.npy"),
        [segments, 256, 8, 25]
    );
    let summary = folder.json("out/summary.json");
    let conservation = summary["conservation"].as_array().unwrap();
    assert_eq!(conservation[0]["node"], "classifier");
    for node in conservation {
        let number = |key: &str| node[key][0].as_f64().unwrap();
        let spent = number("passed") + number("bias") + number("epsilon") + number("remainder");
        assert!(
            (number("arrived") - spent).abs() <= 1e-9 * (1.0 + spent.abs()),
            "{node}"
        );
    }

    let error = folder.fail(&[
        "explain",
        speaker_model(),
        "long.wav",
        "-o",
        "out",
        "--layer",
        "nose",
    ]);
    assert!(error.contains("no layer `nose`"), "{error}");
    let boxed = [
        "explain",
        speaker_model(),
        "long.wav",
        "-o",
        "out",
        "--rules",
        "epsilon-gamma-box",
    ];
    assert!(folder.fail(&boxed).contains("bounds"));
    folder.run(&[&boxed[..], &["--bounds", "-20,20"]].concat());
}
