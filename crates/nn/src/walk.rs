//! The walk from a graph's output back to its input, which gradients and relevance take.

use candle_core::Tensor;

use crate::graph::{Graph, Node, NodeId, Trace};
use crate::kernels::pointwise::sum;
use crate::{Error, Result};

impl Graph {
    /// Walks from the output to the input (the first of several), each node before those it reads. `start` stands at the output; `pass` is told what has
    /// come together at a node's output and says what of it goes on to which of the node's inputs, by their places. Nodes that
    /// nothing came to are passed over, and so are those that are not `wanted`. What has been passed is dropped from the trace.
    /// Gives what came to the input, if anything did and it is wanted.
    ///
    /// # Errors
    /// Those of `pass`.
    pub fn walk_back<E: From<Error>>(
        &self,
        mut trace: Trace,
        start: Tensor,
        wanted: impl Fn(NodeId) -> bool,
        mut pass: impl FnMut(&Trace, NodeId, &Node, &Tensor) -> Result<Vec<(usize, Tensor)>, E>,
    ) -> Result<Option<Tensor>, E> {
        let input = self.architecture().input();
        let mut arrived: Vec<Option<Tensor>> = vec![None; self.architecture().nodes().len()];
        arrived[self.architecture().output().index()] = Some(start);
        for (id, node) in self
            .nodes()
            .rev()
            .filter(|(_, node)| !node.inputs.is_empty())
        {
            let (Some(here), true) = (arrived[id.index()].take(), wanted(id)) else {
                continue;
            };
            let passed = pass(&trace, id, node, &here)?;
            trace.forget(id);
            for (place, part) in passed {
                let total = &mut arrived[node.inputs[place].index()];
                *total = Some(match total.take() {
                    Some(before) => sum(&before, &part).map_err(Error::from)?,
                    None => part,
                });
            }
        }
        Ok(arrived[input.index()].take().filter(|_| wanted(input)))
    }
}
