//! The walk from a graph's output back to its inputs, which gradients and relevance take.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::graph::{Graph, Node, NodeId, Trace};
use crate::kernels::cpu::among_workers;
use crate::kernels::pointwise::sum;
use crate::{Error, Result};

impl Graph {
    /// Walks from the output (the first of several) to the inputs, each node before those it reads. `start` stands at the output;
    /// `pass` is told what has come together at a node's output and says what of it goes on to which of the node's inputs, by their
    /// places. Nodes that nothing came to are passed over, and so are those that are not `wanted`. What has been passed is dropped
    /// from the trace. Gives what came to each node that reads nothing and is wanted.
    ///
    /// # Errors
    /// Those of `pass`.
    pub fn walk_back<E: From<Error> + Send>(
        &self,
        trace: Trace,
        start: Tensor,
        wanted: impl Fn(NodeId) -> bool + Send,
        pass: impl FnMut(&Trace, NodeId, &Node, &Tensor) -> Result<Vec<(usize, Tensor)>, E> + Send,
    ) -> Result<BTreeMap<NodeId, Tensor>, E> {
        let device = start.device().clone();
        among_workers(&device, || self.walk_here(trace, start, wanted, pass))
    }

    fn walk_here<E: From<Error>>(
        &self,
        mut trace: Trace,
        start: Tensor,
        wanted: impl Fn(NodeId) -> bool,
        mut pass: impl FnMut(&Trace, NodeId, &Node, &Tensor) -> Result<Vec<(usize, Tensor)>, E>,
    ) -> Result<BTreeMap<NodeId, Tensor>, E> {
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
        let ends = self
            .nodes()
            .filter(|(id, node)| node.inputs.is_empty() && wanted(*id));
        let came = ends.filter_map(|(id, _)| Some((id, arrived[id.index()].take()?)));
        Ok(came.collect())
    }
}
