use ndarray::{Axis, stack};
use serde_json::Value;

use crate::support::{Folder, model, spectrogram};

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn one_json_object_an_input() {
    let folder = Folder::new();
    folder.tone("tone.wav", 22050, 15000);
    folder.run(&["features", "spectrogram", "tone.wav", "-o", "one.npy"]);
    let rows = [0, 1, 2].map(spectrogram);
    folder.npy(
        "three.npy",
        &stack(Axis(0), &rows.each_ref().map(|row| row.view())).unwrap(),
    );
    folder.npy("second.NPY", &rows[1]);
    let inputs = ["tone.wav", "one.npy", "three.npy", "second.NPY"];
    let arguments = [&["predict", model(), "--json"], &inputs[..]].concat();
    let text = folder.run(&arguments);
    assert_eq!(text, folder.run(&arguments));
    let answers = lines(&text);

    let names: Vec<_> = answers
        .iter()
        .map(|answer| answer["input"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "tone.wav",
            "one.npy",
            "three.npy[0]",
            "three.npy[1]",
            "three.npy[2]",
            "second.NPY"
        ]
    );
    for answer in &answers {
        let keys: Vec<_> = answer.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["class", "index", "input", "logits", "probability"]);
        let logits: Vec<f64> = answer["logits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l.as_f64().unwrap())
            .collect();
        let index = answer["index"].as_u64().unwrap() as usize;
        assert_eq!(logits.len(), 2);
        assert!(logits[index] >= logits[1 - index]);
        assert_eq!(answer["class"], ["male", "female"][index]);
        let sigmoid = 1.0 / (1.0 + (-logits[index]).exp());
        assert!((answer["probability"].as_f64().unwrap() - sigmoid).abs() < 1e-6);
    }
    assert_eq!(answers[0]["logits"], answers[1]["logits"]);
    let close = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-5;
    assert!(close(&answers[3]["logits"][0], &answers[5]["logits"][0]));
    assert!(!close(&answers[2]["logits"][0], &answers[3]["logits"][0]));

    // For people: a line each, and as many.
    let text = folder.run(&[&["predict", model(), "--quiet"], &inputs[..]].concat());
    assert_eq!(text.lines().count(), 6);
    assert!(
        text.starts_with("tone.wav  ") && text.contains(" %"),
        "{text}"
    );
}

/// As in `speechlens predict … | head -0`.
#[test]
fn a_reader_that_leaves_is_no_failure() {
    let folder = Folder::new();
    folder.npy("one.npy", &spectrogram(0));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = folder.command(&["predict", model(), "one.npy"]);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// A network that is text: three means over time of whole recordings of any length at 16 kHz, and the same with a state; and what
/// they mean.
fn network(folder: &Folder, task: &str) {
    embedding(folder);
    let path = folder.path("own.safetensors");
    let (tensors, mut metadata) =
        speechlens_nn::tensor_file::read(&path, &candle_core::Device::Cpu).unwrap();
    metadata.insert("task".into(), task.into());
    speechlens_nn::tensor_file::write(&path, &tensors, &metadata).unwrap();
}

#[test]
fn labels_are_told_that_are_likely() {
    let folder = Folder::new();
    folder.npy("up.npy", &ndarray::array![-2f32, -2.0, 0.5, 0.5, 2.0, 2.0]);
    let predict = ["predict", "own.safetensors", "up.npy"];
    network(&folder, r#"{"kind":"labels","classes":["a","b","c"]}"#);
    let sigmoid = |x: f64| 100.0 / (1.0 + (-x).exp());
    let expected = format!("up.npy  b {:.1} %, c {:.1} %\n", sigmoid(0.5), sigmoid(2.0));
    // Of both outputs, which are the same here.
    assert_eq!(folder.run(&predict), expected.repeat(2));
    let told = lines(&folder.run(&[&predict[..], &["--json"]].concat()));
    assert_eq!(told[0]["values"], serde_json::json!([-2.0, 0.5, 2.0]));

    network(
        &folder,
        r#"{"kind":"classes","probability":"softmax","classes":["a","b"]}"#,
    );
    let error = folder.fail(&predict);
    assert!(
        error.contains("3 logits") && error.contains("2 classes"),
        "{error}"
    );
}

/// A network that is text: an embedding of whole recordings of any length at 16 kHz, with a state.
fn embedding(folder: &Folder) {
    // One channel; three means over time.
    let graph = r#"{"nodes":[
{"name":"sound","op":"input","attributes":{"shape":[null,1,null]}},
{"name":"state","op":"input","attributes":{"shape":[1,3],"state":true}},
{"name":"frames","op":"adaptive-avg-pool1d","attributes":{"size":3},"inputs":["sound"]},
{"name":"flat","op":"flatten","inputs":["frames"]},
{"name":"next","op":"add","inputs":["flat","state"]}
],"outputs":["flat","next"]}"#;
    let metadata = [
        ("graph", graph),
        ("frontend", "rate = 16000\nlength = \"any\"\n"),
        ("task", "{\"kind\":\"embedding\"}"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let path = folder.path("own.safetensors");
    speechlens_nn::tensor_file::write(&path, &Default::default(), &metadata).unwrap();
}

#[test]
fn outputs_that_are_no_classes_are_told_as_values() {
    let folder = Folder::new();
    embedding(&folder);
    folder.tone("short.wav", 16000, 1600);
    folder.tone("long.wav", 16000, 6400);
    let predict = ["predict", "own.safetensors"];
    let text = folder.run(&[&predict[..], &["short.wav", "long.wav", "--json"]].concat());
    let told = lines(&text);
    let name = |line: &Value| (line["input"].clone(), line["output"].clone());
    let names: Vec<_> = told.iter().map(name).collect();
    let expected = [
        ("short.wav", "flat"),
        ("short.wav", "next"),
        ("long.wav", "flat"),
        ("long.wav", "next"),
    ];
    assert_eq!(
        names,
        expected.map(|(input, output)| (input.into(), output.into()))
    );
    assert!(
        told.iter()
            .all(|line| line["shape"] == serde_json::json!([3]))
    );
    // The state was not given.
    assert_eq!(told[0]["values"], told[1]["values"]);

    let text = folder.run(&[&predict[..], &["short.wav", "--output", "frames", "--json"]].concat());
    assert_eq!(lines(&text)[0]["shape"], serde_json::json!([1, 3]));
    let text = folder.run(&[&predict[..], &["short.wav"]].concat());
    assert!(text.starts_with("short.wav  flat [3]  "), "{text}");

    let sound = ndarray::Array3::from_shape_fn((1, 1, 6), |(.., t)| t as f32);
    folder.npy("sound.npy", &sound);
    folder.npy("state.npy", &ndarray::array![[10f32, 20.0, 30.0]]);
    let arrays = ["sound=sound.npy", "state=state.npy", "--json"];
    let told = lines(&folder.run(&[&predict[..], &arrays].concat()));
    assert_eq!(told[0]["values"], serde_json::json!([0.5, 2.5, 4.5]));
    assert_eq!(told[1]["values"], serde_json::json!([10.5, 22.5, 34.5]));
    assert_eq!(told[1]["shape"], serde_json::json!([1, 3]));

    let error = folder.fail(&[&predict[..], &["sound=sound.npy", "state.npy"]].concat());
    assert!(
        error.contains("NAME=FILE.npy") && error.contains("sound, state"),
        "{error}"
    );
    let error = folder.fail(&[&predict[..], &["short.wav", "--output", "logits"]].concat());
    assert!(
        error.contains("`logits`") && error.contains("own.safetensors"),
        "{error}"
    );
    // An embedding is explained by its similarity to itself.
    folder.run(&["explain", "own.safetensors", "short.wav", "-o", "out"]);
    let summary = folder.json("out/summary.json");
    assert_eq!(summary["explanations"][0]["class"], "similarity to itself");
    assert!((summary["explanations"][0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-6);
}
