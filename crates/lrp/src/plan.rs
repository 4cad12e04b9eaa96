//! Which rule each node of a graph gets, and what can be left out of it.

use speechlens_nn::{Branch, Graph, Kind, LinearOp, Map, MovingOp, Node, NodeId};

use crate::rule::STABILIZER;
use crate::{BatchNormalization, Bias, Composite, Error, Options, Result, Rule, Start};

/// A graph as the sweep walks it, with a rule for every layer.
pub(crate) struct Plan {
    pub graph: Graph,
    pub options: Options,
    /// By node.
    pub steps: Vec<Step>,
    /// For each node of the network as it was given, the one whose output stands for its own.
    places: Vec<NodeId>,
    names: Vec<String>,
    /// By node, whether its output is the network's input, as it is or with its values moved.
    moved_input: Vec<bool>,
    /// Whether the first axis of every node's output is the batch.
    pub keeps_batch: bool,
    /// By node, whether its output is the same whatever the network is given: it takes no relevance.
    is_held: Vec<bool>,
    /// By node, whether it is a gate where it is a factor: its output lies between 0 and 1, whatever the network is given.
    is_gate: Vec<bool>,
}

/// What the sweep does at a node.
pub(crate) struct Step {
    /// The rule as the composite has it, of layers that are linear in their input and of sums.
    pub rule: Option<Rule>,
    /// The same without what is nought here, of layers that are linear in their input.
    pub lean: Option<Rule>,
    /// That of linear layers inside the node, on a way of its own.
    pub inside: Rule,
    /// ε of a sum.
    pub epsilon: f64,
    /// Whether what comes to the node's output is the modified gradient `c = R / a`, and not its relevance.
    pub is_modified: bool,
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
                let places = own.nodes().map(|(id, _)| id).collect();
                (own, places)
            }
            BatchNormalization::Merge => {
                let joined = own.with_batch_norm_merged()?;
                (joined.graph, joined.places)
            }
        };
        let is_held = held(&own);
        let keeps_batch = own.nodes().all(|(_, node)| node.op.keeps_batch());
        let mut plan = Plan {
            steps: Vec::new(),
            moved_input: moved_input(&own),
            is_gate: gates(&own, &is_held),
            is_held,
            keeps_batch,
            graph: own,
            options,
            places,
            names: graph.nodes().map(|(_, node)| node.name.clone()).collect(),
        };
        plan.steps = plan.assign(composite)?;
        plan.simplify();
        plan.carry_modified();
        for (is_read, step) in std::iter::zip(plan.read(), &mut plan.steps) {
            step.is_read = is_read;
        }
        Ok(plan)
    }

    /// The node whose output stands for that of the network's node of this name.
    pub fn place(&self, name: &str) -> Option<NodeId> {
        let index = self.names.iter().position(|other| other == name)?;
        Some(self.places[index])
    }

    /// The nodes of the network as it was given that went into one node.
    pub fn names(&self, id: NodeId) -> impl Iterator<Item = &str> {
        let here = move |(_, place): &(&String, &NodeId)| **place == id;
        let names = self.names.iter().zip(&self.places).filter(here);
        names.map(|(name, _)| name.as_str())
    }

    /// Whether a node's output is the network's input, as it is or with its values moved.
    pub fn is_input(&self, id: NodeId) -> bool {
        self.moved_input[id.index()]
    }

    /// The branches of a node that take relevance, to what is not held, and for each the share of the node's relevance that the rules
    /// share out to it: what a factor that is held would get, or a gate under a rule that gives gates none, the others get.
    pub fn branches(&self, id: NodeId) -> Vec<Branch<'_>> {
        let node = &self.graph.architecture().nodes()[id.index()];
        // There is none while rules are being assigned, which does not depend on it.
        let rule = self
            .steps
            .get(id.index())
            .and_then(|step| step.rule.as_ref());
        if rule.is_some_and(Rule::detaches) {
            return Vec::new();
        }
        let mut all = node.op.branches(node.inputs.len());
        let by_rule = |branches: &[Branch]| -> f64 {
            let layers = branches
                .iter()
                .filter(|branch| matches!(branch.map, Map::Layer(_)));
            layers.map(|branch| branch.share).sum()
        };
        let whole = by_rule(&all);
        all.retain(|branch| !self.is_held[node.inputs[branch.input].index()]);
        let is_value = |branch: &Branch| !self.is_gate[node.inputs[branch.input].index()];
        if rule.is_some_and(|rule| rule.to_signal) && all.iter().any(is_value) {
            all.retain(is_value);
        }
        let left = by_rule(&all);
        for branch in all
            .iter_mut()
            .filter(|branch| matches!(branch.map, Map::Layer(_)))
        {
            branch.share *= whole / left;
        }
        all
    }

    /// The branches of a node to what is held.
    pub fn held_branches<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = Branch<'a>> {
        let branches = node.op.branches(node.inputs.len()).into_iter();
        branches.filter(|branch| self.is_held[node.inputs[branch.input].index()])
    }

    /// The terms of a sum that are held, with their factors.
    pub fn held_terms<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (NodeId, f64)> + 'a {
        self.held_branches(node)
            .filter_map(|branch| match branch.map {
                Map::Term(factor) => Some((node.inputs[branch.input], factor)),
                _ => None,
            })
    }

    /// The composite's rules, checked.
    fn assign(&self, composite: &Composite) -> Result<Vec<Step>> {
        let options = &self.options;
        let output = self.graph.architecture().output().index();
        let non_negative = non_negative_inputs(&self.graph);
        let step = |((id, node), rule): ((NodeId, &Node), Option<&Rule>)| {
            let index = id.index();
            let misfit = |problem: String| Error::Misfit {
                node: node.name.clone(),
                problem,
            };
            let branches = self.branches(id);
            let by = By::among(&branches);
            let is_softmax = node.op.kind() == Kind::Softmax;
            // The logarithm of a softmax passes relevance on whatever the softmaxes do.
            let rule = rule.filter(|rule| !(is_softmax && by == By::Place && rule.detaches()));
            let mut epsilon = STABILIZER;
            match (by, rule) {
                (By::Own, Some(rule)) if is_softmax && rule.detaches() => {}
                (_, Some(rule)) if rule.detaches() => {
                    return Err(misfit(format!(
                        "the rule {rule} is for a softmax: add kind = \"softmax\" to its row"
                    )));
                }
                (By::Sum, Some(rule)) => {
                    epsilon = epsilon_of(rule).ok_or_else(|| {
                        misfit(format!(
                            "a sum of branches takes the rules epsilon and lrp-0, not {rule}"
                        ))
                    })?;
                }
                (By::Own, Some(rule))
                    if takes_rule(&branches)
                        && (rule.needs_non_negative || rule.needs_bounds()) =>
                {
                    return Err(misfit(format!(
                        "the rule {rule} is for inputs that are nowhere negative or whose bounds are known, and a state before is neither: \
                         take epsilon, gamma-generalized, z-plus or alpha-beta"
                    )));
                }
                (By::Own, Some(_)) if takes_rule(&branches) => {}
                (By::Winners | By::Own | By::Place, Some(_)) if !branches.is_empty() => {
                    let problem = match (by, node.op.kind()) {
                        (By::Winners, _) => {
                            "gives each output's relevance to the input that it was taken from,"
                        }
                        (By::Own, _) => "passes relevance on a way of its own",
                        (_, Kind::Activation) => "is an activation: it passes relevance on",
                        _ => "moves values, and relevance with them,",
                    };
                    return Err(misfit(format!(
                        "{problem} and takes no rule: remove its row"
                    )));
                }
                _ => {}
            }
            let reads_input = node.inputs.iter().any(|read| self.is_input(*read));
            // What only moves values leaves the reference to its readers; behind the output there are none.
            let takes_reference = by == By::Rule || (self.moved_input[index] && index != output);
            if options.reference != 0.0 && reads_input && !takes_reference {
                return Err(Error::Reference {
                    reference: options.reference,
                    node: node.name.clone(),
                });
            }
            let of_bias = |rule: Rule| match options.bias {
                Bias::Absorb => rule,
                Bias::Zero => rule.without_bias(),
            };
            let of_products = Rule::zero();
            let mut step = Step {
                rule: rule.cloned(),
                lean: None,
                inside: of_bias(rule.unwrap_or(&of_products).clone()),
                epsilon,
                is_modified: false,
                is_read: false,
            };
            if by != By::Rule {
                return Ok(step);
            }
            let rule = match rule {
                Some(rule) => rule,
                // A factor's map is all of what it gives.
                None if node
                    .op
                    .branches(node.inputs.len())
                    .iter()
                    .all(|b| b.share < 1.0) =>
                {
                    &of_products
                }
                None if !layers(node).all(LinearOp::has_mappable_weights) => {
                    return Err(misfit(format!(
                        "no rule covers the layer of kind {kind}, which has no weights of its own: add a row kind = \"{kind}\" with the \
                         rule epsilon or lrp-0 to the composite",
                        kind = node.op.kind()
                    )));
                }
                None => {
                    return Err(Error::Uncovered {
                        node: node.name.clone(),
                        kind: node.op.kind(),
                    });
                }
            };
            if rule.needs_non_negative && !non_negative[index] {
                return Err(misfit(format!(
                    "the rule {rule} is for inputs that are nowhere negative, as after a ReLU: take gamma-generalized"
                )));
            }
            if !layers(node).all(|op| rule.runs_on(op)) {
                return Err(misfit(format!(
                    "the rule {rule} maps weights, and a layer of kind {kind} such as this has none of its own: put a row name = \"{name}\" \
                     with the rule epsilon or lrp-0 before",
                    kind = node.op.kind(),
                    name = node.name
                )));
            }
            let mut lean = rule.clone();
            if rule.needs_bounds() {
                let Some(bounds) = options.bounds.filter(|_| reads_input) else {
                    return Err(misfit(match reads_input {
                        true => format!(
                            "the rule {rule} needs the lowest and the highest value of the input: bounds = [low, high] under \
                             [options]"
                        ),
                        false => format!(
                            "the rule {rule} is for layers that read the input, as it is or moved, whose bounds are known: add first = true to \
                             its row"
                        ),
                    }));
                };
                lean = lean.between(bounds.map(|bound| bound - options.reference));
            }
            step.rule = Some(rule.clone());
            step.lean = Some(of_bias(lean));
            Ok(step)
        };
        let rules = composite.assign(&self.graph);
        self.graph.nodes().zip(rules).map(step).collect()
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
        let output = self.graph.architecture().output().index();
        (at_zero[output], positive[output]) = (self.options.start == Start::Logit, false);
        for (id, node) in self.graph.nodes().rev() {
            let index = id.index();
            let rule = self.steps[index].lean.as_ref();
            let keeps = |map: &Map| match map {
                Map::Layer(_) => rule.is_some_and(Rule::keeps_zero),
                Map::Term(_) => true,
                Map::Winner(_) | Map::Moved(_) => at_zero[index],
                // Nothing is known of it.
                Map::Own(_) => false,
                Map::Each => node.op.is_relu() && at_zero[index],
            };
            let keeps: Vec<(usize, bool)> = self
                .branches(id)
                .iter()
                .map(|branch| (branch.input, keeps(&branch.map)))
                .collect();
            for (place, keeps) in keeps {
                let read = node.inputs[place].index();
                at_zero[read] &= keeps;
                positive[read] &= keeps && node.op.is_relu();
            }
        }
        positive
    }

    /// Decides where the sweep carries the modified gradient: at outputs all of whose readers pass it on. Under ε = 0 it is what relevance
    /// is without a division, `R_j = a_j c_j` with `c_j = Σ_k w_jk c_k`, and what only moves values, or is a factor of them, passes it on.
    fn carry_modified(&mut self) {
        let ids: Vec<NodeId> = self.graph.nodes().map(|(id, _)| id).collect();
        let mut is_modified = vec![true; ids.len()];
        is_modified[self.graph.architecture().output().index()] =
            self.options.start == Start::Logit;
        for id in ids.iter().rev() {
            self.steps[id.index()].is_modified = is_modified[id.index()];
            let node = &self.graph.architecture().nodes()[id.index()];
            for branch in self.branches(*id) {
                is_modified[node.inputs[branch.input].index()] &=
                    self.passes_modified(*id, &branch);
            }
        }
        // Where it leads to no layer that divides by less for it, relevance is as good.
        for id in ids {
            let node = &self.graph.architecture().nodes()[id.index()];
            let gains = |branch: &Branch| {
                let is_layer = matches!(branch.map, Map::Layer(_));
                let goes_on = self.steps[node.inputs[branch.input].index()].is_modified;
                self.passes_modified(id, branch) && (is_layer || goes_on)
            };
            let gains = self.branches(id).iter().any(gains);
            let step = &mut self.steps[id.index()];
            step.is_modified &= gains;
            if step.is_modified && step.rule.is_none() {
                step.epsilon = 0.0;
            }
        }
    }

    /// Whether the sweep passes the modified gradient on anywhere.
    pub fn is_modified(&self) -> bool {
        self.graph.nodes().any(|(id, _)| {
            let branches = self.branches(id);
            branches
                .iter()
                .any(|branch| self.passes_modified(id, branch))
        })
    }

    /// Whether the modified gradient of what a node reads is told by that of what it gives, with no division by the former.
    pub fn passes_modified(&self, id: NodeId, branch: &Branch) -> bool {
        let step = &self.steps[id.index()];
        let node = &self.graph.architecture().nodes()[id.index()];
        let has_all_bias = self.options.bias == Bias::Absorb;
        match branch.map {
            Map::Layer(_) => has_all_bias && step.lean.as_ref().and_then(epsilon_of) == Some(0.0),
            Map::Term(_) => {
                // A sum that no row stabilizes is stabilized where it must be.
                let is_exact = step.epsilon == 0.0 || step.rule.is_none() && step.is_modified;
                is_exact && (has_all_bias || self.held_terms(node).next().is_none())
            }
            Map::Winner(_) | Map::Moved(_) => step.is_modified,
            Map::Each => step.is_modified && node.op.claims().keeps_zero,
            Map::Own(_) => false,
        }
    }

    /// By node, whether the sweep reads its output.
    fn read(&self) -> Vec<bool> {
        let mut is_read = vec![false; self.steps.len()];
        for (id, node) in self.graph.nodes() {
            let step = &self.steps[id.index()];
            let of_output = step.lean.as_ref().is_some_and(Rule::uses_output);
            for branch in self.branches(id) {
                let modified = self.passes_modified(id, &branch);
                let (inputs, output) = match branch.map {
                    Map::Each if modified => (!node.op.is_relu(), true),
                    Map::Term(_) if modified => (false, false),
                    Map::Layer(_) if modified => (true, false),
                    Map::Moved(_) | Map::Each => (false, false),
                    Map::Winner(_) => (true, false),
                    Map::Term(_) | Map::Own(_) => (true, true),
                    Map::Layer(_) => (true, of_output),
                };
                // Where one becomes the other.
                is_read[id.index()] |= output || modified != step.is_modified;
                let read = node.inputs[branch.input].index();
                is_read[read] |= modified && !self.steps[read].is_modified;
                for read in &node.inputs {
                    is_read[read.index()] |= inputs;
                }
            }
        }
        // Its shape is that of the relevance where no node on the way to the output reads it.
        is_read[self.graph.architecture().input().index()] = true;
        is_read
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

/// What decides how relevance goes through a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// A rule of the composite.
    Rule,
    /// The values of a sum's terms, under a rule's ε.
    Sum,
    /// Which input each output was taken from.
    Winners,
    /// A way of the op's own.
    Own,
    /// Nothing: it passes as it is, or moves with the values.
    Place,
}

impl By {
    pub fn of(node: &Node) -> By {
        By::among(&node.op.branches(node.inputs.len()))
    }

    /// The first of the variants that there is: of a node some of whose branches need a rule, the rule.
    pub fn among(branches: &[Branch]) -> By {
        let by = branches.iter().map(|branch| match branch.map {
            Map::Layer(_) => By::Rule,
            Map::Term(_) => By::Sum,
            Map::Own(_) => By::Own,
            Map::Winner(_) => By::Winners,
            Map::Moved(_) | Map::Each => By::Place,
        });
        by.min().unwrap_or(By::Place)
    }
}

/// Whether a rule is for the linear layers inside a node.
fn takes_rule(branches: &[Branch]) -> bool {
    let takes = |branch: &Branch| matches!(branch.map, Map::Own(op) if op.takes_rule());
    branches.iter().any(takes)
}

/// The linear layers that a node is, one for each input that it is linear in.
pub(crate) fn layers(node: &Node) -> impl Iterator<Item = &dyn LinearOp> {
    let branches = node.op.branches(node.inputs.len()).into_iter();
    branches.filter_map(|branch| match branch.map {
        Map::Layer(op) => Some(op),
        _ => None,
    })
}

/// For every node, whether what it reads is nowhere negative, whatever the network's input is: by what its ops claim.
fn non_negative_inputs(graph: &Graph) -> Vec<bool> {
    let mut outputs: Vec<bool> = Vec::new();
    let mut inputs = Vec::new();
    for (_, node) in graph.nodes() {
        let of_inputs =
            !node.inputs.is_empty() && node.inputs.iter().all(|read| outputs[read.index()]);
        let claims = node.op.claims();
        outputs.push(claims.non_negative || (of_inputs && claims.keeps_non_negative));
        inputs.push(of_inputs);
    }
    inputs
}

/// For every node, whether it takes no relevance: it is made of constants and states alone, or of what has no branches, as a shape.
fn held(graph: &Graph) -> Vec<bool> {
    let mut held: Vec<bool> = Vec::new();
    for (_, node) in graph.nodes() {
        held.push(match node.op.as_input() {
            Some(input) => input.state,
            None => {
                let branches = node.op.branches(node.inputs.len());
                branches
                    .iter()
                    .all(|branch| held[node.inputs[branch.input].index()])
            }
        });
    }
    held
}

/// For every node, whether it is a gate: its op claims values between 0 and 1, or it has values of gates alone, but for constants such
/// as a mask fills in.
fn gates(graph: &Graph, held: &[bool]) -> Vec<bool> {
    let mut gates: Vec<bool> = Vec::new();
    for (_, node) in graph.nodes() {
        let mut branches = node.op.branches(node.inputs.len());
        branches.retain(|branch| !held[node.inputs[branch.input].index()]);
        let is_of_gate = |branch: &Branch| {
            let picks = match branch.map {
                Map::Moved(op) => !op.adds_values(),
                Map::Winner(_) => true,
                _ => false,
            };
            picks && gates[node.inputs[branch.input].index()]
        };
        let only_picks = !branches.is_empty() && branches.iter().all(is_of_gate);
        gates.push(node.op.claims().within_one || only_picks);
    }
    gates
}

/// For every node, whether its output is the network's input, as it is or with its values moved.
pub(crate) fn moved_input(graph: &Graph) -> Vec<bool> {
    of_input(graph, |op| !op.adds_values())
}

/// For every node, whether its output is the network's input, moved or with values around it that are none of it: what reads that is a first
/// layer.
pub(crate) fn placed_input(graph: &Graph) -> Vec<bool> {
    of_input(graph, |_| true)
}

fn of_input(graph: &Graph, passes: impl Fn(&dyn MovingOp) -> bool) -> Vec<bool> {
    let mut of_input: Vec<bool> = Vec::new();
    for (id, node) in graph.nodes() {
        let is_input = id == graph.architecture().input();
        let branches = node.op.branches(node.inputs.len());
        let moves = |branch: &Branch| {
            let moves = matches!(branch.map, Map::Moved(op) if passes(op));
            moves && of_input[node.inputs[branch.input].index()]
        };
        let only_moves = !branches.is_empty() && branches.iter().all(moves);
        of_input.push(is_input || only_moves);
    }
    of_input
}
