//! Graphs changed at their ends: without the last function, reading otherwise, or with something behind their output.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use crate::graph::{Architecture, Graph, Node, NodeId};
use crate::ops::{Constant, Fit, Frames, Input, Padding, Squeeze, Transpose, Unsqueeze, WindowPad};
use crate::{Error, Op, Params, Result};

/// An op of one input, and what its node is called behind the name of what it reads.
type Behind<'a> = (&'a str, Arc<dyn Op>);

impl Graph {
    /// The same network without a node of one input: what read it reads what it read.
    ///
    /// # Errors
    /// If it has another number of inputs.
    pub fn without(&self, gone: NodeId) -> Result<Graph> {
        let node = &self.architecture().nodes()[gone.index()];
        let [read] = node.inputs.as_slice() else {
            return Err(Error::Graph {
                node: node.name.clone(),
                problem: "reads no single node that could stand for it".into(),
            });
        };
        Ok(self.rebuilt(|id| id != gone, BTreeMap::from([(gone, *read)]), None))
    }

    /// The same network without nodes that no output depends on. What is given stays.
    pub fn without_unread(&self) -> Graph {
        let nodes = self.architecture().nodes();
        let mut is_read = vec![false; nodes.len()];
        for output in self.architecture().outputs() {
            is_read[output.index()] = true;
        }
        for (place, node) in nodes.iter().enumerate().rev() {
            is_read[place] |= node.op.as_input().is_some();
            if is_read[place] {
                node.inputs
                    .iter()
                    .for_each(|read| is_read[read.index()] = true);
            }
        }
        self.rebuilt(|id| is_read[id.index()], BTreeMap::new(), None)
    }

    /// The same network without constants that nothing reads.
    pub(crate) fn without_unread_constants(&self) -> Graph {
        let readers = self.architecture().readers();
        let is_read = |id: NodeId| readers[id.index()] > 0 || self.constant(id).is_none();
        self.rebuilt(is_read, BTreeMap::new(), None)
    }

    /// The same network, which reads its first input with the axes in another order: axis k of what it reads now is axis `axes[k]` of
    /// what it is given then.
    ///
    /// # Errors
    /// If that is no order of the input's axes.
    pub fn reading_in_order(&self, axes: &[usize]) -> Result<Graph> {
        let shape = self.first_input()?;
        let mut given = vec![None; shape.len()];
        let mut places = axes.to_vec();
        places.sort_unstable();
        if !places.into_iter().eq(0..shape.len()) {
            return Err(Error::Graph {
                node: self.architecture().nodes()[0].name.clone(),
                problem: format!("{axes:?} is no order of its {} axes", shape.len()),
            });
        }
        for (axis, place) in axes.iter().enumerate() {
            given[*place] = shape[axis];
        }
        let order = Transpose {
            axes: Some(axes.to_vec()),
        };
        Ok(self.reading_by(given, vec![("in-order", Arc::new(order))]))
    }

    /// A network whose first axis is time, of frames `[frames, length]`, as one that reads samples, `[1, samples]`: they get so many
    /// zeros before them, and frames as long as the network reads are cut at every hop, the last one filled up with zeros. What it gives
    /// for each frame stands behind an axis of one recording, `[1, frames, …]`.
    ///
    /// # Errors
    /// If it reads no frames of one length.
    pub fn reading_frames(&self, hop: usize, before: usize) -> Result<Graph> {
        let [None, Some(length)] = *self.first_input()? else {
            return Err(Error::Graph {
                node: self.architecture().nodes()[0].name.clone(),
                problem:
                    "is no [frames, samples] of any number of frames, which samples are cut into"
                        .into(),
            });
        };
        let padded = WindowPad {
            kernel: vec![length],
            stride: vec![hop],
            dilation: vec![1],
            before: vec![before],
            after: vec![0],
            fit: Some(Fit::Ceil),
            with: Padding::default(),
        };
        let of_one = Squeeze { axes: vec![0] };
        let read = self.reading_by(
            vec![Some(1), None],
            vec![
                ("padded", Arc::new(padded)),
                ("frames", Arc::new(Frames { length, hop })),
                ("of-one", Arc::new(of_one)),
            ],
        );
        let one = Unsqueeze { axes: vec![0] };
        read.followed_by("of-one", one, Params::new())
    }

    /// The network behind one of its nodes, which is its input then, `[N, …]`; and what the node gives for an input. What depends on
    /// shapes alone stays as it is for this one. What has no axis of inputs, such as frames of one recording, stands behind one, `[1, …]`.
    ///
    /// # Errors
    /// If there is no such node, the output does not depend on it, or depends on the input in other ways too.
    pub fn behind(&self, name: &str, input: &Tensor) -> Result<(Graph, Tensor)> {
        let all = self.architecture();
        let given = [(all.nodes()[all.input().index()].name.as_str(), input)];
        let value = match self.outputs_of(&given, &[name])?.pop() {
            Some((_, value)) => value,
            None => return Err(Error::Text(format!("`{name}` gives nothing"))),
        };
        let wrong = |problem: String| Error::Graph {
            node: name.to_owned(),
            problem,
        };
        let batch = input.dims().first();
        let first = all.node(name);
        let is_first = |id: NodeId| Some(id) == first;
        let mut follows = vec![false; all.nodes().len()];
        for (id, node) in self.nodes() {
            let any = |read: &NodeId| follows[read.index()];
            follows[id.index()] = is_first(id) || node.inputs.iter().any(any);
        }
        // What states and constants alone decide is computed as before.
        let mut of_fed = vec![false; all.nodes().len()];
        for (id, node) in self.nodes() {
            of_fed[id.index()] =
                is_fed(node) || node.inputs.iter().any(|read| of_fed[read.index()]);
        }
        let stays = |id: NodeId| follows[id.index()] || !of_fed[id.index()];
        let mut is_read = vec![false; all.nodes().len()];
        for output in all.outputs() {
            is_read[output.index()] = true;
        }
        for (id, node) in self.nodes().rev() {
            if is_read[id.index()] && stays(id) && !is_first(id) {
                let reads = node.inputs.iter();
                reads.for_each(|read| is_read[read.index()] = true);
            }
        }
        if !all.outputs().iter().any(|output| follows[output.index()]) {
            return Err(wrong("the output does not depend on it".into()));
        }
        let (mut nodes, mut params) = (Vec::new(), Vec::new());
        let mut places = vec![NodeId::new(0); all.nodes().len()];
        let mut is_of_shape = false;
        let mut shape: Vec<Option<usize>> = value.dims().iter().copied().map(Some).collect();
        for (id, node) in self.nodes() {
            if is_first(id) || !is_read[id.index()] {
                continue;
            }
            let (op, own) = match stays(id) {
                true => (node.op.clone(), self.params(id).clone()),
                false if all.is_fixed(id) => {
                    is_of_shape = true;
                    let held = self.outputs_of(&given, &[&node.name])?;
                    let held = held.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
                    let shape = held[0].dims().to_vec();
                    let own = held.into_iter().map(|value| ("value".to_owned(), value));
                    let op: Arc<dyn Op> = Arc::new(Constant { shape });
                    (op, own.collect())
                }
                false => {
                    return Err(wrong(format!(
                        "the answer depends on the input in other ways too, by `{}`: name a node that all of it passes",
                        node.name
                    )));
                }
            };
            let inputs = match stays(id) {
                true => node
                    .inputs
                    .iter()
                    .map(|read| places[read.index()])
                    .collect(),
                false => Vec::new(),
            };
            // Behind the input, which comes first.
            places[id.index()] = NodeId::new(nodes.len() + 1);
            nodes.push(Node {
                name: node.name.clone(),
                op,
                inputs,
            });
            params.push(own);
        }
        if let (false, Some(batch)) = (is_of_shape, shape.first_mut()) {
            *batch = None;
        }
        let input = Node {
            name: name.to_owned(),
            op: Arc::new(Input {
                shape,
                state: false,
            }),
            inputs: Vec::new(),
        };
        nodes.insert(0, input);
        params.insert(0, Params::new());
        let outputs: Vec<NodeId> = all.outputs().iter().map(|id| places[id.index()]).collect();
        let net = Architecture::from_parts(nodes, outputs);
        let graph = self.with_nodes(net, params);
        if value.dims().first() == batch {
            return Ok((graph, value));
        }
        let value = value.unsqueeze(0)?;
        let shape = value.dims().iter().copied().map(Some).collect();
        let of_one = Squeeze { axes: vec![0] };
        let graph = graph.reading_by(shape, vec![("of-one", Arc::new(of_one))]);
        Ok((graph, value))
    }

    /// The network as far as some of its nodes, which are its outputs then, in this order.
    ///
    /// # Errors
    /// If one is not there, or none is named.
    pub fn up_to(&self, names: &[&str]) -> Result<Graph> {
        let all = self.architecture();
        let place = |name: &&str| {
            all.node(name).ok_or_else(|| Error::Graph {
                node: (*name).to_owned(),
                problem: "there is no such node".into(),
            })
        };
        let outputs = names.iter().map(place).collect::<Result<Vec<_>>>()?;
        let end = outputs.iter().map(|output| output.index() + 1).max();
        let end = end.unwrap_or(0);
        let params = self
            .nodes()
            .take(end)
            .map(|(id, _)| self.params(id).clone());
        let net = Architecture::from_parts(all.nodes()[..end].to_vec(), Vec::new());
        Ok(self.with_nodes(net.with_outputs(outputs)?, params.collect()))
    }

    /// The same network with one node more, which reads its output (the first of several) and is the only output then. The node is
    /// called as the output, with a name behind it.
    ///
    /// # Errors
    /// If that name is taken, or the op reads more.
    pub fn followed_by(&self, name: &str, op: impl Op + 'static, own: Params) -> Result<Graph> {
        let mut net = self.architecture().clone();
        let output = net.output();
        let name = format!("{}.{name}", net.nodes()[output.index()].name);
        let last = net.add(name, op, [output])?;
        let mut params: Vec<Params> = self
            .nodes()
            .map(|(id, _)| self.params(id).clone())
            .collect();
        params.push(own);
        Ok(self.with_nodes(net.with_outputs([last])?, params))
    }

    /// The same network, one of its nodes under another name.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn renamed(&self, node: NodeId, name: &str) -> Result<Graph> {
        let params = self.nodes().map(|(id, _)| self.params(id).clone());
        let net = self.architecture().clone().renamed(node, name)?;
        Ok(self.with_nodes(net, params.collect()))
    }

    /// The shape of the first input, with the batch.
    fn first_input(&self) -> Result<&[Option<usize>]> {
        match self.architecture().nodes()[0].op.as_input() {
            Some(Input { shape, .. }) => Ok(shape),
            None => Err(Error::Text("the first node is no `input`".into())),
        }
    }

    /// The same network, whose first input is of another shape, with nodes behind it, one after the other.
    fn reading_by(&self, shape: Vec<Option<usize>>, behind: Vec<Behind>) -> Graph {
        let input = Input {
            shape,
            state: false,
        };
        self.rebuilt(|_| true, BTreeMap::new(), Some((input, behind)))
    }

    /// The nodes that are kept; what `stands_for` another is read in its place. The input may be another, with nodes behind it.
    fn rebuilt(
        &self,
        keep: impl Fn(NodeId) -> bool,
        stands_for: BTreeMap<NodeId, NodeId>,
        mut first: Option<(Input, Vec<Behind>)>,
    ) -> Graph {
        let (mut nodes, mut params): (Vec<Node>, Vec<Params>) = (Vec::new(), Vec::new());
        let mut places = vec![NodeId::new(0); self.architecture().nodes().len()];
        for (id, node) in self.nodes() {
            if let Some(other) = stands_for.get(&id) {
                places[id.index()] = places[other.index()];
            }
            if !keep(id) {
                continue;
            }
            let inputs = node
                .inputs
                .iter()
                .map(|read| places[read.index()])
                .collect();
            places[id.index()] = NodeId::new(nodes.len());
            nodes.push(Node {
                inputs,
                ..node.clone()
            });
            params.push(self.params(id).clone());
            let Some((input, behind)) = first.take() else {
                continue;
            };
            nodes[0].op = Arc::new(input);
            for (name, op) in behind {
                let read = NodeId::new(nodes.len() - 1);
                nodes.push(Node {
                    name: format!("{}.{name}", node.name),
                    op,
                    inputs: vec![read],
                });
                params.push(Params::new());
            }
            places[0] = NodeId::new(nodes.len() - 1);
        }
        let outputs = self.architecture().outputs().into_iter();
        let outputs = outputs.map(|output| places[output.index()]).collect();
        self.with_nodes(Architecture::from_parts(nodes, outputs), params)
    }
}

/// Whether somebody gives what a node stands for, anew with every input.
fn is_fed(node: &Node) -> bool {
    node.op.as_input().is_some_and(|input| !input.state)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Tensor};

    use crate::ops::{Flatten, Linear, Relu, Sigmoid};
    use crate::{Architecture, Params};

    /// A network with a branch that nothing reads, and a sigmoid at its end.
    fn network() -> Architecture {
        let mut net = Architecture::new([2, 3]);
        let x = net.input();
        let x = net.add("flatten", Flatten, [x]).unwrap();
        net.add("unread", Relu, [x]).unwrap();
        let x = net.add("head", Linear::new(6, 2), [x]).unwrap();
        net.add("sigmoid", Sigmoid, [x]).unwrap();
        net
    }

    #[test]
    fn graphs_change_at_their_ends() {
        let graph = network().random(3, &Device::Cpu).unwrap();
        let input = Tensor::arange(0f32, 12.0, &Device::Cpu)
            .unwrap()
            .reshape((2, 2, 3))
            .unwrap();
        let before = graph.forward(&input).unwrap().to_vec2::<f32>().unwrap();

        let turned = graph.reading_in_order(&[0, 2, 1]).unwrap();
        assert_eq!(turned.architecture().input_shape(), [Some(3), Some(2)]);
        let other = input.transpose(1, 2).unwrap();
        assert_eq!(
            turned.forward(&other).unwrap().to_vec2::<f32>().unwrap(),
            before
        );
        assert!(graph.reading_in_order(&[0, 1]).is_err());
        assert!(graph.reading_in_order(&[0, 1, 1]).is_err());

        let read = turned.without_unread();
        assert_eq!(
            read.architecture().nodes().len(),
            turned.architecture().nodes().len() - 1
        );
        assert_eq!(
            read.forward(&other).unwrap().to_vec2::<f32>().unwrap(),
            before
        );

        let logits = read.without(read.architecture().output()).unwrap();
        assert_eq!(logits.architecture().nodes().last().unwrap().name, "head");
        let sigmoid = |x: &f32| 1.0 / (1.0 + (-x).exp());
        let found = logits.forward(&other).unwrap().to_vec2::<f32>().unwrap();
        for (found, before) in found.iter().flatten().zip(before.iter().flatten()) {
            assert!((sigmoid(found) - before).abs() < 1e-6);
        }
        assert!(logits.without(logits.architecture().input()).is_err());
    }

    /// From a node on a network gives what it gave, and what reads past the node is told.
    #[test]
    fn a_network_starts_at_any_node_that_all_passes() {
        let graph = network().random(3, &Device::Cpu).unwrap();
        let input = Tensor::rand(-1f32, 1.0, (3, 2, 3), &Device::Cpu).unwrap();
        let whole = graph.forward(&input).unwrap().to_vec2::<f32>().unwrap();
        for node in ["input", "flatten", "head", "sigmoid"] {
            let (behind, value) = graph.behind(node, &input).unwrap();
            let found = behind.forward(&value).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(found, whole, "{node}");
            assert_eq!(behind.architecture().nodes()[0].name, node);
        }
        let told =
            |node: &str, graph: &crate::Graph| graph.behind(node, &input).unwrap_err().to_string();
        assert!(told("unread", &graph).contains("does not depend"));
        assert!(told("nowhere", &graph).contains("no such node"));

        let mut net = network();
        let [head, unread] = ["head", "unread"].map(|name| net.node(name).unwrap());
        let other = net.add("other", Linear::new(6, 2), [unread]).unwrap();
        net.add("both", crate::ops::Add, [head, other]).unwrap();
        let graph = net.random(3, &Device::Cpu).unwrap();
        assert!(
            told("head", &graph).contains("by `other`"),
            "{}",
            told("head", &graph)
        );
        assert!(graph.behind("flatten", &input).is_ok());
    }

    /// Frames of 3 every 2, with a zero before them: the sum of each, and the gradient of all.
    #[test]
    fn samples_are_cut_into_the_frames_that_a_network_reads() {
        let mut net = Architecture::reading("frames", vec![None, Some(3)]);
        net.add("sum", Linear::new(3, 1).without_bias(), [net.input()])
            .unwrap();
        let weight = Tensor::ones((1, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let graph = net
            .with_weights([("sum.weight".to_owned(), weight)].into())
            .unwrap();
        let graph = graph.reading_frames(2, 1).unwrap();
        assert_eq!(graph.architecture().batch(), Some(1));
        // Two recordings, which it takes one after the other: 0 1 2 | 2 3 4 | 4 5 0, and ten times that.
        let samples = [[1f32, 2., 3., 4., 5.], [10., 20., 30., 40., 50.]];
        let samples = Tensor::new(&samples, &Device::Cpu).unwrap();
        let (sums, gradient) = graph
            .input_gradient(&samples, |sums| Ok(sums.ones_like()?))
            .unwrap();
        assert_eq!(
            sums.to_vec3::<f32>().unwrap(),
            [[[3.], [9.], [9.]], [[30.], [90.], [90.]]]
        );
        assert_eq!(
            gradient.to_vec2::<f32>().unwrap(),
            [[1., 2., 1., 2., 1.], [1., 2., 1., 2., 1.]]
        );
        assert!(graph.reading_frames(2, 1).is_err());
        let relu = graph.followed_by("relu", Relu, Params::new()).unwrap();
        assert!(relu.architecture().node("sum.of-one.relu").is_some());
    }
}
