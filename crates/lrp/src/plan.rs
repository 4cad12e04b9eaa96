//! Which rule each node of a graph gets, and what can be left out of it.

use speechlens_nn::{Graph, Kind, NodeId, Structure};

use crate::rule::STABILIZER;
use crate::{BatchNormalization, Bias, Composite, Error, Options, Result, Rule, Start};

/// A graph as the sweep walks it, with a rule for every layer.
pub(crate) struct Plan {
    pub graph: Graph,
    pub options: Options,
    /// By node.
    pub steps: Vec<Step>,
    /// For each node of the network as it was given, the one whose output stands for its own.
    places: Vec<Option<NodeId>>,
    names: Vec<String>,
}

/// What the sweep does at a node.
pub(crate) struct Step {
    /// The rule as the composite has it, of layers that are linear in their input and of sums.
    pub rule: Option<Rule>,
    /// The same without what is nought here, of layers that are linear in their input.
    pub lean: Option<Rule>,
    /// ε of a sum.
    pub epsilon: f64,
    /// Whether the sweep reads the node's output.
    pub is_read: bool,
}

impl Plan {
    pub fn new(graph: &Graph, composite: &Composite) -> Result<Self> {
        let options = *composite.options();
        // Parameters that a training changes must not change under a sweep.
        let own = match graph.is_shared() {
            true => graph.map_weights(|_, tensor| Ok(tensor.copy()?))?,
            false => graph.clone(),
        };
        let own = own.detach();
        let (own, places) = match options.batchnorm {
            BatchNormalization::Ratio => {
                let places = own.nodes().map(|(id, _)| Some(id)).collect();
                (own, places)
            }
            BatchNormalization::Merge => {
                let joined = own.with_batch_norm_merged()?;
                (joined.graph, joined.places)
            }
        };
        let mut plan = Plan {
            steps: Vec::new(),
            options,
            places,
            names: graph.nodes().map(|(_, node)| node.name.clone()).collect(),
            graph: own,
        };
        plan.steps = plan.assign(composite)?;
        plan.simplify();
        plan.mark_read();
        Ok(plan)
    }

    /// The node whose output stands for that of the network's node of this name.
    pub fn place(&self, name: &str) -> Option<NodeId> {
        let index = self.names.iter().position(|other| other == name)?;
        self.places[index]
    }

    /// The nodes of the network as it was given that went into one node.
    pub fn names(&self, id: NodeId) -> impl Iterator<Item = &str> {
        let here = move |(_, place): &(&String, &Option<NodeId>)| **place == Some(id);
        let names = self.names.iter().zip(&self.places).filter(here);
        names.map(|(name, _)| name.as_str())
    }

    /// The composite's rules, checked.
    fn assign(&self, composite: &Composite) -> Result<Vec<Step>> {
        let options = &self.options;
        let input = self.graph.architecture().input();
        let non_negative = non_negative_inputs(&self.graph);
        let step = |(index, rule): (usize, Option<&Rule>)| {
            let node = &self.graph.architecture().nodes()[index];
            let misfit = |problem: String| Error::Misfit {
                node: node.name.clone(),
                problem,
            };
            let mut epsilon = STABILIZER;
            let is_linear = match node.op.structure() {
                Structure::Linear(_) => true,
                Structure::Sum => {
                    if let Some(rule) = rule {
                        epsilon = epsilon_of(rule).ok_or_else(|| {
                            misfit(format!(
                                "a sum of branches takes the rules epsilon and lrp-0, not {rule}"
                            ))
                        })?;
                    }
                    false
                }
                _ => match rule {
                    Some(_) if node.op.kind() == Kind::Activation => {
                        return Err(misfit(
                            "an activation passes relevance on and takes no rule: remove its row"
                                .into(),
                        ));
                    }
                    _ => false,
                },
            };
            if options.reference != 0.0 && node.inputs.contains(&input) && !is_linear {
                return Err(Error::Reference {
                    reference: options.reference,
                    node: node.name.clone(),
                });
            }
            if !is_linear {
                return Ok(Step {
                    rule: rule.cloned(),
                    lean: None,
                    epsilon,
                    is_read: false,
                });
            }
            if options.batchnorm == BatchNormalization::Merge
                && matches!(node.op.kind(), Kind::BatchNorm1d | Kind::BatchNorm2d)
            {
                return Err(misfit(
                    "batch normalization has no layer before it to be merged into (a dense layer or convolution that nothing else \
                     reads): say batchnorm = \"ratio\" under [options]"
                        .into(),
                ));
            }
            let Some(rule) = rule else {
                return Err(Error::Uncovered {
                    node: node.name.clone(),
                    kind: node.op.kind(),
                });
            };
            if rule.needs_non_negative && !non_negative[index] {
                return Err(misfit(format!(
                    "the rule {rule} is for inputs that are nowhere negative, as after a ReLU: take gamma-generalized"
                )));
            }
            let mut lean = rule.clone();
            if rule.needs_bounds() {
                let reads_input = node.inputs.contains(&input);
                let Some(bounds) = options.bounds.filter(|_| reads_input) else {
                    return Err(misfit(match reads_input {
                        true => format!(
                            "the rule {rule} needs the lowest and the highest value of the input: bounds = [low, high] under \
                             [options]"
                        ),
                        false => format!(
                            "the rule {rule} is for layers that read the input, whose bounds are known: add first = true to its row"
                        ),
                    }));
                };
                lean = lean.between(bounds.map(|bound| bound - options.reference));
            }
            if options.bias == Bias::Zero {
                lean = lean.without_bias();
            }
            Ok(Step {
                rule: Some(rule.clone()),
                lean: Some(lean),
                epsilon,
                is_read: false,
            })
        };
        let rules = composite.assign(&self.graph);
        rules.into_iter().enumerate().map(step).collect()
    }

    /// Leaves out what is nought: terms of negative inputs after a ReLU, shares of negative outputs before one.
    fn simplify(&mut self) {
        let non_negative = non_negative_inputs(&self.graph);
        let positive = self.only_positive_outputs();
        for ((step, non_negative), positive) in
            self.steps.iter_mut().zip(non_negative).zip(positive)
        {
            if let Some(rule) = step.lean.take() {
                let rule = if non_negative {
                    rule.on_non_negative()
                } else {
                    rule
                };
                step.lean = Some(if positive {
                    rule.of_positive_outputs()
                } else {
                    rule
                });
            }
        }
    }

    /// For every node, whether its output's relevance is 0 wherever that is not positive: a ReLU makes it 0, and no rule gives
    /// relevance to an input of 0.
    fn only_positive_outputs(&self) -> Vec<bool> {
        let nodes = self.graph.architecture().nodes();
        // Whether relevance is 0 where the output is 0.
        let mut at_zero = vec![true; nodes.len()];
        let mut positive = vec![true; nodes.len()];
        if let (Some(at_zero), Some(positive)) = (at_zero.last_mut(), positive.last_mut()) {
            (*at_zero, *positive) = (self.options.start == Start::Logit, false);
        }
        for (index, node) in nodes.iter().enumerate().rev() {
            let keeps = match (node.op.structure(), node.op.kind()) {
                (Structure::Linear(_), _) => {
                    let rule = self.steps[index].lean.as_ref();
                    rule.is_some_and(Rule::keeps_zero)
                }
                (Structure::Sum, _) => true,
                (Structure::Routing(_) | Structure::Concat, _) => at_zero[index],
                (Structure::PassThrough, Kind::Reshape | Kind::Dropout) => at_zero[index],
                (Structure::PassThrough, _) => node.op.is_relu() && at_zero[index],
            };
            for read in &node.inputs {
                at_zero[read.index()] &= keeps;
                positive[read.index()] &= keeps && node.op.is_relu();
            }
        }
        positive
    }

    /// The nodes whose outputs the sweep reads.
    fn mark_read(&mut self) {
        for (id, node) in self.graph.nodes() {
            let rule = self.steps[id.index()].lean.as_ref();
            let (inputs, output) = match node.op.structure() {
                Structure::PassThrough | Structure::Concat => (false, false),
                Structure::Routing(_) => (true, false),
                Structure::Sum => (true, true),
                Structure::Linear(_) => (true, rule.is_some_and(Rule::uses_output)),
            };
            self.steps[id.index()].is_read |= output;
            for read in &node.inputs {
                self.steps[read.index()].is_read |= inputs;
            }
        }
        // Its shape is that of the relevance where no node on the way to the output reads it.
        self.steps[self.graph.architecture().input().index()].is_read = true;
    }
}

/// ε, if the rule is that and no more.
fn epsilon_of(rule: &Rule) -> Option<f64> {
    match rule.shares.as_slice() {
        [share] if share.is_of_output() && share.only.is_none() && share.factor == 1.0 => {
            Some(share.epsilon)
        }
        _ => None,
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
            Kind::Pool | Kind::Reshape | Kind::Dropout | Kind::Sum | Kind::StatsPool
        );
        outputs.push(node.op.is_relu() || (of_inputs && keeps));
        inputs.push(of_inputs);
    }
    inputs
}
