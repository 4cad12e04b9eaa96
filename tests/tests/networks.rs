//! Pretrained networks that nobody here made, from their ONNX files: what ONNX Runtime gives, PyTorch's gradients, zennit's relevance
//! (`goldens/make_real_networks.py`), and the books of relevance at every node.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use speechlens_lrp::{Composite, Lrp};
use speechlens_nn::Graph;
use speechlens_nn::ops::Reshape;
use speechlens_onnx::Onnx;
use speechlens_tests::{Tensors, golden};

const NETWORKS: [&str; 6] = [
    "campplus",
    "crepe-tiny",
    "dnsmos",
    "ge2e-lstm",
    "silero-vad",
    QUANTIZED,
];

/// The one whose values are rounded to 8 bits. A sum halfway between two steps is rounded up or down by the order of adding, and what comes of
/// it grows from layer to layer, in any implementation: ONNX Runtime is 1e-1 from PyTorch in f64, and 3e-3 from itself as it optimizes.
const QUANTIZED: &str = "smart-turn-int8";
const ROUNDED: f64 = 0.2;

/// Number types, what the goldens call the answers in them, and how near is near: ONNX Runtime's are f32, PyTorch's f64.
const ANSWERS: [(DType, &str, f64); 2] =
    [(DType::F32, "output", 1e-4), (DType::F64, "exact", 1e-9)];

/// The script's rules, as composites have them.
const OF_ZENNIT: [(&str, &str); 3] = [
    ("epsilon", "rule = \"epsilon\"\nepsilon = 1e-6"),
    ("gamma", "rule = \"gamma-generalized\"\ngamma = 0.25"),
    ("z-plus", "rule = \"z-plus\""),
];

/// `COTANGENT` and `PROBE` of the script.
const COTANGENT: usize = 7;
const PROBE: usize = 8;

fn graph(name: &str) -> Graph {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models");
    let folder = std::env::var_os("SPEECHLENS_MODELS").map_or(beside, PathBuf::from);
    let network = Onnx::open(&folder.join(format!("{name}.onnx"))).unwrap();
    network.graph().unwrap()
}

/// What the golden has of each batch of a network.
fn batches(name: &str) -> Vec<Tensors> {
    let mut batches = BTreeMap::<String, Tensors>::new();
    for (name, tensor) in golden(format!("networks/{name}.safetensors")).unwrap() {
        let (batch, name) = name.split_once('/').unwrap();
        let batch = batches.entry(batch.to_owned()).or_default();
        batch.insert(name.to_owned(), tensor);
    }
    batches.into_values().collect()
}

/// `noise` of the script.
fn noise(count: usize, seed: usize) -> Vec<f64> {
    let number = |place: usize| (place * (place + seed) * 7919 % 20_011) as f64 / 10_005.0 - 1.0;
    (0..count).map(number).collect()
}

/// What of a batch starts with a word, by what follows it.
fn told<'a>(batch: &'a Tensors, of: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
    let named = move |(name, tensor)| Some((str::strip_prefix(name, of)?, tensor));
    batch
        .iter()
        .filter_map(move |(name, tensor)| named((name, tensor)))
}

/// What a batch gives to the network, by the script's `numbers`.
fn given(batch: &Tensors, dtype: DType) -> Vec<(&str, Tensor)> {
    let input = |(name, recipe): (_, &Tensor)| {
        let recipe: Vec<f64> = recipe.to_vec1().unwrap();
        let [seed, scale, shift, shape @ ..] = recipe.as_slice() else {
            panic!("{recipe:?} is no recipe");
        };
        let shape: Vec<usize> = shape.iter().map(|length| *length as usize).collect();
        let noise = noise(shape.iter().product(), *seed as usize).into_iter();
        let number = |(place, noise): (usize, f64)| {
            let sawtooth = (place % 89) as f64 / 44.0 - 1.0;
            (shift + scale * (noise + sawtooth) / 2.0) as f32
        };
        let numbers: Vec<f32> = noise.enumerate().map(number).collect();
        let input = Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap();
        (name, input.to_dtype(dtype).unwrap())
    };
    told(batch, "input.").map(input).collect()
}

fn borrowed<'a>(given: &'a [(&str, Tensor)]) -> Vec<(&'a str, &'a Tensor)> {
    given.iter().map(|(name, input)| (*name, input)).collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().unwrap();
    flat.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The values at the script's `places`.
fn at_places(all: &[f64], count: usize) -> Vec<f64> {
    (0..count)
        .map(|place| all[place * 7919 % all.len()])
        .collect()
}

fn largest(all: &[f64]) -> f64 {
    all.iter().fold(0.0, |largest, x| x.abs().max(largest))
}

/// The largest difference, as a share of a size.
fn apart(found: &[f64], expected: &[f64], size: f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    most(pairs.map(|(a, b)| (a - b).abs() / size))
}

/// The largest of sizes; without end if one is no number.
fn most(sizes: impl Iterator<Item = f64>) -> f64 {
    let larger = |most: f64, x: f64| {
        if x.is_nan() {
            f64::INFINITY
        } else {
            x.max(most)
        }
    };
    sizes.fold(0.0, larger)
}

#[test]
#[cfg_attr(
    not(real_networks),
    ignore = "no SPEECHLENS_MODELS, nor ../shared/models"
)]
fn real_networks_answer_as_in_onnx_runtime() {
    for name in NETWORKS {
        let (graph, is_quantized) = (graph(name), name == QUANTIZED);
        for (index, batch) in batches(name).iter().enumerate() {
            for (dtype, expected, tolerance) in ANSWERS {
                let tolerance = match dtype {
                    DType::F32 if is_quantized => ROUNDED,
                    _ => tolerance,
                };
                let given = given(batch, dtype);
                let graph = graph.to_dtype(dtype).unwrap();
                for (output, found) in graph.outputs_of(&borrowed(&given), &[]).unwrap() {
                    let expected = &batch[&format!("{expected}.{output}")];
                    assert_eq!(found.dims(), expected.dims());
                    let expected = values(expected);
                    let apart = apart(&values(&found), &expected, largest(&expected));
                    println!("{name} {index}: {output} is {apart:.1e} apart ({dtype:?})");
                    assert!(
                        apart < tolerance,
                        "{name} {index}: {output} is {apart:.1e} apart"
                    );
                }
            }
        }
    }
}

/// As far as ONNX Runtime in f32 and PyTorch in f64 round alike; in f32 one sum before that is rounded another way here, 8e-4 of the largest.
#[test]
#[cfg_attr(
    not(real_networks),
    ignore = "no SPEECHLENS_MODELS, nor ../shared/models"
)]
fn a_quantized_network_computes_as_in_onnx_runtime() {
    let graph = graph(QUANTIZED).to_dtype(DType::F64).unwrap();
    for (index, batch) in batches(QUANTIZED).iter().enumerate() {
        let given = given(batch, DType::F64);
        let nodes: Vec<&str> = told(batch, "inner.").map(|(node, _)| node).collect();
        assert!(!nodes.is_empty());
        for (node, found) in graph.outputs_of(&borrowed(&given), &nodes).unwrap() {
            let (found, expected) = (values(&found), values(&batch[&format!("inner.{node}")]));
            let apart = apart(
                &at_places(&found, expected.len()),
                &expected,
                largest(&found),
            );
            println!("{QUANTIZED} {index}: {node} is {apart:.1e} apart");
            assert!(
                apart < 1e-5,
                "{QUANTIZED} {index}: {node} is {apart:.1e} apart"
            );
        }
    }
}

#[test]
#[cfg_attr(
    not(real_networks),
    ignore = "no SPEECHLENS_MODELS, nor ../shared/models"
)]
fn real_networks_have_pytorchs_gradients() {
    for name in NETWORKS {
        let graph = graph(name).to_dtype(DType::F64).unwrap();
        for (index, batch) in batches(name).iter().enumerate() {
            let given = given(batch, DType::F64);
            let gradients = graph.input_gradients(&borrowed(&given), |output| {
                let cotangent = noise(output.elem_count(), COTANGENT);
                Ok(Tensor::from_vec(cotangent, output.shape(), &Device::Cpu)?)
            });
            for (input, gradient) in gradients.unwrap() {
                let gradient = values(&gradient);
                let whole = values(&batch[&format!("whole.{input}")]);
                let [norm, largest, product] = whole.as_slice() else {
                    panic!("{whole:?} is no norm, largest value and product");
                };
                let expected = values(&batch[&format!("gradient.{input}")]);
                let of_values = apart(&at_places(&gradient, expected.len()), &expected, *largest);
                let probe = noise(gradient.len(), PROBE);
                let squared: f64 = gradient.iter().map(|x| x * x).sum();
                let with_probe: f64 = gradient.iter().zip(&probe).map(|(x, y)| x * y).sum();
                let of_whole = apart(&[squared.sqrt(), with_probe], &[*norm, *product], *norm);
                println!(
                    "{name} {index}: by {input}, values are {of_values:.1e} apart, the whole {of_whole:.1e}"
                );
                assert!(
                    of_values < 1e-6 && of_whole < 1e-6,
                    "{name} {index}, by {input}"
                );
            }
        }
    }
}

/// The network up to its logits `[N, outputs]`, in f64.
fn logits(name: &str) -> Graph {
    let graph = graph(name).to_dtype(DType::F64).unwrap();
    let sigmoid = match name {
        "crepe-tiny" | "silero-vad" | QUANTIZED => {
            let mut nodes = graph.nodes().rev();
            nodes.find(|(_, node)| node.op.name() == "sigmoid")
        }
        _ => None,
    };
    let graph = match sigmoid {
        Some((sigmoid, _)) => graph.without(sigmoid).unwrap(),
        None => graph,
    };
    if name != "silero-vad" {
        return graph;
    }
    // It gives a number a frame: those of one recording.
    let mut net = graph.architecture().clone();
    let row = Reshape {
        shape: Some(vec![1, -1]),
        allow_zero: false,
    };
    let output = net.output();
    let row = net.add("row", row, [output]).unwrap();
    let net = net.with_outputs([row]).unwrap();
    net.with_weights(graph.weights()).unwrap()
}

/// Rules under which relevance stays of the logit's size in every network: γ favours what agrees, so that less cancels, and ε holds where
/// much does. Batch normalization that stands behind a ReLU or a concatenation, as in CREPE and CAM++, has no layer to be merged into.
const CALM: &str = "[[rule]]
kind = \"conv\"
rule = \"gamma-generalized\"
gamma = 0.25
[[rule]]
rule = \"epsilon\"
epsilon = 0.01
[options]
batchnorm = \"ratio\"";

/// LRP-0: in CAM++, whose batch normalizations add much to what is near 0, relevance grows from each to the next, to 1e18 of the logit.
/// Then the books close to the rounding of what they hold, but that is more than the logit.
const WILD: &str = "[[rule]]
rule = \"lrp-0\"
[options]
batchnorm = \"ratio\"";

/// The largest remainder and the largest relevance at a node, of the first batch's strongest outputs and as shares of these.
fn books(name: &str, rules: &str) -> [f64; 2] {
    let graph = logits(name);
    let composite = Composite::parse(rules, Path::new("rules")).unwrap();
    let lrp = Lrp::new(&graph, &composite).unwrap();
    let net = graph.architecture();
    let input = &net.nodes()[net.input().index()].name;
    let batches = batches(name);
    let given = given(&batches[0], DType::F64);
    let (_, input) = given.iter().find(|(name, _)| name == input).unwrap();
    let forward = lrp.forward(input).unwrap();
    let strongest = forward.logits().argmax(1).unwrap();
    let targets: Vec<u32> = strongest.to_vec1().unwrap();
    let detail = lrp.sweep_from(forward, &targets, &[], usize::MAX).unwrap();
    let logits = &detail.conservation[0].arrived;
    let shares = |of: &[f64]| apart_each(of, logits);
    let (mut remainder, mut arrived) = (0.0f64, 0.0f64);
    for node in &detail.conservation {
        remainder = remainder.max(shares(&node.remainder()));
        arrived = arrived.max(shares(&node.arrived));
    }
    [remainder, arrived]
}

/// The largest of some values as shares of others.
fn apart_each(values: &[f64], wholes: &[f64]) -> f64 {
    let pairs = values.iter().zip(wholes);
    most(pairs.map(|(value, whole)| (value / whole).abs()))
}

#[test]
#[cfg_attr(
    not(real_networks),
    ignore = "no SPEECHLENS_MODELS, nor ../shared/models"
)]
fn relevance_of_real_networks_is_accounted_for_at_every_node() {
    for name in NETWORKS {
        let [remainder, arrived] = books(name, CALM);
        println!(
            "{name}: at most {arrived:.1e} of the logit at a node, {remainder:.1e} unexplained"
        );
        assert!(
            remainder < 1e-6,
            "{name}: {remainder:.1e} of the logit is unexplained"
        );
        let [remainder, arrived] = books(name, WILD);
        println!("{name}, LRP-0: at most {arrived:.1e} of the logit, {remainder:.1e} unexplained");
        assert!(
            remainder < 1e-6 * arrived.max(1.0),
            "{name}: {remainder:.1e} is unexplained"
        );
    }
}

#[test]
#[cfg_attr(
    not(real_networks),
    ignore = "no SPEECHLENS_MODELS, nor ../shared/models"
)]
fn crepe_is_explained_as_by_zennit() {
    let graph = logits("crepe-tiny");
    for (index, batch) in batches("crepe-tiny").iter().enumerate() {
        let (_, input) = given(batch, DType::F64).remove(0);
        let targets = batch["target"].to_dtype(DType::U32).unwrap();
        let targets: Vec<u32> = targets.to_vec1().unwrap();
        for (name, rule) in OF_ZENNIT {
            // Batch normalization, for which there is no other rule, under ε.
            let rules = format!(
                "[[rule]]\nkind = \"conv\"\n{rule}\n[[rule]]\nkind = \"linear\"\n{rule}\n\
                 [[rule]]\nrule = \"epsilon\"\nepsilon = 1e-6\n[options]\nbatchnorm = \"ratio\""
            );
            let lrp =
                Lrp::new(&graph, &Composite::parse(&rules, Path::new(name)).unwrap()).unwrap();
            let explanation = lrp.explain(&input, &targets).unwrap();
            let (found, expected) = (
                values(&explanation.relevance),
                values(&batch[&format!("relevance.{name}")]),
            );
            let apart = apart(&found, &expected, largest(&expected));
            println!("crepe-tiny {index}: {name} is {apart:.1e} apart");
            assert!(apart < 1e-6, "{index}: {name} is {apart:.1e} apart");
        }
    }
}
