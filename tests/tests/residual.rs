//! Residual networks against PyTorch: batch normalization in training and after it, sums, statistics pooling, cross entropy.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Tensor};
use speechlens_models::resnet34;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::Config;
use speechlens_nn::{Graph, Trainer};
use speechlens_tests::peer::residual;
use speechlens_tests::{Tensors, golden};

fn of_prefix(tensors: &Tensors, prefix: &str) -> Tensors {
    let weights = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())));
    weights.collect()
}

fn furthest(a: &Tensor, b: &Tensor) -> f64 {
    let difference = (a.to_dtype(DType::F64).unwrap() - b.to_dtype(DType::F64).unwrap()).unwrap();
    difference
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn training_follows_pytorch() {
    let golden = golden("residual/residual.safetensors").unwrap();
    let graph = residual()
        .unwrap()
        .with_weights(of_prefix(&golden, "start/"))
        .unwrap();
    let optimizer = Optimizer::Sgd {
        lr: 0.05,
        momentum: 0.9,
    };
    let config = Config {
        epochs: 1,
        batch: 8,
        optimizer,
        schedule: Schedule::Constant,
        seed: 0,
        loss: Loss::CrossEntropy,
    };
    let mut trainer = Trainer::new(&graph, config).unwrap();
    let (inputs, labels) = (&golden["input"], &golden["label"]);
    for (step, expected) in golden["loss"].to_vec1::<f64>().unwrap().iter().enumerate() {
        let batch = step % inputs.dim(0).unwrap();
        let labels = labels
            .get(batch)
            .unwrap()
            .to_dtype(DType::U32)
            .unwrap()
            .to_vec1()
            .unwrap();
        trainer.step(&inputs.get(batch).unwrap(), &labels).unwrap();
        let loss = trainer.history().loss[step];
        assert!(
            (loss - expected).abs() < 1e-4,
            "step {step}: {loss}, not {expected}"
        );
    }
    // Running statistics too, of which one is near 30: PyTorch's own is 8e-5 from what training in f64 gives.
    for (name, expected) in of_prefix(&golden, "trained/") {
        let apart = furthest(&trainer.graph().weights()[&name], &expected);
        let largest = furthest(&expected, &expected.zeros_like().unwrap());
        assert!(apart < 1e-5 * (1.0 + largest), "{name}: {apart} apart");
    }
}

#[test]
fn the_trained_network_answers_as_in_pytorch() {
    let golden = golden("residual/residual.safetensors").unwrap();
    let graph = residual()
        .unwrap()
        .with_weights(of_prefix(&golden, "trained/"))
        .unwrap();
    let input = golden["input"]
        .get(0)
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap();
    let logits = graph.to_dtype(DType::F64).unwrap().forward(&input).unwrap();
    let apart = furthest(&logits, &golden["logits"]);
    assert!(apart < 1e-12, "{apart} apart");
}

/// Full size; its file is too large to keep.
#[test]
#[cfg_attr(
    not(peer_resnet34),
    ignore = "SPEECHLENS_PEER_RESNET34 names no folder of `make_networks.py --resnet34`"
)]
fn resnet34_answers_as_in_pytorch() {
    let folder = std::env::var_os("SPEECHLENS_PEER_RESNET34").unwrap();
    let mut golden = golden(Path::new(&folder).join("resnet34.safetensors")).unwrap();
    let [input, single, double] =
        ["input", "logits", "logits-f64"].map(|name| golden.remove(name).unwrap());
    let graph: Graph = resnet34::architecture(10)
        .unwrap()
        .with_weights(golden)
        .unwrap();
    let of_single = furthest(&graph.forward(&input).unwrap(), &single);
    let graph = graph.to_dtype(DType::F64).unwrap();
    let of_double = furthest(
        &graph.forward(&input.to_dtype(DType::F64).unwrap()).unwrap(),
        &double,
    );
    println!("logits in f32 {of_single:.1e} apart, in f64 {of_double:.1e}");
    assert!(of_single < 1e-4 && of_double < 1e-11);
}
