//! Node by node, over graphs by lot: what arrives at a node is passed on, kept by its bias, or lost to ε or a softmax. First over
//! residual networks of images, then over networks of all ops ([`books`]).

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_lrp::{Composite, Conservation, Detail, Lrp};
use speechlens_nn::ops::{
    Add, AvgPool2d, BatchNorm, Concat, Conv2d, Flatten, Linear, MaxPool2d, Relu, TimeDeviation,
    TimeMean,
};
use speechlens_nn::{Architecture, Graph, NodeId};

mod any_network;
mod books;

const SHAPE: [usize; 3] = [2, 12, 16];
const TARGETS: [u32; 3] = [0, 2, 1];

/// Rounding in f64, as a share of the absolute relevance at the node that has most: sums of up to a thousand products, 2⁻⁵³ each,
/// with room for what cancels between them.
const ROUNDING: f64 = 1e-9;

/// ε of the nodes without a rule of their own.
const EPSILON: f64 = 1e-13;

/// A graph that is being built: names, sizes and dice.
struct Builder {
    net: Architecture,
    rng: ChaCha8Rng,
    names: usize,
    channels: usize,
    /// Height and width.
    size: [usize; 2],
}

impl Builder {
    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    /// A convolution that keeps the size but for its stride, sometimes normalized, always followed by nothing.
    fn conv(&mut self, x: NodeId, inputs: usize, outputs: usize, stride: usize) -> NodeId {
        let kernel = [1, 3][self.rng.random_range(0..2)];
        let dilation = self.rng.random_range(1..3);
        let halves = inputs.is_multiple_of(2) && outputs.is_multiple_of(2);
        let groups = if halves && self.rng.random_bool(0.5) {
            2
        } else {
            1
        };
        let op = Conv2d::new(inputs, outputs, kernel)
            .padding(kernel / 2 * dilation)
            .dilation(dilation)
            .groups(groups)
            .stride(stride);
        let name = self.name("conv");
        let x = self.net.add(name, op, [x]).unwrap();
        if self.rng.random_bool(0.5) {
            let name = self.name("bn");
            return self.net.add(name, BatchNorm::new_2d(outputs), [x]).unwrap();
        }
        x
    }

    fn relu(&mut self, x: NodeId) -> NodeId {
        let name = self.name("relu");
        self.net.add(name, Relu, [x]).unwrap()
    }

    /// One to three convolutions with ReLUs between, the first with the stride.
    fn branch(&mut self, x: NodeId, inputs: usize, outputs: usize, stride: usize) -> NodeId {
        let mut x = self.conv(x, inputs, outputs, stride);
        for _ in 0..self.rng.random_range(0..3) {
            x = self.relu(x);
            x = self.conv(x, outputs, outputs, 1);
        }
        x
    }

    fn block(&mut self, x: NodeId) -> NodeId {
        let inputs = self.channels;
        let stride = if self.size[0] > 4 {
            self.rng.random_range(1..3)
        } else {
            1
        };
        let outputs = self.rng.random_range(2..6);
        let x = match self.rng.random_range(0..5) {
            // Residual, with the identity or a convolution beside.
            0 | 1 => {
                let identity = self.rng.random_bool(0.5);
                let (outputs, stride) = if identity {
                    (inputs, 1)
                } else {
                    (outputs, stride)
                };
                let y = self.branch(x, inputs, outputs, stride);
                let x = match identity {
                    true => x,
                    false => self.conv(x, inputs, outputs, stride),
                };
                let name = self.name("sum");
                (self.channels, self.size) = (outputs, self.size.map(|s| s.div_ceil(stride)));
                self.net.add(name, Add, [y, x]).unwrap()
            }
            2 => {
                let other = self.rng.random_range(2..6);
                let y = self.branch(x, inputs, outputs, stride);
                let z = self.branch(x, inputs, other, stride);
                let name = self.name("concat");
                (self.channels, self.size) =
                    (outputs + other, self.size.map(|s| s.div_ceil(stride)));
                self.net.add(name, Concat::default(), [y, z]).unwrap()
            }
            3 if self.size[0] > 4 => {
                let (kernel, stride) = (self.rng.random_range(2..4), self.rng.random_range(1..3));
                self.size = self.size.map(|s| (s - kernel) / stride + 1);
                let name = self.name("pool");
                return match self.rng.random_bool(0.5) {
                    true => self
                        .net
                        .add(name, MaxPool2d::new(kernel, stride), [x])
                        .unwrap(),
                    false => self
                        .net
                        .add(name, AvgPool2d::new(kernel, stride), [x])
                        .unwrap(),
                };
            }
            _ => {
                (self.channels, self.size) = (outputs, self.size.map(|s| s.div_ceil(stride)));
                self.branch(x, inputs, outputs, stride)
            }
        };
        self.relu(x)
    }

    fn dense(mut self, x: NodeId, inputs: usize) -> Graph {
        let x = self.net.add("hidden", Linear::new(inputs, 9), [x]).unwrap();
        let x = match self.rng.random_bool(0.5) {
            true => self
                .net
                .add("hidden_bn", BatchNorm::new_1d(9), [x])
                .unwrap(),
            false => x,
        };
        let x = self.net.add("hidden_relu", Relu, [x]).unwrap();
        self.net.add("head", Linear::new(9, 3), [x]).unwrap();
        self.net.random(self.rng.random(), &Device::Cpu).unwrap()
    }
}

/// One to six blocks, statistics over time or all values, two dense layers; parameters in f64, batch-norm statistics off
/// their defaults.
fn by_lot(seed: u64) -> Graph {
    let mut builder = Builder {
        net: Architecture::new(SHAPE),
        rng: ChaCha8Rng::seed_from_u64(seed),
        names: 0,
        channels: SHAPE[0],
        size: [SHAPE[1], SHAPE[2]],
    };
    let mut x = builder.net.input();
    for _ in 0..builder.rng.random_range(1..7) {
        x = builder.block(x);
    }
    let (channels, [height, width]) = (builder.channels, builder.size);
    let graph = if builder.rng.random_bool(0.5) {
        let net = &mut builder.net;
        let mean = net.add("mean", TimeMean, [x]).unwrap();
        let mean = net.add("mean.flatten", Flatten, [mean]).unwrap();
        let deviation = net.add("std", TimeDeviation, [x]).unwrap();
        let deviation = net.add("std.flatten", Flatten, [deviation]).unwrap();
        let x = net
            .add("statistics", Concat::default(), [mean, deviation])
            .unwrap();
        builder.dense(x, 2 * channels * height)
    } else {
        let x = builder.net.add("flatten", Flatten, [x]).unwrap();
        builder.dense(x, channels * height * width)
    };
    let graph = graph.to_dtype(DType::F64).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
    let unkind = graph.map_weights(|name, tensor| {
        let layer = name.split('.').next().unwrap_or_default();
        if !(layer.starts_with("bn") || layer.ends_with("_bn")) {
            return Ok(tensor.clone());
        }
        let range = match name.rsplit('.').next() {
            Some("weight" | "running_var") => 0.5..2.0,
            _ => -0.5..0.5,
        };
        let values: Vec<f64> = (0..tensor.elem_count())
            .map(|_| rng.random_range(range.clone()))
            .collect();
        Ok(Tensor::from_vec(values, tensor.shape(), &Device::Cpu)?)
    });
    unkind.unwrap()
}

/// Nothing is added anywhere.
fn without_biases(graph: &Graph) -> Graph {
    let zero = |name: &str| name.ends_with(".bias") || name.ends_with(".running_mean");
    let map = |name: &str, tensor: &Tensor| match zero(name) {
        true => Ok(tensor.zeros_like()?),
        false => Ok(tensor.clone()),
    };
    graph.map_weights(map).unwrap()
}

fn input(seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 2);
    let shape = (TARGETS.len(), SHAPE[0], SHAPE[1], SHAPE[2]);
    let values: Vec<f64> = (0..TARGETS.len() * SHAPE.iter().product::<usize>())
        .map(|_| rng.random_range(-3.0..3.0))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// What became of relevance at a node, for each input.
struct Entry {
    node: Conservation,
    /// What rounding may take: see [`ROUNDING`].
    rounding: Vec<f64>,
}

fn sums(tensor: &Tensor) -> Vec<f64> {
    tensor
        .flatten_from(1)
        .unwrap()
        .sum(1)
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn conservation(graph: &Graph, rules: &str, seed: u64) -> Vec<Entry> {
    let lrp = Lrp::new(graph, &Composite::parse(rules, Path::new("test")).unwrap()).unwrap();
    let names: Vec<String> = lrp
        .assignments()
        .into_iter()
        .flat_map(|a| a.nodes)
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let detail = lrp
        .explain_in_detail(&input(seed), &TARGETS, &names)
        .unwrap();
    let Detail {
        layers,
        conservation,
        ..
    } = detail;
    let trace = graph.trace(&input(seed)).unwrap();
    let mut most = vec![0.0f64; TARGETS.len()];
    for relevance in layers.values() {
        let absolute = sums(&relevance.abs().unwrap());
        most.iter_mut()
            .zip(absolute)
            .for_each(|(m, a)| *m = m.max(a));
    }
    let entry = |node: Conservation| {
        let relevance = &layers[&node.node];
        let mut rounding = most.clone();
        rounding.iter_mut().for_each(|most| *most *= ROUNDING);
        if node.node == "std" {
            let (id, node) = graph.nodes().find(|(_, node)| node.name == "std").unwrap();
            let deviation = trace.output(id).unwrap();
            let stabilized = (deviation * (deviation + EPSILON).unwrap()).unwrap();
            let by_variance = (relevance / stabilized).unwrap();
            // Where a channel hardly varies, x − μ is little more than the rounding of x: 2⁻⁵³ x² / σ² of R, a value.
            let read = trace.output(node.inputs[0]).unwrap().sqr().unwrap();
            let largest: f64 = read.max_all().unwrap().to_scalar().unwrap();
            let hardly = sums(&(by_variance.abs().unwrap() * (1e-13 * largest)).unwrap());
            rounding.iter_mut().zip(hardly).for_each(|(r, h)| *r += h);
        }
        Entry { node, rounding }
    };
    conservation.into_iter().map(entry).collect()
}

fn options(seed: u64) -> &'static str {
    [
        "[options]\nbatchnorm = \"merge\"",
        "[options]\nbatchnorm = \"ratio\"",
    ][(seed % 2) as usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn without_biases_every_node_passes_on_what_arrives(seed: u64) {
        let graph = without_biases(&by_lot(seed));
        let rules = format!(
            "[[rule]]\nkind = \"sum\"\nrule = \"epsilon\"\nepsilon = {EPSILON:e}\n[[rule]]\nrule = \"epsilon\"\nepsilon = {EPSILON:e}\n{}",
            options(seed)
        );
        for Entry { node, rounding } in conservation(&graph, &rules, seed) {
            for (i, rounding) in rounding.iter().enumerate() {
                // The floor of a standard deviation is its bias.
                let of_floor = if node.node == "std" { node.bias[i] } else { 0.0 };
                let apart = node.arrived[i] - node.passed[i] - of_floor - node.epsilon[i];
                prop_assert!(apart.abs() <= *rounding, "{}: {} of {:?}", node.node, apart, node);
            }
        }
    }

    /// Of networks of linear layers and ReLUs (Ancona et al. 2018, Proposition 1).
    #[test]
    fn without_epsilon_relevance_is_gradient_times_input(seed: u64) {
        let graph = by_lot(seed);
        let rules = format!("[[rule]]\nrule = \"epsilon\"\nepsilon = 0\n{}", options(seed));
        let lrp = Lrp::new(&graph, &Composite::parse(&rules, Path::new("test")).unwrap()).unwrap();
        let relevance = lrp.explain(&input(seed), &TARGETS).unwrap().relevance;
        let of_targets = |logits: &Tensor| {
            let classes = Tensor::arange(0u32, logits.dim(1)? as u32, &Device::Cpu)?;
            let targets = Tensor::from_slice(&TARGETS, (TARGETS.len(), 1), &Device::Cpu)?;
            Ok(classes.broadcast_eq(&targets)?.to_dtype(DType::F64)?)
        };
        let (_, gradient) = graph.input_gradient(&input(seed), of_targets).unwrap();
        let expected = (gradient * input(seed)).unwrap();
        let most: f64 = expected.abs().unwrap().max_all().unwrap().to_scalar().unwrap();
        let apart = (relevance - expected).unwrap().abs().unwrap();
        let apart: f64 = apart.max_all().unwrap().to_scalar().unwrap();
        prop_assert!(apart <= 1e-10 * most, "{apart:e} of {most:e}");
    }

    /// Under every rule, with biases: what is not passed on is told.
    #[test]
    fn nothing_is_lost_that_is_not_told(seed: u64, rule in 0usize..7) {
        let graph = by_lot(seed);
        let rule = [
            "rule = \"epsilon\"\nepsilon = 0.3",
            "rule = \"gamma-generalized\"\ngamma = 0.5",
            "rule = \"alpha-beta\"\nalpha = 1.75\nbeta = 0.75",
            "rule = \"z-plus\"",
            "rule = \"w-square\"",
            "rule = \"flat\"",
            "rule = \"epsilon\"\nepsilon = 0",
        ][rule];
        let rules = format!(
            "[[rule]]\nkind = \"conv\"\n{rule}\n[[rule]]\nkind = \"linear\"\n{rule}\n[[rule]]\nrule = \"epsilon\"\nepsilon = {EPSILON:e}\n{}",
            options(seed)
        );
        for Entry { node, rounding } in conservation(&graph, &rules, seed) {
            for (remainder, rounding) in node.remainder().iter().zip(&rounding) {
                prop_assert!(remainder.abs() <= *rounding, "{}: {} for {:?}", node.node, remainder, node);
            }
        }
    }
}
