//! The sweep: relevance from the output back to the input.

use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::Tensor;
use speechlens_nn::kernels::pointwise::{of_sign, product, quotient};
use speechlens_nn::{
    Branch, Graph, Inside, Kind, Map, Node, NodeId, OwnWay, Passing, Trace, gathered, reshaped,
};

use crate::conservation::{Conservation, Kept};
use crate::layer::{Layer, WeightMaps};
use crate::plan::{By, Plan};
use crate::rule::{STABILIZER, stabilizing};
use crate::{Bias, Composite, Error, Result, Start};

/// Relevance of a batch's inputs.
pub struct Explanation {
    /// What the network gave, `[N, classes]`.
    pub logits: Tensor,
    /// The relevance of every input value for the target's logit, of the input's shape `[N, …]`.
    pub relevance: Tensor,
}

/// An explanation and how it came about.
pub struct Detail {
    /// The explanation.
    pub explanation: Explanation,
    /// The relevance of the outputs of the layers asked for, by their names, each of its output's shape `[N, …]`.
    pub layers: BTreeMap<String, Tensor>,
    /// What became of the relevance at every node on the way, the output's first.
    pub conservation: Vec<Conservation>,
}

/// Which rule a layer got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The layer's nodes: one, or a linear layer and the batch normalization that is merged into it.
    pub nodes: Vec<String>,
    /// What a composite calls the first of them.
    pub kind: Kind,
    /// Its rule, or what goes by in place of one; none if relevance passes as it is, or moves with the values.
    pub rule: Option<String>,
}

/// A network with a rule for every layer, ready to explain.
pub struct Lrp {
    plan: Plan,
    maps: WeightMaps,
}

/// A forward pass that sweeps may start from.
#[derive(Clone)]
pub struct Forward {
    trace: Trace,
    logits: Tensor,
}

impl Forward {
    /// What the network gave, `[N, classes]`.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }
}

/// What a detailed sweep writes down.
struct Record {
    /// Of how many inputs, the first, what became of relevance is written down.
    conserved: usize,
    /// Whether there is one input.
    is_single: bool,
    /// The nodes asked for, with the names that they were asked by.
    wanted: BTreeMap<NodeId, Vec<String>>,
    layers: BTreeMap<String, Tensor>,
    conservation: Vec<Conservation>,
}

impl Lrp {
    /// Gives each layer its rule. Parameters are shared, not copied, unless a training may change them: the network is explained
    /// as it is now.
    ///
    /// # Errors
    /// If a layer is covered by no rule or its rule does not fit, if batch normalization has no layer to be merged into, or a
    /// reference finds no linear layer that reads the input; the node is named.
    pub fn new(graph: &Graph, composite: &Composite) -> Result<Self> {
        let plan = Plan::new(graph, composite)?;
        Ok(Lrp {
            maps: WeightMaps::new(plan.steps.len()),
            plan,
        })
    }

    /// Which rule each layer got, in the graph's order.
    pub fn assignments(&self) -> Vec<Assignment> {
        let input = self.plan.graph.architecture().input();
        let nodes = self.plan.graph.nodes().filter(|(id, _)| *id != input);
        let assignment = |(id, node): (NodeId, &Node)| Assignment {
            nodes: self.plan.names(id).map(str::to_owned).collect(),
            kind: node.op.kind(),
            rule: self.rule_text(id),
        };
        nodes.map(assignment).collect()
    }

    fn rule_text(&self, id: NodeId) -> Option<String> {
        let step = &self.plan.steps[id.index()];
        let branches = self.plan.branches(id);
        match By::among(&branches) {
            _ if branches.is_empty() => step.rule.as_ref().map(ToString::to_string),
            By::Rule => step.rule.as_ref().map(ToString::to_string),
            By::Sum => Some(format!("in proportion (ε = {})", step.epsilon)),
            By::Winners => Some("winner takes all".into()),
            By::Own => branches.iter().find_map(|branch| match branch.map {
                Map::Own(op) if op.takes_rule() => {
                    Some(format!("{}; within, {}", op.text(), step.inside))
                }
                Map::Own(op) => Some(op.text().to_owned()),
                _ => None,
            }),
            By::Place => None,
        }
    }

    /// Explains a batch `[N, …]`, each input for its target class.
    ///
    /// # Errors
    /// If there is not one target an input, or a target is no class.
    pub fn explain(&self, input: &Tensor, targets: &[u32]) -> Result<Explanation> {
        let detail = self.sweep_from(self.forward(input)?, targets, &[], 0)?;
        Ok(detail.explanation)
    }

    /// [`Lrp::explain`], with the relevance of some layers' outputs and with what became of relevance at every node. Takes
    /// longer.
    ///
    /// A layer is named as its node. A linear layer and the batch normalization that is merged into it have one output. A layer
    /// that nothing on the way to the output reads has no relevance and is left out.
    ///
    /// # Errors
    /// If the network has no such layer.
    pub fn explain_in_detail(
        &self,
        input: &Tensor,
        targets: &[u32],
        layers: &[&str],
    ) -> Result<Detail> {
        self.sweep_from(self.forward(input)?, targets, layers, usize::MAX)
    }

    /// The forward pass of a batch `[N, …]`.
    ///
    /// # Errors
    /// If the batch does not suit the network.
    pub fn forward(&self, input: &Tensor) -> Result<Forward> {
        let is_read = |node: NodeId| self.plan.steps[node.index()].is_read;
        let trace = self.plan.graph.trace_of(&input.detach(), is_read)?;
        let logits = trace.logits()?.clone();
        Ok(Forward { trace, logits })
    }

    /// The sweep back from a forward pass, with the relevance of some layers' outputs, and with what became of relevance at every
    /// node for so many inputs, the first: the other ones cost nothing more.
    ///
    /// # Errors
    /// As [`Lrp::explain`] and [`Lrp::explain_in_detail`].
    pub fn sweep_from(
        &self,
        forward: Forward,
        targets: &[u32],
        layers: &[&str],
        conserved: usize,
    ) -> Result<Detail> {
        let Forward { trace, logits } = forward;
        let mut wanted = BTreeMap::<NodeId, Vec<String>>::new();
        for layer in layers {
            let is_layer = |place: &NodeId| *place != self.plan.graph.architecture().input();
            let place = self.plan.place(layer).filter(is_layer);
            let place = place.ok_or_else(|| Error::NoLayer {
                name: (*layer).to_owned(),
                layers: self
                    .assignments()
                    .iter()
                    .flat_map(|a| a.nodes.clone())
                    .collect(),
            })?;
            wanted.entry(place).or_default().push((*layer).to_owned());
        }
        let trace = match self.plan.is_modified() && (conserved > 0 || !layers.is_empty()) {
            // Relevance is asked for where it was not carried.
            true => {
                let input = trace
                    .output(self.plan.graph.architecture().input())?
                    .clone();
                self.plan.graph.trace(&input)?
            }
            false => trace,
        };
        let start = self.start(&logits, targets)?;
        let conserved = conserved.min(targets.len());
        let is_single = targets.len() == 1;
        let is_apart = !self.plan.keeps_batch && !is_single;
        let mut conservation = Vec::new();
        if is_apart && conserved > 0 {
            conservation = self.conserved_apart(&trace, &targets[..conserved])?;
        }
        let mut record = Record {
            conserved: if is_apart { 0 } else { conserved },
            is_single,
            wanted,
            layers: BTreeMap::new(),
            conservation,
        };
        let relevance = self.sweep(trace, start, &mut record)?;
        Ok(Detail {
            explanation: Explanation { logits, relevance },
            layers: record.layers,
            conservation: record.conservation,
        })
    }

    /// What became of relevance at every node for some inputs, the first, by a sweep for each: where their batch is not the first axis
    /// everywhere, it cannot be told of one of several.
    fn conserved_apart(&self, trace: &Trace, targets: &[u32]) -> Result<Vec<Conservation>> {
        let input = trace.output(self.plan.graph.architecture().input())?;
        let mut all: Vec<Conservation> = Vec::new();
        for (place, target) in targets.iter().enumerate() {
            let forward = self.forward(&input.narrow(0, place, 1)?)?;
            let mut found = self.sweep_from(forward, &[*target], &[], 1)?.conservation;
            match all.is_empty() {
                true => all = found,
                false => {
                    for (all, found) in all.iter_mut().zip(&mut found) {
                        for (all, found) in all.parts().into_iter().zip(found.parts()) {
                            all.append(found);
                        }
                    }
                }
            }
        }
        Ok(all)
    }

    /// What stands at the output: its relevance, the target's logit or 1 and 0 elsewhere, or the modified gradient.
    fn start(&self, logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
        let (batch, classes) = logits.dims2()?;
        if targets.len() != batch {
            return Err(Error::Target(format!(
                "there are {} targets for {batch} inputs",
                targets.len()
            )));
        }
        if let Some(target) = targets.iter().find(|target| **target as usize >= classes) {
            return Err(Error::Target(format!(
                "there is no class {target} among {classes}"
            )));
        }
        let chosen = Tensor::from_slice(targets, (batch, 1), logits.device())?;
        let mask = Tensor::arange(0u32, classes as u32, logits.device())?.broadcast_eq(&chosen)?;
        let mask = mask.to_dtype(logits.dtype())?;
        let output = self.plan.graph.architecture().output();
        let is_modified = self.plan.steps[output.index()].is_modified;
        Ok(match self.plan.options.start {
            Start::Logit if !is_modified => (mask * logits)?,
            _ => mask,
        })
    }

    /// Carries the output's relevance back to the input.
    fn sweep(&self, trace: Trace, start: Tensor, record: &mut Record) -> Result<Tensor> {
        let graph = &self.plan.graph;
        let input_node = graph.architecture().input();
        let input = trace.output(input_node)?.clone();
        let mut arrived = graph.walk_back(
            trace,
            start,
            |_| true,
            |trace, id, node, output| {
                for name in record.wanted.get(&id).into_iter().flatten() {
                    let relevance = self.relevance_of(trace, id, output)?;
                    record.layers.insert(name.clone(), relevance);
                }
                match record.conserved {
                    0 => self.pass(trace, id, node, output, None),
                    _ => self.pass_recorded(trace, id, node, output, record),
                }
            },
        )?;
        match arrived.remove(&input_node) {
            Some(relevance) => Ok(relevance),
            None => Ok(input.zeros_like()?),
        }
    }

    /// What the relevance of a node's output is of: its values, against the reference where they are the input's.
    fn values(&self, trace: &Trace, id: NodeId) -> Result<Tensor> {
        let values = trace.output(id)?;
        match self.plan.is_input(id) {
            true => Ok((values - self.plan.options.reference)?),
            false => finite(values),
        }
    }

    /// The relevance of a node's output from what came there.
    fn relevance_of(&self, trace: &Trace, id: NodeId, came: &Tensor) -> Result<Tensor> {
        Ok(match self.plan.steps[id.index()].is_modified {
            true => product(&self.values(trace, id)?, came)?,
            false => came.clone(),
        })
    }

    /// The modified gradient by a node's output from what came there: of relevance by the one division of a run.
    fn modified_of(
        &self,
        trace: &Trace,
        id: NodeId,
        came: &Tensor,
        kept: Option<&mut Kept>,
    ) -> Result<Tensor> {
        if self.plan.steps[id.index()].is_modified {
            return Ok(came.clone());
        }
        let z = self.values(trace, id)?;
        let modified = quotient(came, &z, STABILIZER, 1.0)?;
        if let Some(kept) = kept {
            kept.share(&modified, &z, None, STABILIZER)?;
        }
        Ok(modified)
    }

    /// What goes to what a node reads from what came to its output, each with the input's place: relevance, or the modified gradient where
    /// the plan has that.
    fn pass(
        &self,
        trace: &Trace,
        id: NodeId,
        node: &Node,
        output: &Tensor,
        mut kept: Option<&mut Kept>,
    ) -> Result<Vec<(usize, Tensor)>> {
        let step = &self.plan.steps[id.index()];
        let branches = self.plan.branches(id);
        let gives = |branch: &Branch| self.plan.passes_modified(id, branch);
        let wants = |modified: bool| branches.iter().any(|branch| gives(branch) == modified);
        let modified = match wants(true) {
            true => Some(self.modified_of(trace, id, output, kept.as_deref_mut())?),
            false => None,
        };
        let relevance = wants(false).then(|| self.relevance_of(trace, id, output));
        let relevance = relevance.transpose()?;
        // The terms of a sum have one quotient.
        let mut of_sum: Option<Tensor> = None;
        let mut passed = Vec::with_capacity(node.inputs.len());
        for branch in &branches {
            let read = node.inputs[branch.input];
            let is_modified = gives(branch);
            let came = match is_modified {
                true => &modified,
                false => &relevance,
            };
            let came = came.as_ref().unwrap_or(output);
            let own = match branch.share {
                1.0 => came.clone(),
                share => (came * share)?,
            };
            let part = match branch.map {
                Map::Each if is_modified => self.factored(trace, id, node, &own)?,
                Map::Each => reshaped(&own, trace.shape(read))?,
                Map::Moved(op) => {
                    let shapes: Vec<_> =
                        node.inputs.iter().map(|read| trace.shape(*read)).collect();
                    op.back(&own, &shapes, branch.input)?
                }
                Map::Winner(op) => op.route(&trace.inputs(node)?, branch.input, &own)?,
                Map::Own(op) => {
                    let place = (id, branch.input);
                    self.own_way(op, trace, place, &own, kept.as_deref_mut())?
                }
                Map::Term(factor) if is_modified => {
                    let held = match &kept {
                        Some(_) if of_sum.is_none() => self.sum(trace, id, node)?.1,
                        _ => None,
                    };
                    if let (Some(kept), Some(held)) = (kept.as_deref_mut(), held) {
                        kept.taken(came, &held)?;
                    }
                    of_sum = Some(came.clone());
                    let part = gathered(&own, trace.shape(read))?;
                    match factor {
                        1.0 => part,
                        factor => (part * factor)?,
                    }
                }
                Map::Term(factor) => {
                    let quotient = match of_sum.take() {
                        Some(quotient) => quotient,
                        None => {
                            let (z, held) = self.sum(trace, id, node)?;
                            let epsilon = stabilizing(step.epsilon);
                            let quotient = quotient(came, &z, epsilon, 1.0)?;
                            if let Some(kept) = kept.as_deref_mut() {
                                kept.share(&quotient, &z, held.as_ref(), epsilon)?;
                            }
                            quotient
                        }
                    };
                    let term = trace.output(read)?;
                    let relevance = match term.shape() == quotient.shape() {
                        true => product(term, &quotient)?,
                        false => gathered(&term.broadcast_mul(&quotient)?, term.shape())?,
                    };
                    of_sum = Some(quotient);
                    match branch.share * factor {
                        1.0 => relevance,
                        share => (relevance * share)?,
                    }
                }
                Map::Layer(op) => {
                    let rule = step.lean.as_ref().ok_or_else(|| Error::Uncovered {
                        node: node.name.clone(),
                        kind: node.op.kind(),
                    })?;
                    let place = (id, branch.input);
                    let layer = Layer::new(op, &self.maps, &self.plan, trace, place, rule)?;
                    match is_modified {
                        true => layer.modified(&own, kept.as_deref_mut())?,
                        false => layer.relevance(rule, &own, kept.as_deref_mut())?,
                    }
                }
            };
            let becomes_relevance = is_modified && !self.plan.steps[read.index()].is_modified;
            passed.push((
                branch.input,
                match becomes_relevance {
                    true => product(&self.values(trace, read)?, &part)?,
                    false => part,
                },
            ));
        }
        Ok(passed)
    }

    /// The modified gradient through an elementwise function, which is a factor of what it reads.
    fn factored(&self, trace: &Trace, id: NodeId, node: &Node, c: &Tensor) -> Result<Tensor> {
        let y = trace.output(id)?;
        if node.op.is_relu() {
            return Ok(of_sign(c, y, true)?);
        }
        let x = trace.output(node.inputs[0])?;
        let factor = quotient(&reshaped(y, x.shape())?, x, 0.0, 1.0)?;
        Ok(product(&factor, &reshaped(c, x.shape())?)?)
    }

    /// What an op passes on by a way of its own to the input at this place. Its books are kept with the first of them.
    fn own_way(
        &self,
        op: &dyn OwnWay,
        trace: &Trace,
        (id, place): (NodeId, usize),
        relevance: &Tensor,
        kept: Option<&mut Kept>,
    ) -> Result<Tensor> {
        let node = &self.plan.graph.architecture().nodes()[id.index()];
        let params = self.plan.graph.params(id);
        let rule = &self.plan.steps[id.index()].inside;
        let kept = RefCell::new(kept.filter(|_| place == 0));
        let by_rule = |inside: Inside| {
            let relevance = || -> Result<Tensor> {
                let layer = Layer::inside(&inside, &self.maps, id)?;
                let mut kept = kept.borrow_mut();
                layer.relevance(rule, inside.relevance, kept.as_deref_mut())
            };
            relevance().map_err(|error| match error {
                Error::Network(error) => error,
                Error::Tensor(error) => error.into(),
                other => candle_core::Error::Msg(other.to_string()).into(),
            })
        };
        let passing = Passing {
            params,
            inputs: &trace.inputs(node)?,
            output: trace.output(id)?,
            relevance,
            by_rule: &by_rule,
        };
        let passed = op.pass(&passing, place)?;
        if let (Some(kept), Some(epsilon)) = (kept.into_inner(), &passed.epsilon) {
            kept.epsilon(epsilon)?;
        }
        Ok(passed.relevance)
    }

    /// Writes down what constants and states take, other than as terms of a sum, which nobody passes on.
    fn keep_held(
        &self,
        trace: &Trace,
        id: NodeId,
        node: &Node,
        output: &Tensor,
        kept: &mut Kept,
    ) -> Result<()> {
        for branch in self.plan.held_branches(node) {
            let taken = match branch.map {
                Map::Winner(op) => {
                    // Repeated for the batch, whose inputs it takes from apart.
                    let mut inputs = trace.inputs(node)?;
                    let own = inputs[branch.input].broadcast_as(output.shape())?;
                    let own = own.contiguous()?;
                    inputs[branch.input] = &own;
                    op.route(&inputs, branch.input, output)?
                }
                Map::Moved(op) => {
                    let shapes: Vec<_> =
                        node.inputs.iter().map(|read| trace.shape(*read)).collect();
                    op.back(output, &shapes, branch.input)?
                }
                Map::Own(op) => {
                    let place = (id, branch.input);
                    self.own_way(op, trace, place, output, Some(kept))?
                }
                Map::Layer(_) | Map::Term(_) | Map::Each => continue,
            };
            kept.bias(&taken)?;
        }
        Ok(())
    }

    /// What a sum gave, and what of it is of terms that take no relevance and are as a bias: those are left out where a bias is.
    fn sum(&self, trace: &Trace, id: NodeId, node: &Node) -> Result<(Tensor, Option<Tensor>)> {
        let z = trace.output(id)?;
        let mut held: Option<Tensor> = None;
        for (read, factor) in self.plan.held_terms(node) {
            let term = (trace.output(read)?.broadcast_as(z.shape())? * factor)?;
            held = Some(match held {
                Some(others) => (others + term)?,
                None => term,
            });
        }
        let held = held.map(|held| finite(&held)).transpose()?;
        match (held, self.plan.options.bias) {
            (Some(held), Bias::Zero) => Ok(((z - held)?, None)),
            (held, _) => Ok((z.clone(), held)),
        }
    }

    /// [`Lrp::pass`], with what becomes of the relevance.
    fn pass_recorded(
        &self,
        trace: &Trace,
        id: NodeId,
        node: &Node,
        output: &Tensor,
        record: &mut Record,
    ) -> Result<Vec<(usize, Tensor)>> {
        let mut kept = Kept::new(record.conserved, record.is_single);
        let passed = self.pass(trace, id, node, output, Some(&mut kept))?;
        let relevance = self.relevance_of(trace, id, output)?;
        self.keep_held(trace, id, node, &relevance, &mut kept)?;
        let arrived = kept.totals(&relevance)?;
        let mut total = vec![0.0; arrived.len()];
        for (place, passed) in &passed {
            let passed = self.relevance_of(trace, node.inputs[*place], passed)?;
            let of_branch = kept.totals(&passed)?;
            total
                .iter_mut()
                .zip(of_branch)
                .for_each(|(total, of)| *total += of);
        }
        let [mut bias, epsilon] = kept.close();
        let branches = node.op.branches(node.inputs.len());
        if branches
            .iter()
            .any(|branch| matches!(branch.map, Map::Moved(op) if op.adds_values()))
        {
            bias = std::iter::zip(&arrived, &total)
                .map(|(arrived, total)| arrived - total)
                .collect();
        }
        // Nothing else loses any on the way.
        let is_softmax = node.op.kind() == Kind::Softmax;
        let lost = |i: usize| {
            if is_softmax {
                arrived[i] - total[i] - bias[i] - epsilon[i]
            } else {
                0.0
            }
        };
        let softmax = (0..arrived.len()).map(lost).collect();
        record.conservation.push(Conservation {
            node: node.name.clone(),
            kind: node.op.kind(),
            rule: self.rule_text(id),
            arrived,
            passed: total,
            bias,
            epsilon,
            softmax,
        });
        Ok(passed)
    }
}

/// Values without a mask's −∞, which takes no relevance and is in no book.
fn finite(values: &Tensor) -> Result<Tensor> {
    let is_finite = values.abs()?.lt(f64::INFINITY)?;
    Ok(is_finite.where_cond(values, &values.zeros_like()?)?)
}
