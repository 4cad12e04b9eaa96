use candle_core::{Device, Tensor};
use serde_json::Value;
use speechlens_nn::tensor_file;

use crate::support::{Folder, digit_model, model, waveform_model};

fn flip(folder: &Folder, output: &str, options: &[&str]) -> String {
    let fixed = [
        "evaluate",
        "flip",
        model(),
        "synthetic",
        "--limit",
        "8",
        "--recordings",
        "3",
        "-o",
        output,
    ];
    folder.run(&[&fixed, options].concat())
}

#[test]
fn curves_of_four_orders() {
    let folder = Folder::new();
    let rules = ["--rules", "gender-silence", "--percentages", "50,0,2"];
    let text = flip(&folder, "out", &rules);
    for word in ["accuracy, %", "lrp", "lrp_rev", "random", "loudest", "50 %"] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    image::open(folder.path("out/flip.png")).unwrap();

    let found = folder.json("out/flip.json");
    assert_eq!(found["rules"], "gender-silence");
    assert_eq!(found["model"], model());
    assert_eq!(found["reference"], -80.0);
    assert_eq!(found["value"], -80.0);
    assert_eq!(found["recordings"], 3);
    assert_eq!(found["bins"], 227 * 227);
    assert_eq!(found["percentages"], serde_json::json!([0.0, 2.0, 50.0]));
    assert_eq!(found["counts"], serde_json::json!([0, 1031, 25765]));
    let curves = found["curves"].as_array().unwrap();
    let orders: Vec<_> = curves
        .iter()
        .map(|curve| curve["order"].as_str().unwrap())
        .collect();
    assert_eq!(orders, ["lrp", "random", "lrp_rev", "loudest"]);
    let numbers = |value: &Value| -> Vec<f64> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_f64().unwrap())
            .collect()
    };
    for curve in curves {
        assert_eq!(curve["value"], -80.0);
        for key in ["accuracy", "probability"] {
            let values = numbers(&curve[key]);
            assert!(
                values.len() == 3 && values.iter().all(|v| (0.0..=1.0).contains(v)),
                "{values:?}"
            );
            // Nothing is flipped yet: all orders stand together.
            assert_eq!(values[0], numbers(&curves[0][key])[0]);
        }
        assert!((0.0..=1.0).contains(&curve["area"].as_f64().unwrap()));
    }
    // The bins that speak for the label go first, or last.
    let probability = |order: usize| numbers(&curves[order]["probability"])[1];
    assert!(probability(0) < probability(1) && probability(1) < probability(2));

    // The same again, from the spectrograms that were kept.
    flip(&folder, "again", &rules);
    assert_eq!(folder.text("out/flip.json"), folder.text("again/flip.json"));
}

#[test]
fn a_value_beside_the_reference_is_pointed_out() {
    let folder = Folder::new();
    let fixed = [
        "evaluate",
        "flip",
        model(),
        "synthetic",
        "--limit",
        "4",
        "--recordings",
        "1",
        "--percentages",
        "0,1",
    ];
    let rules = ["--rules", "thesis-gender", "--value", "-80", "-o", "out"];
    let output = folder
        .command(&[&fixed[..], &rules].concat())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains('\u{1b}'), "colours, but no terminal: {said}");
    assert!(
        said.contains("not the explanation's reference (0 dB)"),
        "{said}"
    );
    let found = folder.json("out/flip.json");
    assert_eq!(
        (found["reference"].as_f64(), found["value"].as_f64()),
        (Some(0.0), Some(-80.0))
    );
}

/// A table of a network that tells other classes apart would look like one of guesses.
#[test]
fn networks_of_other_classes_are_refused() {
    let folder = Folder::new();
    let data = ["synthetic", "--limit", "8", "-o", "out"];
    // Ten digits are asked of digits.
    folder.run(
        &[
            &["evaluate", "flip", digit_model()],
            &data[..],
            &["--percentages", "0"],
        ]
        .concat(),
    );
    assert_eq!(folder.json("out/flip.json")["recordings"], 4);
    let ten = "a,b,c,d,e,f,g,h,i,j";
    folder.run(&[
        "import",
        "--arch",
        "alexnet",
        digit_model(),
        "--classes",
        ten,
        "-o",
        "ten.safetensors",
    ]);
    for command in [&["evaluate", "flip"][..], &["augment"]] {
        let message = folder.fail(&[command, &["ten.safetensors"], &data].concat());
        for word in [
            "ten.safetensors",
            "10 classes are a, b, c, …",
            "male and female",
        ] {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
    let two = [
        "--arch",
        "alexnet",
        model(),
        "--classes",
        "woman,man",
        "-o",
        "two.safetensors",
    ];
    folder.run(&[&["import"], &two[..]].concat());
    let message = folder.fail(&[&["evaluate", "flip", "two.safetensors"], &data[..]].concat());
    assert!(message.contains("--classes male,female"), "{message}");
}

/// A network whose first class is female has the curves of the same network with its outputs the other way round.
#[test]
fn the_classes_of_a_network_may_stand_in_either_order() {
    let folder = Folder::new();
    for (model, weight, bias) in [
        (model(), "classifier.6.weight", "classifier.6.bias"),
        (waveform_model(), "classifier.6.weight", "classifier.6.bias"),
    ] {
        let (mut tensors, mut metadata) = tensor_file::read(model.as_ref(), &Device::Cpu).unwrap();
        for name in [weight, bias] {
            let order = Tensor::new(&[1u32, 0], &Device::Cpu).unwrap();
            let values = tensors[name].index_select(&order, 0).unwrap();
            tensors.insert(name.to_owned(), values);
        }
        let mut task: serde_json::Value = serde_json::from_str(&metadata["task"]).unwrap();
        task["classes"].as_array_mut().unwrap().reverse();
        metadata.insert("task".into(), task.to_string());
        let file = folder.path("turned.safetensors");
        tensor_file::write(&file, &tensors, &metadata).unwrap();
        let flip = |model: &str, output: &str| {
            let options = ["synthetic", "--limit", "8", "--percentages", "0,1,50", "-o"];
            folder.run(&[&["evaluate", "flip", model], &options[..], &[output]].concat());
            folder.json(&format!("{output}/flip.json"))["curves"].clone()
        };
        assert_eq!(flip("turned.safetensors", "turned"), flip(model, "out"));
    }
}
