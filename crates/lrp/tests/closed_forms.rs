//! The rules on layers small enough to compute by hand.

#![allow(clippy::unwrap_used)]

use std::f64::consts::PI;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use speechlens_lrp::{Composite, Lrp, STABILIZER};
use speechlens_nn::ops::{
    Add, AvgPool2d, BatchNorm, Constant, Conv2d, Dropout, Elementwise, Flatten, Gelu, Linear,
    MaxPool2d, Mul, Relu, Sigmoid, Tanh,
};
use speechlens_nn::{Architecture, Branch, Graph, Kind, Map, Mode, NodeId, Op, Params};

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

/// `a (w + γ w⁺) / Σ`, on inputs that are nowhere negative; whatever the sign of the output.
#[test]
fn gamma() {
    let mut net = Architecture::new([4]);
    let x = net.add("relu", Relu, [net.input()]).unwrap();
    net.add("dense", Linear::new(4, 2), [x]).unwrap();
    let graph = net.with_weights(dense().weights()).unwrap();
    let input = tensor(&A, (1, 4));
    let text = "[[rule]]\nrule = \"gamma\"\ngamma = 0.5";
    for (k, bias) in B.iter().enumerate() {
        let favoured = |w: f64| w + 0.5 * w.max(0.0);
        let terms = by_hand(k, |a, w| a.max(0.0) * favoured(w));
        let z: f64 = by_hand(k, |a, w| a.max(0.0) * w).iter().sum::<f64>() + bias;
        let denominator = terms.iter().sum::<f64>() + favoured(*bias);
        let stable = denominator + 1e-6 * denominator.signum();
        let expected: Vec<f64> = terms.iter().map(|term| term / stable * z).collect();
        close(&explain(&graph, text, &input, k as u32), &expected);
    }
}

/// What raises an output is favoured where it is positive, what lowers it where it is negative.
#[test]
fn gamma_generalized() {
    let input = tensor(&A, (1, 4));
    assert!(logit(0) > 0.0 && logit(1) < 0.0);
    let gamma = 0.5;
    let text = "[[rule]]\nrule = \"gamma-generalized\"\ngamma = 0.5";
    for (k, sign) in [(0, 1.0), (1, -1.0)] {
        // `x` and γ times what of it has the output's sign.
        let favoured = |x: f64| if x * sign > 0.0 { (1.0 + gamma) * x } else { x };
        let terms = by_hand(k, |a, w| favoured(a * w));
        let denominator = terms.iter().sum::<f64>() + favoured(B[k]) + sign * 1e-6;
        let expected: Vec<f64> = terms.iter().map(|t| t / denominator * logit(k)).collect();
        close(&explain(&dense(), text, &input, k as u32), &expected);
    }
}

/// `(a w − l w⁺ − h w⁻) / Σ`, without the bias; against a reference r the bounds move with the input.
#[test]
fn z_box() {
    let input = tensor(&A, (1, 4));
    for (low, high, reference) in [(-1.5, 4.0, 0.0), (-1.5, 4.0, -1.0)] {
        let text = format!(
            "[[rule]]\nrule = \"z-box\"\n[options]\nbounds = [{low:?}, {high:?}]\nreference = {reference:?}"
        );
        for k in 0..2 {
            let terms = by_hand(k, |a, w| a * w - low * w.max(0.0) - high * w.min(0.0));
            let denominator = terms.iter().sum::<f64>() + 1e-6;
            assert!(terms.iter().all(|term| *term >= 0.0));
            let expected: Vec<f64> = terms.iter().map(|t| t / denominator * logit(k)).collect();
            close(&explain(&dense(), &text, &input, k as u32), &expected);
        }
    }
}

/// What `Lrp::new` says of a network and a composite that do not fit.
fn refused(net: Architecture, text: &str) -> String {
    let composite = Composite::parse(text, Path::new("test")).unwrap();
    let graph = net.random(1, &Device::Cpu).unwrap();
    Lrp::new(&graph, &composite).err().unwrap().to_string()
}

/// A layer that reads the input through what only moves values reads the input: it is the first, its bounds are known, and it is
/// measured against the reference.
#[test]
fn what_only_moves_values_is_seen_through() {
    let mut net = Architecture::new([1, 2, 2]);
    let x = net.add("flatten", Flatten, [net.input()]).unwrap();
    let x = net.add("dropout", Dropout { p: 0.5 }, [x]).unwrap();
    net.add("dense", Linear::new(4, 2), [x]).unwrap();
    let behind = net.with_weights(dense().weights()).unwrap();
    for text in [
        "[[rule]]\nfirst = true\nrule = \"z-box\"\n[options]\nbounds = [-1.5, 4.0]",
        "[[rule]]\nrule = \"z-box\"\n[options]\nbounds = [-1.5, 4.0]\nreference = -1.0",
        "[[rule]]\nrule = \"epsilon\"\nepsilon = 0.5\n[options]\nreference = -80.0",
    ] {
        close(
            &explain(&behind, text, &tensor(&A, (1, 1, 2, 2)), 0),
            &explain(&dense(), text, &tensor(&A, (1, 4)), 0),
        );
    }

    // A ReLU changes what it reads, and behind the output nothing takes a reference.
    let mut net = Architecture::new([4]);
    let x = net.add("relu", Relu, [net.input()]).unwrap();
    net.add("dense", Linear::new(4, 2), [x]).unwrap();
    let in_box = "[[rule]]\nrule = \"z-box\"\n[options]\nbounds = [-1.5, 4.0]";
    assert!(refused(net.clone(), in_box).contains("`dense`"));
    let against = "[[rule]]\nrule = \"lrp-0\"\n[options]\nreference = -1.0";
    assert!(refused(net, against).contains("`relu`"));
    let mut net = Architecture::new([4]);
    net.add("flatten", Flatten, [net.input()]).unwrap();
    assert!(refused(net, against).contains("`flatten`"));
}

/// `x − 1`, and a pool to composites: that pools keep what is not negative says nothing of it.
#[derive(Debug, serde::Serialize)]
struct Lower;

impl Op for Lower {
    fn name(&self) -> &str {
        "lower"
    }

    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(
        &self,
        _: &Params,
        inputs: &[&Tensor],
        _: &mut Mode,
    ) -> speechlens_nn::Result<Tensor> {
        Ok((inputs[0] - 1.0)?)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }
}

/// Whether a layer's input may be negative is what the ops before it prove, not what they are called.
#[test]
fn non_negativity_is_proved_and_not_guessed() {
    type Add1<'a> = &'a dyn Fn(&mut Architecture, NodeId) -> NodeId;
    let behind = |op: Add1| {
        let mut net = Architecture::new([4]);
        let x = net.add("relu", Relu, [net.input()]).unwrap();
        let x = op(&mut net, x);
        net.add("dense", Linear::new(4, 2), [x]).unwrap();
        let graph = net.random(1, &Device::Cpu).unwrap();
        let gamma = "[[rule]]\nrule = \"gamma\"\ngamma = 1.0";
        Lrp::new(&graph, &Composite::parse(gamma, Path::new("test")).unwrap()).map(|_| ())
    };
    assert!(behind(&|net, x| net.add("sum", Add, [x, x]).unwrap()).is_ok());
    assert!(behind(&|net, x| net.add("tanh", Tanh, [x]).unwrap()).is_ok());
    assert!(behind(&|net, x| net.add("product", Mul, [x, x]).unwrap()).is_ok());
    let error = behind(&|net, x| net.add("lower", Lower, [x]).unwrap()).unwrap_err();
    assert!(error.to_string().contains("`dense`"), "{error}");
}

/// Where relevance has but one way to go, a row that names the node is a mistake, whatever the way.
#[test]
fn what_takes_no_rule_refuses_one() {
    let mut net = Architecture::new([1, 2, 2]);
    let x = net
        .add("pool", MaxPool2d::new(2, 2), [net.input()])
        .unwrap();
    let x = net.add("flatten", Flatten, [x]).unwrap();
    let x = net.add("relu", Relu, [x]).unwrap();
    net.add("dense", Linear::new(1, 2), [x]).unwrap();
    for (kind, node) in [
        ("pool", "pool"),
        ("reshape", "flatten"),
        ("activation", "relu"),
    ] {
        let text =
            format!("[[rule]]\nkind = \"{kind}\"\nrule = \"lrp-0\"\n[[rule]]\nrule = \"lrp-0\"");
        let error = refused(net.clone(), &text);
        assert!(
            error.contains(&format!("`{node}`")) && error.contains("takes no rule"),
            "{error}"
        );
    }
}

/// A gate: `a σ(b)`. Each factor gets `z / (z + ε s(z)) · R / 2` for what it is, which is its value times the other; the gate's
/// half passes through the sigmoid.
#[test]
fn a_product_is_shared_by_halves() {
    let mut net = Architecture::new([4]);
    let gate = net.add("gate", Sigmoid, [net.input()]).unwrap();
    let x = net.add("product", Mul, [net.input(), gate]).unwrap();
    net.add("dense", Linear::new(4, 2), [x]).unwrap();
    let graph = net.with_weights(dense().weights()).unwrap();
    let epsilon = 0.5;
    for (text, epsilon) in [
        ("[[rule]]\nrule = \"lrp-0\"".to_owned(), STABILIZER),
        (
            format!(
                "[[rule]]\nkind = \"product\"\nrule = \"epsilon\"\nepsilon = {epsilon}\n[[rule]]\nrule = \"lrp-0\""
            ),
            epsilon,
        ),
    ] {
        let z: Vec<f64> = A.iter().map(|a| a / (1.0 + (-a).exp())).collect();
        let sign = |z: f64| if z >= 0.0 { 1.0 } else { -1.0 };
        let output: f64 = B[0] + z.iter().zip(W[0]).map(|(z, w)| z * w).sum::<f64>();
        let share = output / (output + STABILIZER * sign(output));
        let expected: Vec<f64> = z
            .iter()
            .zip(W[0])
            // Both halves end at the same input.
            .map(|(z, w)| z * w * share * z / (z + epsilon * sign(*z)))
            .collect();
        close(&explain(&graph, &text, &tensor(&A, (1, 4)), 0), &expected);
    }
}

/// The limit ε → 0, through what is a factor of its input (`x Φ(x)`: GELU), a gate, which passes relevance on as it is, a sum, and a move
/// of values: `R_j = x_j c_j`, with `c` by hand.
#[test]
fn epsilon_of_zero_divides_by_nothing() {
    let mut net = Architecture::new([4]);
    let x = net.add("dense", Linear::new(4, 2), [net.input()]).unwrap();
    let gelu = net.add("gelu", Elementwise(Gelu::new(true)), [x]).unwrap();
    let gate = net.add("gate", Sigmoid, [x]).unwrap();
    let x = net.add("product", Mul, [gelu, gate]).unwrap();
    let x = net.add("sum", Add, [x, gelu]).unwrap();
    let x = net.add("dropout", Dropout { p: 0.5 }, [x]).unwrap();
    let x = net.add("tanh", Tanh, [x]).unwrap();
    net.add("head", Linear::new(2, 1), [x]).unwrap();
    let (of_head, bias) = ([1.5, -0.75], 0.25);
    let mut weights = dense().weights();
    weights.insert("head.weight".into(), tensor(&of_head, (1, 2)));
    weights.insert("head.bias".into(), tensor(&[bias], 1));
    let graph = net.with_weights(weights).unwrap();
    let found = explain(
        &graph,
        "[[rule]]\nrule = \"epsilon\"\nepsilon = 0",
        &tensor(&A, (1, 4)),
        0,
    );

    let mut expected = [0.0; 4];
    for (k, of_head) in of_head.into_iter().enumerate() {
        let z = logit(k);
        let phi = 0.5 * (1.0 + ((2.0 / PI).sqrt() * (z + 0.044715 * z.powi(3))).tanh());
        let gate = 1.0 / (1.0 + (-z).exp());
        let stabilized = z + STABILIZER.copysign(z);
        let (gelu, sum) = (z * phi, z * phi * (gate + 1.0));
        // By the modified gradient as far as the gate, which gives its half as relevance.
        let c = of_head * sum.tanh() / sum;
        let of_gelu = c * (1.0 + gate / 2.0) * gelu;
        let of_gate = c * gelu / 2.0 * gate;
        for (j, expected) in expected.iter_mut().enumerate() {
            *expected += A[j] * W[k][j] * (of_gelu + of_gate) / stabilized;
        }
    }
    close(&found, &expected);
    assert_eq!(
        explain(
            &graph,
            "[[rule]]\nrule = \"epsilon\"\nepsilon = 0",
            &tensor(&[0.0; 4], (1, 4)),
            0
        ),
        [0.0; 4]
    );
}

/// A constant factor takes nothing, and what it is added to gives it its share, as to a bias.
#[test]
fn constants_take_no_relevance() {
    let mask = [0.5, 0.0, -1.0, 2.0];
    let mut net = Architecture::new([4]);
    let constant = Constant { shape: vec![1, 4] };
    let held = net.add("mask", constant, []).unwrap();
    let x = net.add("product", Mul, [net.input(), held]).unwrap();
    net.add("dense", Linear::new(4, 2), [x]).unwrap();
    let mut weights = dense().weights();
    weights.insert("mask.value".into(), tensor(&mask, (1, 4)));
    let graph = net.with_weights(weights).unwrap();
    let text = "[[rule]]\nrule = \"lrp-0\"";
    let output: f64 = B[0] + (0..4).map(|i| A[i] * mask[i] * W[0][i]).sum::<f64>();
    let share = output / (output + STABILIZER * output.signum());
    let expected: Vec<f64> = (0..4)
        .map(|i| {
            let z = A[i] * mask[i];
            let sign = if z >= 0.0 { 1.0 } else { -1.0 };
            z * W[0][i] * share * z / (z + STABILIZER * sign)
        })
        .collect();
    close(&explain(&graph, text, &tensor(&A, (1, 4)), 0), &expected);
}

/// `w² / Σ`, with the bias's square in the denominator unless biases are left out, and `1 / n`, whatever the input.
#[test]
fn w_square_and_flat() {
    let input = tensor(&A, (1, 4));
    for (k, bias) in B.iter().enumerate() {
        let squares: f64 = W[k].iter().map(|w| w * w).sum();
        for (options, of_bias) in [("", bias * bias), ("[options]\nbias = \"zero\"", 0.0)] {
            let text = format!("[[rule]]\nrule = \"w-square\"\n{options}");
            let expected = by_hand(k, |_, w| w * w / (squares + of_bias + 1e-6) * logit(k));
            close(&explain(&dense(), &text, &input, k as u32), &expected);
            let text = format!("[[rule]]\nrule = \"flat\"\n{options}");
            let expected = by_hand(k, |_, _| logit(k) / (4.0 + 1e-6));
            close(&explain(&dense(), &text, &input, k as u32), &expected);
        }
    }
}

/// A dense layer and batch normalization: as one layer, and as two of which the second takes `x·s·R / z` (the thesis, Eq.
/// 3.16).
#[test]
fn batch_normalization() {
    let mut net = Architecture::new([4]);
    let x = net.add("dense", Linear::new(4, 2), [net.input()]).unwrap();
    net.add("norm", BatchNorm::new_1d(2), [x]).unwrap();
    let mut weights = dense().weights();
    let (scale, shift) = ([1.5, -0.5], [0.25, 2.0]);
    let (mean, variance) = ([0.5, -1.0], [4.0, 0.25]);
    for (name, values) in [
        ("weight", &scale),
        ("bias", &shift),
        ("running_mean", &mean),
        ("running_var", &variance),
    ] {
        weights.insert(format!("norm.{name}"), tensor(values, 2));
    }
    let graph = net.with_weights(weights).unwrap();
    let input = tensor(&A, (1, 4));
    for k in 0..2 {
        let s = scale[k] / (variance[k] + 1e-5f64).sqrt();
        let z = s * (logit(k) - mean[k]) + shift[k];
        let stable = |z: f64| z + 1e-6 * z.signum();
        let merged = by_hand(k, |a, w| a * w * s / stable(z) * z);
        let text = "[[rule]]\nrule = \"lrp-0\"";
        close(&explain(&graph, text, &input, k as u32), &merged);
        let arrives = logit(k) * s / stable(z) * z;
        let ratio = by_hand(k, |a, w| a * w / stable(logit(k)) * arrives);
        let text = format!("{text}\n[options]\nbatchnorm = \"ratio\"");
        close(&explain(&graph, &text, &input, k as u32), &ratio);
    }
}

/// Each branch of a sum in proportion to its value, by the ε of the row for sums.
#[test]
fn sums_of_branches() {
    let mut net = Architecture::new([4]);
    let x = net.add("dense", Linear::new(4, 4), [net.input()]).unwrap();
    let x = net.add("sum", Add, [x, net.input()]).unwrap();
    net.add("head", Linear::new(4, 1), [x]).unwrap();
    let twice: Vec<f64> = (0..16)
        .map(|i| if i % 5 == 0 { 2.0 } else { 0.0 })
        .collect();
    let weights = [
        ("dense.weight", tensor(&twice, (4, 4))),
        ("dense.bias", tensor(&[0.0; 4], 4)),
        ("head.weight", tensor(&[1.0; 4], (1, 4))),
        ("head.bias", tensor(&[0.0], 1)),
    ];
    let weights = weights.map(|(name, tensor)| (name.to_owned(), tensor));
    let graph = net.with_weights(weights.into()).unwrap();
    let text =
        "[[rule]]\nkind = \"sum\"\nrule = \"epsilon\"\nepsilon = 0.5\n[[rule]]\nrule = \"lrp-0\"";
    let stable = |z: f64, epsilon: f64| z + epsilon * z.signum();
    let z: f64 = A.iter().map(|a| 3.0 * a).sum();
    let expected = A.map(|a| {
        let arrives = 3.0 * a / stable(z, 1e-6) * z;
        let (doubled, same) = (2.0 * a, a);
        let to = |branch: f64| branch / stable(3.0 * a, 0.5) * arrives;
        to(doubled) * doubled / stable(doubled, 1e-6) + to(same)
    });
    close(&explain(&graph, text, &tensor(&A, (1, 4)), 0), &expected);
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
    let graph = single(MaxPool2d::new(2, 1), [1, 2, 4]);
    let input = tensor(&[1.0, 5.0, 2.0, 2.0, 0.0, 3.0, 2.0, 1.0], (1, 1, 2, 4));
    let one = |target| explain(&graph, "[[rule]]\nrule = \"lrp-0\"", &input, target);
    close(&one(0), &[0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    close(&one(1), &[0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    close(&one(2), &[0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

/// Weights 1/n: shares in proportion to the value. All contributions have one sign, so that αβ gives α times the relevance.
#[test]
fn average_pooling_is_a_linear_layer() {
    let graph = single(AvgPool2d::new(2, 2), [1, 2, 2]);
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
    let pooled = single(MaxPool2d::new(2, 1), [1, 2, 4]);
    let error = refused(
        &pooled,
        "[[rule]]\nrule = \"lrp-0\"\n[options]\nreference = -80.0",
    );
    assert!(
        error.contains("`layer`") && error.contains("-80"),
        "{error}"
    );

    let zero = "[[rule]]\nrule = \"lrp-0\"";
    let alone = {
        let mut net = Architecture::new([2]);
        let x = net
            .add("norm", BatchNorm::new_1d(2), [net.input()])
            .unwrap();
        let x = net.add("relu", Relu, [x]).unwrap();
        let x = net.add("sum", Add, [x, x]).unwrap();
        net.add("head", Linear::new(2, 2), [x]).unwrap();
        net.random(1, &Device::Cpu).unwrap()
    };
    for (rules, node, problem) in [
        (
            format!(
                "[[rule]]\nkind = \"sum\"\nrule = \"flat\"\n{zero}\n[options]\nbatchnorm = \"ratio\""
            ),
            "sum",
            "takes the rules epsilon and lrp-0",
        ),
        (
            format!(
                "[[rule]]\nkind = \"activation\"\nrule = \"flat\"\n{zero}\n[options]\nbatchnorm = \"ratio\""
            ),
            "relu",
            "takes no rule",
        ),
        (
            format!(
                "[[rule]]\nkind = \"linear\"\nrule = \"z-box\"\n{zero}\n[options]\nbatchnorm = \"ratio\"\nbounds = [0, 1]"
            ),
            "head",
            "first = true",
        ),
        (
            "[[rule]]\nrule = \"z-box\"\n[options]\nbatchnorm = \"ratio\"".to_owned(),
            "norm",
            "bounds = [low, high]",
        ),
        (
            "[[rule]]\nrule = \"gamma\"\ngamma = 1\n[options]\nbatchnorm = \"ratio\"".to_owned(),
            "norm",
            "gamma-generalized",
        ),
    ] {
        let error = refused(&alone, &rules);
        let named = error.contains(&format!("`{node}`")) && error.contains(problem);
        assert!(named, "{rules}: {error}");
    }

    // Batch normalization that stands behind no layer has its row's rule.
    let input = tensor(&A[..2], (1, 2));
    let wide = alone.to_dtype(candle_core::DType::F64).unwrap();
    let ratio = format!("{zero}\n[options]\nbatchnorm = \"ratio\"");
    assert_eq!(
        explain(&wide, zero, &input, 1),
        explain(&wide, &ratio, &input, 1)
    );

    let lrp = Lrp::new(&dense(), &parse(zero)).unwrap();
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

/// Depth: the layers that read the input, and the third of the layers nearest it.
#[test]
fn rows_match_by_depth() {
    let mut net = Architecture::new([1, 8, 8]);
    let mut x = net.input();
    for (layer, channels) in (0..5).zip([1, 2, 2, 2, 2]) {
        let conv = Conv2d::new(channels, 2, 3).padding(1);
        x = net.add(format!("conv{layer}"), conv, [x]).unwrap();
        x = net
            .add(format!("bn{layer}"), BatchNorm::new_2d(2), [x])
            .unwrap();
        x = net.add(format!("relu{layer}"), Relu, [x]).unwrap();
    }
    x = net.add("flatten", Flatten, [x]).unwrap();
    net.add("head", Linear::new(128, 2), [x]).unwrap();
    let graph = net.random(1, &Device::Cpu).unwrap();
    let rules = |text: &str| -> Vec<String> {
        let lrp = Lrp::new(&graph, &Composite::parse(text, Path::new("test")).unwrap()).unwrap();
        let assigned = lrp.assignments().into_iter();
        let named = assigned.filter_map(|a| Some(format!("{}: {}", a.nodes.join("+"), a.rule?)));
        named.collect()
    };
    let text = "[[rule]]\nfirst = true\nrule = \"flat\"\n[[rule]]\nfirst-third = true\nrule = \"z-plus\"\n\
                [[rule]]\nrule = \"lrp-0\"";
    let merged = [
        "conv0+bn0: flat",
        "conv1+bn1: z-plus",
        "conv2+bn2: lrp-0",
        "conv3+bn3: lrp-0",
        "conv4+bn4: lrp-0",
        "head: lrp-0",
    ];
    assert_eq!(rules(text), merged);
    let apart = rules(&format!("{text}\n[options]\nbatchnorm = \"ratio\""));
    assert_eq!(
        apart[..5],
        [
            "conv0: flat",
            "bn0: z-plus",
            "conv1: z-plus",
            "bn1: z-plus",
            "conv2: lrp-0"
        ]
    );
}

/// The relevance of a layer's output, by the layer's name; that of the input's reader sums to what its output has.
#[test]
fn relevance_is_read_at_any_layer() {
    let mut net = Architecture::new([4]);
    let x = net.add("hidden", Linear::new(4, 3), [net.input()]).unwrap();
    let x = net.add("norm", BatchNorm::new_1d(3), [x]).unwrap();
    let x = net.add("relu", Relu, [x]).unwrap();
    net.add("head", Linear::new(3, 2), [x]).unwrap();
    let graph = net
        .random(3, &Device::Cpu)
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap();
    let lrp = Lrp::new(&graph, &Composite::preset("lrp-0").unwrap()).unwrap();
    let input = tensor(&A, (1, 4));
    let detail = lrp
        .explain_in_detail(&input, &[1], &["norm", "hidden", "relu", "head"])
        .unwrap();
    let values = |name: &str| {
        detail.layers[name]
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap()
    };
    assert_eq!(values("norm"), values("hidden"));
    assert_eq!(values("norm"), values("relu"));
    let logits = detail
        .explanation
        .logits
        .flatten_all()
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    assert_eq!(values("head"), [0.0, logits[1]]);
    let [head, .., hidden] = detail.conservation.as_slice() else {
        panic!("a node is missing");
    };
    assert_eq!(
        (head.node.as_str(), hidden.node.as_str()),
        ("head", "hidden")
    );
    let bias = graph.weights()["head.bias"].to_vec1::<f64>().unwrap()[1];
    // But for ε.
    assert!((head.bias[0] - bias).abs() < 1e-4 * bias.abs());
    let passed: f64 = values("relu").iter().sum();
    close(&head.passed, &[passed]);
    let of_input: f64 = detail
        .explanation
        .relevance
        .sum_all()
        .unwrap()
        .to_scalar()
        .unwrap();
    close(&hidden.passed, &[of_input]);
    let plain = lrp.explain(&input, &[1]).unwrap();
    assert_eq!(
        plain.relevance.to_vec2::<f64>().unwrap(),
        detail.explanation.relevance.to_vec2::<f64>().unwrap()
    );
    let error = lrp
        .explain_in_detail(&input, &[1], &["nose"])
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("`nose`") && error.contains("norm"),
        "{error}"
    );
}
