//! Checkpoints as PyTorch wrote them: every way of saving gives the same tensors, and a damaged file is an error.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use speechlens_models::{Checkpoint, Model, alexnet, audionet, resnet34};
use speechlens_nn::ops::{BatchNorm, Conv2d, Flatten, Linear, Relu};
use speechlens_nn::{Architecture, Graph, tensor_file};
use speechlens_tests::{Tensors, golden, peer};

/// `Tiny` of `goldens/make_checkpoints.py`.
fn tiny() -> Architecture {
    let mut net = Architecture::new([1, 4, 5]);
    let x = net.input();
    let conv = Conv2d::new(1, 2, 3).without_bias();
    let x = net.add("conv", conv, [x]).unwrap();
    let x = net.add("bn", BatchNorm::new_2d(2), [x]).unwrap();
    let x = net.add("relu", Relu, [x]).unwrap();
    let x = net.add("flatten", Flatten, [x]).unwrap();
    net.add("classifier", Linear::new(12, 3), [x]).unwrap();
    net
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("goldens/checkpoints")
        .join(name)
}

fn expected() -> Tensors {
    golden("checkpoints/expected.safetensors").unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    assert_eq!(tensor.dtype(), DType::F32);
    let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

#[test]
fn every_way_of_saving_gives_the_same_tensors() {
    let expected = expected();
    for (name, place) in [
        ("plain.zip.pt", "plain"),
        ("plain.legacy.pt", "plain"),
        ("plain.safetensors", "plain"),
        ("strided.zip.pt", "plain"),
        ("strided.legacy.pt", "plain"),
        ("shared.zip.pt", "shared"),
        ("shared.legacy.pt", "shared"),
        ("wrapped.zip.pth", "plain"),
        ("wrapped.legacy.pth", "plain"),
        ("module.pth", "plain"),
        ("nested.pth", "plain"),
        ("parameters.pt", "plain"),
        ("twice.pt", "plain"),
        ("f64.pt", "plain"),
        ("f16.zip.pt", "f16"),
        ("f16.legacy.pt", "f16"),
        ("f16.safetensors", "f16"),
        ("bf16.pt", "bf16"),
        ("protocol-4.zip.pt", "plain"),
        ("protocol-4.legacy.pt", "plain"),
        ("protocol-5.zip.pt", "plain"),
        ("protocol-5.legacy.pt", "plain"),
        ("checkpoint_epoch_0100.pt", "plain"),
        ("others.pt", "plain"),
    ] {
        let weights = Checkpoint::open(&file(name))
            .unwrap()
            .weights(&tiny(), None);
        let weights = weights.unwrap_or_else(|error| panic!("{name}: {error}"));
        let graph = tiny().with_weights(weights.tensors);
        let weights = graph
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .weights();
        assert_eq!(weights.len(), 7, "{name}");
        for (parameter, tensor) in weights {
            let expected = &expected[&format!("{place}/{parameter}")];
            assert_eq!(tensor.dims(), expected.dims(), "{name}: {parameter}");
            assert_eq!(bits(&tensor), bits(expected), "{name}: {parameter}");
        }
    }
}

#[test]
fn what_belongs_to_no_layer_is_told_and_left_out() {
    let checkpoint = Checkpoint::open(&file("others.pt")).unwrap();
    let left_out = checkpoint.weights(&tiny(), None).unwrap().left_out;
    let others = [
        "ema.decay",
        "loss.centers",
        "mask",
        "metric.confusion",
        "seen",
        "small",
        "spectrum",
        "steps",
    ];
    assert_eq!(left_out, others);
    let plain = Checkpoint::open(&file("plain.zip.pt")).unwrap();
    assert!(plain.weights(&tiny(), None).unwrap().left_out.is_empty());
}

/// `two.pt` has a running average of the weights beside them, here the same in f64.
#[test]
fn a_prefix_chooses_among_several() {
    let checkpoint = Checkpoint::open(&file("two.pt")).unwrap();
    let weights = |prefix| checkpoint.weights(&tiny(), Some(prefix));
    for prefix in ["model", "model.", "model_ema", "model_ema."] {
        let weights = weights(prefix).unwrap();
        assert_eq!((weights.tensors.len(), weights.left_out.len()), (7, 0));
    }
    for prefix in ["mod", "ema", "bn"] {
        let error = weights(prefix).unwrap_err().to_string();
        let told = format!("at `{prefix}`, but at `model.`, `model_ema.`");
        assert!(error.contains(&told), "{error}");
    }
    // Within its dictionary, or from the outermost one on.
    let nested = Checkpoint::open(&file("nested.pth")).unwrap();
    for prefix in [
        "state_dict",
        "state_dict.model.module.",
        "model",
        "model.module",
    ] {
        assert_eq!(
            nested.weights(&tiny(), Some(prefix)).unwrap().tensors.len(),
            7
        );
    }
}

#[test]
fn one_logit_is_two_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alexnet.safetensors");
    let one = alexnet::architecture(1).unwrap();
    let one = one.random(4, &Device::Cpu).unwrap();
    tensor_file::write(&path, &one.weights(), &Default::default()).unwrap();
    let two = Model::import(&alexnet::NETWORK, &path, None, None, &Device::Cpu)
        .unwrap()
        .model;
    assert_eq!(two.classes(), ["0", "1"]);
    let input = Tensor::full(-40f32, (1, 1, 227, 227), &Device::Cpu).unwrap();
    let logits = |graph: &Graph| graph.forward(&input).unwrap().flatten_all().unwrap();
    let [logit] = logits(&one).to_vec1::<f32>().unwrap()[..] else {
        panic!("one logit");
    };
    let both = logits(&two.graph).to_vec1::<f32>().unwrap();
    assert!(
        (both[0] + logit).abs() < 1e-6 && (both[1] - logit).abs() < 1e-6,
        "{both:?}"
    );
    let probability = |class| two.probability(&both, class);
    assert!((probability(1) - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
    assert!((probability(0) + probability(1) - 1.0).abs() < 1e-6);
}

#[test]
fn a_negative_variance_is_refused_by_name() {
    let weights = |variance: f32| {
        let graph = resnet34::architecture(2).unwrap();
        let mut weights = graph.random(4, &Device::Cpu).unwrap().weights();
        let variances = Tensor::full(variance, 32, &Device::Cpu).unwrap();
        weights.insert("bn1.running_var".into(), variances).unwrap();
        weights
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.safetensors");
    let import = |variance| {
        tensor_file::write(&path, &weights(variance), &Default::default()).unwrap();
        Model::import(&resnet34::NETWORK, &path, None, None, &Device::Cpu)
    };
    assert!(import(0.0).is_ok());
    let error = import(-0.25).unwrap_err().to_string();
    assert!(
        error.contains("`bn1.running_var` holds a negative variance"),
        "{error}"
    );
}

/// Those in a folder outside of the project, `SPEECHLENS_CASES` or `../shared/cases`, are read.
#[test]
fn checkpoints_as_people_have_them() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    let folder = std::env::var_os("SPEECHLENS_CASES").map_or(beside, PathBuf::from);
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: there is no folder of cases; name one in SPEECHLENS_CASES");
        return;
    };
    let files = files.map(|entry| entry.unwrap().path());
    let is_checkpoint = |path: &PathBuf| {
        path.extension()
            .is_some_and(|ending| ["pt", "pth", "safetensors"].iter().any(|e| ending == *e))
    };
    for path in files.filter(is_checkpoint) {
        let checkpoint = Checkpoint::open(&path).unwrap();
        let dicts = checkpoint.state_dicts();
        assert!(!dicts.is_empty(), "{}", path.display());
        for (place, names) in dicts {
            let tensors = checkpoint.tensors(place).unwrap();
            assert_eq!(tensors.len(), names.len(), "{}", path.display());
        }
    }
}

#[test]
fn an_imported_network_answers_as_in_pytorch() {
    let expected = expected();
    let checkpoint = Checkpoint::open(&file("strided.zip.pt")).unwrap();
    let graph = tiny()
        .with_weights(checkpoint.weights(&tiny(), None).unwrap().tensors)
        .unwrap();
    let apart = furthest(&graph, &expected["input"], &expected["logits"]);
    assert!(apart < 1e-6, "{apart} apart");
}

fn furthest(graph: &Graph, input: &Tensor, logits: &Tensor) -> f32 {
    let apart = (graph.forward(input).unwrap() - logits).unwrap().abs();
    apart.unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn dictionaries_are_listed_by_the_keys_that_lead_to_them() {
    let checkpoint = Checkpoint::open(&file("wrapped.zip.pth")).unwrap();
    let found = checkpoint.state_dicts();
    let of_model = &found["model_state_dict"];
    assert!(of_model.contains(&"bn.running_var"), "{of_model:?}");
    assert!(!of_model.iter().any(|name| name.contains("tracked")));
    // Adam's.
    let of_bias = &found["optimizer_state_dict.state.4"];
    assert!(of_bias.contains(&"exp_avg_sq"), "{of_bias:?}");
    let nested = Checkpoint::open(&file("nested.pth")).unwrap();
    let names = &nested.state_dicts()["state_dict"];
    assert!(names.contains(&"model.module.conv.weight"), "{names:?}");
}

/// The one line that a file is refused with, without its name.
fn refused(path: &Path) -> String {
    let error = Checkpoint::open(path)
        .and_then(|checkpoint| checkpoint.weights(&tiny(), None))
        .unwrap_err()
        .to_string();
    assert!(!error.contains('\n'), "{error}");
    let named = error.strip_prefix(&format!("{}: ", path.display()));
    named.unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[test]
fn what_is_no_state_dict_says_what_it_is_and_what_to_do() {
    let remedy = "torch.save(model.state_dict(), path)";
    for (name, words) in [
        (
            "whole.zip.pt",
            ["whole pickled module (`__main__.Tiny`)", remedy],
        ),
        (
            "whole.legacy.pt",
            ["whole pickled module (`__main__.Tiny`)", remedy],
        ),
        (
            "whole.wrapped.pt",
            ["whole pickled module (`__main__.Tiny`)", remedy],
        ),
        ("script.pt", ["TorchScript", remedy]),
        (
            "two.pt",
            ["`model.` and `model_ema.`", "choose by --prefix"],
        ),
        ("int8.pt", ["CharStorage", "model.float()"]),
    ] {
        let error = refused(&file(name));
        assert!(
            words.iter().all(|word| error.contains(word)),
            "{name}: {error}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pt");
    for (bytes, word) in [
        (&b""[..], "no checkpoint"),
        (b"PK\x03\x04", "zip archive"),
        (b"\x80\x02}q\x00.", "pickle, but none of torch.save"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", "no checkpoint"),
        (
            b"\x10\0\0\0\0\0\0\0{\"a\":1}",
            "not a whole safetensors file",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(refused(&path).contains(word), "{}", refused(&path));
    }
    assert!(refused(&folder.path().join("absent.pt")).contains("check the path"));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.safetensors");
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let tensors = [
        ("module.features.0.weight", zeros(&[64, 3, 11, 11])),
        ("module.classifier.6.weight", zeros(&[7, 4096])),
        ("module.classifier.6.bias", zeros(&[7])),
        ("loss.weight", zeros(&[2])),
    ];
    let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
    tensor_file::write(&path, &tensors.into(), &Default::default()).unwrap();
    let error = Model::import(&alexnet::NETWORK, &path, None, None, &Device::Cpu).unwrap_err();
    let error = error.to_string();
    for words in [
        "`features.0.weight` is [64, 3, 11, 11], not [64, 1, 11, 11]",
        "`features.0.bias` is missing",
        "`loss.weight` has no place",
        &path.display().to_string(),
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!error.contains("classifier.6"), "{error}");
}

/// Every outcome but a panic and a wrong network is fine: what a byte says may not matter.
fn read(bytes: &[u8], folder: &Path) -> Result<Tensors, String> {
    let path = folder.join("file.pt");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(bytes).unwrap();
    let weights = Checkpoint::open(&path)
        .and_then(|checkpoint| checkpoint.weights(&tiny(), None))
        .map_err(|error| error.to_string())?;
    let graph = tiny().with_weights(weights.tensors);
    Ok(graph.map_err(|error| error.to_string())?.weights())
}

const DAMAGED: [&str; 8] = [
    "plain.zip.pt",
    "plain.legacy.pt",
    "shared.zip.pt",
    "shared.legacy.pt",
    "strided.legacy.pt",
    "wrapped.zip.pth",
    "wrapped.legacy.pth",
    "plain.safetensors",
];

/// A pickle's operations, so that damage is not only nonsense.
const OPERATIONS: &[u8] = b"\x80cqr)R(XJtQKM\x85\x86\x87\x88\x89Nhjsu}db.\x81]Gae\x8a";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_truncated_file_is_an_error(name in prop::sample::select(&DAMAGED[..]), share in 0.0..1.0f64) {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(file(name)).unwrap();
        let length = (share * bytes.len() as f64) as usize;
        let error = read(&bytes[..length], folder.path()).unwrap_err();
        prop_assert!(error.contains("file.pt") && !error.contains('\n'), "{}", error);
    }

    #[test]
    fn a_damaged_file_never_panics(
        name in prop::sample::select(&DAMAGED[..]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>(), 0..3), 1..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = std::fs::read(file(name)).unwrap();
        for (place, byte, operation, kind) in damage {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes[place] = OPERATIONS[operation.index(OPERATIONS.len())],
                _ => { bytes.remove(place); }
            }
        }
        if let Err(error) = read(&bytes, folder.path()) {
            prop_assert!(!error.contains('\n'), "{}", error);
        }
    }

    /// Legacy files have no checksums: any pickle in their frame reaches the machine.
    #[test]
    fn a_pickle_of_random_operations_never_panics(
        operations in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(0..4u8, 0..6)), 0..200),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut object = Vec::new();
        for (operation, rest) in operations {
            object.push(OPERATIONS[operation.index(OPERATIONS.len())]);
            object.extend(rest);
        }
        prop_assert!(read(&legacy(&object, &[]), folder.path()).is_err());
    }

    #[test]
    fn a_tensor_reads_what_its_strides_say_or_is_refused(
        offset in 0..40i32,
        layout in prop::collection::vec((0..5i32, 0..12i32), 0..4),
        count in 0..60u8,
    ) {
        let (shape, stride): (Vec<i32>, Vec<i32>) = layout.into_iter().unzip();
        let numbers: Vec<f32> = (0..count).map(f32::from).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.pt");
        std::fs::write(&path, legacy(&tensor(offset, &shape, &stride), &numbers)).unwrap();
        let mut places = vec![offset];
        for (size, stride) in shape.iter().zip(&stride) {
            places = places.iter().flat_map(|p| (0..*size).map(move |i| p + i * stride)).collect();
        }
        let found = Checkpoint::open(&path).unwrap().tensors("");
        match places.iter().all(|place| *place < i32::from(count)) {
            true => {
                let found = &found.unwrap()["x"];
                let shape: Vec<usize> = shape.iter().map(|size| *size as usize).collect();
                prop_assert_eq!(found.dims(), &shape[..]);
                let values: Vec<f32> = places.iter().map(|place| *place as f32).collect();
                prop_assert_eq!(found.flatten_all().unwrap().to_vec1::<f32>().unwrap(), values);
            }
            false => prop_assert!(found.unwrap_err().to_string().contains("`x` reaches beyond")),
        }
    }
}

/// A file in the legacy format whose object is this pickle without its end, with one storage `0` of floats.
fn legacy(object: &[u8], numbers: &[f32]) -> Vec<u8> {
    let whole = std::fs::read(file("plain.legacy.pt")).unwrap();
    // Before the object stand the magic number, the version and the machine.
    let mut bytes = whole[..137].to_vec();
    bytes.extend(object);
    bytes.extend(b".\x80\x02]X\x01\0\0\x000a.");
    bytes.extend((numbers.len() as u64).to_le_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

/// The pickle of `{"x": tensor}`.
fn tensor(offset: i32, shape: &[i32], stride: &[i32]) -> Vec<u8> {
    let mut bytes = b"\x80\x02}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    bytes.extend(b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQ");
    bytes.push(b'J');
    bytes.extend(offset.to_le_bytes());
    for sizes in [shape, stride] {
        bytes.push(b'(');
        for size in sizes {
            bytes.push(b'J');
            bytes.extend(size.to_le_bytes());
        }
        bytes.push(b't');
    }
    bytes.extend(b"\x89}tRs");
    bytes
}

#[test]
fn hostile_pickles_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pt");
    let says = |object: &[u8], word: &str| {
        std::fs::write(&path, legacy(object, &[1.0])).unwrap();
        let read = Checkpoint::open(&path).and_then(|checkpoint| checkpoint.tensors(""));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(word), "{error}, not {word}");
    };
    // A million tuples in each other.
    says(&[&b")"[..], &[0x85; 1_000_000]].concat(), "deeper");
    // A tuple of the last twice, sixty times: 2^60 values.
    let twice = b"q\0h\0\x86".repeat(60);
    says(&[b")", &twice[..]].concat(), "more");
    // A text of 64 KiB, remembered again and again.
    let mut text = b"X\0\0\x01\0".to_vec();
    text.resize(text.len() + (1 << 16), b'a');
    says(&[&text[..], &b"r\0\0\0\0".repeat(100_000)].concat(), "more");
    says(b"X\xff\xff\xff\xffabc", "truncated");
    says(&[&b"\x8a\xff"[..], &[1; 255]].concat(), "64 bits");
    says(b"cos\nsystem\n(X\x04\0\0\0truetR", "no tensor uses");
    let large = i32::MAX;
    says(&tensor(large, &[1], &[1]), "reaches beyond");
    says(&tensor(0, &[1, 2], &[1, large]), "reaches beyond");
    // One number, read two thousand million times.
    says(&tensor(0, &[large], &[0]), "more numbers than");
    says(&tensor(0, &[large; 3], &[0; 3]), "more numbers than");
    says(
        &tensor(0, &[0, large, large, large], &[0; 4]),
        "more numbers than",
    );
    says(&tensor(0, &[-1], &[1]), "no numbers");
    says(&tensor(0, &[1, 1], &[1]), "2 sizes and 1 strides");
}

#[test]
fn audionet_answers_as_in_pytorch() {
    let expected = golden("relevance/audionet.safetensors").unwrap();
    // As a parallel training saves them.
    let weights = peer::audionet_weights(&expected).unwrap().into_iter();
    let weights = weights.map(|(name, tensor)| (format!("module.{name}"), tensor));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audionet.safetensors");
    tensor_file::write(&path, &weights.collect(), &Default::default()).unwrap();
    let imported = Model::import(&audionet::NETWORK, &path, None, None, &Device::Cpu).unwrap();
    let model = imported.model;
    assert_eq!(model.classes().len(), 3);
    let input = peer::audionet_input().unwrap();
    let apart = furthest(&model.graph, &input, &expected["logits"]);
    assert!(apart < 1e-5, "{apart} apart");
}

/// Full size; the files are too large to keep.
#[test]
#[cfg_attr(
    not(peer_checkpoints),
    ignore = "SPEECHLENS_PEER_CHECKPOINTS names no folder of `make_checkpoints.py --full`"
)]
fn whole_networks_answer_as_in_pytorch() {
    let folder = std::env::var_os("SPEECHLENS_PEER_CHECKPOINTS").unwrap();
    let folder = Path::new(&folder);
    let expected = golden(folder.join("expected.safetensors")).unwrap();
    for (arch, classes) in [
        (alexnet::NETWORK, 2),
        (resnet34::NETWORK, 5994),
        (audionet::NETWORK, 2),
    ] {
        for way in [
            "zip.pt",
            "legacy.pt",
            "module.pth",
            "nested.pth",
            "wrapped.pth",
            "f64.pt",
            "strided.pt",
            "safetensors",
        ] {
            let path = folder.join(format!("{arch}.{way}"));
            let start = std::time::Instant::now();
            let imported = Model::import(&arch, &path, None, None, &Device::Cpu).unwrap();
            let model = imported.model;
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!(model.classes().len(), classes);
            let of = |what: &str| &expected[&format!("{arch}/{what}")];
            let apart = furthest(&model.graph, of("input"), of("logits"));
            println!("{arch}.{way}: logits {apart:.1e} apart, read in {seconds:.1} s");
            assert!(apart < 1e-4);
        }
    }
}
