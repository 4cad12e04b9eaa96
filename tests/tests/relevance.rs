//! Relevance against zennit, in f64 (`goldens/make_networks.py`).

#![allow(clippy::unwrap_used)]

mod peer;

use std::path::Path;

use candle_core::{DType, Tensor};
use speechlens_lrp::{Composite, Lrp};
use speechlens_models::alexnet;
use speechlens_nn::Graph;
use speechlens_tests::{Tensors, golden};

/// The script's rules: presets, and files.
const COMPOSITES: [(&str, Option<&str>); 8] = [
    ("lrp-0", None),
    (
        "lrp-0-bias-zero",
        Some("[[rule]]\nrule = \"lrp-0\"\n[options]\nbias = \"zero\""),
    ),
    ("thesis-gender", None),
    ("gender-silence", None),
    ("epsilon-plus", None),
    ("epsilon-alpha2-beta1", None),
    ("z-plus", Some("[[rule]]\nrule = \"z-plus\"")),
    (
        "alpha2-beta1",
        Some(
            "[[rule]]\nkind = \"pool\"\nrule = \"lrp-0\"\n[[rule]]\nrule = \"alpha-beta\"\nalpha = 2.0\nbeta = 1.0",
        ),
    ),
];

fn relative_l2(ours: &Tensor, theirs: &Tensor) -> f64 {
    let norm = |tensor: &Tensor| {
        let squares = tensor.to_dtype(DType::F64).unwrap().sqr().unwrap();
        squares
            .sum_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
            .sqrt()
    };
    let theirs = theirs.to_dtype(ours.dtype()).unwrap();
    norm(&(ours - &theirs).unwrap()) / norm(&theirs)
}

fn holds_against_zennit(graph: &Graph, golden: &Tensors) {
    let input = &golden["input"];
    let targets = golden["target"].to_dtype(DType::U32).unwrap();
    let targets: Vec<u32> = targets.to_vec1().unwrap();
    for (name, text) in COMPOSITES {
        let composite = match text {
            Some(text) => Composite::parse(text, Path::new(name)),
            None => Composite::preset(name),
        };
        let lrp = Lrp::new(graph, &composite.unwrap()).unwrap();
        let explanation = lrp.explain(input, &targets).unwrap();
        let of_logits = relative_l2(&explanation.logits, &golden["logits"]);
        let theirs = &golden[&format!("relevance/{name}")];
        let of_relevance = relative_l2(&explanation.relevance, theirs);
        println!("{name}: relevance {of_relevance:.1e} apart, logits {of_logits:.1e}");
        assert!(of_logits < 1e-12, "{name}: logits {of_logits}");
        assert!(of_relevance < 1e-6, "{name}: relevance {of_relevance}");
    }
}

#[test]
fn a_small_network_is_explained_as_by_zennit() {
    let golden = golden("relevance/relevance.safetensors").unwrap();
    holds_against_zennit(&peer::net(&golden, ""), &golden);
}

/// Full size; its files are too large to keep.
#[test]
fn alexnet_is_explained_as_by_zennit() {
    let Some(folder) = std::env::var_os("SPEECHLENS_PEER_ALEXNET") else {
        println!(
            "skipped: SPEECHLENS_PEER_ALEXNET names no folder of `make_networks.py --alexnet`"
        );
        return;
    };
    let weights = golden(Path::new(&folder).join("weights.safetensors")).unwrap();
    let golden = golden(Path::new(&folder).join("relevance.safetensors")).unwrap();
    let graph = alexnet::architecture(2)
        .unwrap()
        .with_weights(weights)
        .unwrap();
    let single = graph
        .forward(&golden["input"].to_dtype(DType::F32).unwrap())
        .unwrap();
    let of_single = relative_l2(&single, &golden["logits-f32"]);
    println!("logits in f32: {of_single:.1e} apart");
    assert!(of_single < 1e-5);
    holds_against_zennit(&graph.to_dtype(DType::F64).unwrap(), &golden);
}
