//! Ops that relevance passes on a way of its own, and sums of what takes none, against their formulas, number by number.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_lrp::{Composite, Detail, Lrp};
use speechlens_nn::ops::{
    Add, Along, Cell, Constant, Conv1d, Dropout, Einsum, Flatten, Linear, MatMul, Max, Mul,
    Recurrent, ReduceSum, Relu, Sigmoid, Softmax, Sub, Tanh, Transpose,
};
use speechlens_nn::{Architecture, Graph, NodeId};

/// The stabilizer of what has no ε of its own.
const STABILIZER: f64 = 1e-6;

fn composite(options: &str) -> Composite {
    let text = format!("[[rule]]\nrule = \"epsilon\"\nepsilon = 1e-6\n[options]\n{options}");
    Composite::parse(&text, Path::new("test.toml")).unwrap()
}

fn by_lot(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A network with weights by lot, in f64.
fn filled(net: Architecture) -> Graph {
    let graph = net.random(1, &Device::Cpu).unwrap();
    let mut seed = 100;
    let graph = graph.map_weights(|_, tensor| {
        seed += 1;
        Ok(by_lot(tensor.dims(), seed))
    });
    graph.unwrap()
}

fn explained(graph: &Graph, options: &str, input: &Tensor, targets: &[u32]) -> Detail {
    explained_by(graph, &composite(options), input, targets)
}

fn explained_by(graph: &Graph, rules: &Composite, input: &Tensor, targets: &[u32]) -> Detail {
    let lrp = Lrp::new(graph, rules).unwrap();
    lrp.explain_in_detail(input, targets, &[]).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor
        .to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-300f64, |l, x| l.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-9 * largest,
            "{what}: {found}, not {expected}"
        );
    }
}

/// Nothing is lost at any node that the books do not tell.
fn conserves(found: &Detail, what: &str) {
    let most = found
        .conservation
        .iter()
        .flat_map(|node| node.arrived.clone());
    let most = most.fold(1e-300f64, |l, x| l.max(x.abs()));
    for node in &found.conservation {
        for rest in node.remainder() {
            assert!(rest.abs() < 1e-10 * most, "{what}, {}: {rest}", node.node);
        }
    }
}

fn stable(z: f64) -> f64 {
    z + if z >= 0.0 { STABILIZER } else { -STABILIZER }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Weights as rows.
fn rows(graph: &Graph, name: &str) -> Vec<Vec<f64>> {
    graph.weights()[name].to_vec2().unwrap()
}

/// The share that each product has of what it is a term of, with a bias, by a rule.
type Shares = fn(products: &[f64], bias: f64) -> Vec<f64>;

fn by_epsilon(products: &[f64], bias: f64) -> Vec<f64> {
    let z = stable(products.iter().sum::<f64>() + bias);
    products.iter().map(|p| p / z).collect()
}

/// The generalized γ = 2: what has the sign of the whole counts three times.
fn by_gamma(products: &[f64], bias: f64) -> Vec<f64> {
    let z = products.iter().sum::<f64>() + bias;
    let weighed = |p: f64| if p * z > 0.0 { 3.0 * p } else { p };
    let all = stable(products.iter().map(|p| weighed(*p)).sum::<f64>() + weighed(bias));
    products.iter().map(|p| weighed(*p) / all).collect()
}

fn by_z_plus(products: &[f64], bias: f64) -> Vec<f64> {
    let all = stable(products.iter().map(|p| p.max(0.0)).sum::<f64>() + bias.max(0.0));
    products.iter().map(|p| p.max(0.0) / all).collect()
}

/// A recurrent layer whose last step a dense layer reads, written out step by step after Arras et al. 2017 for one input: the
/// relevance of each value read. What is written goes by these shares, the dense layer by ε.
fn written_out(
    graph: &Graph,
    cell: Cell,
    shares: Shares,
    x: &[Vec<f64>],
    class: usize,
) -> Vec<f64> {
    let (w, u) = (
        rows(graph, "layer.weight_ih"),
        rows(graph, "layer.weight_hh"),
    );
    let vector = |name: &str| graph.weights()[name].to_vec1::<f64>().unwrap();
    let (bw, bu) = (vector("layer.bias_ih"), vector("layer.bias_hh"));
    let hidden = u[0].len();
    let dot = |row: &[f64], x: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
    let (mut h, mut c) = (vec![0.0; hidden], vec![0.0; hidden]);
    let mut steps = Vec::new();
    for x in x {
        let of = |gate: usize, k: usize, h: &[f64]| {
            let row = gate * hidden + k;
            (dot(&w[row], x) + bw[row], dot(&u[row], h) + bu[row])
        };
        let sum = |gate, k, h: &[f64]| {
            let (a, b) = of(gate, k, h);
            a + b
        };
        // keep, write, z, n, the value, what is given, and the gate before or behind the state's weights
        let mut step = Vec::new();
        let reset: Vec<f64> = match cell {
            Cell::Gru | Cell::GruResetBefore => {
                (0..hidden).map(|k| sigmoid(sum(0, k, &h))).collect()
            }
            _ => vec![1.0; hidden],
        };
        let gated: Vec<f64> = h.iter().zip(&reset).map(|(h, r)| h * r).collect();
        for k in 0..hidden {
            let (keep, write, z) = match cell {
                Cell::Lstm => (
                    sigmoid(sum(1, k, &h)),
                    sigmoid(sum(0, k, &h)),
                    sum(2, k, &h),
                ),
                Cell::Gru => {
                    let (a, b) = of(2, k, &h);
                    let keep = sigmoid(sum(1, k, &h));
                    (keep, 1.0 - keep, a + reset[k] * b)
                }
                Cell::GruResetBefore => {
                    let keep = sigmoid(sum(1, k, &h));
                    (keep, 1.0 - keep, sum(2, k, &gated))
                }
                Cell::Tanh | Cell::Relu => (0.0, 1.0, sum(0, k, &h)),
            };
            let n = if cell == Cell::Relu {
                z.max(0.0)
            } else {
                z.tanh()
            };
            let before = if cell == Cell::Lstm { c[k] } else { h[k] };
            let v = keep * before + write * n;
            let given = match cell {
                Cell::Lstm => sigmoid(sum(3, k, &h)) * v.tanh(),
                _ => v,
            };
            step.push((keep, write, z, n, v, given, before));
        }
        steps.push((x.clone(), h.clone(), reset, step.clone()));
        for k in 0..hidden {
            (c[k], h[k]) = (step[k].4, step[k].5);
        }
    }
    // The dense layer reads what the last step gave.
    let head = rows(graph, "head.weight");
    let bias = vector("head.bias");
    let logit = dot(&head[class], &h) + bias[class];
    let mut of_h: Vec<f64> = (0..hidden)
        .map(|k| h[k] * head[class][k] * logit / stable(logit))
        .collect();
    let mut of_c = vec![0.0; hidden];
    let candidate = if matches!(cell, Cell::Tanh | Cell::Relu) {
        0
    } else {
        2
    };
    let mut by_input = Vec::new();
    for (x, h, reset, step) in steps.iter().rev() {
        let mut of_x = vec![0.0; x.len()];
        let mut of_before = vec![0.0; hidden];
        let mut of_value = vec![0.0; hidden];
        for k in 0..hidden {
            let (keep, write, _, n, v, _, before) = step[k];
            let here = of_h[k] + of_c[k];
            let (old, new) = match cell {
                Cell::Tanh | Cell::Relu => (0.0, here),
                _ => (
                    keep * before / stable(v) * here,
                    write * n / stable(v) * here,
                ),
            };
            of_value[k] = old;
            let row = candidate * hidden + k;
            let gate = |j: usize| match cell {
                Cell::Gru => reset[k],
                Cell::GruResetBefore => reset[j],
                _ => 1.0,
            };
            let read = x.iter().zip(&w[row]).map(|(x, w)| x * w);
            let state = h.iter().zip(&u[row]).enumerate();
            let state = state.map(|(j, (h, u))| h * gate(j) * u);
            let products: Vec<f64> = read.chain(state).collect();
            let bias = match cell {
                Cell::Gru => bw[row] + reset[k] * bu[row],
                _ => bw[row] + bu[row],
            };
            let all = of_x.iter_mut().chain(&mut of_before);
            for (relevance, share) in all.zip(shares(&products, bias)) {
                *relevance += share * new;
            }
        }
        by_input.push(of_x);
        (of_h, of_c) = match cell {
            Cell::Lstm => (of_before, of_value),
            _ => (
                of_before
                    .iter()
                    .zip(&of_value)
                    .map(|(a, b)| a + b)
                    .collect(),
                vec![0.0; hidden],
            ),
        };
    }
    by_input.reverse();
    by_input.concat()
}

/// Batches of steps `[N, T, C]`, as networks read them.
#[test]
fn recurrent_layers_follow_their_formulas() {
    let (batch, steps, inputs, hidden) = (3, 5, 4, 6);
    for cell in [
        Cell::Lstm,
        Cell::Gru,
        Cell::GruResetBefore,
        Cell::Tanh,
        Cell::Relu,
    ] {
        let mut net = Architecture::new([steps, inputs]);
        let x = net.input();
        let order = Transpose {
            axes: Some(vec![1, 0, 2]),
        };
        let x = net.add("time-first", order, [x]).unwrap();
        let op = Recurrent {
            cell,
            inputs,
            hidden,
            reverse: false,
            bias: true,
        };
        let x = net.add("layer", op, [x]).unwrap();
        let cut = |axis, start, end| speechlens_nn::ops::Cut {
            axis,
            start,
            end,
            step: 1,
        };
        let last = speechlens_nn::ops::Slice {
            cuts: Some(vec![cut(0, -1, None), cut(2, 0, Some(hidden as i64))]),
        };
        let x = net.add("last", last, [x]).unwrap();
        let squeezed = speechlens_nn::ops::Squeeze { axes: vec![0] };
        let x = net.add("squeezed", squeezed, [x]).unwrap();
        net.add("head", Linear::new(hidden, 3), [x]).unwrap();
        let graph = filled(net);
        let input = by_lot(&[batch, steps, inputs], 7);
        let targets = [2, 0, 1];
        let ways: [(&str, Shares); 4] = [
            ("", by_epsilon),
            ("rule = \"epsilon\"\nepsilon = 1e-6", by_epsilon),
            ("rule = \"gamma-generalized\"\ngamma = 2.0", by_gamma),
            ("rule = \"z-plus\"", by_z_plus),
        ];
        for (rule, shares) in ways {
            let what = format!("{cell:?} {rule}");
            let row = match rule {
                "" => String::new(),
                rule => format!("[[rule]]\nkind = \"recurrent\"\n{rule}\n"),
            };
            let text = format!("{row}[[rule]]\nrule = \"epsilon\"\nepsilon = 1e-6");
            let rules = Composite::parse(&text, Path::new("test.toml")).unwrap();
            let found = explained_by(&graph, &rules, &input, &targets);
            conserves(&found, &what);
            for (place, target) in targets.iter().enumerate() {
                let one: Vec<Vec<f64>> = input.get(place).unwrap().to_vec2().unwrap();
                let expected = written_out(&graph, cell, shares, &one, *target as usize);
                let relevance = found.explanation.relevance.get(place).unwrap();
                close(&values(&relevance), &expected, &what);
            }
        }
        let found = explained(&graph, "", &input, &targets);
        // Of a layer that goes backwards, on what goes backwards.
        let mut net = graph.architecture().to_json();
        net = net.replace("\"reverse\":false", "\"reverse\":true");
        net = net
            .replace("\"start\":-1,", "\"start\":0,")
            .replacen("\"end\":null", "\"end\":1", 1);
        let back = Architecture::parse(&net, &speechlens_nn::ops::Registry::default()).unwrap();
        let back = back.with_weights(graph.weights()).unwrap();
        let order = Tensor::new(&[4u32, 3, 2, 1, 0], &Device::Cpu).unwrap();
        let turned = |x: &Tensor| x.index_select(&order, 1).unwrap();
        let other = explained(&back, "", &turned(&input), &targets);
        close(
            &values(&turned(&other.explanation.relevance)),
            &values(&found.explanation.relevance),
            "backwards",
        );
    }
}

/// `R_i = x_i (R'_i − s_i Σ R')`, with what is lost in the books.
#[test]
fn a_softmax_inside_goes_by_its_taylor_expansion() {
    let mut net = Architecture::new([5]);
    let x = net.input();
    let op = Softmax {
        axis: -1,
        flat: false,
        log: false,
    };
    let x = net.add("softmax", op, [x]).unwrap();
    net.add("head", Linear::new(5, 2).without_bias(), [x])
        .unwrap();
    let graph = filled(net);
    let input = by_lot(&[2, 5], 3);
    let found = explained(&graph, "", &input, &[1, 0]);
    let head = rows(&graph, "head.weight");
    for (place, class) in [1usize, 0].into_iter().enumerate() {
        let x: Vec<f64> = values(&input.get(place).unwrap());
        let sum: f64 = x.iter().map(|x| x.exp()).sum();
        let s: Vec<f64> = x.iter().map(|x| x.exp() / sum).collect();
        let logit: f64 = s.iter().zip(&head[class]).map(|(s, w)| s * w).sum();
        let arrived: Vec<f64> = s
            .iter()
            .zip(&head[class])
            .map(|(s, w)| s * w * logit / stable(logit))
            .collect();
        let total: f64 = arrived.iter().sum();
        let expected: Vec<f64> = (0..5).map(|i| x[i] * (arrived[i] - s[i] * total)).collect();
        let relevance = found.explanation.relevance.get(place).unwrap();
        close(&values(&relevance), &expected, "softmax");
        let softmax = found
            .conservation
            .iter()
            .find(|node| node.node == "softmax")
            .unwrap();
        let lost = total - expected.iter().sum::<f64>();
        close(&[softmax.softmax[place]], &[lost], "what is lost");
    }
    conserves(&found, "softmax");
}

/// A constant in a sum takes its share and keeps it, as a bias does; without biases it is not there.
#[test]
fn a_constant_term_is_a_bias() {
    let mut net = Architecture::new([4]);
    let x = net.input();
    let constant = Constant { shape: vec![4] };
    let constant = net.add("constant", constant, []).unwrap();
    let doubled = net.add("doubled", Add, [x, x]).unwrap();
    let sum = net.add("sum", Add, [doubled, constant]).unwrap();
    let sum = net.add("difference", Sub, [sum, x]).unwrap();
    net.add("head", Linear::new(4, 2).without_bias(), [sum])
        .unwrap();
    let graph = filled(net);
    let input = by_lot(&[3, 4], 9);
    let c = values(&graph.weights()["constant.value"]);
    let head = rows(&graph, "head.weight");
    for options in ["bias = \"absorb\"", "bias = \"zero\""] {
        let found = explained(&graph, options, &input, &[0, 1, 0]);
        conserves(&found, options);
        for (place, class) in [0usize, 1, 0].into_iter().enumerate() {
            let x = values(&input.get(place).unwrap());
            let z: Vec<f64> = (0..4).map(|i| 2.0 * x[i] + c[i] - x[i]).collect();
            let logit: f64 = (0..4).map(|i| z[i] * head[class][i]).sum();
            let expected: Vec<f64> = (0..4)
                .map(|i| {
                    let arrived = z[i] * head[class][i] * logit / stable(logit);
                    let of_difference = arrived / stable(z[i]);
                    let first = (2.0 * x[i] + c[i]) * of_difference;
                    let (with, without) = (2.0 * x[i] + c[i], 2.0 * x[i]);
                    let sum = if options.contains("zero") {
                        without
                    } else {
                        with
                    };
                    let doubled = 2.0 * x[i] * first / stable(sum);
                    doubled / stable(2.0 * x[i]) * 2.0 * x[i] - x[i] * of_difference
                })
                .collect();
            let relevance = found.explanation.relevance.get(place).unwrap();
            close(&values(&relevance), &expected, options);
        }
    }
}

/// Half to each factor, by ε with the other held: of `X Xᵀ` twice the same.
#[test]
fn matrix_products_give_half_to_each() {
    let mut net = Architecture::new([2, 3]);
    let x = net.input();
    let turned = net
        .add(
            "turned",
            Transpose {
                axes: Some(vec![0, 2, 1]),
            },
            [x],
        )
        .unwrap();
    let product = net.add("product", MatMul, [x, turned]).unwrap();
    let flat = net.add("flat", Flatten, [product]).unwrap();
    net.add("head", Linear::new(4, 2).without_bias(), [flat])
        .unwrap();
    let graph = filled(net);
    let input = by_lot(&[1, 2, 3], 5);
    let found = explained(&graph, "", &input, &[1]);
    conserves(&found, "product");
    let x: Vec<Vec<f64>> = input.get(0).unwrap().to_vec2().unwrap();
    let head = rows(&graph, "head.weight");
    let z = |i: usize, j: usize| (0..3).map(|k| x[i][k] * x[j][k]).sum::<f64>();
    let logit: f64 = (0..4).map(|p| z(p / 2, p % 2) * head[1][p]).sum();
    let mut expected = vec![0.0; 6];
    for (p, weight) in head[1].iter().enumerate() {
        let (i, j) = (p / 2, p % 2);
        let arrived = z(i, j) * weight * logit / stable(logit);
        for k in 0..3 {
            let share = 0.5 * x[i][k] * x[j][k] * arrived / stable(z(i, j));
            expected[i * 3 + k] += share;
            expected[j * 3 + k] += share;
        }
    }
    close(&values(&found.explanation.relevance), &expected, "product");
}

/// What a mask of −∞ hides has no relevance, and makes none of the others no number.
#[test]
fn a_mask_of_minus_infinity_hides() {
    let mut net = Architecture::new([4]);
    let x = net.input();
    let mask = net.add("mask", Constant { shape: vec![4] }, []).unwrap();
    let masked = net.add("masked", Add, [x, mask]).unwrap();
    let op = Softmax {
        axis: -1,
        flat: false,
        log: false,
    };
    let x = net.add("softmax", op, [masked]).unwrap();
    net.add("head", Linear::new(4, 2).without_bias(), [x])
        .unwrap();
    let graph = filled(net).map_weights(|name, tensor| match name {
        "mask.value" => Ok(Tensor::new(
            &[0.0, f64::NEG_INFINITY, 0.0, 0.0],
            tensor.device(),
        )?),
        _ => Ok(tensor.clone()),
    });
    let graph = graph.unwrap();
    for options in ["", "bias = \"zero\""] {
        let found = explained(&graph, options, &by_lot(&[2, 4], 3), &[1, 0]);
        conserves(&found, "masked");
        let relevance = values(&found.explanation.relevance);
        assert!(relevance.iter().all(|r| r.is_finite()), "{relevance:?}");
        assert_eq!([relevance[1], relevance[5]], [0.0; 2]);
        assert!(relevance[0] != 0.0);
    }
}

/// What a network makes of a node, under a name.
type Function = fn(&mut Architecture, NodeId, &str) -> NodeId;

/// A value and what it is multiplied by, of dense layers and functions of them.
fn gated(functions: [Function; 2]) -> Graph {
    let mut net = Architecture::new([4]);
    let x = net.input();
    let [value, gate] = ["value", "gate"].map(|name| {
        let dense = Linear::new(4, 4).without_bias();
        net.add(name, dense, [x]).unwrap()
    });
    let value = functions[0](&mut net, value, "value");
    let gate = functions[1](&mut net, gate, "gate");
    let product = net.add("product", Mul, [value, gate]).unwrap();
    net.add("head", Linear::new(4, 2).without_bias(), [product])
        .unwrap();
    let below = |name: &str, tensor: &Tensor| match name.ends_with("low.value") {
        true => Ok(tensor.affine(0.0, -9.0)?),
        false => Ok(tensor.clone()),
    };
    filled(net).map_weights(below).unwrap()
}

fn as_it_is(_: &mut Architecture, x: NodeId, _: &str) -> NodeId {
    x
}

fn tanh(net: &mut Architecture, x: NodeId, name: &str) -> NodeId {
    net.add(format!("{name}.tanh"), Tanh, [x]).unwrap()
}

/// A gate that reaches the product on a detour.
fn of_sigmoid(net: &mut Architecture, x: NodeId, name: &str) -> NodeId {
    let x = net.add(format!("{name}.sigmoid"), Sigmoid, [x]).unwrap();
    let x = net
        .add(format!("{name}.dropout"), Dropout { p: 0.5 }, [x])
        .unwrap();
    // Where it is above a constant, and that is far below.
    let shape = vec![4];
    let low = net
        .add(format!("{name}.low"), Constant { shape }, [])
        .unwrap();
    net.add(format!("{name}.filled"), Max, [x, low]).unwrap()
}

fn of_products(graph: &Graph, rule: &str, input: &Tensor) -> Detail {
    let text = format!(
        "[[rule]]\nkind = \"product\"\nrule = \"{rule}\"\nepsilon = 1e-6\n[[rule]]\nrule = \"lrp-0\""
    );
    let composite = Composite::parse(&text, Path::new("test.toml")).unwrap();
    let lrp = Lrp::new(graph, &composite).unwrap();
    lrp.explain_in_detail(input, &[1, 0], &["value", "gate"])
        .unwrap()
}

/// All of `v g` to v by ε, and none to g = σ(…); half to each where both are gates, or none is.
#[test]
fn the_signal_takes_all_and_its_gate_none() {
    let input = by_lot(&[2, 4], 11);
    let graph = gated([as_it_is, of_sigmoid]);
    let found = of_products(&graph, "signal", &input);
    conserves(&found, "signal");
    let [value, gate, head] =
        ["value", "gate", "head"].map(|name| rows(&graph, &format!("{name}.weight")));
    for (place, class) in [1usize, 0].into_iter().enumerate() {
        let x = values(&input.get(place).unwrap());
        let of = |rows: &[Vec<f64>]| -> Vec<f64> {
            let dot = |row: &Vec<f64>| row.iter().zip(&x).map(|(w, x)| w * x).sum();
            rows.iter().map(dot).collect()
        };
        let (v, g) = (of(&value), of(&gate));
        let z: Vec<f64> = v.iter().zip(&g).map(|(v, g)| v * sigmoid(*g)).collect();
        let logit: f64 = z.iter().zip(&head[class]).map(|(z, w)| z * w).sum();
        let of_value = (0..4).map(|k| {
            let arrived = z[k] * head[class][k] * logit / stable(logit);
            z[k] * arrived / stable(z[k])
        });
        let of_value: Vec<f64> = of_value.collect();
        let relevance = found.layers["value"].get(place).unwrap();
        close(&values(&relevance), &of_value, "value");
    }
    // Nothing came to the gate.
    assert!(!found.layers.contains_key("gate"));
    for functions in [[as_it_is as Function, tanh], [of_sigmoid, of_sigmoid]] {
        let graph = gated(functions);
        let [signal, half] = ["signal", "epsilon"].map(|rule| of_products(&graph, rule, &input));
        close(
            &values(&signal.explanation.relevance),
            &values(&half.explanation.relevance),
            "half",
        );
    }
}

/// Nothing goes through a softmax that is held; its logarithm passes all on.
#[test]
fn a_softmax_may_be_held() {
    for log in [false, true] {
        let mut net = Architecture::new([5]);
        let x = net.input();
        let op = Softmax {
            axis: -1,
            flat: false,
            log,
        };
        let softmax = net.add("softmax", op, [x]).unwrap();
        net.add("head", Linear::new(5, 2).without_bias(), [softmax])
            .unwrap();
        let graph = filled(net);
        let text = "[[rule]]\nkind = \"softmax\"\nrule = \"detach\"\n[[rule]]\nrule = \"lrp-0\"";
        let composite = Composite::parse(text, Path::new("test.toml")).unwrap();
        let lrp = Lrp::new(&graph, &composite).unwrap();
        let found = lrp
            .explain_in_detail(&by_lot(&[2, 5], 3), &[1, 0], &[])
            .unwrap();
        conserves(&found, "softmax");
        let node = &found.conservation[1];
        assert_eq!(node.node, "softmax");
        let total = found.explanation.relevance.sum(1).unwrap();
        let (lost, passed) = match log {
            false => (&node.arrived, vec![0.0; 2]),
            true => (&vec![0.0; 2], node.arrived.clone()),
        };
        close(&node.softmax, lost, "what is lost");
        close(&values(&total), &passed, "what came to the input");
    }
}

#[test]
fn only_a_softmax_is_held_by_a_rule() {
    let mut net = Architecture::new([4]);
    net.add("head", Linear::new(4, 2), [net.input()]).unwrap();
    let composite = Composite::parse("[[rule]]\nrule = \"detach\"", Path::new("test.toml"));
    let Err(error) = Lrp::new(&filled(net), &composite.unwrap()) else {
        panic!("a dense layer is detached");
    };
    assert!(error.to_string().contains("kind = \"softmax\""), "{error}");
}

/// A reference is one in every place, whichever axis the batch is on, and whatever of the batch a layer's factors are.
#[test]
fn a_reference_stands_in_every_place() {
    let of_sum = |net: &mut Architecture, x, _: &str| {
        let axes = Some(vec![1, 0, 2]);
        let x = net.add("turned", Transpose { axes }, [x]).unwrap();
        let along = Along {
            axes: vec![0],
            ..Along::default()
        };
        net.add("layer", ReduceSum(along), [x]).unwrap()
    };
    let of_product = |net: &mut Architecture, x, _: &str| {
        let op = Einsum::parse("bij,bkj->bik").unwrap();
        let x = net.add("layer", op, [x, x]).unwrap();
        net.add("flat", Flatten, [x]).unwrap()
    };
    for (layer, values_given) in [(of_sum as Function, 4), (of_product, 9)] {
        let mut net = Architecture::new([3, 4]);
        let x = net.input();
        let x = layer(&mut net, x, "");
        let head = Linear::new(values_given, 2).without_bias();
        net.add("head", head, [x]).unwrap();
        let graph = filled(net);
        let input = by_lot(&[2, 3, 4], 13);
        let found = explained(&graph, "reference = -0.5", &input, &[1, 0]);
        conserves(&found, "reference");
        for (place, target) in [1, 0].into_iter().enumerate() {
            let one = input.narrow(0, place, 1).unwrap();
            let alone = explained(&graph, "reference = -0.5", &one, &[target]);
            let relevance = found.explanation.relevance.get(place).unwrap();
            close(
                &values(&relevance),
                &values(&alone.explanation.relevance),
                "among others",
            );
        }
        // What stands at the reference has none.
        let at_reference = input.affine(0.0, -0.5).unwrap();
        let found = explained(&graph, "reference = -0.5", &at_reference, &[1, 0]);
        assert_eq!(values(&found.explanation.relevance), [0.0; 24]);
    }
}

/// A layer and a constant behind it, as exporters write a dense layer, and the same as one layer.
#[test]
fn a_constant_behind_a_layer_is_its_bias() {
    let apart = || {
        let mut net = Architecture::new([2, 6]);
        let x = net.input();
        let conv = Conv1d::new(2, 3, 3).without_bias();
        let x = net.add("conv.product", conv, [x]).unwrap();
        let of_conv = Constant {
            shape: vec![1, 3, 1],
        };
        let of_conv = net.add("conv.bias", of_conv, []).unwrap();
        let x = net.add("conv", Add, [of_conv, x]).unwrap();
        let x = net.add("relu", Relu, [x]).unwrap();
        let dense = Linear::new(4, 3).without_bias().on_any_axes();
        let x = net.add("dense.product", dense, [x]).unwrap();
        let of_dense = net.add("dense.bias", Constant { shape: vec![3] }, []);
        let x = net.add("dense", Add, [x, of_dense.unwrap()]).unwrap();
        let x = net.add("flat", Flatten, [x]).unwrap();
        net.add("head", Linear::new(9, 2).without_bias(), [x])
            .unwrap();
        filled(net)
    };
    let apart = apart();
    let joined = apart.with_biases_joined().unwrap();
    let names: Vec<&str> = joined.nodes().map(|(_, node)| node.name.as_str()).collect();
    assert_eq!(names, ["input", "conv", "relu", "dense", "flat", "head"]);
    let input = by_lot(&[2, 2, 6], 9);
    for options in ["", "bias = \"zero\""] {
        let [before, after] =
            [&apart, &joined].map(|graph| explained(graph, options, &input, &[0, 1]));
        conserves(&after, options);
        for (found, expected) in [
            (&after.explanation.logits, &before.explanation.logits),
            (&after.explanation.relevance, &before.explanation.relevance),
        ] {
            let (found, expected) = (values(found), values(expected));
            let largest = expected.iter().fold(0f64, |l, x| l.max(x.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                // ε stands once in the quotient, and not twice.
                assert!(
                    (found - expected).abs() < 1e-3 * largest,
                    "{options}: {found}, not {expected}"
                );
            }
        }
    }
}
