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
