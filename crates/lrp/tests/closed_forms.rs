//! The rules on layers small enough to compute by hand.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use speechlens_lrp::{Composite, Lrp};
use speechlens_nn::ops::{AvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Relu};
use speechlens_nn::{Architecture, Graph, Op};

const A: [f64; 4] = [2.0, -1.0, 0.5, 3.0];
const W: [[f64; 4]; 2] = [[1.0, 2.0, -4.0, 0.25], [-0.5, 1.0, 2.0, -1.0]];
const B: [f64; 2] = [2.75, -1.5];

fn tensor(values: &[f64], shape: impl Into<candle_core::Shape>) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn dense() -> Graph {
    let mut net = Architecture::new([4]);
    net.add("dense", Linear::new(4, 2), [net.input()]).unwrap();
    let weights = [
        ("dense.weight", tensor(&W.concat(), (2, 4))),
        ("dense.bias", tensor(&B, 2)),
    ];
    net.with_weights(
        weights
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into(),
    )
    .unwrap()
}

fn logit(k: usize) -> f64 {
    A.iter().zip(W[k]).map(|(a, w)| a * w).sum::<f64>() + B[k]
}

fn explain(graph: &Graph, text: &str, input: &Tensor, target: u32) -> Vec<f64> {
    let composite = Composite::parse(text, Path::new("test")).unwrap();
    let explanation = Lrp::new(graph, &composite)
        .unwrap()
        .explain(input, &[target])
        .unwrap();
    assert_eq!(explanation.relevance.shape(), input.shape());
    explanation
        .relevance
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn close(ours: &[f64], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len());
    for (one, other) in ours.iter().zip(expected) {
        assert!(
            (one - other).abs() < 1e-12 * (1.0 + other.abs()),
            "{ours:?}\n{expected:?}"
        );
    }
}

/// `of(a_j, w_jk)` of each input.
fn by_hand(k: usize, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    A.iter().zip(W[k]).map(|(a, w)| of(*a, w)).collect()
}

#[test]
fn epsilon() {
    let input = tensor(&A, (1, 4));
    assert!(logit(0) > 0.0 && logit(1) < 0.0);
    for (k, bias) in B.iter().enumerate() {
        let z = logit(k);
        for epsilon in [1e-6, 0.8, 25.0] {
            let signed = epsilon * z.signum();
            let text = |options: &str| {
                format!("[[rule]]\nrule = \"epsilon\"\nepsilon = {epsilon:?}\n[options]\n{options}")
            };
            let target = k as u32;
            close(
                &explain(&dense(), &text(""), &input, target),
                &by_hand(k, |a, w| a * w / (z + signed) * z),
            );
            close(
                &explain(&dense(), &text("start = \"one\""), &input, target),
                &by_hand(k, |a, w| a * w / (z + signed)),
            );
            let free = z - bias;
            close(
                &explain(&dense(), &text("bias = \"zero\""), &input, target),
                &by_hand(k, |a, w| a * w / (free + epsilon * free.signum()) * z),
            );
        }
    }
}

/// s(0) = +1: an output of 0 is stabilized upwards, for LRP-0 with 1e-6.
#[test]
fn an_output_of_zero_counts_as_positive() {
    let graph = dense().map_weights(|name, tensor| {
        Ok(if name == "dense.bias" {
            tensor.zeros_like()?
        } else {
            tensor.clone()
        })
    });
    let input = tensor(&[1.0, 1.0, 0.75, 0.0], (1, 4));
    let relevance = explain(
        &graph.unwrap(),
        "[[rule]]\nrule = \"lrp-0\"\n[options]\nstart = \"one\"",
        &input,
        0,
    );
    close(&relevance, &[1e6, 2e6, -3e6, 0.0]);
}

/// `α (a w)⁺ / z⁺ − β (a w)⁻ / z⁻`, the bias in the denominator of its sign.
#[test]
fn alpha_beta() {
    let input = tensor(&A, (1, 4));
    for (k, bias) in B.iter().enumerate() {
        let z = logit(k);
        let part = |sign: f64| {
            let kept = move |x: f64| if x * sign > 0.0 { x } else { 0.0 };
            let sum: f64 = A.iter().zip(W[k]).map(|(a, w)| kept(a * w)).sum();
            (kept, sum + kept(*bias) + sign * 1e-6)
        };
        let ((positive, up), (negative, down)) = (part(1.0), part(-1.0));
        for (alpha, beta) in [(1.0, 0.0), (2.0, 1.0), (1.5, 0.5)] {
            let text =
                format!("[[rule]]\nrule = \"alpha-beta\"\nalpha = {alpha:?}\nbeta = {beta:?}");
            let expected = by_hand(k, |a, w| {
                (alpha * positive(a * w) / up - beta * negative(a * w) / down) * z
            });
            close(&explain(&dense(), &text, &input, k as u32), &expected);
        }
        let expected = by_hand(k, |a, w| positive(a * w) / up * z);
        close(
            &explain(&dense(), "[[rule]]\nrule = \"z-plus\"", &input, k as u32),
            &expected,
        );
    }
}

/// Against a reference r: the input a − r, the bias b + Σ r w, then the rule.
#[test]
fn reference() {
    let input = tensor(&A, (1, 4));
    let r = -80.0;
    for (k, bias) in B.iter().enumerate() {
        let z = logit(k);
        let moved = bias + W[k].iter().sum::<f64>() * r;
        let options = format!("[options]\nreference = {r:?}\n");
        for epsilon in [1e-6, 0.8] {
            let text = format!("[[rule]]\nrule = \"epsilon\"\nepsilon = {epsilon:?}\n{options}");
            let expected = by_hand(k, |a, w| (a - r) * w / (z + epsilon * z.signum()) * z);
            close(&explain(&dense(), &text, &input, k as u32), &expected);
            let free = z - moved;
            let expected = by_hand(k, |a, w| (a - r) * w / (free + epsilon * free.signum()) * z);
            close(
                &explain(
                    &dense(),
                    &format!("{text}bias = \"zero\""),
                    &input,
                    k as u32,
                ),
                &expected,
            );
        }
        let up: f64 = by_hand(k, |a, w| ((a - r) * w).max(0.0))
            .iter()
            .sum::<f64>()
            + moved.max(0.0)
            + 1e-6;
        let expected = by_hand(k, |a, w| ((a - r) * w).max(0.0) / up * z);
        close(
            &explain(
                &dense(),
                &format!("[[rule]]\nrule = \"z-plus\"\n{options}"),
                &input,
                k as u32,
            ),
            &expected,
        );
    }
}

/// What stands at its reference has no relevance, and only the layer that reads the input is measured against it.
#[test]
fn an_input_at_its_reference_has_no_relevance() {
    let mut net = Architecture::new([1, 6, 5]);
    let x = net
        .add("conv", Conv2d::new(1, 3, 3).padding(1), [net.input()])
        .unwrap();
    let x = net.add("relu", Relu, [x]).unwrap();
    let x = net.add("flatten", Flatten, [x]).unwrap();
    net.add("head", Linear::new(90, 2), [x]).unwrap();
    let graph = net
        .random(1, &Device::Cpu)
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap();
    let mut values: Vec<f64> = (0..30).map(|i| -f64::from(i * 2)).collect();
    values[7] = -80.0;
    values[20] = -80.0;
    let input = tensor(&values, (1, 1, 6, 5));
    let relevance = explain(
        &graph,
        "[[rule]]\nrule = \"lrp-0\"\n[options]\nreference = -80.0",
        &input,
        0,
    );
    assert!(
        relevance
            .iter()
            .enumerate()
            .all(|(i, r)| (*r == 0.0) == (i == 7 || i == 20)),
        "{relevance:?}"
    );
    let relevance = explain(&graph, "[[rule]]\nrule = \"lrp-0\"", &input, 0);
    assert!(
        relevance
            .iter()
            .enumerate()
            .all(|(i, r)| (*r == 0.0) == (i == 0)),
        "{relevance:?}"
    );
}

fn single(op: impl Op + 'static, shape: [usize; 3]) -> Graph {
    let mut net = Architecture::new(shape);
    let x = net.add("layer", op, [net.input()]).unwrap();
    net.add("flatten", Flatten, [x]).unwrap();
    net.random(1, &Device::Cpu).unwrap()
}

/// Overlapping windows: the value that wins two takes both; the first on a tie.
#[test]
fn max_pooling_gives_all_to_the_winner() {
    let graph = single(
        MaxPool2d {
            kernel: 2,
            stride: 1,
        },
        [1, 2, 4],
    );
    let input = tensor(&[1.0, 5.0, 2.0, 2.0, 0.0, 3.0, 2.0, 1.0], (1, 1, 2, 4));
    let one = |target| explain(&graph, "[[rule]]\nrule = \"lrp-0\"", &input, target);
    close(&one(0), &[0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    close(&one(1), &[0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    close(&one(2), &[0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

/// Weights 1/n: shares in proportion to the value. All contributions have one sign, so that αβ gives α times the relevance.
#[test]
fn average_pooling_is_a_linear_layer() {
    let graph = single(
        AvgPool2d {
            kernel: 2,
            stride: 2,
        },
        [1, 2, 2],
    );
    let input = tensor(&[1.0, 2.0, 0.0, 5.0], (1, 1, 2, 2));
    close(
        &explain(
            &graph,
            "[[rule]]\nrule = \"epsilon\"\nepsilon = 0.5",
            &input,
            0,
        ),
        &[0.25, 0.5, 0.0, 1.25].map(|part| part / 2.5 * 2.0),
    );
    close(
        &explain(
            &graph,
            "[[rule]]\nrule = \"alpha-beta\"\nalpha = 2.0\nbeta = 1.0",
            &input,
            0,
        ),
        &[0.25, 0.5, 0.0, 1.25].map(|part| 2.0 * part / (2.0 + 1e-6) * 2.0),
    );
}

#[test]
fn a_branch_that_the_output_does_not_read_takes_nothing() {
    let mut net = Architecture::new([4]);
    let x = net
        .add("shared", Dropout { p: 0.5 }, [net.input()])
        .unwrap();
    net.add("aside", Relu, [x]).unwrap();
    net.add("dense", Linear::new(4, 2), [x]).unwrap();
    let graph = net.with_weights(dense().weights()).unwrap();
    let (text, input) = ("[[rule]]\nrule = \"lrp-0\"", tensor(&A, (1, 4)));
    close(
        &explain(&graph, text, &input, 1),
        &explain(&dense(), text, &input, 1),
    );
}

#[test]
fn what_cannot_be_explained_is_named_before_any_work() {
    let parse = |text: &str| Composite::parse(text, Path::new("test")).unwrap();
    let refused =
        |graph: &Graph, text: &str| Lrp::new(graph, &parse(text)).err().unwrap().to_string();
    let error = refused(&dense(), "[[rule]]\nkind = \"conv\"\nrule = \"lrp-0\"");
    assert!(
        error.contains("`dense`") && error.contains("linear"),
        "{error}"
    );
    let pooled = single(
        MaxPool2d {
            kernel: 2,
            stride: 1,
        },
        [1, 2, 4],
    );
    let error = refused(
        &pooled,
        "[[rule]]\nrule = \"lrp-0\"\n[options]\nreference = -80.0",
    );
    assert!(
        error.contains("`layer`") && error.contains("-80"),
        "{error}"
    );

    let lrp = Lrp::new(&dense(), &parse("[[rule]]\nrule = \"lrp-0\"")).unwrap();
    let input = tensor(&A, (1, 4));
    assert!(lrp.explain(&input, &[2]).is_err());
    assert!(lrp.explain(&input, &[0, 1]).is_err());
}

/// The first row that matches wins; names are globs.
#[test]
fn rows_are_tried_in_order() {
    let input = tensor(&A, (1, 4));
    let named = "[[rule]]\nname = \"den*\"\nrule = \"epsilon\"\nepsilon = 3.0\n[[rule]]\nkind = \"linear\"\nrule = \"lrp-0\"";
    let plain = "[[rule]]\nrule = \"epsilon\"\nepsilon = 3.0";
    close(
        &explain(&dense(), named, &input, 0),
        &explain(&dense(), plain, &input, 0),
    );
    let other = named.replace("den*", "conv*");
    close(
        &explain(&dense(), &other, &input, 0),
        &explain(&dense(), "[[rule]]\nrule = \"lrp-0\"", &input, 0),
    );
}
