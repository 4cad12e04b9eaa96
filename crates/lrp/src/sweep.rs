use candle_core::Tensor;
use speechlens_nn::{Graph, LinearOp, NodeId, Structure, Trace};

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
}

impl Lrp {
    /// Gives each layer its rule. The network is shared, not copied.
    ///
    /// # Errors
    /// If a layer is covered by no rule, or a reference finds no linear layer that reads the input; it is named.
    pub fn new(graph: &Graph, composite: &Composite) -> Result<Self> {
        let options = *composite.options();
        let input = graph.architecture().input();
        let rule = |(_, node): (NodeId, &speechlens_nn::Node)| {
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
        Ok(Lrp {
            graph: graph.detach(),
            rules: graph.nodes().map(rule).collect::<Result<_>>()?,
            options,
        })
    }

    /// Explains a batch `[N, …]`, each input for its target class.
    ///
    /// # Errors
    /// If there is not one target an input, or a target is no class.
    pub fn explain(&self, input: &Tensor, targets: &[u32]) -> Result<Explanation> {
        let trace = self.graph.trace(&input.detach())?;
        let logits = trace.logits().clone();
        let relevance = self.sweep(&trace, self.start(&logits, targets)?)?;
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

    /// Carries the output's relevance back to the input.
    fn sweep(&self, trace: &Trace, start: Tensor) -> Result<Tensor> {
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
            let inputs: Vec<&Tensor> = node.inputs.iter().map(|read| trace.output(*read)).collect();
            let passed = match node.op.structure() {
                Structure::PassThrough => vec![output.reshape(inputs[0].shape())?],
                Structure::Routing(op) => vec![op.route(inputs[0], &output)?],
                Structure::Sum => {
                    let quotient = divide(&output, trace.output(id), STABILIZER)?;
                    inputs
                        .iter()
                        .map(|branch| Ok((*branch * &quotient)?))
                        .collect::<Result<_>>()?
                }
                Structure::Concat => {
                    let mut start = 0;
                    let part = |branch: &&Tensor| {
                        let (from, length) = (start, branch.dim(1)?);
                        start += length;
                        Ok(output.narrow(1, from, length)?.contiguous()?)
                    };
                    inputs.iter().map(part).collect::<Result<_>>()?
                }
                Structure::Linear(op) => match &self.rules[id.index()] {
                    Some(rule) => {
                        let layer = Layer::new(op, self, trace, id, node.inputs[0])?;
                        vec![layer.relevance(rule, &output)?]
                    }
                    None => {
                        return Err(Error::Uncovered {
                            node: node.name.clone(),
                            kind: node.op.kind(),
                        });
                    }
                },
            };
            for (read, passed) in node.inputs.iter().zip(passed) {
                let sum = &mut relevance[read.index()];
                *sum = Some(match sum.take() {
                    Some(before) => (before + passed)?,
                    None => passed,
                });
            }
        }
        match relevance[input.index()].take() {
            Some(relevance) => Ok(relevance),
            None => Ok(trace.output(input).zeros_like()?),
        }
    }
}

/// A linear layer in the middle of a sweep.
struct Layer<'a> {
    op: &'a dyn LinearOp,
    input: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    /// `Σ_j a_j w_jk + b_k`, as traced; without the bias where that is left out.
    output: Tensor,
}

impl<'a> Layer<'a> {
    fn new(
        op: &'a dyn LinearOp,
        lrp: &Lrp,
        trace: &Trace,
        id: NodeId,
        read: NodeId,
    ) -> Result<Self> {
        let reads_input = read == lrp.graph.architecture().input();
        let reference = if reads_input {
            lrp.options.reference
        } else {
            0.0
        };
        let mut input = trace.output(read).clone();
        let mut output = trace.output(id).clone();
        let (weight, mut bias) = op.weights(lrp.graph.params(id), &input)?;
        if reference != 0.0 {
            // Σ (a − r) w + (b + Σ r w) is the output it was.
            let constant = input.narrow(0, 0, 1)?.affine(0.0, reference)?;
            let of_reference = op.apply(&constant, &weight)?;
            bias = Some(match bias {
                Some(bias) => of_reference.broadcast_add(&bias)?,
                None => of_reference,
            });
            input = (input - reference)?;
        }
        if lrp.options.bias == Bias::Zero
            && let Some(bias) = bias.take()
        {
            output = output.broadcast_sub(&bias)?;
        }
        Ok(Layer {
            op,
            input,
            weight,
            bias,
            output,
        })
    }

    /// The relevance of the layer's input from that of its output.
    fn relevance(&self, rule: &Rule, output: &Tensor) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        for share in &rule.shares {
            let quotient = divide(output, &self.denominator(share)?, share.epsilon)?;
            for term in &share.terms {
                let weight = term.weight.of(&self.weight)?;
                let spread = self.op.transpose(&quotient, &weight, self.input.shape())?;
                let part = ((term.input.of(&self.input)? * spread)? * share.factor)?;
                total = Some(match total {
                    Some(total) => (total + part)?,
                    None => part,
                });
            }
        }
        Ok(match total {
            Some(total) => total,
            None => self.input.zeros_like()?,
        })
    }

    /// `z_k` of a share, before ε.
    fn denominator(&self, share: &Share) -> Result<Tensor> {
        let identity = |term: &crate::Term| term.input == Part::Whole && term.weight == Part::Whole;
        if let [term] = share.terms.as_slice()
            && identity(term)
            && share.bias == Part::Whole
        {
            return Ok(self.output.clone());
        }
        let mut z = match &self.bias {
            Some(bias) => share
                .bias
                .of(bias)?
                .broadcast_as(self.output.shape())?
                .contiguous()?,
            None => self.output.zeros_like()?,
        };
        for term in &share.terms {
            z = (z + self
                .op
                .apply(&term.input.of(&self.input)?, &term.weight.of(&self.weight)?)?)?;
        }
        Ok(z)
    }
}
