//! Every layer is a matrix between what it reads and what it gives, with all else held. Whatever op it is, a rule on it is the rule on
//! that matrix: by its signs, its squares, its zeros. Layers of which no weights can be mapped take no rule that maps them.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_lrp::{Composite, Error, Lrp, PRESETS, STABILIZER};
use speechlens_nn::ops::*;
use speechlens_nn::{Architecture, Graph, LinearOp, Map, Node, NodeId};

fn by_lot(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A network with weights by lot, in f64; variances are above 0.
fn filled(net: Architecture) -> Graph {
    let graph = net.random(1, &Device::Cpu).unwrap();
    let mut seed = 100;
    let graph = graph.map_weights(|name, tensor| {
        seed += 1;
        let value = by_lot(tensor.dims(), seed);
        Ok(match name.ends_with("running_var") {
            true => (value.sqr()? + 0.5)?,
            false => value,
        })
    });
    graph.unwrap()
}

/// A layer, its matrix `[outputs][inputs]` and bias, and what it read, all for one input.
struct Layer {
    matrix: Vec<Vec<f64>>,
    bias: Vec<f64>,
    input: Vec<f64>,
}

fn the_layer(node: &Node) -> (&dyn LinearOp, usize) {
    let found = node.op.branches(node.inputs.len()).into_iter();
    let mut found = found.filter_map(|branch| match branch.map {
        Map::Layer(op) => Some((op, branch.input)),
        _ => None,
    });
    found.next().unwrap()
}

/// By what it makes of each of the inputs that are 1 in one place.
fn written_out(graph: &Graph, input: &Tensor) -> Layer {
    let id = graph.architecture().node("layer").unwrap();
    let (_, node) = graph.nodes().find(|(other, _)| *other == id).unwrap();
    let trace = graph.trace(input).unwrap();
    let inputs = trace.inputs(node).unwrap();
    let (op, place) = the_layer(node);
    let (weight, bias) = op.weights(graph.params(id), &inputs).unwrap();
    let read = inputs[place];
    let given = trace.output(id).unwrap();
    let mut matrix = vec![vec![0.0; read.elem_count()]; given.elem_count()];
    for column in 0..read.elem_count() {
        let mut one = vec![0.0; read.elem_count()];
        one[column] = 1.0;
        let one = Tensor::from_vec(one, read.shape(), &Device::Cpu).unwrap();
        let of_one = values(&op.apply(&one, &weight).unwrap());
        for (row, value) in matrix.iter_mut().zip(of_one) {
            row[column] = value;
        }
    }
    let bias = match bias {
        Some(bias) => values(&bias.broadcast_as(given.shape()).unwrap()),
        None => vec![0.0; given.elem_count()],
    };
    Layer {
        matrix,
        bias,
        input: values(read),
    }
}

fn stable(z: f64) -> f64 {
    z + if z >= 0.0 { STABILIZER } else { -STABILIZER }
}

/// What an input gives to an output, and what the bias does, by the factor between them.
type Part = (fn(f64, f64) -> f64, fn(f64) -> f64);

fn none(_: f64) -> f64 {
    0.0
}

/// The rules, as parts of the relevance that go in proportion to something, each with its factor; of the outputs that are above 0 (1),
/// below (−1), or all.
fn parts(rule: &str) -> Vec<(f64, f64, Part)> {
    fn up(a: f64, w: f64) -> f64 {
        (a * w).max(0.0)
    }
    fn down(a: f64, w: f64) -> f64 {
        (a * w).min(0.0)
    }
    match rule {
        "lrp-0" => vec![(1.0, 0.0, (|a, w| a * w, |b| b))],
        "z-plus" => vec![(1.0, 0.0, (up, |b| b.max(0.0)))],
        "alpha-beta" => vec![
            (2.0, 0.0, (up, |b| b.max(0.0))),
            (-1.0, 0.0, (down, |b| b.min(0.0))),
        ],
        "gamma-generalized" => vec![
            (
                1.0,
                1.0,
                (|a, w| a * w + 0.5 * up(a, w), |b| b + 0.5 * b.max(0.0)),
            ),
            (
                1.0,
                -1.0,
                (|a, w| a * w + 0.5 * down(a, w), |b| b + 0.5 * b.min(0.0)),
            ),
        ],
        "w-square" => vec![(1.0, 0.0, (|_, w| w * w, |b| b * b))],
        "flat" => vec![(1.0, 0.0, (|_, w| f64::from(w != 0.0), none))],
        other => panic!("no rule {other}"),
    }
}

impl Layer {
    fn relevance(&self, rule: &str, arrived: &[f64]) -> Vec<f64> {
        let mut found = vec![0.0; self.input.len()];
        for (k, row) in self.matrix.iter().enumerate() {
            let given: f64 = row.iter().zip(&self.input).map(|(w, a)| w * a).sum();
            for (factor, sign, (of, of_bias)) in parts(rule) {
                if sign * (given + self.bias[k]) < 0.0 {
                    continue;
                }
                let flows: Vec<f64> = row
                    .iter()
                    .zip(&self.input)
                    .map(|(w, a)| of(*a, *w))
                    .collect();
                let z = flows.iter().sum::<f64>() + of_bias(self.bias[k]);
                for (found, flow) in found.iter_mut().zip(&flows) {
                    *found += factor * flow / stable(z) * arrived[k];
                }
            }
        }
        found
    }
}

const RULES: [(&str, &str); 6] = [
    ("lrp-0", ""),
    ("z-plus", ""),
    ("alpha-beta", "alpha = 2\nbeta = 1"),
    ("gamma-generalized", "gamma = 0.5"),
    ("w-square", ""),
    ("flat", ""),
];

/// Of a network whose node `layer` is explained, the input before it.
fn holds(what: &str, mut net: Architecture, layer: NodeId, inputs: usize) {
    let x = net.add("flat", FlattenAt { axis: 1 }, [layer]).unwrap();
    net.add("head", Linear::new(inputs, 2), [x]).unwrap();
    let shape = net.fixed_input_shape().unwrap();
    let graph = filled(net);
    let input = by_lot(&[vec![1], shape].concat(), 7);
    let layer = written_out(&graph, &input);
    for (rule, numbers) in RULES {
        // Of a transform, some factors are 0 by chance: those inputs are flat's all the same.
        if rule == "flat" && what.starts_with("dft") {
            continue;
        }
        let text = format!(
            "[[rule]]\nname = \"layer\"\nrule = \"{rule}\"\n{numbers}\n[[rule]]\nrule = \"lrp-0\"\n[options]\nbatchnorm = \"ratio\""
        );
        let composite = Composite::parse(&text, Path::new("test")).unwrap();
        let lrp = Lrp::new(&graph, &composite).unwrap();
        let found = lrp.explain_in_detail(&input, &[1], &["layer"]).unwrap();
        let expected = layer.relevance(rule, &values(&found.layers["layer"]));
        let found = values(&found.explanation.relevance);
        let largest = expected.iter().fold(0.0f64, |l, x| l.max(x.abs()));
        // One factor that stands for many is as large as they are but for what divides their sum: the stabilizer weighs another.
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-4 * largest,
                "{rule} on {what}: {found}, not {expected}"
            );
        }
    }
}

/// A layer on the input, and how many values it gives.
fn on_input(what: &str, shape: &[usize], op: impl speechlens_nn::Op + 'static, outputs: usize) {
    let mut net = Architecture::new(shape);
    let layer = net.add("layer", op, [net.input()]).unwrap();
    holds(what, net, layer, outputs);
}

/// A product of the input and a constant.
fn with_constant(
    what: &str,
    op: impl speechlens_nn::Op + 'static,
    shape: &[usize],
    outputs: usize,
) {
    let mut net = Architecture::new([3, 4]);
    let shape = shape.to_vec();
    let other = net.add("other", Constant { shape }, []).unwrap();
    let layer = net.add("layer", op, [net.input(), other]).unwrap();
    holds(what, net, layer, outputs);
}

#[test]
fn rules_are_those_of_the_matrix() {
    on_input("linear", &[3, 4], Linear::new(4, 5).on_any_axes(), 15);
    on_input("conv1d", &[3, 6], Conv1d::new(3, 2, 3).padding(1), 12);
    for (over_time, shape) in [(true, vec![2, 4]), (false, vec![2, 2, 3])] {
        let height = usize::from(!over_time) + 1;
        let op = ConvTranspose {
            inputs: 2,
            outputs: 2,
            kernel: (height, 3).into(),
            stride: (1, 2).into(),
            padding: (0, 1).into(),
            output_padding: (0, 0).into(),
            dilation: 1.into(),
            groups: 1,
            bias: true,
            over_time,
        };
        let outputs = if over_time { 2 * 7 } else { 2 * 3 * 5 };
        on_input("conv-transpose", &shape, op, outputs);
    }
    on_input("batch-norm", &[3, 4], BatchNorm::new_1d(3), 12);
    on_input("avg-pool1d", &[2, 5], AvgPool1d::new(2, 1).padding(1), 12);
    on_input(
        "avg-pool2d",
        &[1, 3, 4],
        AvgPool2d::new(2, 1).padding(1),
        20,
    );
    on_input("adaptive", &[2, 5], AdaptiveAvgPool1d { size: 3 }, 6);
    for counts_padding in [true, false] {
        let windows = WindowPad {
            kernel: vec![3],
            stride: vec![2],
            dilation: vec![1],
            before: vec![1],
            after: vec![1],
            fit: None,
            with: Padding::Value(0.0),
        };
        let op = AvgWindows {
            windows,
            counts_padding,
        };
        on_input("avg-windows", &[2, 5], op, 6);
    }
    let along = Along {
        axes: vec![1],
        ..Along::default()
    };
    on_input("reduce-sum", &[3, 4], ReduceSum(along.clone()), 4);
    on_input("reduce-mean", &[3, 4], ReduceMean(along), 4);
    on_input("time-mean", &[3, 4], TimeMean, 3);
    on_input("time-deviation", &[3, 4], TimeDeviation, 3);
    for root_mean_square in [true, false] {
        let op = Normalize {
            axes: vec![-1],
            epsilon: 1e-6,
            root_mean_square,
        };
        on_input("normalize", &[3, 4], op, 12);
    }
    let dft = |inverse, onesided, length| Dft {
        axis: 1,
        inverse,
        onesided,
        length,
    };
    on_input("dft", &[5, 1], dft(false, true, None), 6);
    on_input("dft of a part", &[5, 2], dft(false, false, Some(3)), 6);
    on_input("dft of more", &[5, 1], dft(false, false, Some(7)), 14);
    on_input("dft back", &[5, 2], dft(true, false, None), 10);
    with_constant("mul", Mul, &[4], 12);
    with_constant("matmul", MatMul, &[4, 2], 6);
    with_constant("einsum", Einsum::parse("bij,jk->bki").unwrap(), &[4, 2], 6);
}

/// Layer normalization and resizing before a convolution and a dense layer.
fn with_neither() -> Graph {
    let mut net = Architecture::new([2, 6]);
    let norm = Standardize {
        axes: vec![-1],
        first: 0,
        epsilon: 1e-5,
    };
    let x = net.add("norm", norm, [net.input()]).unwrap();
    let resize = Resize {
        scales: Some(vec![1.0, 1.0, 1.5]),
        sizes: None,
        coordinates: Coordinates::HalfPixel,
        nearest: None,
    };
    let x = net.add("resize", resize, [x]).unwrap();
    let x = net.add("conv", Conv1d::new(2, 3, 3), [x]).unwrap();
    let x = net.add("relu", Relu, [x]).unwrap();
    let x = net.add("flat", Flatten, [x]).unwrap();
    net.add("head", Linear::new(21, 2), [x]).unwrap();
    filled(net)
}

/// What is told of a network's layers under rules, or why not.
fn assigned(rules: &str) -> Result<Vec<String>, Error> {
    let composite = Composite::parse(rules, Path::new("test")).unwrap();
    let lrp = Lrp::new(&with_neither(), &composite)?;
    let rules = lrp.assignments().into_iter().filter_map(|a| a.rule);
    Ok(rules.collect())
}

#[test]
fn layers_without_weights_take_the_next_row() {
    for rule in ["z-plus", "flat", "w-square"] {
        let found = assigned(&format!(
            "[[rule]]\nrule = \"{rule}\"\n[[rule]]\nrule = \"lrp-0\""
        ));
        assert_eq!(found.unwrap(), ["lrp-0", "lrp-0", rule, rule]);
    }
    let found = assigned("[[rule]]\nfirst = true\nrule = \"flat\"\n[[rule]]\nrule = \"lrp-0\"");
    assert_eq!(found.unwrap(), ["lrp-0"; 4]);
}

#[test]
fn rules_that_map_weights_are_refused_where_there_are_none() {
    for (rules, node) in [
        ("[[rule]]\nrule = \"z-plus\"", "norm"),
        (
            "[[rule]]\nkind = \"norm\"\nrule = \"flat\"\n[[rule]]\nrule = \"lrp-0\"",
            "norm",
        ),
        (
            "[[rule]]\nkind = \"pool\"\nrule = \"alpha-beta\"\nalpha = 2\nbeta = 1\n[[rule]]\nrule = \"lrp-0\"",
            "resize",
        ),
    ] {
        let Err(error) = assigned(rules) else {
            panic!("{rules} is taken");
        };
        assert!(
            matches!(&error, Error::Misfit { node: named, .. } if named == node),
            "{error}"
        );
        assert!(error.to_string().contains("lrp-0"), "{error}");
    }
}

#[test]
fn every_preset_explains_networks_with_such_layers() {
    let graph = with_neither();
    for (name, _) in PRESETS {
        let composite = Composite::preset(name).unwrap().with_bounds([-1.0, 1.0]);
        let lrp = Lrp::new(&graph, &composite).unwrap();
        let found = lrp.explain(&by_lot(&[2, 2, 6], 3), &[0, 1]).unwrap();
        assert!(values(&found.relevance).iter().all(|r| r.is_finite()));
    }
}
