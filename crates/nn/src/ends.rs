//! Graphs changed at their ends: without the last function, or reading axes in another order.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::graph::{Architecture, Graph, Node, NodeId};
use crate::ops::{Input, Transpose};
use crate::{Error, Params, Result};

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

    /// The same network, which reads its first input with the axes in another order: axis k of what it reads now is axis `axes[k]` of
    /// what it is given then.
    ///
    /// # Errors
    /// If that is no order of the input's axes.
    pub fn reading_in_order(&self, axes: &[usize]) -> Result<Graph> {
        let input = &self.architecture().nodes()[0];
        let shape = match input.op.as_input() {
            Some(Input { shape, .. }) => shape,
            None => return Err(Error::Text("the first node is no `input`".into())),
        };
        let mut given = vec![None; shape.len()];
        let mut places = axes.to_vec();
        places.sort_unstable();
        if !places.into_iter().eq(0..shape.len()) {
            return Err(Error::Graph {
                node: input.name.clone(),
                problem: format!("{axes:?} is no order of its {} axes", shape.len()),
            });
        }
        for (axis, place) in axes.iter().enumerate() {
            given[*place] = shape[axis];
        }
        let first = Input {
            shape: given,
            state: false,
        };
        let order = Transpose {
            axes: Some(axes.to_vec()),
        };
        Ok(self.rebuilt(|_| true, BTreeMap::new(), Some((first, order))))
    }

    /// The nodes that are kept; what `stands_for` another is read in its place. The input may be another, with a node behind it.
    fn rebuilt(
        &self,
        keep: impl Fn(NodeId) -> bool,
        stands_for: BTreeMap<NodeId, NodeId>,
        first: Option<(Input, Transpose)>,
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
            if let (0, Some((input, order))) = (id.index(), &first) {
                nodes[0].op = Arc::new(input.clone());
                places[0] = NodeId::new(1);
                nodes.push(Node {
                    name: format!("{}.in-order", node.name),
                    op: Arc::new(order.clone()),
                    inputs: vec![NodeId::new(0)],
                });
                params.push(Params::new());
            }
        }
        let outputs = self.architecture().outputs().into_iter();
        let outputs = outputs.map(|output| places[output.index()]).collect();
        self.with_nodes(Architecture::from_parts(nodes, outputs), params)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Tensor};

    use crate::Architecture;
    use crate::ops::{Flatten, Linear, Relu, Sigmoid};

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
}
