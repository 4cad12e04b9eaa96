//! Model files: what is written comes back, and what is wrong with a file is said in one line that names it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use speechlens_frontend::FrontEnd;
use speechlens_models::{Model, NETWORKS, Network, Probability, Task, alexnet, resnet34};
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
    let graph = alexnet::architecture(2).unwrap();
    let graph = graph.random(1, &Device::Cpu).unwrap();
    let mut model = Model::of(&alexnet::NETWORK, graph, NAMES.map(str::to_owned).to_vec()).unwrap();
    model.metadata.insert("ключ".into(), "\"\n".into());
    model.save(&path).unwrap();
    let back = Model::load(&path, &Device::Cpu).unwrap();
    assert_eq!(
        (&back.task, back.front_end.name(), &back.metadata),
        (&model.task, Some("thesis-spectrogram"), &model.metadata)
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

/// A model whose graph is not asked, with these classes.
fn with_classes(network: &Network, classes: &[&str]) -> Model {
    let graph = speechlens_nn::Architecture::new([1]);
    let graph = graph.with_weights(BTreeMap::new()).unwrap();
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    Model::of(network, graph, classes).unwrap()
}

#[test]
fn classes_are_found_by_name_and_by_index() {
    let model = with_classes(&alexnet::NETWORK, &["male", "female", "0"]);
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
    assert!(Network::named("vgg").unwrap_err().contains("resnet34"));
    for network in NETWORKS {
        assert_eq!(&Network::named(network.name).unwrap(), network);
    }
}

#[test]
fn probabilities_are_as_the_task_has_them() {
    // ln 3 against 0: 3 to 1.
    let logits = [3f32.ln(), 0.0];
    for class in [0, 1] {
        let softmax = with_classes(&resnet34::NETWORK, &["a", "b"]).probability(&logits, class);
        assert!((softmax - [0.75, 0.25][class]).abs() < 1e-7);
        let sigmoid = with_classes(&alexnet::NETWORK, &["a", "b"]).probability(&logits, class);
        assert!((sigmoid - [0.75, 0.5][class]).abs() < 1e-7);
    }
    // Beyond the range of an exponential.
    for loss in [Loss::BinaryCrossEntropy, Loss::CrossEntropy] {
        let found = [0, 1].map(|class| loss.probability(&[2000.0, -2000.0], class));
        assert_eq!(found, [1.0, 0.0]);
    }
}

/// What files of the first versions said of a network stands for a graph, a front end and a task.
#[test]
fn files_of_older_versions_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.safetensors");
    let (softmax, sigmoid) = (Probability::Softmax, Probability::Sigmoid);
    for (arch, told, front_end, probability) in [
        ("alexnet", &[][..], "thesis-spectrogram", sigmoid),
        (
            "alexnet",
            &[
                ("features", "spectrogram"),
                ("crop", "audiomnist"),
                ("training", "{\"loss\":\"cross-entropy\"}"),
            ],
            "audiomnist-spectrogram",
            softmax,
        ),
        (
            "alexnet",
            &[("training", "[3]")],
            "thesis-spectrogram",
            sigmoid,
        ),
        (
            "audionet",
            &[("features", "waveform")],
            "thesis-waveform",
            softmax,
        ),
        (
            "resnet34",
            &[
                ("normalization", "utterance"),
                ("training", "{\"epochs\":2}"),
            ],
            "thesis-fbank-recording",
            softmax,
        ),
        (
            "resnet34",
            &[
                ("features", "filterbank"),
                ("normalization", "segment"),
                ("training", "{\"loss\":\"binary-cross-entropy\"}"),
            ],
            "thesis-fbank",
            sigmoid,
        ),
    ] {
        let network = Network::named(arch).unwrap();
        let graph = network.architecture(2).unwrap();
        let graph = graph.random(1, &Device::Cpu).unwrap();
        let mut metadata = metadata();
        metadata.remove("crop");
        metadata.insert("arch".into(), arch.into());
        let told = told
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        metadata.extend(told);
        tensor_file::write(&path, &graph.weights(), &metadata).unwrap();
        let old = Model::load(&path, &Device::Cpu).unwrap();
        assert_eq!(old.front_end.name(), Some(front_end), "{arch}");
        let classes = NAMES.map(str::to_owned).to_vec();
        let task = Task::Classes {
            probability,
            classes,
        };
        assert_eq!(old.task, task, "{arch}");
        assert_eq!(
            old.graph.architecture().to_json(),
            graph.architecture().to_json()
        );
        // It is written as files are now.
        let new = folder.path().join("new.safetensors");
        old.save(&new).unwrap();
        let new = Model::load(&new, &Device::Cpu).unwrap();
        assert_eq!((&new.task, new.front_end.name()), (&task, Some(front_end)));
        assert_eq!(new.metadata.get("training"), metadata.get("training"));
        assert_eq!(new.arch(), Some(arch));
        assert!(!new.metadata.contains_key("features"));
    }
}

/// Every kind of task is written and read back, and a graph of one's own, with a front end of one's own, needs no Rust.
#[test]
fn a_network_of_ones_own_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.safetensors");
    let graph = r#"{"nodes":[
{"name":"input","op":"input","attributes":{"shape":[null,1,4,3],"state":false}},
{"name":"flatten","op":"flatten","inputs":["input"]},
{"name":"head","op":"linear","attributes":{"bias":true,"inputs":12,"outputs":2},"inputs":["flatten"]}
],"outputs":["head"]}"#;
    let front_end = "rate = 16000\nlength = { frames = 3 }\n[[stage]]\nop = \"fbank\"\nbands = 4\n";
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let tensors = [("head.weight", zeros(&[2, 12])), ("head.bias", zeros(&[2]))]
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into();
    let metadata = |graph: &str, task: &str| -> Metadata {
        [("graph", graph), ("frontend", front_end), ("task", task)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    };
    for task in [
        r#"{"kind":"classes","probability":"softmax","classes":["a","b"]}"#,
        r#"{"kind":"labels","classes":["a","b"]}"#,
        r#"{"kind":"frames","probability":"sigmoid","classes":["a","b"]}"#,
        r#"{"kind":"embedding"}"#,
        r#"{"kind":"score","names":["quality (MOS)","noise (MOS)"]}"#,
    ] {
        tensor_file::write(&path, &tensors, &metadata(graph, task)).unwrap();
        let model = Model::load(&path, &Device::Cpu).unwrap();
        assert_eq!(serde_json::to_string(&model.task).unwrap(), task);
        assert_eq!(
            model.front_end.to_toml().unwrap(),
            FrontEnd::parse(front_end).unwrap().to_toml().unwrap()
        );
        assert_eq!(model.graph.architecture().to_json(), graph);
    }
    let classes = r#"{"kind":"labels","classes":["a","b"]}"#;
    let refused = |graph: &str, task: &str| self::refused(&path, &tensors, &metadata(graph, task));
    let error = refused(&graph.replace("[null,1,4,3]", "[null,1,3,4]"), classes);
    assert!(
        error.contains("gives [4, 3]") && error.contains("reads [1, 3, 4]"),
        "{error}"
    );
    let error = refused(
        &graph.replace("flatten\",\"inputs", "flat\",\"inputs"),
        classes,
    );
    assert!(error.contains("no op `flat`"), "{error}");
    let error = refused(graph, r#"{"kind":"labels","classes":[]}"#);
    assert!(error.contains("names no class"), "{error}");
    let error = refused(
        graph,
        r#"{"kind":"frames","probability":"softmax","classes":[]}"#,
    );
    assert!(error.contains("names no class"), "{error}");
    let mut any = metadata(graph, classes);
    let length = front_end.replace("{ frames = 3 }", "\"any\"");
    any.insert("frontend".into(), length);
    let error = self::refused(&path, &tensors, &any);
    assert!(
        error.contains("gives [4, any]") && error.contains("frames = N"),
        "{error}"
    );
    let error = refused(graph, r#"{"kind":"words"}"#);
    assert!(
        error.contains("its task") && error.contains("words"),
        "{error}"
    );
}
