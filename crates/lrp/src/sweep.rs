use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use speechlens_nn::kernels::pointwise::{product, sum};
use speechlens_nn::{Graph, Kind, LinearOp, Node, NodeId, Structure, Trace, parts, reshaped};

use crate::rule::{STABILIZER, divide};
use crate::{Bias, Composite, Error, Options, Part, Result, Rule, Share, Start};

/// Relevance of a batch's inputs.
pub struct Explanation {
    /// What the network gave, `[N, classes]`.
    pub logits: Tensor,
    /// The relevance of every input value for the target's logit, of the input's shape `[N, …]`.
    pub relevance: Tensor,
}

/// A network with a rule for every layer, ready to explain.
pub struct Lrp {
    graph: Graph,
    /// By node; those that need no rule have none.
    rules: Vec<Option<Rule>>,
    options: Options,
    /// The nodes whose outputs the sweep reads.
    read: Vec<bool>,
    /// Whether the weights may change.
    shared: bool,
    /// Parts of weights that have been computed, by node.
    weights: Mutex<BTreeMap<(NodeId, Part), Tensor>>,
}

impl Lrp {
    /// Gives each layer its rule. The network is shared, not copied.
    ///
    /// # Errors
    /// If a layer is covered by no rule, or a reference finds no linear layer that reads the input; it is named.
    pub fn new(graph: &Graph, composite: &Composite) -> Result<Self> {
        let options = *composite.options();
        let input = graph.architecture().input();
        let rule = |(_, node): (NodeId, &Node)| {
            let linear = matches!(node.op.structure(), Structure::Linear(_));
            if options.reference != 0.0 && node.inputs.contains(&input) && !linear {
                return Err(Error::Reference {
                    reference: options.reference,
                    node: node.name.clone(),
                });
            }
            match (linear, composite.rule(node)) {
                (false, _) => Ok(None),
                (true, Some(rule)) => Ok(Some(rule.clone())),
                (true, None) => Err(Error::Uncovered {
                    node: node.name.clone(),
                    kind: node.op.kind(),
                }),
            }
        };
        let rules: Vec<Option<Rule>> = graph.nodes().map(rule).collect::<Result<_>>()?;
        let rules: Vec<_> = rules
            .into_iter()
            .zip(non_negative_inputs(graph))
            .map(|(rule, non_negative)| match rule {
                Some(rule) if non_negative => Some(rule.on_non_negative()),
                rule => rule,
            })
            .collect();
        Ok(Lrp {
            graph: graph.detach(),
            shared: graph.is_shared(),
            read: read_by_sweep(graph, &rules),
            rules,
            options,
            weights: Mutex::default(),
        })
    }

    /// Explains a batch `[N, …]`, each input for its target class.
    ///
    /// # Errors
    /// If there is not one target an input, or a target is no class.
    pub fn explain(&self, input: &Tensor, targets: &[u32]) -> Result<Explanation> {
        let trace = self
            .graph
            .trace_of(&input.detach(), |node| self.read[node.index()])?;
        let logits = trace.logits()?.clone();
        let relevance = self.sweep(trace, self.start(&logits, targets)?)?;
        Ok(Explanation { logits, relevance })
    }

    /// The output's relevance: the target's logit, or 1, and 0 elsewhere.
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
        Ok(match self.options.start {
            Start::Logit => (mask * logits)?,
            Start::One => mask,
        })
    }

    /// Carries the output's relevance back to the input, and forgets what it has passed.
    fn sweep(&self, mut trace: Trace, start: Tensor) -> Result<Tensor> {
        let input = self.graph.architecture().input();
        let mut relevance: Vec<Option<Tensor>> = vec![None; self.rules.len()];
        if let Some(last) = relevance.last_mut() {
            *last = Some(start);
        }
        for (id, node) in self.graph.nodes().rev().filter(|(id, _)| *id != input) {
            // A node that nothing on the way to the output reads has no relevance to pass on.
            let Some(output) = relevance[id.index()].take() else {
                continue;
            };
            let passed = self.pass(&trace, id, node, output)?;
            trace.forget(id);
            for (read, passed) in node.inputs.iter().zip(passed) {
                let total = &mut relevance[read.index()];
                *total = Some(match total.take() {
                    Some(before) => sum(&before, &passed)?,
                    None => passed,
                });
            }
        }
        match relevance[input.index()].take() {
            Some(relevance) => Ok(relevance),
            None => Ok(trace.output(input)?.zeros_like()?),
        }
    }

    /// The relevance of what a node reads from that of its output.
    fn pass(&self, trace: &Trace, id: NodeId, node: &Node, output: Tensor) -> Result<Vec<Tensor>> {
        let read = |place: usize| -> Result<&Tensor> { Ok(trace.output(node.inputs[place])?) };
        Ok(match node.op.structure() {
            Structure::PassThrough => vec![reshaped(&output, trace.shape(node.inputs[0]))?],
            Structure::Routing(op) => vec![op.route(read(0)?, &output)?],
            Structure::Sum => {
                let quotient = divide(&output, trace.output(id)?, STABILIZER, 1.0)?;
                (0..node.inputs.len())
                    .map(|branch| Ok(product(read(branch)?, &quotient)?))
                    .collect::<Result<_>>()?
            }
            Structure::Concat => {
                let shapes: Vec<_> = node.inputs.iter().map(|read| trace.shape(*read)).collect();
                parts(&output, &shapes)?
            }
            Structure::Linear(op) => match &self.rules[id.index()] {
                Some(rule) => {
                    let layer = Layer::new(op, self, trace, id, node.inputs[0], rule)?;
                    vec![layer.relevance(rule, &output)?]
                }
                None => {
                    return Err(Error::Uncovered {
                        node: node.name.clone(),
                        kind: node.op.kind(),
                    });
                }
            },
        })
    }
}

/// For every node, whether what it reads is nowhere negative, whatever the network's input is.
fn non_negative_inputs(graph: &Graph) -> Vec<bool> {
    let mut outputs: Vec<bool> = Vec::new();
    let mut inputs = Vec::new();
    for (_, node) in graph.nodes() {
        let of_inputs =
            !node.inputs.is_empty() && node.inputs.iter().all(|read| outputs[read.index()]);
        // These move values, add them, average them or scale them by what is not negative.
        let keeps = matches!(
            node.op.kind(),
            Kind::Pool | Kind::Reshape | Kind::Dropout | Kind::Sum
        );
        outputs.push(node.op.is_relu() || (of_inputs && keeps));
        inputs.push(of_inputs);
    }
    inputs
}

/// The nodes whose outputs a sweep by these rules reads.
fn read_by_sweep(graph: &Graph, rules: &[Option<Rule>]) -> Vec<bool> {
    let mut read = vec![false; rules.len()];
    for ((id, node), rule) in graph.nodes().zip(rules) {
        let (inputs, output) = match node.op.structure() {
            Structure::PassThrough | Structure::Concat => (false, false),
            Structure::Routing(_) => (true, false),
            Structure::Sum => (true, true),
            Structure::Linear(_) => (true, rule.as_ref().is_some_and(Rule::uses_output)),
        };
        read[id.index()] |= output;
        node.inputs
            .iter()
            .for_each(|input| read[input.index()] |= inputs);
    }
    // Its shape is that of the relevance where no node on the way to the output reads it.
    read[graph.architecture().input().index()] = true;
    read
}

/// A linear layer in the middle of a sweep.
struct Layer<'a> {
    op: &'a dyn LinearOp,
    lrp: &'a Lrp,
    id: NodeId,
    input: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    /// Whether the bias holds a reference's output, so that it differs from place to place.
    of_reference: bool,
    /// `Σ_j a_j w_jk + b_k`, as traced, without the bias where that is left out; if a rule asks for it.
    output: Option<Tensor>,
}

impl<'a> Layer<'a> {
    fn new(
        op: &'a dyn LinearOp,
        lrp: &'a Lrp,
        trace: &Trace,
        id: NodeId,
        read: NodeId,
        rule: &Rule,
    ) -> Result<Self> {
        let reads_input = read == lrp.graph.architecture().input();
        let reference = if reads_input {
            lrp.options.reference
        } else {
            0.0
        };
        let mut input = trace.output(read)?.clone();
        let mut output = None;
        if rule.uses_output() {
            output = Some(trace.output(id)?.clone());
        }
        let (weight, mut bias) = op.weights(lrp.graph.params(id), &input)?;
        if reference != 0.0 {
            // Σ (a − r) w + (b + Σ r w) is the output it was.
            let constant = input.narrow(0, 0, 1)?.affine(0.0, reference)?;
            bias = Some(match bias {
                Some(bias) => op.affine(&constant, &weight, &bias)?,
                None => op.apply(&constant, &weight)?,
            });
            input = (input - reference)?;
        }
        if lrp.options.bias == Bias::Zero
            && let Some(bias) = bias.take()
            && let Some(output) = &mut output
        {
            *output = output.broadcast_sub(&bias)?;
        }
        Ok(Layer {
            op,
            lrp,
            id,
            input,
            weight,
            bias,
            of_reference: reference != 0.0,
            output,
        })
    }

    /// The relevance of the layer's input from that of its output.
    fn relevance(&self, rule: &Rule, output: &Tensor) -> Result<Tensor> {
        // Each part of the input is multiplied once by the sum of what its terms spread.
        let mut spreads: BTreeMap<Part, Tensor> = BTreeMap::new();
        for share in &rule.shares {
            let quotient = divide(
                output,
                &self.denominator(share)?,
                share.epsilon,
                share.factor,
            )?;
            for term in &share.terms {
                let weight = self.weight(term.weight)?;
                let spread = self.op.transpose(&quotient, &weight, self.input.shape())?;
                let spread = match spreads.remove(&term.input) {
                    Some(before) => sum(&before, &spread)?,
                    None => spread,
                };
                spreads.insert(term.input, spread);
            }
        }
        let mut total: Option<Tensor> = None;
        for (part, spread) in spreads {
            let relevance = product(&part.of(&self.input)?, &spread)?;
            total = Some(match total {
                Some(total) => sum(&total, &relevance)?,
                None => relevance,
            });
        }
        Ok(match total {
            Some(total) => total,
            None => self.input.zeros_like()?,
        })
    }

    /// `z_k` of a share, before ε.
    fn denominator(&self, share: &Share) -> Result<Tensor> {
        if share.is_of_output()
            && let Some(output) = &self.output
        {
            return Ok(output.clone());
        }
        let bias = self
            .bias
            .as_ref()
            .map(|bias| share.bias.of(bias))
            .transpose()?;
        let mut z: Option<Tensor> = None;
        for term in &share.terms {
            let (input, weight) = (term.input.of(&self.input)?, self.weight(term.weight)?);
            z = Some(match (z, &bias) {
                (Some(z), _) => sum(&z, &self.op.apply(&input, &weight)?)?,
                (None, Some(bias)) if !self.of_reference => {
                    self.op.affine(&input, &weight, bias)?
                }
                (None, Some(bias)) => self.op.apply(&input, &weight)?.broadcast_add(bias)?,
                (None, None) => self.op.apply(&input, &weight)?,
            });
        }
        match z {
            Some(z) => Ok(z),
            None => Ok(self.op.apply(&self.input, &self.weight)?.zeros_like()?),
        }
    }

    /// A part of the weights, computed once where it is the same for every input.
    fn weight(&self, part: Part) -> Result<Tensor> {
        if part == Part::Whole || !self.op.has_fixed_weights() || self.lrp.shared {
            return part.of(&self.weight);
        }
        let cache = || {
            self.lrp
                .weights
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(weight) = cache().get(&(self.id, part)) {
            return Ok(weight.clone());
        }
        let weight = part.of(&self.weight)?;
        cache().insert((self.id, part), weight.clone());
        Ok(weight)
    }
}
