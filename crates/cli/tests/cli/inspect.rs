use serde_json::{Value, json};

use crate::support::{Folder, model, onnx, waveform_model};

#[test]
fn a_model_tells_what_it_is_made_of() {
    let folder = Folder::new();
    let text = folder.run(&["inspect", model()]);
    for word in [
        "[any, 1, 227, 227]",
        "conv2d 5",
        "linear 3",
        "op = \"stft\"",
        "\"kind\":\"classes\"",
        "female",
    ] {
        assert!(text.contains(word), "{text} does not say {word}");
    }
    let told: Value =
        serde_json::from_str(&folder.run(&["inspect", waveform_model(), "--json"])).unwrap();
    assert_eq!(
        told["inputs"][0],
        json!({ "name": "input", "shape": ["any", 1, 8000] })
    );
    assert_eq!(told["unsupported"], json!([]));
    assert_eq!(told["task"]["kind"], "classes");
    // The front end comes back as it is told.
    folder.write("front-end.toml", told["frontend"].as_str().unwrap());
    folder.tone("tone.wav", 8000, 8000);
    folder.run(&["features", "front-end.toml", "tone.wav", "-o", "tone.npy"]);
}

#[test]
fn an_onnx_file_tells_what_it_is_made_of_and_what_is_not_supported() {
    let folder = Folder::new();
    folder.write("attention.onnx", onnx("composite-attention"));
    let text = folder.run(&["inspect", "attention.onnx"]);
    for word in [
        "opset 1",
        "[N, T",
        "MatMul",
        "Softmax",
        "Every node is supported.",
    ] {
        assert!(text.contains(word), "{text} does not say {word}");
    }
    folder.write("pool.ONNX", onnx("lp-pool2d"));
    let text = folder.run(&["inspect", "pool.ONNX"]);
    assert!(
        text.contains("1 node is not supported") && text.contains("(LpPool): the op"),
        "{text}"
    );
    let told: Value =
        serde_json::from_str(&folder.run(&["inspect", "pool.ONNX", "--json"])).unwrap();
    assert_eq!(told["unsupported"][0]["op"], "LpPool");
    assert_eq!(told["unsupported"].as_array().unwrap().len(), 1);

    folder.write("cut.onnx", &onnx("composite-attention")[..100]);
    let problem = folder.fail(&["inspect", "cut.onnx"]);
    assert!(
        problem.contains("cut.onnx: is no whole ONNX file"),
        "{problem}"
    );
    assert!(
        folder
            .fail(&["inspect", "none.onnx"])
            .contains("none.onnx: ")
    );
}
