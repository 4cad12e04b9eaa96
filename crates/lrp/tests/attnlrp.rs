//! Relevance against LXT's functional rules of AttnLRP, in f64 (`tests/goldens/make_attnlrp.py`, which tells where its conventions
//! differ and why the two mean the same there).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use speechlens_lrp::{Composite, Lrp};
use speechlens_nn::ops::{
    Add, Along, Constant, Elementwise, Flatten, Gelu, Linear, MatMul, Mul, Normalize, ReduceMean,
    Reshape, Sigmoid, Softmax, Standardize, Transpose,
};
use speechlens_nn::{Architecture, Graph, NodeId};

const STEPS: usize = 5;
const CHANNELS: usize = 8;
const HEADS: usize = 2;
const CLASSES: usize = 3;

/// How far relevance may be apart, as a share of its norm.
const TOLERANCE: f64 = 1e-6;

type Tensors = BTreeMap<String, Tensor>;

/// The tensors of every network, by their names there.
fn goldens() -> BTreeMap<String, Tensors> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/goldens/relevance/attnlrp.safetensors"
    );
    let mut all = BTreeMap::<String, Tensors>::new();
    for (name, tensor) in candle_core::safetensors::load(path, &Device::Cpu).unwrap() {
        let (network, name) = name.split_once('/').unwrap();
        let network = all.entry(network.to_owned()).or_default();
        network.insert(name.to_owned(), tensor);
    }
    all
}

/// A network that is being built, with what its constants are.
struct Net {
    nodes: Architecture,
    constants: Tensors,
}

impl Net {
    fn dense(&mut self, name: &str, x: NodeId, inputs: usize, outputs: usize) -> NodeId {
        let op = Linear::new(inputs, outputs).on_any_axes();
        self.nodes.add(name, op, [x]).unwrap()
    }

    fn own(&mut self, name: &str, x: NodeId) -> NodeId {
        self.dense(name, x, CHANNELS, CHANNELS)
    }

    fn constant(&mut self, name: &str, value: Tensor) -> NodeId {
        let shape = value.dims().to_vec();
        self.constants.insert(format!("{name}.value"), value);
        self.nodes.add(name, Constant { shape }, []).unwrap()
    }

    /// Layer normalization, its scale and shift constants.
    fn norm(&mut self, name: &str, x: NodeId, golden: &Tensors) -> NodeId {
        let parameter = |of: &str| golden[&format!("weights/{name}.{of}")].clone();
        let op = Standardize {
            axes: vec![-1],
            first: 0,
            epsilon: 1e-5,
        };
        let x = self.nodes.add(format!("{name}.norm"), op, [x]).unwrap();
        let scale = self.constant(&format!("{name}.weight"), parameter("weight"));
        let x = self.nodes.add(format!("{name}.mul"), Mul, [x, scale]);
        let shift = self.constant(&format!("{name}.bias"), parameter("bias"));
        self.nodes.add(name, Add, [x.unwrap(), shift]).unwrap()
    }

    fn gelu(&mut self, x: NodeId) -> NodeId {
        let x = self.dense("up", x, CHANNELS, 2 * CHANNELS);
        let gelu = Elementwise(Gelu::new(false));
        let x = self.nodes.add("gelu", gelu, [x]).unwrap();
        self.dense("down", x, 2 * CHANNELS, CHANNELS)
    }

    /// `[N, T, C]` to `[N, heads, T, C / heads]`, the last two exchanged for keys.
    fn heads(&mut self, name: &str, x: NodeId, axes: [usize; 4]) -> NodeId {
        let x = self.own(name, x);
        let shape = [0, STEPS, HEADS, CHANNELS / HEADS].map(|n| n as i64);
        let split = Reshape {
            shape: Some(shape.into()),
            allow_zero: false,
        };
        let x = self.nodes.add(format!("{name}.split"), split, [x]).unwrap();
        let axes = Some(axes.into());
        let turn = Transpose { axes };
        self.nodes.add(format!("{name}.heads"), turn, [x]).unwrap()
    }

    fn softmax(&mut self, x: NodeId) -> NodeId {
        let op = Softmax {
            axis: -1,
            flat: false,
            log: false,
        };
        self.nodes.add("softmax", op, [x]).unwrap()
    }

    fn attention(&mut self, x: NodeId) -> NodeId {
        let query = self.heads("query", x, [0, 2, 1, 3]);
        let key = self.heads("key", x, [0, 2, 3, 1]);
        let value = self.heads("value", x, [0, 2, 1, 3]);
        let scores = self.nodes.add("scores", MatMul, [query, key]).unwrap();
        let scale = ((CHANNELS / HEADS) as f64).sqrt().recip();
        let scale = self.constant("scale", Tensor::new(scale, &Device::Cpu).unwrap());
        let scores = self.nodes.add("scaled", Mul, [scores, scale]).unwrap();
        let later = |place: usize| place % STEPS > place / STEPS;
        let mask = (0..STEPS * STEPS).map(|place| match later(place) {
            true => f64::NEG_INFINITY,
            false => 0.0,
        });
        let mask: Vec<f64> = mask.collect();
        let mask = Tensor::from_vec(mask, (STEPS, STEPS), &Device::Cpu).unwrap();
        let mask = self.constant("mask", mask);
        let masked = self.nodes.add("masked", Add, [scores, mask]).unwrap();
        let attention = self.softmax(masked);
        let mixed = self.nodes.add("mixed", MatMul, [attention, value]).unwrap();
        let turn = Transpose {
            axes: Some(vec![0, 2, 1, 3]),
        };
        let mixed = self.nodes.add("mixed.turned", turn, [mixed]).unwrap();
        let shape = Some([0, STEPS, CHANNELS].map(|n| n as i64).into());
        let join = Reshape {
            shape,
            allow_zero: false,
        };
        let mixed = self.nodes.add("mixed.joined", join, [mixed]).unwrap();
        self.own("out", mixed)
    }

    /// What stands before the head, and how many values it gives.
    fn body(&mut self, network: &str, golden: &Tensors) -> (NodeId, usize) {
        let x = self.nodes.input();
        let normalize = |epsilon, root_mean_square| Normalize {
            axes: vec![-1],
            epsilon,
            root_mean_square,
        };
        let body = match network {
            "softmax" => self.softmax(x),
            "matmul" => {
                let (a, b) = (self.own("a", x), self.own("b", x));
                let axes = Some(vec![0, 2, 1]);
                let b = self.nodes.add("turned", Transpose { axes }, [b]).unwrap();
                let product = self.nodes.add("product", MatMul, [a, b]).unwrap();
                return (product, STEPS * STEPS);
            }
            "gate" => {
                let (value, gate) = (self.own("value", x), self.own("gate", x));
                let gate = self.nodes.add("sigmoid", Sigmoid, [gate]).unwrap();
                self.nodes.add("gated", Mul, [value, gate]).unwrap()
            }
            "layer-norm" => self.norm("norm", x, golden),
            "rms-norm" => {
                let x = self.nodes.add("norm", normalize(1e-6, true), [x]).unwrap();
                let scale = self.constant("scale", golden["weights/scale"].clone());
                self.nodes.add("scaled", Mul, [x, scale]).unwrap()
            }
            "unit-norm" => self
                .nodes
                .add("norm", normalize(1e-12, false), [x])
                .unwrap(),
            "gelu" => self.gelu(x),
            "mean" => {
                let along = Along {
                    axes: vec![1],
                    ..Along::default()
                };
                let mean = self.nodes.add("mean", ReduceMean(along), [x]).unwrap();
                return (mean, CHANNELS);
            }
            "block" => {
                let normed = self.norm("norm1", x, golden);
                let attention = self.attention(normed);
                let x = self.nodes.add("sum1", Add, [x, attention]).unwrap();
                let normed = self.norm("norm2", x, golden);
                let y = self.gelu(normed);
                self.nodes.add("sum2", Add, [x, y]).unwrap()
            }
            other => panic!("no network {other}"),
        };
        (body, STEPS * CHANNELS)
    }
}

fn graph(network: &str, golden: &Tensors) -> Graph {
    let mut net = Net {
        nodes: Architecture::new([STEPS, CHANNELS]),
        constants: Tensors::new(),
    };
    let (x, values) = net.body(network, golden);
    let x = net.nodes.add("flat", Flatten, [x]).unwrap();
    net.dense("head", x, values, CLASSES);
    let parameters = golden.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix("weights/")?;
        let is_constant = net
            .constants
            .keys()
            .any(|constant| constant.trim_end_matches(".value") == name || name == "scale");
        (!is_constant).then(|| (name.to_owned(), tensor.clone()))
    });
    let parameters: Tensors = parameters.collect();
    let weights = parameters.into_iter().chain(net.constants).collect();
    net.nodes.with_weights(weights).unwrap()
}

fn apart(found: &Tensor, expected: &Tensor) -> f64 {
    let norm = |x: &Tensor| {
        let sum = x.sqr().unwrap().sum_all().unwrap();
        sum.to_scalar::<f64>().unwrap().sqrt()
    };
    norm(&(found - expected).unwrap()) / norm(expected)
}

/// ε everywhere as the script has it.
const RULES: &str = "[[rule]]\nkind = \"sum\"\nrule = \"epsilon\"\nepsilon = 1e-12\n[[rule]]\nrule = \"epsilon\"\nepsilon = 1e-12\n";
/// The same with gates and attention held.
const HELD: &str = "[[rule]]\nkind = \"softmax\"\nrule = \"detach\"\n[[rule]]\nkind = \"product\"\nrule = \"signal\"\nepsilon = 1e-12\n";

fn holds(network: &str, golden: &Tensors, name: &str, rules: &str) {
    let composite = Composite::parse(rules, Path::new("test")).unwrap();
    let graph = graph(network, golden);
    let target = golden["target"].to_dtype(DType::U32).unwrap();
    let lrp = Lrp::new(&graph, &composite).unwrap();
    let found = lrp.explain(&golden["input"], &target.to_vec1::<u32>().unwrap());
    let found = found.unwrap();
    let of_logits = apart(&found.logits, &golden["logits"]);
    let of_relevance = apart(&found.relevance, &golden[name]);
    println!("{network} ({name}): relevance {of_relevance:.1e} apart, logits {of_logits:.1e}");
    assert!(of_relevance < TOLERANCE, "{network}: {of_relevance}");
}

#[test]
fn networks_are_explained_as_by_lxt() {
    let goldens = goldens();
    assert_eq!(goldens.len(), 9);
    for (network, golden) in &goldens {
        holds(network, golden, "relevance", RULES);
    }
}

#[test]
fn gates_and_attention_are_held_as_by_lxt() {
    let goldens = goldens();
    for network in ["gate", "block"] {
        holds(
            network,
            &goldens[network],
            "held",
            &format!("{HELD}{RULES}"),
        );
    }
}
