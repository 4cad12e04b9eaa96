//! Gradients, integrated gradients and occlusion against Captum (`goldens/make_attributions.py`).

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Tensor};
use speechlens_attribution::methods::{self, Score};
use speechlens_attribution::{Attribution, Method};
use speechlens_models::{alexnet, resnet34};
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;
use speechlens_tests::{Tensors, golden, peer, relative_l2};

/// The script's methods, and how its patches lie.
fn methods(
    patch: [usize; 2],
    stride: [usize; 2],
    steps: usize,
) -> Vec<(&'static str, Box<dyn Method>)> {
    let occlusion = |score| {
        Box::new(methods::Occlusion {
            patch: patch.to_vec(),
            stride: stride.to_vec(),
            reference: (-20.0).into(),
            score,
        })
    };
    let integrated = |reference: f64| {
        Box::new(methods::IntegratedGradients {
            steps,
            reference: reference.into(),
        })
    };
    vec![
        ("gradient", Box::new(methods::Gradient)),
        ("sensitivity", Box::new(methods::Sensitivity)),
        (
            "gradient-times-input",
            Box::new(methods::GradientTimesInput {
                reference: 0.0.into(),
            }),
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

struct Peer<'a> {
    graph: Graph,
    input: &'a Tensor,
    targets: Vec<u32>,
    captum: &'a Tensors,
}

impl<'a> Peer<'a> {
    fn new(graph: &Graph, network: &'a Tensors, captum: &'a Tensors) -> Self {
        let targets = network["target"].to_dtype(DType::U32).unwrap();
        Peer {
            graph: graph.clone(),
            input: &network["input"],
            targets: targets.to_vec1().unwrap(),
            captum,
        }
    }

    fn attribution(&self, method: &dyn Method, dtype: DType) -> Attribution {
        let method = method.of(&self.graph.to_dtype(dtype).unwrap()).unwrap();
        let input = self.input.to_dtype(dtype).unwrap();
        method.attribute(&input, &self.targets, &|_| ()).unwrap()
    }

    /// To 1e-5: Captum averages over patches, and we take probabilities, in f32.
    fn agrees(&self, methods: &[(&str, Box<dyn Method>)]) {
        for (name, method) in methods {
            let found = self.attribution(method.as_ref(), DType::F64);
            let apart = relative_l2(&found.relevance, &self.captum[*name]).unwrap();
            println!("{name}: {apart:.1e} apart");
            assert!(apart < 1e-5, "{name}: {apart}");
            if let Some(reference) = name.strip_prefix("integrated-gradients") {
                let gaps = self.captum[&format!("gap{reference}")].to_vec1::<f64>();
                for (ours, theirs) in found
                    .completeness_gap
                    .unwrap()
                    .into_iter()
                    .zip(gaps.unwrap())
                {
                    let near = (ours - theirs).abs() < 1e-5 * (1.0 + theirs.abs());
                    assert!(near, "{name}: gap {ours}, not {theirs}");
                }
            }
        }
    }
}

#[test]
fn a_plain_network_is_explained_as_by_captum() {
    let network = golden("relevance/plain.safetensors").unwrap();
    let captum = golden("attribution/plain.safetensors").unwrap();
    let graph = peer::net(&network, "").unwrap();
    Peer::new(&graph, &network, &captum).agrees(&methods([5, 4], [3, 4], 20));
}

#[test]
fn a_residual_network_is_explained_as_by_captum() {
    let network = golden("relevance/residual.safetensors").unwrap();
    let captum = golden("attribution/residual.safetensors").unwrap();
    let graph = peer::residual().unwrap();
    let graph = graph.with_weights(peer::of_graph(&network)).unwrap();
    Peer::new(&graph, &network, &captum).agrees(&methods([4, 12], [4, 1], 20));
}

/// Full size, in f32; its files are too large to keep.
#[test]
#[cfg_attr(
    not(peer_networks),
    ignore = "SPEECHLENS_PEER_NETWORKS names no folder of `make_attributions.py --full`"
)]
fn full_size_networks_are_explained_as_by_captum() {
    let folder = std::env::var_os("SPEECHLENS_PEER_NETWORKS").unwrap();
    let folder = Path::new(&folder);
    for (arch, classes, patch) in [
        (alexnet::NETWORK, 2, [57, 57]),
        (resnet34::NETWORK, 10, [16, 50]),
    ] {
        println!("{arch}");
        let network = golden(folder.join(format!("{arch}.safetensors"))).unwrap();
        let captum = golden(folder.join(format!("attribution-{arch}.safetensors"))).unwrap();
        let graph = arch.architecture(classes).unwrap();
        let graph = graph.with_weights(peer::of_graph(&network)).unwrap();
        let peer = Peer::new(&graph, &network, &captum);
        let methods = methods(patch, patch, 8);
        peer.agrees(&methods);
        for (name, method) in &methods {
            let single = peer.attribution(method.as_ref(), DType::F32).relevance;
            let ours = relative_l2(
                &single,
                &peer.attribution(method.as_ref(), DType::F64).relevance,
            )
            .unwrap();
            let theirs = captum[&format!("apart-f32/{name}")]
                .to_scalar::<f64>()
                .unwrap();
            println!("{name}: f32 is {ours:.1e} from f64, Captum's {theirs:.1e}");
        }
    }
}
