use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use speechlens_models::{Model, Network, Probability, alexnet, audionet, resnet34};
use speechlens_nn::tensor_file;

use crate::support::{Folder, spectrogram};

/// The weights of a network as a checkpoint that a parallel training left.
fn checkpoint(folder: &Folder, name: &str, network: &Network, classes: usize) {
    let graph = network.architecture(classes).unwrap();
    let weights = graph.random(5, &Device::Cpu).unwrap().weights();
    let mut weights: BTreeMap<String, Tensor> = weights
        .into_iter()
        .map(|(name, tensor)| (format!("module.{name}"), tensor))
        .collect();
    let counter = Tensor::new(7i64, &Device::Cpu).unwrap();
    weights.insert("module.bn1.num_batches_tracked".into(), counter);
    tensor_file::write(&folder.path(name), &weights, &BTreeMap::new()).unwrap();
}

#[test]
fn a_gender_network_is_imported_and_used() {
    let folder = Folder::new();
    checkpoint(&folder, "a.safetensors", &alexnet::NETWORK, 2);
    let import = ["import", "--arch", "alexnet", "a.safetensors"];
    let text = folder.run(&[&import[..], &["-o", "new/m.safetensors"]].concat());
    assert_eq!(text, "new/m.safetensors: alexnet, 2 classes\n");
    let model = Model::load(&folder.path("new/m.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.classes(), ["male", "female"]);
    assert_eq!(model.front_end.name(), Some("thesis-spectrogram"));
    assert_eq!(model.task.probability(), Some(Probability::Sigmoid));

    folder.npy("one.npy", &spectrogram(0));
    let sigmoid = folder.run(&["predict", "new/m.safetensors", "one.npy", "--json"]);
    let options = [
        "--classes",
        "low, high",
        "--crop",
        "audiomnist",
        "--loss",
        "cross-entropy",
        "-o",
        "s.safetensors",
        "--quiet",
    ];
    assert_eq!(folder.run(&[&import[..], &options].concat()), "");
    let softmax = folder.run(&["predict", "s.safetensors", "one.npy", "--json"]);
    let [sigmoid, softmax] =
        [sigmoid, softmax].map(|line| -> Value { serde_json::from_str(&line).unwrap() });
    assert_eq!(sigmoid["logits"], softmax["logits"]);
    assert_eq!(
        softmax["class"],
        ["low", "high"][softmax["index"].as_u64().unwrap() as usize]
    );
    let logit = |class: usize| softmax["logits"][class].as_f64().unwrap();
    let index = softmax["index"].as_u64().unwrap() as usize;
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-6;
    let expected = 1.0 / (1.0 + (-logit(index)).exp());
    assert!(near(&sigmoid["probability"], expected), "{sigmoid}");
    let expected = 1.0 / (1.0 + (logit(1 - index) - logit(index)).exp());
    assert!(near(&softmax["probability"], expected), "{softmax}");
    let model = Model::load(&folder.path("s.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.front_end.name(), Some("audiomnist-spectrogram"));
}

#[test]
fn speakers_have_numbers_or_names_from_a_file() {
    let folder = Folder::new();
    checkpoint(&folder, "r.safetensors", &resnet34::NETWORK, 12);
    let import = [
        "import",
        "--arch",
        "resnet34",
        "r.safetensors",
        "-o",
        "m.safetensors",
    ];
    folder.run(&import);
    let model = Model::load(&folder.path("m.safetensors"), &Device::Cpu).unwrap();
    let numbers: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    assert_eq!(model.classes(), numbers);
    assert_eq!(model.front_end.name(), Some("thesis-fbank"));
    assert_eq!(model.task.probability(), Some(Probability::Softmax));

    let names: Vec<String> = (0..12).map(|number| format!("id1{number:04}")).collect();
    folder.write("names.txt", names.join("\r\n") + "\n");
    folder.run(&[&import[..], &["--classes", "@names.txt"]].concat());
    let model = Model::load(&folder.path("m.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.classes(), names);
}

#[test]
fn what_belongs_to_no_layer_is_told_or_refused() {
    let folder = Folder::new();
    checkpoint(&folder, "r.safetensors", &resnet34::NETWORK, 3);
    let (mut weights, _) = tensor_file::read(&folder.path("r.safetensors"), &Device::Cpu).unwrap();
    let averages: Vec<_> = weights
        .iter()
        .filter_map(|(name, tensor)| {
            let name = name.strip_prefix("module.")?;
            Some((format!("ema.{name}"), tensor.clone()))
        })
        .collect();
    let steps = Tensor::new(&[1i64, 2], &Device::Cpu).unwrap();
    weights.insert("loss.steps".into(), steps);
    tensor_file::write(&folder.path("l.safetensors"), &weights, &BTreeMap::new()).unwrap();
    let import = ["import", "--arch", "resnet34", "-o", "m.safetensors"];
    let told = |arguments: &[&str]| {
        let output = folder.command(&[&import[..], arguments].concat()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let warning = told(&["l.safetensors"]);
    assert!(warning.contains("l.safetensors: left out") && warning.contains("`loss.steps`"));
    let error = folder.fail(&[&import[..], &["l.safetensors", "--strict"]].concat());
    assert!(
        error.contains("`loss.steps`") && error.contains("l.safetensors"),
        "{error}"
    );

    weights.extend(averages);
    tensor_file::write(&folder.path("e.safetensors"), &weights, &BTreeMap::new()).unwrap();
    let error = folder.fail(&[&import[..], &["e.safetensors"]].concat());
    assert!(
        error.contains("`ema.` and `module.`; choose by --prefix"),
        "{error}"
    );
    let warning = told(&["e.safetensors", "--prefix", "ema"]);
    assert!(warning.contains("more, as `module."), "{warning}");
}

#[test]
fn a_single_logit_is_for_binary_cross_entropy() {
    let folder = Folder::new();
    checkpoint(&folder, "a.safetensors", &audionet::NETWORK, 1);
    let import = [
        "import",
        "--arch",
        "audionet",
        "a.safetensors",
        "-o",
        "m.safetensors",
    ];
    folder.run(&import);
    let model = Model::load(&folder.path("m.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(model.classes(), ["male", "female"]);
    assert_eq!(model.task.probability(), Some(Probability::Sigmoid));
    let error = folder.fail(&[&import[..], &["--loss", "cross-entropy"]].concat());
    assert!(
        error.contains("one logit") && error.contains("leave out --loss"),
        "{error}"
    );
}

#[test]
fn mistakes_are_told_in_a_line() {
    let folder = Folder::new();
    checkpoint(&folder, "r.safetensors", &resnet34::NETWORK, 3);
    folder.write("names.txt", "a\n\nb\n");
    folder.write("text.pt", "no checkpoint");
    let zeros = Tensor::zeros((3, 256), DType::F32, &Device::Cpu).unwrap();
    let few = BTreeMap::from([("classifier.weight".to_owned(), zeros)]);
    tensor_file::write(&folder.path("few.safetensors"), &few, &BTreeMap::new()).unwrap();
    let golden = |name: &str| {
        let tests = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/goldens/checkpoints"
        );
        format!("{tests}/{name}")
    };
    let whole = golden("whole.legacy.pt");
    let cases: &[(&[&str], &[&str])] = &[
        (&["absent.pt"], &["absent.pt", "check the path"]),
        (
            &["text.pt"],
            &["text.pt", "torch.save(model.state_dict(), path)"],
        ),
        (&[&whole], &["whole pickled module", "state_dict()"]),
        (
            &["few.safetensors"],
            &["`conv1.weight` is missing", "few.safetensors"],
        ),
        (
            &["r.safetensors", "--classes", "a,b"],
            &["r.safetensors", "3 classes", "names 2"],
        ),
        (
            &["r.safetensors", "--classes", "a,a,b"],
            &["--classes", "`a` twice"],
        ),
        (
            &["r.safetensors", "--classes", "@names.txt"],
            &["names.txt", "name 2 is empty"],
        ),
        (
            &["r.safetensors", "--classes", "@none.txt"],
            &["none.txt", "check the path"],
        ),
    ];
    let import = ["import", "--arch", "resnet34", "-o", "m.safetensors"];
    for (arguments, words) in cases {
        let message = folder.fail(&[&import[..], arguments].concat());
        for word in *words {
            assert!(message.contains(word), "{arguments:?}: {message}");
        }
        assert!(!folder.path("m.safetensors").exists());
    }
}
