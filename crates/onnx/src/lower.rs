//! From the nodes of a file to those of a graph, one after the other. What depends on constants alone is computed at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor, TensorId};
use speechlens_nn::ops::{Constant, Input};
use speechlens_nn::{Architecture, Graph, NodeId, Op};

use crate::call::{Call, Known, Value};
use crate::tensor::{self, DataType};
use crate::{Problem, ops, proto};

/// A graph that grows.
pub(crate) struct Builder {
    net: Option<Architecture>,
    weights: BTreeMap<String, Tensor>,
    /// The nodes of constants.
    constants: HashMap<TensorId, NodeId>,
    /// The nodes that give whole numbers.
    whole: BTreeSet<NodeId>,
    /// How often a name was asked for.
    names: HashMap<String, usize>,
    /// What the next node is called.
    name: String,
}

impl Builder {
    fn new() -> Self {
        Builder {
            net: None,
            weights: BTreeMap::new(),
            constants: HashMap::new(),
            whole: BTreeSet::new(),
            names: HashMap::new(),
            name: String::new(),
        }
    }

    /// A graph to compute constants by: the input is given and not read.
    fn scratch() -> Self {
        Builder {
            net: Some(Architecture::new([1])),
            ..Builder::new()
        }
    }

    /// A name that no node has.
    fn free(&mut self, name: &str) -> String {
        let net = self.net.as_ref();
        let is_taken = |name: &str| net.is_some_and(|net| net.node(name).is_some());
        let count = self.names.entry(name.to_owned()).or_default();
        loop {
            *count += 1;
            let free = match *count {
                1 => name.to_owned(),
                count => format!("{name}:{count}"),
            };
            if !is_taken(&free) {
                return free;
            }
        }
    }

    /// Whether a value is known to be of whole numbers.
    pub fn is_whole(&self, value: &Value) -> bool {
        match value {
            Value::Known(known) => known.is_whole(),
            Value::Node(node) => self.whole.contains(node),
        }
    }

    fn insert(
        &mut self,
        name: &str,
        op: impl Op + 'static,
        params: Vec<(&str, Tensor)>,
        inputs: Vec<NodeId>,
    ) -> Result<NodeId, String> {
        let name = self.free(name);
        for (param, tensor) in params {
            self.weights.insert(format!("{name}.{param}"), tensor);
        }
        let net = self.net.as_mut().ok_or("nothing is given to the network")?;
        // What is made of whole numbers alone is whole, unless it is made real.
        let attribute = |name: &str| op.attributes().remove(name);
        let is_whole = match op.name() {
            "shape" | "argmax" | "top-places" | "whole-product" | "whole-quotient"
            | "whole-remainder" => true,
            "cast" => attribute("to").is_some_and(|to| to == "whole"),
            "filled" => attribute("whole").is_some_and(|whole| whole == true),
            "dequantize" | "input" | "constant" | "holds" => false,
            _ => !inputs.is_empty() && inputs.iter().all(|input| self.whole.contains(input)),
        };
        let node = net.add(name, op, inputs);
        let node = node.map_err(|error| error.to_string())?;
        if is_whole {
            self.whole.insert(node);
        }
        Ok(node)
    }

    /// Adds the node that stands for the file's.
    pub fn add(&mut self, op: impl Op + 'static, inputs: &[&Value]) -> Result<Value, String> {
        self.add_with(op, Vec::new(), inputs)
    }

    /// Adds it with parameters.
    pub fn add_with(
        &mut self,
        op: impl Op + 'static,
        params: Vec<(&str, Tensor)>,
        inputs: &[&Value],
    ) -> Result<Value, String> {
        let inputs = self.places(inputs)?;
        let name = self.name.clone();
        self.insert(&name, op, params, inputs).map(Value::Node)
    }

    /// Adds a node on the way to it.
    pub fn part(
        &mut self,
        part: &str,
        op: impl Op + 'static,
        inputs: &[&Value],
    ) -> Result<Value, String> {
        self.part_with(part, op, Vec::new(), inputs)
    }

    /// Adds a node on the way to it, with parameters.
    pub fn part_with(
        &mut self,
        part: &str,
        op: impl Op + 'static,
        params: Vec<(&str, Tensor)>,
        inputs: &[&Value],
    ) -> Result<Value, String> {
        let inputs = self.places(inputs)?;
        let name = format!("{}.{part}", self.name);
        self.insert(&name, op, params, inputs).map(Value::Node)
    }

    /// Adds nodes on the way to it as those of a node by itself.
    pub fn within<T>(&mut self, part: &str, add: impl FnOnce(&mut Self) -> T) -> T {
        let name = std::mem::take(&mut self.name);
        self.name = format!("{name}.{part}");
        let added = add(self);
        self.name = name;
        added
    }

    /// The number that a node gives whatever the free axes are: it is computed for some.
    fn for_all_shapes(&self, node: NodeId) -> Result<f64, String> {
        let net = self.net.clone().ok_or("nothing is given to the network")?;
        if !net.is_fixed(node) {
            return Err(
                "its condition depends on what the network is given, which is not supported".into(),
            );
        }
        let told = |error: speechlens_nn::Error| error.to_string();
        let net = net.with_outputs(vec![node]).map_err(told)?;
        let graph = net.with_weights(self.weights.clone()).map_err(told)?;
        let graph = graph.without_unread();
        let of = |batch: usize, length: usize| -> Option<f64> {
            let inputs = graph
                .nodes()
                .filter_map(|(_, node)| Some((node, node.op.as_input()?)));
            let mut given = Vec::new();
            for (node, input) in inputs {
                let axes = input.shape.iter().enumerate();
                let axes =
                    axes.map(|(axis, n)| n.unwrap_or(if axis == 0 { batch } else { length }));
                let dims: Vec<usize> = axes.collect();
                let count = dims.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
                count.filter(|count| *count <= LARGEST_TRIED)?;
                let zeros = Tensor::zeros(dims, candle_core::DType::F32, &Device::Cpu).ok()?;
                given.push((node.name.as_str(), zeros));
            }
            let given: Vec<_> = given.iter().map(|(name, zeros)| (*name, zeros)).collect();
            let found = graph.outputs_of(&given, &[]).ok()?;
            let found = found.first()?.1.flatten_all().ok()?;
            let found = found
                .to_dtype(candle_core::DType::F64)
                .ok()?
                .to_vec1()
                .ok()?;
            found.first().copied()
        };
        let tried = TRIED
            .iter()
            .flat_map(|length| [of(1, *length), of(2, *length)]);
        let found: Vec<f64> = tried.flatten().collect();
        match found.first() {
            Some(first) if found.iter().all(|other| other == first) => Ok(*first),
            Some(_) => Err("its condition depends on how long the input is, or on how many there are at a time, which is not supported".into()),
            None => Err("its condition could not be computed for any length of the input".into()),
        }
    }

    /// A number as a constant.
    pub fn number(&mut self, value: f64) -> Result<Value, String> {
        let tensor = Tensor::new(value as f32, &Device::Cpu).map_err(|error| error.to_string())?;
        Ok(Value::Known(Known {
            tensor,
            data_type: DataType::Float,
            name: format!("{}.number", self.name),
        }))
    }

    fn places(&mut self, values: &[&Value]) -> Result<Vec<NodeId>, String> {
        values.iter().map(|value| self.node(value)).collect()
    }

    /// The node of a value.
    pub fn node(&mut self, value: &Value) -> Result<NodeId, String> {
        match value {
            Value::Node(node) => Ok(*node),
            Value::Known(known) => {
                if let Some(node) = self.constants.get(&known.tensor.id()) {
                    return Ok(*node);
                }
                let op = Constant {
                    shape: known.tensor.dims().to_vec(),
                };
                let value = vec![("value", known.tensor.clone())];
                let node = self.insert(&known.name, op, value, Vec::new())?;
                self.constants.insert(known.tensor.id(), node);
                if known.is_whole() {
                    self.whole.insert(node);
                }
                Ok(node)
            }
        }
    }
}

/// The lengths of free axes for which a condition is computed.
const TRIED: [usize; 4] = [7, 100, 1_000, 16_000];

/// Inputs of more values are not tried.
const LARGEST_TRIED: usize = 1 << 22;

/// What became of a file.
pub(crate) struct Lowered {
    pub graph: Option<Graph>,
    pub problems: Vec<Problem>,
}

/// The values of a file while it is read.
pub(crate) struct Lowering<'a> {
    pub builder: Builder,
    values: HashMap<String, Value>,
    problems: Vec<Problem>,
    opset: i64,
    folder: Option<&'a Path>,
}

/// What a node is called: by its name, or by that of what it gives.
pub(crate) fn name_of(node: &proto::Node) -> &str {
    match node.name.is_empty() {
        false => &node.name,
        true => node.outputs.first().map_or("", String::as_str),
    }
}

impl<'a> Lowering<'a> {
    pub fn new(opset: i64, folder: Option<&'a Path>) -> Self {
        Lowering {
            builder: Builder::new(),
            values: HashMap::new(),
            problems: Vec::new(),
            opset,
            folder,
        }
    }

    /// A whole network.
    pub fn network(mut self, graph: &proto::Graph) -> Result<Lowered, String> {
        self.constants(graph)?;
        let given = graph
            .inputs
            .iter()
            .filter(|input| !self.values.contains_key(&input.name));
        let given: Vec<&proto::Value> = given.collect();
        if given.is_empty() {
            return Err("reads nothing".into());
        }
        for input in given {
            let node = self.input(input)?;
            self.values.insert(input.name.clone(), Value::Node(node));
        }
        self.nodes(graph);
        if !self.problems.is_empty() {
            return Ok(Lowered {
                graph: None,
                problems: self.problems,
            });
        }
        let mut outputs = Vec::new();
        for output in &graph.outputs {
            let value = self.values.get(&output.name).cloned();
            let value =
                value.ok_or_else(|| format!("no node gives its output `{}`", output.name))?;
            outputs.push(self.builder.node(&value)?);
        }
        let net = self.builder.net.ok_or("reads nothing")?;
        let told = |error: speechlens_nn::Error| error.to_string();
        let net = net.with_outputs(outputs.clone()).map_err(told)?;
        let mut network = net.with_weights(self.builder.weights).map_err(told)?;
        // Outputs are known by the names that the file gives them.
        for (output, node) in graph.outputs.iter().zip(outputs) {
            let net = network.architecture();
            if net.node(&output.name).is_none() && net.nodes()[node.index()].op.as_input().is_none()
            {
                network = network.renamed(node, &output.name).map_err(told)?;
            }
        }
        Ok(Lowered {
            graph: Some(
                network
                    .with_layers_raised()
                    .with_biases_joined()
                    .map_err(told)?,
            ),
            problems: Vec::new(),
        })
    }

    fn constants(&mut self, graph: &proto::Graph) -> Result<(), String> {
        if !graph.sparse.is_empty() {
            return Err(
                "holds sparse constants, which are not supported: export them dense".into(),
            );
        }
        for constant in &graph.initializers {
            let (tensor, data_type) = tensor::read(constant, self.folder)?;
            let known = Known {
                tensor,
                data_type,
                name: constant.name.clone(),
            };
            self.values
                .insert(constant.name.clone(), Value::Known(known));
        }
        Ok(())
    }

    /// What is given from outside. One that is no first input and has a length on every axis is a state.
    fn input(&mut self, value: &proto::Value) -> Result<NodeId, String> {
        let kind = value.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let kind = kind.ok_or_else(|| format!("its input `{}` is no tensor", value.name))?;
        DataType::of(kind.data_type)?;
        let shape = kind.shape.as_ref();
        let shape = shape.ok_or_else(|| format!("its input `{}` has no shape", value.name))?;
        let length = |axis: &proto::Axis| usize::try_from(axis.length).ok().filter(|n| *n > 0);
        let shape: Vec<Option<usize>> = shape.axes.iter().map(length).collect();
        if self.builder.net.is_none() {
            let net = Architecture::reading(value.name.clone(), shape);
            let first = net.input();
            self.builder.net = Some(net);
            return Ok(first);
        }
        let is_real = DataType::of(kind.data_type)?.is_real();
        let state = is_real && !shape.is_empty() && shape.iter().all(Option::is_some);
        let op = Input { shape, state };
        self.builder.insert(&value.name, op, Vec::new(), Vec::new())
    }

    /// Every node that can be read; the others are told.
    fn nodes(&mut self, graph: &proto::Graph) {
        for node in &graph.nodes {
            // What reads what could not be read is not told again.
            let there = |name: &String| name.is_empty() || self.values.contains_key(name);
            let missing: Vec<&String> = node.inputs.iter().filter(|name| !there(name)).collect();
            let told = match missing.first() {
                None => self.one(node).err(),
                Some(_) if !self.problems.is_empty() => ops::known(node).err(),
                Some(name) => Some(format!("reads `{name}`, which no node before it gives")),
            };
            if let Some(problem) = told {
                self.problems.push(Problem {
                    node: name_of(node).to_owned(),
                    op: node.op.clone(),
                    problem,
                });
            }
        }
    }

    fn one(&mut self, node: &proto::Node) -> Result<(), String> {
        let given = |name: &String| self.values.get(name).filter(|_| !name.is_empty());
        let inputs = node.inputs.iter().map(|name| given(name).cloned());
        let call = Call::new(node, inputs.collect(), self.opset);
        let lower = ops::known(node)?;
        let given = match node.op.as_str() {
            "If" => self.branch(&call)?,
            "Constant" => vec![self.constant(&call)?],
            _ if call
                .inputs
                .iter()
                .flatten()
                .all(|value| matches!(value, Value::Known(_))) =>
            {
                self.computed(&call, lower)?
            }
            _ => {
                self.builder.name = name_of(node).to_owned();
                lower(&call, &mut self.builder)?
            }
        };
        if let Some(attribute) = call.unread() {
            return Err(format!("its attribute `{attribute}` is not supported"));
        }
        // What nobody wants has no name.
        let named = node.outputs.iter().zip(given);
        for (name, value) in named.filter(|(name, _)| !name.is_empty()) {
            self.values.insert(name.clone(), value);
        }
        Ok(())
    }

    /// What a node gives that reads constants alone.
    fn computed(&self, call: &Call, lower: ops::Lower) -> Result<Vec<Value>, String> {
        let mut scratch = Builder::scratch();
        scratch.name = "computed".into();
        let given = lower(call, &mut scratch)?;
        let nodes: Vec<NodeId> = given
            .iter()
            .filter_map(|value| match value {
                Value::Node(node) => Some(*node),
                Value::Known(_) => None,
            })
            .collect();
        let told = |error: speechlens_nn::Error| error.to_string();
        let mut tensors = Vec::new();
        if !nodes.is_empty() {
            let net = scratch.net.ok_or("nothing is computed")?;
            let net = net.with_outputs(nodes).map_err(told)?;
            let graph = net.with_weights(scratch.weights).map_err(told)?;
            let nothing = Tensor::zeros((1, 1), candle_core::DType::F32, &Device::Cpu);
            let nothing = nothing.map_err(|error| error.to_string())?;
            tensors = graph
                .outputs_of(&[("input", &nothing)], &[])
                .map_err(told)?;
        }
        let mut tensors = tensors.into_iter();
        let names = call.node.outputs.iter();
        given
            .into_iter()
            .zip(names)
            .map(|(value, name)| match value {
                Value::Known(known) => Ok(Value::Known(known)),
                Value::Node(_) => {
                    let (_, tensor) = tensors.next().ok_or("a constant was not computed")?;
                    let data_type = match tensor.dtype() {
                        candle_core::DType::I64 => DataType::Int64,
                        candle_core::DType::U8 => DataType::Bool,
                        _ => DataType::Float,
                    };
                    Ok(Value::Known(Known {
                        tensor,
                        data_type,
                        name: name.clone(),
                    }))
                }
            })
            .collect()
    }

    fn constant(&self, call: &Call) -> Result<Value, String> {
        let name = call.node.outputs.first().cloned().unwrap_or_default();
        let made = |tensor: candle_core::Result<Tensor>, data_type| {
            let tensor = tensor.map_err(|error| error.to_string())?;
            Ok(Value::Known(Known {
                tensor,
                data_type,
                name: name.clone(),
            }))
        };
        if let Some(value) = call.tensor("value") {
            let (tensor, data_type) = tensor::read(value, self.folder)?;
            return made(Ok(tensor), data_type);
        }
        let cpu = &Device::Cpu;
        if let Some(value) = call.float("value_float") {
            return made(Tensor::new(value as f32, cpu), DataType::Float);
        }
        if let Some(values) = call.floats("value_floats") {
            return made(Tensor::new(values, cpu), DataType::Float);
        }
        if let Some(value) = call.int("value_int") {
            return made(Tensor::new(value, cpu), DataType::Int64);
        }
        if let Some(values) = call.ints("value_ints") {
            return made(Tensor::new(values, cpu), DataType::Int64);
        }
        Err("holds no numbers".into())
    }

    /// The branch that a condition chooses which is known, or the same for all shapes.
    fn branch(&mut self, call: &Call) -> Result<Vec<Value>, String> {
        let condition = match call.input(0)? {
            Value::Known(known) => known.reals()?.first().copied(),
            Value::Node(node) => Some(self.builder.for_all_shapes(*node)?),
        };
        let (yes, no) = (call.graph("then_branch"), call.graph("else_branch"));
        let branch = if condition.is_some_and(|value| value != 0.0) {
            yes
        } else {
            no
        };
        let branch = branch.ok_or("a branch is missing")?;
        // Its names are its own.
        let outside = self.values.clone();
        self.constants(branch)?;
        self.nodes(branch);
        let outputs = branch.outputs.iter().map(|output| {
            let value = self.values.get(&output.name).cloned();
            value.ok_or_else(|| format!("no node gives `{}` of its branch", output.name))
        });
        let outputs = outputs.collect();
        self.values = outside;
        outputs
    }
}
