//! Networks that others have trained, from their ONNX files: those in the folder that `SPEECHLENS_MODELS` names, else `../shared/models` beside the
//! repository, and recordings in that of `SPEECHLENS_DATA`, else `../shared/data`. Skipped where there are neither.

use std::path::{Path, PathBuf};

use ndarray::{Array3, Axis, Ix2, Ix3};
use serde_json::Value;

use crate::support::{Folder, onnx};

/// A folder that a variable names, or that stands beside the repository.
fn shared(variable: &str, name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(name);
    let folder = std::env::var_os(variable).map_or(beside, PathBuf::from);
    match folder.canonicalize() {
        Ok(folder) => Some(folder),
        Err(_) => {
            println!("skipped: no {}; set {variable}", folder.display());
            None
        }
    }
}

fn network(name: &str) -> Option<String> {
    let path = shared("SPEECHLENS_MODELS", "models")?.join(format!("{name}.onnx"));
    path.is_file().then(|| path.display().to_string())
}

/// The first utterances of a speaker.
fn utterances(speaker: &str) -> Option<Vec<String>> {
    let folder = shared("SPEECHLENS_DATA", "data")?
        .join("LibriSpeech/test-other")
        .join(speaker);
    let chapter = std::fs::read_dir(&folder).ok()?.next()?.ok()?.path();
    let files = std::fs::read_dir(chapter)
        .ok()?
        .filter_map(|file| Some(file.ok()?.path()));
    let mut files: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "flac"))
        .map(|path| path.display().to_string())
        .collect();
    files.sort();
    files.truncate(2);
    Some(files)
}

#[test]
fn every_node_of_real_networks_is_supported() {
    let folder = Folder::new();
    for name in [
        "campplus",
        "crepe-tiny",
        "dnsmos",
        "ge2e-lstm",
        "silero-vad",
        "smart-turn-int8",
    ] {
        let Some(path) = network(name) else { return };
        let told: Value = serde_json::from_str(&folder.run(&["inspect", &path, "--json"])).unwrap();
        assert_eq!(told["unsupported"], serde_json::json!([]), "{name}");
        assert!(
            told["ops"]
                .as_object()
                .unwrap()
                .values()
                .all(|count| count.as_u64() > Some(0))
        );
    }
}

/// Imported in one command: embeddings of one voice are alike, and of two are not (CAM++; 0.84 and 0.11 in onnxruntime).
#[test]
fn a_speaker_network_tells_voices_apart() {
    let (Some(path), Some(voice), Some(other)) =
        (network("campplus"), utterances("1688"), utterances("1998"))
    else {
        return;
    };
    let folder = Folder::new();
    let problem = folder.fail(&["import", &path, "-o", "voice.safetensors"]);
    assert!(
        problem.contains("--task classes, labels, frames, embedding or score"),
        "{problem}"
    );
    let problem = folder.fail(&[
        "import",
        &path,
        "--task",
        "embedding",
        "--arch",
        "resnet34",
        "-o",
        "voice.safetensors",
    ]);
    assert!(problem.contains("--arch: is of checkpoints"), "{problem}");
    let wrong = [
        "import",
        &path,
        "--task",
        "embedding",
        "--frontend",
        "thesis-waveform",
        "-o",
        "voice.safetensors",
    ];
    let problem = folder.fail(&wrong);
    assert!(
        problem.contains("its front end gives [8000], and its graph reads [any, 80]"),
        "{problem}"
    );

    let import = [
        "import",
        &path,
        "--task",
        "embedding",
        "-o",
        "voice.safetensors",
    ];
    let guessed = folder.command(&import).output().unwrap();
    let told = String::from_utf8(guessed.stderr).unwrap();
    assert!(
        told.contains("its front end is a guess, kaldi-fbank-80"),
        "{told}"
    );
    let told = folder.run(&[&import[..], &["--frontend", "kaldi-fbank-80"]].concat());
    assert!(told.contains("embedding, reads kaldi-fbank-80"), "{told}");
    let files = [voice[0].as_str(), voice[1].as_str(), other[0].as_str()];
    let answers = folder.run(&[&["predict", "voice.safetensors", "--json"], &files[..]].concat());
    let embeddings: Vec<Vec<f64>> = answers
        .lines()
        .map(|line| {
            let told: Value = serde_json::from_str(line).unwrap();
            assert_eq!(told["shape"], serde_json::json!([192]));
            told["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap())
                .collect()
        })
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let (same, apart) = (
        cosine(&embeddings[0], &embeddings[1]),
        cosine(&embeddings[0], &embeddings[2]),
    );
    assert!(same > 0.7 && apart < 0.4, "{same} and {apart}");
}

/// What each network is imported with, and how its page begins.
const IMPORTED: &[(&str, &[&str], &str)] = &[
    ("crepe-tiny", &["--frontend", "crepe"], ""),
    (
        "campplus",
        &["--frontend", "kaldi-fbank-80", "--task", "embedding"],
        "similarity to itself, 1.000",
    ),
    (
        "dnsmos",
        &[
            "--frontend",
            "dnsmos",
            "--task",
            "score",
            "--classes",
            "signal (MOS),background (MOS),overall (MOS)",
        ],
        "signal (MOS), ",
    ),
    (
        "ge2e-lstm",
        &["--frontend", "ge2e-mel", "--task", "embedding"],
        "similarity to itself, ",
    ),
    (
        "silero-vad",
        &["--frontend", "silero", "--classes", "speech"],
        "speech, ",
    ),
    (
        "smart-turn-int8",
        &["--frontend", "smart-turn", "--classes", "finished"],
        "finished, ",
    ),
];

/// Every network is explained by relevance and by a gradient, on a page with its own answer, and its explanation tested by flipping.
#[test]
fn every_real_network_is_imported_told_explained_and_flipped() {
    let Some(files) = utterances("1688") else {
        return;
    };
    let folder = Folder::new();
    for (name, arguments, title) in IMPORTED {
        let Some(path) = network(name) else { return };
        let model = format!("{name}.safetensors");
        folder.run(&[&["import", &path, "-o", &model], *arguments].concat());
        let told = folder.run(&["predict", &model, &files[0]]);
        assert!(told.contains("1688"), "{told}");
        let hop: &[&str] = if *name == "crepe-tiny" {
            &["--hop", "5"]
        } else {
            &[]
        };
        let explain = [
            "explain",
            &model,
            &files[0],
            "--method",
            "lrp,gradient-times-input",
            "-o",
            name,
        ];
        folder.run(&[&explain[..], hop].concat());
        let page = std::fs::read_to_string(folder.path(&format!("{name}/index.html"))).unwrap();
        assert!(page.contains(&format!("\"title\":\"{title}")), "{name}");
        let summary = folder.json(&format!("{name}/gradient-times-input/summary.json"));
        for window in summary["explanations"].as_array().unwrap() {
            assert!(
                window["relevance_sum"].as_f64().unwrap().is_finite(),
                "{name}"
            );
        }
        let flip = [
            "evaluate",
            "flip",
            &model,
            &files[1],
            "--percentages",
            "0,30",
            "--recordings",
            "2",
        ];
        let told = folder.run(&[&flip[..], &["-o", &format!("{name}-flip")]].concat());
        let flipped = folder.json(&format!("{name}-flip/flip.json"));
        let curves = flipped["curves"].as_array().unwrap();
        assert_eq!(curves.len(), 4, "{told}");
        let first: Vec<f64> = curves
            .iter()
            .map(|curve| curve["probability"][0].as_f64().unwrap())
            .collect();
        // Nothing is flipped yet.
        assert!(
            first.iter().all(|value| *value == first[0]),
            "{name}: {first:?}"
        );
    }
}

/// What stands inside a graph is explained in its own shape and shown on its axes: frames of 20 ms every 10, bins of 50 Hz; and the page tells
/// how true such pictures of this very file were.
#[test]
fn a_spectrogram_inside_a_network_is_explained() {
    let (Some(files), Some(path)) = (utterances("1688"), network("dnsmos")) else {
        return;
    };
    let folder = Folder::new();
    folder.run(&[
        "import",
        &path,
        "--frontend",
        "dnsmos",
        "--task",
        "score",
        "-o",
        "dnsmos.safetensors",
    ]);
    let told = folder.run(&["inspect", "dnsmos.safetensors", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let node = "mos_estimator_logpow/truediv";
    let nodes = told["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|other| other["name"] == node));
    folder.run(&[
        "explain",
        "dnsmos.safetensors",
        &files[0],
        "--at",
        node,
        "-o",
        "out",
    ]);
    let relevance = folder.read_npy::<Ix3>("out/relevance.npy");
    let view = folder.read_npy::<Ix3>("out/view.npy");
    let windows = relevance.dim().0;
    assert_eq!(
        (relevance.dim(), view.dim()),
        ((windows, 900, 161), (windows, 161, 900))
    );
    let turned = view.permuted_axes([0, 2, 1]);
    assert_eq!(relevance, turned);
    let summary = folder.json("out/summary.json");
    assert_eq!(summary["at"], node);
    // Silence is the floor of the logarithm, which nobody told.
    assert_eq!(summary["settings"]["reference"], -12.0);
    let axes = &summary["view"];
    let near = |value: &Value, expected: f64| {
        assert!((value.as_f64().unwrap() - expected).abs() < 1e-6, "{axes}");
    };
    near(&axes["step"], 0.01);
    near(&axes["frequencies"][160], 8000.0);
    let page = folder.text("out/index.html");
    for told in [
        format!("Shown is what its node {node} gives."),
        "Tested on this network where the truth is known".into(),
    ] {
        assert!(page.contains(&told), "{told}");
    }
}

/// Over which frames, and how similar to what, is asked of networks that leave it open, and of no others.
#[test]
fn frames_and_similarity_are_asked_about() {
    let (Some(voice), Some(other)) = (utterances("1688"), utterances("1998")) else {
        return;
    };
    let folder = Folder::new();
    for name in ["silero-vad", "ge2e-lstm"] {
        let Some(path) = network(name) else { return };
        let (_, arguments, _) = IMPORTED.iter().find(|(own, ..)| *own == name).unwrap();
        folder.run(&[&["import", &path, "-o", &format!("{name}.st")], *arguments].concat());
    }
    // Frame k hears 32 ms from sample 512 k on, and the LSTM all before: nothing behind the last frame asked about counts.
    folder.run(&[
        "explain",
        "silero-vad.st",
        &voice[0],
        "--frames",
        "20..30",
        "-o",
        "frames",
    ]);
    let relevance: ndarray::Array1<f32> = folder.read_npy("frames/relevance.npy");
    let behind = relevance.iter().skip(512 * 30 + 1);
    assert!(behind.into_iter().all(|relevance| *relevance == 0.0));
    assert!(
        relevance
            .iter()
            .take(512 * 30)
            .any(|relevance| *relevance != 0.0)
    );
    let told = folder.fail(&[
        "explain",
        "ge2e-lstm.st",
        &voice[0],
        "--frames",
        "2..3",
        "-o",
        "x",
    ]);
    assert!(
        told.contains("--frames: is for networks whose task is `frames`"),
        "{told}"
    );
    let told = folder.fail(&[
        "explain",
        "silero-vad.st",
        &voice[0],
        "--against",
        &other[0],
        "-o",
        "x",
    ]);
    assert!(told.contains("only an `embedding` is similar"), "{told}");

    let similarity = |against: &str, to: &str| {
        folder.run(&[
            "explain",
            "ge2e-lstm.st",
            &voice[0],
            "--against",
            against,
            "-o",
            to,
        ]);
        let summary = folder.json(&format!("{to}/summary.json"));
        let windows = summary["explanations"].as_array().unwrap().clone();
        let scores = windows
            .iter()
            .map(|window| window["score"].as_f64().unwrap());
        scores.sum::<f64>() / windows.len() as f64
    };
    let (same, apart) = (
        similarity(&voice[1], "same"),
        similarity(&other[0], "apart"),
    );
    assert!(same > apart + 0.1, "{same} and {apart}");

    // Why like the one rather than the other: the one similarity less the other.
    folder.run(&[
        "explain",
        "ge2e-lstm.st",
        &voice[0],
        "--against",
        &voice[1],
        "--rather-than",
        &other[0],
        "-o",
        "rather",
    ]);
    let summary = folder.json("rather/summary.json");
    let windows = summary["explanations"].as_array().unwrap().clone();
    let scores = windows
        .iter()
        .map(|window| window["score"].as_f64().unwrap());
    let rather = scores.sum::<f64>() / windows.len() as f64;
    assert!((rather - (same - apart)).abs() < 1e-4, "{rather}");
    let target = windows[0]["target"].as_str().unwrap();
    assert!(target.contains(" rather than "), "{target}");

    // Both at once: a window of each, since a number of the embedding is a sweep.
    let window = |from: &str, to: &str| {
        folder.run(&["features", "ge2e-mel", from, "-o", to]);
        let windows: Array3<f32> = folder.read_npy(to);
        folder.npy(to, &windows.index_axis(Axis(0), 0).to_owned());
    };
    window(&voice[0], "one.npy");
    window(&voice[1], "other.npy");
    folder.run(&[
        "explain",
        "ge2e-lstm.st",
        "one.npy",
        "--pair",
        "other.npy",
        "-o",
        "pair",
    ]);
    let summary = folder.json("pair/summary.json");
    let [between, one, other] = ["pair", "moments", "other-moments"]
        .map(|name| folder.read_npy::<Ix2>(&format!("pair/{name}.npy")));
    let apart = (&between - &one.t().dot(&other)).mapv(f32::abs);
    assert!(apart.iter().all(|apart| *apart < 1e-5));
    let sum = between.iter().map(|value| f64::from(*value)).sum::<f64>();
    assert!((summary["relevance_sum"].as_f64().unwrap() - sum).abs() < 1e-6);
    let similarity = summary["similarity"].as_f64().unwrap();
    assert!(similarity > 0.5 && similarity < 1.0, "{similarity}");
    let told = folder.fail(&[
        "explain",
        "ge2e-lstm.st",
        "one.npy",
        "--pair",
        "other.npy",
        "--method",
        "gradient",
        "-o",
        "x",
    ]);
    assert!(told.contains("by the method lrp, not gradient"), "{told}");
}

/// What would give wrong answers, or take the place of something, is refused.
#[test]
fn what_does_not_suit_a_front_end_or_a_task_is_told() {
    let folder = Folder::new();
    let import = |case: &str, arguments: &[&str]| {
        let file = format!("{case}.onnx");
        folder.write(&file, onnx(case));
        let told = folder.fail(&[&["import", &file], arguments].concat());
        assert!(told.contains(&file), "{told}");
        told
    };
    let model = ["-o", "m.safetensors", "--frontend", "samples"];
    let told = import(
        "gather-embedding",
        &[&model[..], &["--task", "embedding"]].concat(),
    );
    assert!(
        told.contains("`x` is of whole numbers") && told.contains("export"),
        "{told}"
    );
    let told = import("softmax-opset13", &model);
    assert!(
        told.contains("another axis") && told.contains("--task embedding"),
        "{told}"
    );
    let told = import("sigmoid", &[&model[..], &["--task", "labels"]].concat());
    assert!(told.contains("labels are [N, classes]"), "{told}");
    let itself = ["-o", "gelu.onnx", "--task", "embedding"];
    folder.write("gelu.onnx", onnx("composite-gelu"));
    let told = folder.fail(&[&["import", "gelu.onnx"], &itself[..]].concat());
    assert!(told.contains("gelu.onnx: would be overwritten"), "{told}");
    assert_eq!(
        std::fs::read(folder.path("gelu.onnx")).unwrap(),
        onnx("composite-gelu")
    );
    #[cfg(unix)]
    {
        let told = folder.fail(&["import", "gelu.onnx", "-o", "/dev/null"]);
        assert!(told.contains("/dev/null"), "{told}");
        std::os::unix::fs::symlink("/dev/zero", folder.path("zero.onnx")).unwrap();
        let told = folder.fail(&["inspect", "zero.onnx"]);
        assert!(told.contains("zero.onnx: is no file"), "{told}");
    }
}

/// Inputs behind the first, which no front end gives, are told, and can be given a number for good.
#[test]
fn an_input_of_lengths_is_given_once() {
    let folder = Folder::new();
    folder.write("net.onnx", onnx("input-of-lengths"));
    folder.tone("tone.wav", 16_000, 1_600);
    fn import<'a>(given: &[&'a str]) -> Vec<&'a str> {
        let arguments = "import net.onnx -o net.safetensors --frontend samples --task embedding";
        arguments.split(' ').chain(given.iter().copied()).collect()
    }
    let imported = folder.command(&import(&[])).output().unwrap();
    let told = String::from_utf8(imported.stderr).unwrap();
    assert!(told.contains("--given lens=NUMBER"), "{told}");
    let told = folder.fail(&["predict", "net.safetensors", "tone.wav"]);
    assert!(told.contains("`lens`"), "{told}");
    for (given, words) in [
        (["--given", "lenz=1"], "there are `lens`"),
        (["--given", "x=1"], "what the front end gives"),
    ] {
        let told = folder.fail(&import(&given));
        assert!(told.contains(words), "{told}");
    }
    let length = |given: &str| {
        folder.run(&import(&["--given", given]));
        let told = folder.run(&["predict", "net.safetensors", "tone.wav", "--json"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        let values = told["values"].as_array().unwrap();
        let squares = values.iter().map(|x| x.as_f64().unwrap().powi(2));
        squares.sum::<f64>().sqrt()
    };
    let ratio = length("lens=2") / length("lens=1");
    assert!((ratio - 2.0).abs() < 1e-6, "{ratio}");
}

/// A real input of one shape would be a state of zeros; one that no output gives back is told.
#[test]
fn an_input_that_is_no_state_is_told() {
    let folder = Folder::new();
    folder.write("net.onnx", onnx("input-of-gain"));
    let import = "import net.onnx -o net.safetensors --frontend samples --task embedding";
    let import: Vec<&str> = import.split(' ').collect();
    let imported = folder.command(&import).output().unwrap();
    let told = String::from_utf8(imported.stderr).unwrap();
    assert!(told.contains("--given gain=NUMBER"), "{told}");
    // That nothing is told is seen to.
    folder.run(&[&import[..], &["--given", "gain=2"]].concat());
}

/// A label of whole numbers stands before what is explained, which has no axis of scores; and a logarithm of what is negative is no answer.
#[test]
fn the_first_output_of_real_numbers_is_the_answer() {
    let folder = Folder::new();
    folder.write("net.onnx", onnx("label-and-score"));
    let import = "import net.onnx -o net.safetensors --frontend samples --task score";
    let import: Vec<&str> = import.split(' ').collect();
    folder.run(&import);
    let samples = ndarray::Array1::from_shape_fn(400, |n| [0.25f32, 0.75][n % 2]);
    folder.npy("above.npy", &samples);
    folder.npy("below.npy", &-samples);
    let told = folder.run(&["predict", "net.safetensors", "above.npy"]);
    assert_eq!(told, "above.npy  score -0.693\n");
    let told = folder.fail(&["predict", "net.safetensors", "below.npy"]);
    assert!(told.contains("below.npy is not a finite number"), "{told}");
    let told = folder.fail(&[&import[..], &["--answer", "scores"]].concat());
    assert!(told.contains("there are `label`, `score`"), "{told}");
    folder.run(&[&import[..], &["--answer", "label"]].concat());
    let told = folder.run(&["predict", "net.safetensors", "above.npy"]);
    assert_eq!(told, "above.npy  score 1.000\n");
}
