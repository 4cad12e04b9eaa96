//! Graphs for the shapes at hand. What depends on shapes and constants alone is computed once, and what nothing reads then is left
//! out: of the nodes by which an exported network finds its shapes, the network is left.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use candle_core::{DType, DeviceLocation, Shape, Tensor};

use crate::NodeId;
use crate::graph::{Architecture, Node};

/// What is known of a node's output before a pass.
pub(crate) enum Known {
    /// Nothing: it is computed.
    Nothing,
    /// It is this, whatever is given.
    Value(Tensor),
    /// Its shape. Nothing that is computed reads more of it.
    Shape(Shape),
}

/// By node, what is known for inputs of some shapes.
pub(crate) type Concrete = Vec<Known>;

/// What is known before a pass depends on the shapes, number types and device of what is given.
type Key = Vec<(String, Shape, DType, DeviceLocation)>;

/// So many shapes are remembered, the last ones: a window that is cut short at the end is one more.
const REMEMBERED: usize = 4;

/// What is known of a graph's nodes before a pass in inference mode, for the inputs that it was given last.
#[derive(Clone, Default)]
pub(crate) struct Remembered(Arc<Memory>);

#[derive(Default)]
struct Memory {
    parts: OnceLock<Parts>,
    last: Mutex<VecDeque<(Key, Arc<Concrete>)>>,
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remembered")
    }
}

fn key(given: &[(&str, &Tensor)]) -> Key {
    let one = |(name, value): &(&str, &Tensor)| {
        let location = value.device().location();
        (
            (*name).to_owned(),
            value.shape().clone(),
            value.dtype(),
            location,
        )
    };
    given.iter().map(one).collect()
}

impl Remembered {
    /// The parts of the graph's architecture.
    pub fn parts(&self, architecture: &Architecture) -> &Parts {
        self.0.parts.get_or_init(|| Parts::of(architecture))
    }

    fn last(&self) -> MutexGuard<'_, VecDeque<(Key, Arc<Concrete>)>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known for inputs like these.
    pub fn of(&self, given: &[(&str, &Tensor)]) -> Option<Arc<Concrete>> {
        let key = key(given);
        let last = self.last();
        let found = last.iter().find(|(other, _)| *other == key);
        found.map(|(_, concrete)| concrete.clone())
    }

    /// What is known for inputs like these from now on.
    pub fn remember(&self, given: &[(&str, &Tensor)], concrete: Concrete) {
        let key = key(given);
        let mut last = self.last();
        last.retain(|(other, _)| *other != key);
        last.truncate(REMEMBERED - 1);
        last.push_front((key, Arc::new(concrete)));
    }
}

impl Architecture {
    /// Whether what a node gives depends on the shapes alone of what is given, and on constants.
    pub fn is_fixed(&self, node: NodeId) -> bool {
        Parts::of(self).is_fixed[node.index()]
    }
}

/// What of a graph is the same for all inputs of the same shapes, and what is read.
pub(crate) struct Parts {
    /// By node, whether its output depends on shapes and constants alone.
    is_fixed: Vec<bool>,
    /// By node, whether something reads it that is computed for every input: nodes that are not fixed, and whoever asks for the outputs.
    is_read: Vec<bool>,
    /// Whether nodes that compute are fixed or not read.
    is_less: bool,
}

impl Parts {
    pub fn of(architecture: &Architecture) -> Self {
        let nodes = architecture.nodes();
        let mut is_fixed: Vec<bool> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let of_fixed = || {
                let is_trained = node.op.params().iter().any(|spec| spec.trained);
                !is_trained && node.inputs.iter().all(|read| is_fixed[read.index()])
            };
            is_fixed.push(node.op.as_input().is_none() && (node.op.reads_shape() || of_fixed()));
        }
        let mut is_read = vec![false; nodes.len()];
        for output in architecture.outputs() {
            is_read[output.index()] = true;
        }
        for (place, node) in nodes.iter().enumerate().rev() {
            // What is given is looked at even if nothing reads it: it may be of a wrong shape.
            is_read[place] |= node.op.as_input().is_some();
            if is_read[place] && !is_fixed[place] {
                node.inputs
                    .iter()
                    .for_each(|read| is_read[read.index()] = true);
            }
        }
        let is_less = |(place, node): (usize, &Node)| {
            !node.inputs.is_empty() && (is_fixed[place] || !is_read[place])
        };
        Parts {
            is_less: nodes.iter().enumerate().any(is_less),
            is_fixed,
            is_read,
        }
    }

    /// Whether something is left out of a pass for shapes that are known, and all is there that is to be kept.
    pub fn gain(&self, keep: impl Fn(NodeId) -> bool) -> bool {
        let mut kept = (0..self.is_read.len())
            .map(NodeId::new)
            .filter(|id| keep(*id));
        self.is_less && kept.all(|id| self.is_read[id.index()])
    }

    /// Whether a node's output is kept from a first pass for those to come.
    pub fn is_kept(&self, node: NodeId) -> bool {
        self.is_fixed[node.index()] && self.is_read[node.index()]
    }

    /// What is known after a first pass.
    pub fn known(&self, shapes: &[Shape], outputs: &[Option<Tensor>]) -> Concrete {
        let of = |place: usize| match (self.is_read[place], self.is_fixed[place], &outputs[place]) {
            (false, _, _) => Known::Shape(shapes[place].clone()),
            (true, true, Some(value)) => Known::Value(value.clone()),
            _ => Known::Nothing,
        };
        (0..shapes.len()).map(of).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::kernels::testing::tensor_by_lot;
    use crate::ops::{Concat, Constant, Gather, Linear, Relu, Reshape, ShapeOf, Unsqueeze};
    use crate::{Graph, Mode};

    /// A network that finds the shape `[N, −1]` by its input's own, and computes something that only a shape is taken of.
    fn network() -> Graph {
        let mut net = Architecture::reading("input", vec![None, None, Some(4)]);
        let x = net.input();
        let dense = net.add("dense", Linear::new(4, 3).on_any_axes(), [x]);
        let dense = dense.unwrap();
        let relu = net.add("relu", Relu, [dense]).unwrap();
        let shape = net.add("shape", ShapeOf::default(), [relu]).unwrap();
        let first = net.add("first", Constant { shape: vec![] }, []).unwrap();
        let batch = net.add("batch", Gather { axis: 0 }, [shape, first]);
        let row = Unsqueeze { axes: vec![0] };
        let batch = net.add("batch.row", row, [batch.unwrap()]).unwrap();
        let rest = net.add("rest", Constant { shape: vec![1] }, []).unwrap();
        let target = net.add("target", Concat { axis: 0 }, [batch, rest]);
        let flat = Reshape::default();
        net.add("flat", flat, [dense, target.unwrap()]).unwrap();
        let graph = net.random(3, &Device::Cpu).unwrap();
        let whole = |name: &str, tensor: &Tensor| match name {
            "first.value" => Ok(Tensor::new(0i64, &Device::Cpu)?),
            "rest.value" => Ok(Tensor::new(&[-1i64], &Device::Cpu)?),
            _ => Ok(tensor.clone()),
        };
        graph.map_weights(whole).unwrap()
    }

    fn values(x: &Tensor) -> Vec<Vec<f32>> {
        x.to_vec2().unwrap()
    }

    #[test]
    fn what_depends_on_shapes_alone_is_computed_once() {
        let graph = network();
        let input = |n, t, seed| tensor_by_lot(&[n, t, 4], seed);
        let plain = |input: &Tensor| {
            let trace = graph.pass(&[("input", input)], &mut Mode::Infer, &[], |_| false);
            values(trace.unwrap().logits().unwrap())
        };
        for (n, t, seed) in [(2, 5, 1), (2, 5, 2), (3, 5, 3), (2, 6, 4), (2, 5, 5)] {
            let input = input(n, t, seed);
            assert_eq!(
                values(&graph.forward_in(&input, &mut Mode::Infer).unwrap()),
                plain(&input)
            );
        }
        let known = graph.remembered.of(&[("input", &input(2, 5, 6))]).unwrap();
        let told = |what: fn(&Known) -> bool| {
            let nodes = graph.nodes().zip(known.iter());
            let told = nodes.filter(|(_, known)| what(known));
            told.map(|((_, node), _)| node.name.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(|known| matches!(known, Known::Nothing)),
            ["input", "dense", "flat"]
        );
        assert_eq!(told(|known| matches!(known, Known::Value(_))), ["target"]);
        // Whoever asks for a node gets it, also where nothing else reads it.
        let relu = graph.architecture().node("relu").unwrap();
        let trace = graph.trace(&input(2, 5, 7)).unwrap();
        assert_eq!(trace.output(relu).unwrap().dims(), [2, 5, 3]);
        let error = graph.forward(&input(2, 5, 8).narrow(2, 0, 3).unwrap());
        assert!(error.unwrap_err().to_string().contains("input"));
    }

    #[test]
    fn a_few_shapes_are_remembered() {
        let graph = network();
        for n in 1..10 {
            graph
                .forward_in(&tensor_by_lot(&[n, 2, 4], 1), &mut Mode::Infer)
                .unwrap();
        }
        assert_eq!(graph.remembered.last().len(), REMEMBERED);
        let last = tensor_by_lot(&[9, 2, 4], 1);
        assert!(graph.remembered.of(&[("input", &last)]).is_some());
    }
}
