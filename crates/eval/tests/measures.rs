//! The measures of robustness and of randomization, where their answers are known: on networks that are linear in the input.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use speechlens_attribution::{Method, methods};
use speechlens_eval::agreement::spearman;
use speechlens_eval::randomization::randomization;
use speechlens_eval::robustness::max_sensitivity;
use speechlens_nn::ops::{Flatten, Linear};
use speechlens_nn::{Architecture, Graph};

/// Logits of inputs `[1, 4, 5]`: two linear layers, the second the identity when the network is trained.
fn network() -> Graph {
    let mut net = Architecture::new([1, 4, 5]);
    let x = net.add("flatten", Flatten, [net.input()]).unwrap();
    let x = net.add("first", Linear::new(20, 2), [x]).unwrap();
    net.add("second", Linear::new(2, 2).without_bias(), [x])
        .unwrap();
    let graph = net.random(5, &Device::Cpu).unwrap();
    let identity = Tensor::eye(2, candle_core::DType::F32, &Device::Cpu).unwrap();
    graph
        .map_weights(|name, tensor| {
            Ok(if name == "second.weight" {
                identity.clone()
            } else {
                tensor.clone()
            })
        })
        .unwrap()
}

fn weights(graph: &Graph, class: usize) -> Vec<f32> {
    graph.weights()["first.weight"]
        .get(class)
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn input() -> Tensor {
    let values: Vec<f32> = (0..40).map(|n| (n as f32 * 0.7).sin() - 0.2).collect();
    Tensor::from_vec(values, (2, 1, 4, 5), &Device::Cpu).unwrap()
}

#[test]
fn what_does_not_depend_on_the_input_is_robust() {
    let graph = network();
    let of = |method: &dyn Method, radius| {
        let method = method.of(&graph).unwrap();
        max_sensitivity(method.as_ref(), &input(), &[0, 1], radius, 5, 3).unwrap()
    };
    assert_eq!(of(&methods::Gradient, 0.1), [0.0, 0.0]);
    // Gradient × input moves by w δ: in proportion to the radius, and by no more than the largest noise allows.
    let product = methods::GradientTimesInput {
        reference: 0.0.into(),
    };
    let (small, large) = (of(&product, 0.01), of(&product, 0.1));
    for (place, (small, large)) in small.iter().zip(&large).enumerate() {
        assert!((large / small - 10.0).abs() < 1e-2);
        let values: Vec<f32> = input()
            .get(place)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        let w = weights(&graph, place);
        let norm = |values: &mut dyn Iterator<Item = f32>| {
            values.map(|v| f64::from(v * v)).sum::<f64>().sqrt()
        };
        let range = values.iter().fold(f32::MIN, |a, b| a.max(*b))
            - values.iter().fold(f32::MAX, |a, b| a.min(*b));
        let most = 0.1 * f64::from(range) * norm(&mut w.iter().copied())
            / norm(&mut w.iter().zip(&values).map(|(w, x)| w * x));
        assert!(*large > 0.3 * most && *large <= most, "{large} of {most}");
    }
    // By lot nothing stays: two independent lots are √2 apart.
    for moved in of(&methods::Random { seed: 1 }, 1e-3) {
        assert!((0.8..2.2).contains(&moved), "{moved}");
    }
}

#[test]
fn weights_are_randomized_from_the_top_down() {
    let graph = network();
    let (seed, targets) = (9, [0, 1]);
    let steps = randomization(
        &graph,
        &methods::Gradient,
        &input(),
        &targets,
        2,
        seed,
        &|_| (),
    )
    .unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step.down_to.as_str()).collect();
    assert_eq!(names, ["second", "first"]);
    let random = graph
        .architecture()
        .clone()
        .random(seed, &Device::Cpu)
        .unwrap();
    let head: Vec<Vec<f32>> = random.weights()["second.weight"].to_vec2().unwrap();
    for (target, head) in head.iter().enumerate() {
        let mixed = |of: &Graph| -> Vec<f32> {
            let (a, b) = (weights(of, 0), weights(of, 1));
            a.iter()
                .zip(&b)
                .map(|(a, b)| head[0] * a + head[1] * b)
                .collect()
        };
        let trained = weights(&graph, target);
        for (step, expected) in steps.iter().zip([mixed(&graph), mixed(&random)]) {
            let expected = spearman(&trained, &expected);
            assert!((step.similarity[target] - expected).abs() < 1e-6);
        }
    }
    // What looks at no network does not change.
    let lots = randomization(
        &graph,
        &methods::Random { seed: 1 },
        &input(),
        &targets,
        5,
        seed,
        &|_| (),
    )
    .unwrap();
    assert_eq!(lots.len(), 2);
    assert!(
        lots.iter()
            .flat_map(|step| &step.similarity)
            .all(|s| (s - 1.0).abs() < 1e-9)
    );
}
