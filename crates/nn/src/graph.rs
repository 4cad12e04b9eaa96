use std::collections::BTreeMap;
use std::iter;
use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Shape, Tensor, Var};
use rand::RngExt;

use crate::concrete::{Known, Remembered};
use crate::kernels::cpu;
use crate::op::PACKED;
use crate::ops::Input;
use crate::random::{Stream, generator};
use crate::{Error, Init, Kind, Mode, Op, Params, Result};

/// A node's place in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(usize);

impl NodeId {
    /// The place as an index into [`Architecture::nodes`].
    pub fn index(self) -> usize {
        self.0
    }

    pub(crate) fn new(index: usize) -> Self {
        NodeId(index)
    }
}

/// A named op and the nodes it reads.
#[derive(Clone, Debug)]
pub struct Node {
    /// The module's name in the PyTorch state dict.
    pub name: String,
    /// What it computes.
    pub op: Arc<dyn Op>,
    /// What it reads.
    pub inputs: Vec<NodeId>,
}

impl Node {
    /// An error of its op's with its name.
    fn told(&self, error: Error) -> Error {
        match error {
            Error::Tensor(source) => Error::Graph {
                node: self.name.clone(),
                problem: source.to_string(),
            },
            other => other,
        }
    }
}

/// The nodes of a network, without parameters. Each reads earlier ones; the first is the input that is explained.
#[derive(Clone, Debug)]
pub struct Architecture {
    nodes: Vec<Node>,
    /// None is the last node.
    outputs: Vec<NodeId>,
}

impl Architecture {
    /// A network that reads inputs of `shape`, the batch left out.
    pub fn new(shape: impl Into<Vec<usize>>) -> Self {
        let shape = iter::once(None).chain(shape.into().into_iter().map(Some));
        Architecture::reading("input", shape.collect())
    }

    /// A network whose first input has a name of its own, and a shape with the batch; none where an axis may be of any length.
    pub fn reading(name: impl Into<String>, shape: Vec<Option<usize>>) -> Self {
        let input = Node {
            name: name.into(),
            op: Arc::new(Input {
                shape,
                state: false,
            }),
            inputs: Vec::new(),
        };
        Architecture::from_parts(vec![input], Vec::new())
    }

    pub(crate) fn from_parts(nodes: Vec<Node>, outputs: Vec<NodeId>) -> Self {
        Architecture { nodes, outputs }
    }

    /// The input node, the first of several.
    pub fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// The output node, the first of several.
    pub fn output(&self) -> NodeId {
        self.outputs()[0]
    }

    /// The output nodes.
    pub fn outputs(&self) -> Vec<NodeId> {
        match self.outputs.as_slice() {
            [] => vec![NodeId(self.nodes.len() - 1)],
            outputs => outputs.to_vec(),
        }
    }

    /// The same nodes with other outputs than the last one, nodes of this network.
    ///
    /// # Errors
    /// If there are none, or one is not there.
    pub fn with_outputs(mut self, outputs: impl Into<Vec<NodeId>>) -> Result<Self> {
        self.outputs = outputs.into();
        let is_there = |output: &NodeId| output.0 < self.nodes.len();
        match self.outputs.is_empty() || !self.outputs.iter().all(is_there) {
            true => Err(Error::Text(
                "no node is an output, or one that is not there".into(),
            )),
            false => Ok(self),
        }
    }

    /// The same nodes, one of them under another name.
    ///
    /// # Errors
    /// If the name is taken.
    pub(crate) fn renamed(mut self, node: NodeId, name: &str) -> Result<Self> {
        match self.node(name) {
            Some(other) if other != node => Err(Error::Graph {
                node: name.to_owned(),
                problem: "the name is taken".into(),
            }),
            _ => {
                self.nodes[node.0].name = name.to_owned();
                Ok(self)
            }
        }
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        let place = self.nodes.iter().position(|node| node.name == name);
        place.map(NodeId)
    }

    /// The shape of one input, the batch left out; none where an axis may be of any length.
    pub fn input_shape(&self) -> &[Option<usize>] {
        match self.nodes[0].op.as_input() {
            Some(Input { shape, .. }) => shape.get(1..).unwrap_or_default(),
            None => &[],
        }
    }

    /// How many inputs it takes at a time, where that is not free: one, of most that were exported for one.
    pub fn batch(&self) -> Option<usize> {
        let shape = &self.nodes[0].op.as_input()?.shape;
        shape.first().copied().flatten()
    }

    /// A batch in parts of as many inputs as it [takes at a time](Architecture::batch); as it is if it cannot be parted so.
    pub(crate) fn parts(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        let count = input.dims().first().copied().unwrap_or(0);
        match self.batch() {
            Some(part @ 1..) if count > part && count % part == 0 => {
                let starts = (0..count).step_by(part);
                let parts = starts.map(|start| input.narrow(0, start, part));
                Ok(parts.collect::<candle_core::Result<_>>()?)
            }
            _ => Ok(vec![input.clone()]),
        }
    }

    /// The shape of one input, the batch left out, of a network all of whose inputs have one.
    ///
    /// # Errors
    /// If an axis may be of any length.
    pub fn fixed_input_shape(&self) -> Result<Vec<usize>> {
        let shape: Option<Vec<usize>> = self.input_shape().iter().copied().collect();
        shape.ok_or_else(|| Error::Graph {
            node: self.nodes[0].name.clone(),
            problem: "is of any length, and here one is needed".into(),
        })
    }

    /// Adds a node. The last one added is the output, unless others are named.
    ///
    /// # Errors
    /// If the name is taken, or the op reads another number of nodes.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        op: impl Op + 'static,
        inputs: impl Into<Vec<NodeId>>,
    ) -> Result<NodeId> {
        self.add_node(name.into(), Arc::new(op), inputs.into())
    }

    pub(crate) fn add_node(
        &mut self,
        name: String,
        op: Arc<dyn Op>,
        inputs: Vec<NodeId>,
    ) -> Result<NodeId> {
        let arity = op.arity();
        let problem = if self.nodes.iter().any(|node| node.name == name) {
            Some("the name is taken".to_owned())
        } else if !arity.contains(&inputs.len()) {
            Some(format!(
                "reads {}, not {}",
                match arity.end() {
                    most if most == arity.start() => format!("{most} nodes"),
                    _ => format!("{} nodes or more", arity.start()),
                },
                inputs.len()
            ))
        } else if inputs.iter().any(|input| input.0 >= self.nodes.len()) {
            Some("reads a node that is not there yet".to_owned())
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::Graph {
                node: name,
                problem,
            });
        }
        self.nodes.push(Node { name, op, inputs });
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// By node, how many read it; an output is read once from outside.
    pub(crate) fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len()];
        let read = self.nodes.iter().flat_map(|node| node.inputs.clone());
        for node in read.chain(self.outputs()) {
            readers[node.0] += 1;
        }
        readers
    }

    /// The nodes, each after those it reads.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A graph with PyTorch's default initialization: weights uniform in ±1/√fan_in, scales 1 and shifts 0.
    pub fn random(self, seed: u64, device: &Device) -> Result<Graph> {
        let mut position = 0;
        self.fill(|_, spec| {
            let bound = match spec.init {
                Init::Constant(value) => {
                    return Ok(Tensor::full(value, spec.shape.clone(), device)?);
                }
                Init::FanIn(inputs) => 1.0 / (inputs.max(1) as f32).sqrt(),
            };
            let mut rng = generator(seed, Stream::Weights, position);
            position += 1;
            let values: Vec<f32> = (0..spec.shape.elem_count())
                .map(|_| rng.random_range(-bound..bound))
                .collect();
            Ok(Tensor::from_vec(values, spec.shape.clone(), device)?)
        })
    }

    /// A graph with the given weights, by their full names (`features.0.weight`).
    ///
    /// # Errors
    /// Names every tensor that is missing, surplus, or of another shape.
    pub fn with_weights(self, mut tensors: BTreeMap<String, Tensor>) -> Result<Graph> {
        let mut problems = Vec::new();
        let mut params = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut found = Params::new();
            for spec in node.op.params() {
                let name = format!("{}.{}", node.name, spec.name);
                match tensors.remove(&name) {
                    None => problems.push(format!("`{name}` is missing")),
                    Some(tensor) if tensor.shape() != &spec.shape => {
                        problems.push(format!(
                            "`{name}` is {:?}, not {:?}",
                            tensor.dims(),
                            spec.shape.dims()
                        ));
                    }
                    Some(tensor) => {
                        found.insert(spec.name.to_owned(), tensor);
                    }
                }
            }
            params.push(found);
        }
        problems.extend(tensors.keys().map(|name| format!("`{name}` has no place")));
        if problems.is_empty() {
            Ok(Graph::new(Arc::new(self), params, false))
        } else {
            Err(Error::Weights(problems.join(", ")))
        }
    }

    fn fill(
        self,
        mut make: impl FnMut(&Node, &crate::ParamSpec) -> Result<Tensor>,
    ) -> Result<Graph> {
        let params = self
            .nodes
            .iter()
            .map(|node| {
                node.op
                    .params()
                    .iter()
                    .map(|spec| Ok((spec.name.to_owned(), make(node, spec)?)))
                    .collect()
            })
            .collect::<Result<_>>()?;
        Ok(Graph::new(Arc::new(self), params, false))
    }
}

/// A network: an architecture with its parameters. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Graph {
    architecture: Arc<Architecture>,
    params: Vec<Params>,
    /// Whether somebody else may change the parameters.
    shared: bool,
    /// Whether memory counts for more than time: weights are not kept a second time as kernels read them.
    pub(crate) is_lean: bool,
    /// The graph that [`Graph::forward`] runs, once it has been made.
    inference: Arc<OnceLock<Graph>>,
    /// What is known before a pass in inference mode, for the last shapes.
    pub(crate) remembered: Remembered,
}

/// What nodes gave in one forward pass.
#[derive(Clone)]
pub struct Trace {
    nodes: Arc<Architecture>,
    shapes: Vec<Shape>,
    outputs: Vec<Option<Tensor>>,
    /// What each op kept for its gradient, in training.
    pub(crate) saved: Vec<Vec<Tensor>>,
}

impl Trace {
    /// What `node` gave.
    ///
    /// # Errors
    /// If it was not kept, or has been forgotten.
    pub fn output(&self, node: NodeId) -> Result<&Tensor> {
        self.outputs[node.0].as_ref().ok_or_else(|| Error::Graph {
            node: self.nodes.nodes[node.0].name.clone(),
            problem: "its output was not kept".into(),
        })
    }

    /// What the nodes gave that `node` reads.
    ///
    /// # Errors
    /// If one was not kept, or has been forgotten.
    pub fn inputs(&self, node: &Node) -> Result<Vec<&Tensor>> {
        let all = node.inputs.iter().map(|read| self.output(*read));
        all.collect()
    }

    /// The shape of what `node` gave, kept or not.
    pub fn shape(&self, node: NodeId) -> &Shape {
        &self.shapes[node.0]
    }

    /// What the network gave.
    pub fn logits(&self) -> Result<&Tensor> {
        self.output(self.nodes.output())
    }

    /// Gives back the memory of what `node` gave.
    pub fn forget(&mut self, node: NodeId) {
        self.outputs[node.0] = None;
        self.saved[node.0] = Vec::new();
    }
}

/// So many nodes are named where one is asked for that is not there.
const TOLD: usize = 5;

impl Graph {
    fn new(architecture: Arc<Architecture>, params: Vec<Params>, shared: bool) -> Self {
        Graph {
            architecture,
            params,
            shared,
            is_lean: false,
            inference: Arc::default(),
            remembered: Remembered::default(),
        }
    }

    /// Another architecture with parameters made from this graph's.
    pub(crate) fn with_nodes(&self, architecture: Architecture, params: Vec<Params>) -> Self {
        Graph::new(Arc::new(architecture), params, self.shared)
    }

    /// Whether somebody else may change the parameters: a training that goes on. What is computed from them must not be kept.
    pub fn is_shared(&self) -> bool {
        self.shared
            || self
                .params
                .iter()
                .flat_map(BTreeMap::values)
                .any(Tensor::track_op)
    }

    /// The nodes.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The nodes with their places, each after those it reads.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.architecture
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (NodeId(index), node))
    }

    /// A node's parameters.
    pub fn params(&self, node: NodeId) -> &Params {
        &self.params[node.0]
    }

    /// The parameters, by node, which the graph has no longer.
    pub(crate) fn take_params(&mut self) -> Vec<Params> {
        std::mem::take(&mut self.params)
    }

    /// Every parameter by its full name (`features.0.weight`).
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        let full = |node: &Node, name: &str| format!("{}.{name}", node.name);
        self.architecture
            .nodes
            .iter()
            .zip(&self.params)
            .flat_map(|(node, params)| {
                params
                    .iter()
                    .map(move |(name, tensor)| (full(node, name), tensor.clone()))
            })
            .collect()
    }

    fn with_params(&self, params: Vec<Params>) -> Graph {
        Graph::new(self.architecture.clone(), params, self.shared)
    }

    /// The same graph with every parameter mapped.
    pub fn map_weights(
        &self,
        mut map: impl FnMut(&str, &Tensor) -> Result<Tensor>,
    ) -> Result<Graph> {
        let params = self
            .architecture
            .nodes
            .iter()
            .zip(&self.params)
            .map(|(node, params)| {
                let mapped = |(name, tensor): (&String, &Tensor)| {
                    Ok((name.clone(), map(&format!("{}.{name}", node.name), tensor)?))
                };
                params.iter().map(mapped).collect()
            })
            .collect::<Result<_>>()?;
        Ok(self.with_params(params))
    }

    /// The same graph in another number type. Whole numbers stay.
    pub fn to_dtype(&self, dtype: DType) -> Result<Graph> {
        self.map_weights(|_, tensor| match tensor.dtype().is_float() {
            true => Ok(tensor.to_dtype(dtype)?),
            false => Ok(tensor.clone()),
        })
    }

    /// The same graph, cut from what autograd tracks; the parameters are shared.
    pub fn detach(&self) -> Graph {
        let params = self
            .params
            .iter()
            .map(|params| {
                params
                    .iter()
                    .map(|(n, t)| (n.clone(), t.detach()))
                    .collect()
            })
            .collect();
        Graph {
            shared: true,
            ..self.with_params(params)
        }
    }

    /// The same graph with what is trained on variables of its own, and these by their full names.
    pub(crate) fn to_variables(&self) -> Result<(Graph, BTreeMap<String, Var>)> {
        let (mut graph, mut variables) = (self.with_params(self.params.clone()), BTreeMap::new());
        for (node, params) in self.architecture.nodes.iter().zip(&mut graph.params) {
            for spec in node.op.params().iter().filter(|spec| spec.trained) {
                if let Some(tensor) = params.get_mut(spec.name) {
                    let variable = Var::from_tensor(&tensor.copy()?)?;
                    *tensor = variable.as_tensor().clone();
                    variables.insert(format!("{}.{}", node.name, spec.name), variable);
                }
            }
        }
        Ok((graph, variables))
    }

    /// Sets parameters by their full names.
    pub(crate) fn update(&mut self, values: &[(String, Tensor)]) {
        for (full, value) in values {
            for (node, params) in self.architecture.nodes.iter().zip(&mut self.params) {
                let name = full
                    .strip_prefix(&node.name)
                    .and_then(|rest| rest.strip_prefix('.'));
                if let Some(parameter) = name.and_then(|name| params.get_mut(name)) {
                    *parameter = value.clone();
                }
            }
        }
        self.inference = Arc::default();
        self.remembered = Remembered::default();
    }

    /// The logits of a batch `[N, …]`, of a network that takes so many inputs at a time one part after the other. What no later node
    /// reads is dropped on the way.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let parts = self.architecture.parts(input)?;
        if parts.len() > 1 {
            let logits = parts.iter().map(|part| self.forward(part));
            return Ok(Tensor::cat(&logits.collect::<Result<Vec<_>>>()?, 0)?);
        }
        self.fewest(&[input])?.forward_in(input, &mut Mode::Infer)
    }

    /// The graph to compute outputs by: that of [`Graph::inference`], unless autograd is to follow.
    fn fewest(&self, given: &[&Tensor]) -> Result<&Graph> {
        let mut params = self.params.iter().flat_map(BTreeMap::values);
        let is_tracked = given.iter().any(|input| input.track_op());
        match is_tracked || params.any(Tensor::track_op) {
            true => Ok(self),
            false => self.inference(),
        }
    }

    /// The same function in inference, with fewer nodes.
    pub(crate) fn inference(&self) -> Result<&Graph> {
        if let Some(graph) = self.inference.get() {
            return Ok(graph);
        }
        // What is computed from parameters would not follow them.
        let graph = if self.shared {
            self.with_relus_joined()?
        } else {
            let mut graph = self.with_batch_norm_merged()?.graph.with_relus_joined()?;
            if !self.is_lean {
                graph.pack_weights()?;
            }
            graph
        };
        Ok(self.inference.get_or_init(|| graph))
    }

    /// Gives every op its weight as its kernels read it.
    fn pack_weights(&mut self) -> Result<()> {
        for (node, params) in self.architecture.nodes.iter().zip(&mut self.params) {
            let packed = node.op.packed(params);
            if let Some(packed) = packed.map_err(|error| node.told(error))? {
                params.insert(PACKED.to_owned(), packed);
            }
        }
        Ok(())
    }

    /// [`Graph::forward`] in training or inference mode.
    pub fn forward_in(&self, input: &Tensor, mode: &mut Mode) -> Result<Tensor> {
        Ok(self.run(input, mode, |_| false)?.logits()?.clone())
    }

    /// What some nodes give for inputs by their names, in inference mode; the nodes of the outputs if none is named.
    ///
    /// # Errors
    /// If there is no such node, an input that is no state is not given, or one is given that is none or of another shape.
    pub fn outputs_of(
        &self,
        given: &[(&str, &Tensor)],
        names: &[&str],
    ) -> Result<Vec<(String, Tensor)>> {
        let all = &self.architecture;
        let place = |name: &&str| {
            all.node(name).ok_or_else(|| Error::Graph {
                node: (*name).to_owned(),
                problem: format!(
                    "there is no such node; the last are {}",
                    all.nodes[all.nodes.len().saturating_sub(TOLD)..]
                        .iter()
                        .map(|node| node.name.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            })
        };
        let wanted = match names {
            [] => all.outputs(),
            names => names.iter().map(place).collect::<Result<_>>()?,
        };
        for (name, _) in given {
            let node = &all.nodes[place(name)?.0];
            if node.op.as_input().is_none() {
                return Err(Error::Graph {
                    node: node.name.clone(),
                    problem: "is no input, and cannot be given".into(),
                });
            }
        }
        let (graph, places) = match names {
            [] => {
                let values: Vec<&Tensor> = given.iter().map(|(_, value)| *value).collect();
                let graph = self.fewest(&values)?;
                (graph, graph.architecture.outputs())
            }
            _ => (self, wanted.clone()),
        };
        let trace = graph.run_given(given, &mut Mode::Infer, |node| places.contains(&node))?;
        let output = |(node, place): (NodeId, NodeId)| {
            let name = all.nodes[node.0].name.clone();
            Ok((name, trace.output(place)?.clone()))
        };
        wanted.into_iter().zip(places.clone()).map(output).collect()
    }

    /// What every node gives for a batch `[N, …]`, in inference mode.
    pub fn trace(&self, input: &Tensor) -> Result<Trace> {
        self.trace_of(input, |_| true)
    }

    /// [`Graph::trace`] of some nodes and the logits: of the others nothing is kept once their readers have been computed.
    pub fn trace_of(&self, input: &Tensor, keep: impl Fn(NodeId) -> bool + Send) -> Result<Trace> {
        self.run(input, &mut Mode::Infer, keep)
    }

    /// A forward pass that keeps what some nodes gave, the outputs among them.
    pub(crate) fn run(
        &self,
        input: &Tensor,
        mode: &mut Mode,
        keep: impl Fn(NodeId) -> bool + Send,
    ) -> Result<Trace> {
        let name = self.architecture.nodes[0].name.as_str();
        self.run_given(&[(name, input)], mode, keep)
    }

    pub(crate) fn run_given(
        &self,
        given: &[(&str, &Tensor)],
        mode: &mut Mode,
        keep: impl Fn(NodeId) -> bool + Send,
    ) -> Result<Trace> {
        let device = given
            .first()
            .map_or(&Device::Cpu, |(_, value)| value.device());
        cpu::among_workers(device, || self.run_here(given, mode, keep))
    }

    fn run_here(
        &self,
        given: &[(&str, &Tensor)],
        mode: &mut Mode,
        keep: impl Fn(NodeId) -> bool,
    ) -> Result<Trace> {
        let parts = self.remembered.parts(&self.architecture);
        if matches!(mode, Mode::Train(_)) || !parts.gain(&keep) {
            return self.pass(given, mode, &[], keep);
        }
        if let Some(concrete) = self.remembered.of(given) {
            return self.pass(given, mode, &concrete, keep);
        }
        let mut trace = self.pass(given, mode, &[], |id| keep(id) || parts.is_kept(id))?;
        let concrete = parts.known(&trace.shapes, &trace.outputs);
        self.remembered.remember(given, concrete);
        let surplus = self.nodes().map(|(id, _)| id);
        let outputs = self.architecture.outputs();
        for id in surplus.filter(|id| parts.is_kept(*id) && !keep(*id) && !outputs.contains(id)) {
            trace.forget(id);
        }
        Ok(trace)
    }

    /// A pass through the nodes of which nothing is known.
    pub(crate) fn pass(
        &self,
        given: &[(&str, &Tensor)],
        mode: &mut Mode,
        known: &[Known],
        keep: impl Fn(NodeId) -> bool,
    ) -> Result<Trace> {
        let nodes = &self.architecture.nodes;
        let mut readers = self.architecture.readers();
        let mut trace = Trace {
            nodes: self.architecture.clone(),
            shapes: Vec::with_capacity(nodes.len()),
            outputs: Vec::with_capacity(nodes.len()),
            saved: Vec::with_capacity(nodes.len()),
        };
        // The number type of the pass: that of what is given.
        let mut types = given.iter().map(|(_, value)| value.dtype());
        let real = types.find(DType::is_float).unwrap_or(DType::F32);
        for (index, node) in nodes.iter().enumerate() {
            let (shape, output) = match known.get(index) {
                Some(Known::Shape(shape)) => (shape.clone(), None),
                Some(Known::Value(value)) => (value.shape().clone(), Some(value.clone())),
                Some(Known::Nothing) | None => {
                    let mut output = self.node_forward(NodeId(index), given, &trace, mode)?;
                    if output.dtype().is_float() && output.dtype() != real {
                        output = output.to_dtype(real)?;
                    }
                    (output.shape().clone(), Some(output))
                }
            };
            for read in &node.inputs {
                readers[read.0] -= 1;
                if readers[read.0] == 0 && !keep(*read) {
                    trace.forget(*read);
                }
            }
            trace.shapes.push(shape);
            trace.outputs.push(output);
            trace.saved.push(mode.take_saved());
        }
        Ok(trace)
    }

    fn node_forward(
        &self,
        id: NodeId,
        given: &[(&str, &Tensor)],
        trace: &Trace,
        mode: &mut Mode,
    ) -> Result<Tensor> {
        let node = &self.architecture.nodes[id.0];
        if let Some(input) = node.op.as_input() {
            let value = given.iter().find(|(name, _)| *name == node.name);
            return match value {
                Some((_, value)) => input.accept(&node.name, value),
                None => input.absent(&node.name, given),
            };
        }
        let inputs = trace.inputs(node)?;
        // Of whole numbers candle has none of their functions, and says so by a panic.
        let is_of_reals = matches!(
            node.op.kind(),
            Kind::Linear
                | Kind::Conv
                | Kind::BatchNorm1d
                | Kind::BatchNorm2d
                | Kind::StatsPool
                | Kind::Norm
                | Kind::Softmax
                | Kind::Recurrent
        );
        if is_of_reals && inputs.first().is_some_and(|x| !x.dtype().is_float()) {
            return Err(Error::Graph {
                node: node.name.clone(),
                problem: format!(
                    "`{}` is given whole numbers, and takes real ones",
                    node.op.name()
                ),
            });
        }
        let before = mode.updates().len();
        let output = node
            .op
            .forward(&self.params[id.0], &inputs, mode)
            .map_err(|error| node.told(error))?;
        for (name, _) in &mut mode.updates()[before..] {
            *name = format!("{}.{name}", node.name);
        }
        Ok(output)
    }
}
