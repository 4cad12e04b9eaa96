//! Model files: what is written comes back, and what is wrong with a file is said in one line that names it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use speechlens_models::{Arch, Model, alexnet};
use speechlens_nn::loss::Loss;
use speechlens_nn::tensor_file::{self, Metadata};

const NAMES: [&str; 2] = ["male", "female"];

fn metadata() -> Metadata {
    [
        ("arch", "alexnet"),
        ("classes", "[\"male\",\"female\"]"),
        ("crop", "thesis"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// What `Model::load` says of a file of these tensors and this metadata.
fn refused(path: &Path, tensors: &BTreeMap<String, Tensor>, metadata: &Metadata) -> String {
    tensor_file::write(path, tensors, metadata).unwrap();
    let error = Model::load(path, &Device::Cpu).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}: ", path.display())),
        "{error}"
    );
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn a_model_comes_back_and_a_cut_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/model.safetensors");
    let model = Model {
        arch: Arch::AlexNet,
        graph: alexnet::architecture(2)
            .unwrap()
            .random(1, &Device::Cpu)
            .unwrap(),
        classes: NAMES.map(str::to_owned).to_vec(),
        metadata: [
            ("crop".to_owned(), "thesis".to_owned()),
            ("ключ".to_owned(), "\"\n".to_owned()),
        ]
        .into(),
    };
    model.save(&path).unwrap();
    let back = Model::load(&path, &Device::Cpu).unwrap();
    assert_eq!(
        (back.arch, &back.classes, &back.metadata),
        (model.arch, &model.classes, &model.metadata)
    );
    let (one, other) = (model.graph.weights(), back.graph.weights());
    assert!(one.keys().eq(other.keys()));
    for (name, tensor) in &one {
        let bits = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(bits(tensor) == bits(&other[name]), "{name}");
    }

    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    for cut in [length - 1, length / 2, 1000, 8, 0] {
        file.set_len(cut).unwrap();
        let error = Model::load(&path, &Device::Cpu).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: is not a whole", path.display())),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn every_tensor_that_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    // A colour network's first layer, a third class, a layer of another network, and hardly any of the rest.
    let tensors = [
        ("features.0.weight", zeros(&[64, 3, 11, 11])),
        ("features.0.bias", zeros(&[64])),
        ("classifier.6.bias", zeros(&[3])),
        ("bn1.weight", zeros(&[64])),
    ];
    let tensors = tensors
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into();
    let error = refused(&path, &tensors, &metadata());
    for (name, tensor) in alexnet::architecture(2)
        .unwrap()
        .random(1, &Device::Cpu)
        .unwrap()
        .weights()
    {
        let named = error.contains(&format!("`{name}`"));
        assert_eq!(named, name != "features.0.bias", "{name}: {error}");
        let missing = error.contains(&format!("`{name}` is missing"));
        assert_eq!(
            missing,
            !tensors.contains_key(&name),
            "{name} {tensor:?}: {error}"
        );
    }
    assert!(
        error.contains("[64, 3, 11, 11]") && error.contains("[64, 1, 11, 11]"),
        "{error}"
    );
    assert!(error.contains("[3]") && error.contains("[2]"), "{error}");
    assert!(error.contains("`bn1.weight` has no place"), "{error}");
}

#[test]
fn what_is_no_model_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let tensors = [(
        "x".to_owned(),
        Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap(),
    )]
    .into();
    let without = |key: &str| {
        let mut metadata = metadata();
        metadata.remove(key);
        metadata
    };
    let with = |key: &str, value: &str| {
        let mut metadata = metadata();
        metadata.insert(key.into(), value.into());
        metadata
    };
    assert!(refused(&path, &tensors, &Metadata::new()).contains("is no SpeechLens model"));
    assert!(refused(&path, &tensors, &without("arch")).contains("is no SpeechLens model"));
    assert!(refused(&path, &tensors, &without("classes")).contains("no `classes`"));
    assert!(refused(&path, &tensors, &with("arch", "vgg")).contains("`vgg` is no network"));
    assert!(
        refused(&path, &tensors, &with("classes", "male, female")).contains("not a list of names")
    );

    std::fs::write(&path, b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0").unwrap();
    let error = Model::load(&path, &Device::Cpu).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!(
            "{}: is not a whole safetensors file",
            path.display()
        )),
        "{error}"
    );
    let absent = folder.path().join("absent.safetensors");
    let error = Model::load(&absent, &Device::Cpu).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}: ", absent.display())),
        "{error}"
    );
}

#[test]
fn classes_are_found_by_name_and_by_index() {
    let model = Model {
        arch: Arch::AlexNet,
        // The graph is not asked here.
        graph: speechlens_nn::Architecture::new([1])
            .with_weights(BTreeMap::new())
            .unwrap(),
        classes: ["male", "female", "0"].map(str::to_owned).to_vec(),
        metadata: BTreeMap::new(),
    };
    let asked = ["male", "female", "1", "2", "0", "3", "Male", ""];
    let found = [
        Some(0),
        Some(1),
        Some(1),
        Some(2),
        Some(2),
        None,
        None,
        None,
    ];
    assert_eq!(asked.map(|name| model.class(name)), found);
    assert!("vgg".parse::<Arch>().is_err());
    for arch in [Arch::AlexNet, Arch::AudioNet, Arch::ResNet34] {
        assert_eq!(arch.to_string().parse(), Ok(arch));
    }
}

#[test]
fn probabilities_are_as_the_network_was_trained() {
    let model = |arch: Arch, training: Option<&str>| Model {
        arch,
        graph: speechlens_nn::Architecture::new([1])
            .with_weights(BTreeMap::new())
            .unwrap(),
        classes: vec!["a".into()],
        metadata: training
            .map(|text| ("training".to_owned(), text.to_owned()))
            .into_iter()
            .collect(),
    };
    let (binary, categorical) = (Loss::BinaryCrossEntropy, Loss::CrossEntropy);
    for (arch, training, loss) in [
        (Arch::AlexNet, None, binary),
        (Arch::ResNet34, None, categorical),
        (Arch::AudioNet, None, categorical),
        (
            Arch::AlexNet,
            Some("{\"loss\":\"cross-entropy\"}"),
            categorical,
        ),
        (
            Arch::ResNet34,
            Some("{\"epochs\":2,\"loss\":\"binary-cross-entropy\"}"),
            binary,
        ),
        (Arch::ResNet34, Some("{\"epochs\":2}"), categorical),
        (Arch::AlexNet, Some("by hand"), binary),
    ] {
        assert_eq!(model(arch, training).loss(), loss, "{arch} {training:?}");
    }
    // ln 3 against 0: 3 to 1.
    let logits = [3f32.ln(), 0.0];
    for class in [0, 1] {
        let softmax = model(Arch::ResNet34, None).probability(&logits, class);
        assert!((softmax - [0.75, 0.25][class]).abs() < 1e-7);
        let sigmoid = model(Arch::AlexNet, None).probability(&logits, class);
        assert!((sigmoid - [0.75, 0.5][class]).abs() < 1e-7);
    }
    // Beyond the range of an exponential.
    for loss in [binary, categorical] {
        let found = [0, 1].map(|class| loss.probability(&[2000.0, -2000.0], class));
        assert_eq!(found, [1.0, 0.0]);
    }
}
