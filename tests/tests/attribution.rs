//! Gradients, integrated gradients and occlusion against Captum (`goldens/make_attributions.py`).

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Tensor};
use speechlens_attribution::{Method, Score};
use speechlens_models::Arch;
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;
use speechlens_tests::{Tensors, golden, peer};

/// The script's methods, and how its patches lie.
fn methods(patch: [usize; 2], stride: [usize; 2], steps: usize) -> Vec<(&'static str, Method)> {
    let occlusion = |score| Method::Occlusion {
        patch: patch.to_vec(),
        stride: stride.to_vec(),
        reference: (-20.0).into(),
        score,
    };
    let integrated = |reference: f64| Method::IntegratedGradients {
        steps,
        reference: reference.into(),
    };
    vec![
        ("gradient", Method::Gradient),
        ("sensitivity", Method::Sensitivity),
        (
            "gradient-times-input",
            Method::GradientTimesInput {
                reference: 0.0.into(),
            },
        ),
        ("occlusion", occlusion(Score::Logit)),
        (
            "occlusion-sigmoid",
            occlusion(Score::Probability(Loss::BinaryCrossEntropy)),
        ),
        (
            "occlusion-softmax",
            occlusion(Score::Probability(Loss::CrossEntropy)),
        ),
        ("integrated-gradients0", integrated(0.0)),
        ("integrated-gradients-80", integrated(-80.0)),
    ]
}

fn relative_l2(ours: &Tensor, theirs: &Tensor) -> f64 {
    let [ours, theirs] = [ours, theirs].map(|tensor| tensor.to_dtype(DType::F64).unwrap());
    let norm = |tensor: &Tensor| {
        let squares = tensor.sqr().unwrap().sum_all().unwrap();
        squares.to_scalar::<f64>().unwrap().sqrt()
    };
    norm(&(ours - &theirs).unwrap()) / norm(&theirs)
}

fn holds_against_captum(
    graph: &Graph,
    golden: &Tensors,
    captum: &Tensors,
    methods: &[(&str, Method)],
    tolerance: f64,
) {
    let input = &golden["input"];
    let targets = golden["target"].to_dtype(DType::U32).unwrap();
    let targets: Vec<u32> = targets.to_vec1().unwrap();
    for (name, method) in methods {
        let attribution = method.of(graph).unwrap();
        let found = attribution.attribute(input, &targets, &|_| ()).unwrap();
        let apart = relative_l2(&found.relevance, &captum[*name]);
        println!("{name}: {apart:.1e} apart");
        assert!(apart < tolerance, "{name}: {apart}");
        if let Some(reference) = name.strip_prefix("integrated-gradients") {
            let theirs = captum[&format!("gap{reference}")].to_dtype(DType::F64);
            let sums = found.relevance.abs().unwrap().flatten_from(1).unwrap();
            let sums = sums.sum(1).unwrap().to_dtype(DType::F64).unwrap();
            let sums: Vec<f64> = sums.to_vec1().unwrap();
            let gaps = found.completeness_gap.unwrap().into_iter();
            for ((ours, theirs), sum) in gaps
                .zip(theirs.unwrap().to_vec1::<f64>().unwrap())
                .zip(sums)
            {
                assert!(
                    (ours - theirs).abs() < tolerance * sum,
                    "{name}: gap {ours}, not {theirs}"
                );
            }
        }
    }
}

#[test]
fn a_plain_network_is_explained_as_by_captum() {
    let network = golden("relevance/plain.safetensors").unwrap();
    let captum = golden("attribution/plain.safetensors").unwrap();
    let graph = peer::net(&network, "").unwrap();
    holds_against_captum(
        &graph,
        &network,
        &captum,
        &methods([5, 4], [3, 4], 20),
        1e-5,
    );
}

#[test]
fn a_residual_network_is_explained_as_by_captum() {
    let network = golden("relevance/residual.safetensors").unwrap();
    let captum = golden("attribution/residual.safetensors").unwrap();
    let graph = peer::residual().unwrap();
    let graph = graph.with_weights(peer::of_graph(&network)).unwrap();
    holds_against_captum(
        &graph,
        &network,
        &captum,
        &methods([4, 12], [4, 1], 20),
        1e-5,
    );
}

/// Full size, in f32; its files are too large to keep.
#[test]
fn full_size_networks_are_explained_as_by_captum() {
    let Some(folder) = std::env::var_os("SPEECHLENS_PEER_NETWORKS") else {
        println!(
            "skipped: SPEECHLENS_PEER_NETWORKS names no folder of `make_attributions.py --full`"
        );
        return;
    };
    let folder = Path::new(&folder);
    for (arch, classes, patch) in [(Arch::AlexNet, 2, [57, 57]), (Arch::ResNet34, 10, [16, 50])] {
        println!("{arch}");
        let network = golden(folder.join(format!("{arch}.safetensors"))).unwrap();
        let captum = golden(folder.join(format!("attribution-{arch}.safetensors"))).unwrap();
        let graph = arch.architecture(classes).unwrap();
        let graph = graph.with_weights(peer::of_graph(&network)).unwrap();
        holds_against_captum(&graph, &network, &captum, &methods(patch, patch, 8), 1e-4);
    }
}
