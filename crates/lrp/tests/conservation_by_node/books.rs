//! Over 2,000 networks of all ops by lot ([`any_network`](crate::any_network)), in f64, under composites by lot: at every node, what
//! arrived is what was passed on, what the bias (or a constant, a state, padding), ε and a softmax took, and no more than 1e-6 of the
//! start besides. That is the whole measure, though relevance inside grows up to a million times the start where a denominator nearly
//! cancels: rounding there was 2e-9 of the start at most. What the books have by difference alone, of softmaxes and padding, is counted
//! here again from the formula.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use candle_core::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_lrp::{Composite, Conservation, Detail, Lrp};
use speechlens_nn::ops::Registry;
use speechlens_nn::{Graph, Mode, Node, Trace};

use crate::any_network::{CLASSES, SHAPE, by_lot, numbers};

const NETWORKS: u64 = 2000;
/// How many are drawn at a time.
const THREADS: u64 = 4;

/// What may be missing at a node, as a share of the start.
const MISSING: f64 = 1e-6;
/// How far two ways to the same number may be apart, as a share of the largest sum of absolute relevance so far.
const ROUNDING: f64 = 1e-9;

/// Ops that take no relevance.
const WITHOUT_RELEVANCE: &[&str] = &[
    "argmax",
    "constant",
    "filled",
    "holds",
    "input",
    "quantize-scale",
    "range",
    "shape",
    "top-places",
    "whole-product",
    "whole-quotient",
    "whole-remainder",
];

/// A rule for convolutions, dense layers and transforms, in a third of cases for all that it can run on; ε for the others. In a quarter of
/// cases gates and attention are held.
fn rules(rng: &mut ChaCha8Rng) -> String {
    let rule = [
        "rule = \"epsilon\"\nepsilon = 0.3",
        "rule = \"lrp-0\"",
        "rule = \"gamma-generalized\"\ngamma = 0.5",
        "rule = \"alpha-beta\"\nalpha = 2\nbeta = 1",
        "rule = \"w-square\"",
        "rule = \"flat\"",
        "rule = \"epsilon\"\nepsilon = 0",
    ][rng.random_range(0..7)];
    let elsewhere = match rng.random_range(0..3) {
        0 => format!("[[rule]]\n{rule}\n"),
        _ => String::new(),
    };
    let held = match rng.random_range(0..4) {
        0 => {
            "[[rule]]\nkind = \"softmax\"\nrule = \"detach\"\n\
             [[rule]]\nkind = \"product\"\nrule = \"signal\"\nepsilon = 1e-6\n"
        }
        _ => "",
    };
    let epsilon = ["1e-6", "0.01", "0"][rng.random_range(0..3)];
    let bias = ["absorb", "zero"][rng.random_range(0..2)];
    format!(
        "{held}[[rule]]\nkind = \"conv\"\n{rule}\n[[rule]]\nkind = \"linear\"\n{rule}\n{elsewhere}\
         [[rule]]\nkind = \"sum\"\nrule = \"epsilon\"\nepsilon = {epsilon}\n\
         [[rule]]\nrule = \"epsilon\"\nepsilon = {epsilon}\n\
         [options]\nbatchnorm = \"ratio\"\nbias = \"{bias}\""
    )
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A node of one input's sweep.
struct Place<'a> {
    trace: &'a Trace,
    node: &'a Node,
    /// What it gave, and the relevance of that.
    given: Vec<f64>,
    relevance: Vec<f64>,
}

impl<'a> Place<'a> {
    fn new(graph: &'a Graph, trace: &'a Trace, name: &str, relevance: &Tensor) -> Self {
        let (id, node) = graph.nodes().find(|(_, node)| node.name == name).unwrap();
        Place {
            trace,
            node,
            given: values(trace.output(id).unwrap()),
            relevance: values(relevance),
        }
    }

    fn relevance_where(&self, counts: impl Fn(usize) -> bool) -> f64 {
        let all = self.relevance.iter().enumerate();
        all.filter(|(k, _)| counts(*k)).map(|(_, r)| r).sum()
    }

    /// Relevance that γ's generalized rule shares out to nobody: that of outputs which are neither above 0 nor below.
    fn of_neither_sign(&self, rule: Option<&str>) -> f64 {
        match rule.is_some_and(|rule| rule.starts_with("gamma-generalized")) {
            true => self.relevance_where(|k| self.given[k] == 0.0),
            false => 0.0,
        }
    }

    /// `Σ R'_i − Σ x_i (R'_i − s_i Σ_j R'_j)`.
    fn leak(&self) -> f64 {
        let read = self.trace.output(self.node.inputs[0]).unwrap();
        let (last, attributes) = (read.dims()[2], self.node.op.attributes());
        let (flat, axis) = (attributes["flat"] == true, &attributes["axis"]);
        let row = |i: usize| match flat {
            true => 0,
            false if *axis == -1 => i / last,
            false => i % last,
        };
        let x = values(read);
        let passed = (0..x.len()).filter(|i| self.given[*i] != 0.0).map(|i| {
            let total = self.relevance_where(|j| row(j) == row(i));
            x[i] * (self.relevance[i] - self.given[i] * total)
        });
        self.relevance_where(|_| true) - passed.sum::<f64>()
    }

    /// The relevance of values that padding added: those that are numbers where nothing that is read is one.
    fn of_padding(&self) -> f64 {
        let read = self.trace.output(self.node.inputs[0]).unwrap();
        let none = (read * f64::NAN).unwrap();
        let given = self
            .node
            .op
            .forward(&Default::default(), &[&none], &mut Mode::Infer);
        let given = values(&given.unwrap());
        self.relevance_where(|k| !given[k].is_nan())
    }
}

/// A network under a composite, one input, and its target.
struct Sweep<'a> {
    seed: u64,
    graph: &'a Graph,
    lrp: &'a Lrp,
    input: Tensor,
    target: u32,
    /// A sweep for several inputs, and which of them this is.
    among: Option<(&'a Detail, usize)>,
}

/// Checks the books of one input; gives the ops that relevance came to.
fn check(sweep: &Sweep) -> BTreeSet<String> {
    let Sweep {
        seed,
        graph,
        lrp,
        input,
        target,
        among,
    } = sweep;
    let names = lrp.assignments().into_iter().flat_map(|a| a.nodes);
    let names: Vec<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let detail = lrp.explain_in_detail(input, &[*target], &names).unwrap();
    let trace = graph.trace(input).unwrap();
    let start = detail.conservation[0].arrived[0];
    let (mut came, mut left, mut most) = (BTreeSet::new(), start, 0.0f64);
    for (which, node) in detail.conservation.iter().enumerate() {
        let place = Place::new(graph, &trace, &node.node, &detail.layers[&node.node]);
        let op = place.node.op.name();
        let absolute: f64 = place.relevance.iter().map(|r| r.abs()).sum();
        most = most.max(absolute);
        if absolute > 0.0 {
            came.insert(op.to_owned());
        }
        let of_neither = place.of_neither_sign(node.rule.as_deref());
        let missing = node.remainder()[0] - of_neither;
        assert!(
            missing.abs() <= MISSING * start.abs(),
            "network {seed}: {missing} of {start} at {node:?}"
        );
        left -= node.bias[0] + node.epsilon[0] + node.softmax[0] + of_neither;
        let close = |found: f64, expected: f64, what: &str| {
            let apart = (found - expected).abs();
            assert!(
                apart <= ROUNDING * most,
                "network {seed}, {what}: {found}, not {expected}, at {node:?}"
            );
        };
        if let Some((others, i)) = among {
            let among = columns(&others.conservation[which], *i);
            for (alone, among) in columns(node, 0).into_iter().zip(among) {
                close(among, alone, "among others");
            }
        }
        match op {
            "softmax" => {
                let lost = match node.rule.as_deref() {
                    None => 0.0,
                    Some("detach") => node.arrived[0],
                    Some(_) => place.leak(),
                };
                close(node.softmax[0], lost, "a softmax");
            }
            "pad" | "window-pad" => close(node.bias[0], place.of_padding(), "padding"),
            _ => {}
        }
    }
    let own = values(&detail.explanation.relevance);
    if let Some((others, i)) = among {
        let among = values(&others.explanation.relevance.get(*i).unwrap());
        let apart = own.iter().zip(&among).map(|(a, b)| (a - b).abs());
        assert!(
            apart.sum::<f64>() <= ROUNDING * most,
            "network {seed}: explained apart"
        );
    }
    let total: f64 = own.iter().sum();
    let rounding = MISSING * start.abs() + ROUNDING * most;
    assert!(
        (left - total).abs() <= rounding,
        "network {seed}: {total} came to the input, not {left} of {start}"
    );
    came
}

fn columns(node: &Conservation, i: usize) -> [f64; 5] {
    [
        &node.arrived,
        &node.passed,
        &node.bias,
        &node.epsilon,
        &node.softmax,
    ]
    .map(|all| all[i])
}

/// Draws a network, a composite, and one to three inputs.
fn draw(seed: u64) -> BTreeSet<String> {
    let graph = by_lot(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 3);
    let composite = Composite::parse(&rules(&mut rng), Path::new("test")).unwrap();
    // Not every network has layers on its input that take a reference.
    let against = composite.clone().with_reference(-0.7);
    let lrp = match Lrp::new(&graph, &against) {
        Ok(lrp) if rng.random_bool(0.5) => lrp,
        _ => Lrp::new(&graph, &composite).unwrap(),
    };
    let count = rng.random_range(1..4);
    let shape = [&[count], SHAPE.as_slice()].concat();
    let input = numbers(&shape, -1.5..1.5, &mut rng);
    let targets = (0..count).map(|_| rng.random_range(0..CLASSES as u32));
    let targets: Vec<u32> = targets.collect();
    let together = lrp.explain_in_detail(&input, &targets, &[]).unwrap();
    // One step for all of a batch is another step for each: its inputs are not explained apart.
    let mut ops = graph.nodes().map(|(_, node)| node.op.name());
    let is_apart = !ops.any(|op| op == "quantize-scale");
    let mut came = BTreeSet::new();
    for (i, target) in targets.into_iter().enumerate() {
        let sweep = Sweep {
            seed,
            graph: &graph,
            lrp: &lrp,
            input: input.narrow(0, i, 1).unwrap(),
            target,
            among: is_apart.then_some((&together, i)),
        };
        came.extend(check(&sweep));
    }
    came
}

#[test]
fn networks_of_all_ops_lose_nothing() {
    let part = |first: u64| {
        let seeds = (first..NETWORKS).step_by(THREADS as usize);
        seeds.flat_map(draw).collect::<BTreeSet<String>>()
    };
    let came: BTreeSet<String> = thread::scope(|scope| {
        let parts: Vec<_> = (0..THREADS)
            .map(|first| scope.spawn(move || part(first)))
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    });
    let registry = Registry::default();
    let missing: Vec<&str> = registry
        .names()
        .filter(|op| !WITHOUT_RELEVANCE.contains(op) && !came.contains(*op))
        .collect();
    assert!(missing.is_empty(), "no relevance came to {missing:?}");
}
