//! Graphs that compute the same in fewer passes over memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::graph::{Architecture, Graph, Node, NodeId};
use crate::{Params, Result};

impl Graph {
    /// The same function with every ReLU computed by the op that it alone reads, where that can be.
    pub(crate) fn with_relus_joined(&self) -> Result<Graph> {
        self.rewrite(|last, next| {
            let op = next.0.op.is_relu().then(|| last.0.op.with_relu())??;
            let node = Node {
                op,
                ..last.0.clone()
            };
            Some(Ok((node, last.1.clone())))
        })
    }

    /// The same function in inference with batch normalization merged into the convolution that it alone reads:
    /// `w ← s w` and `b ← s b + β − s μ`, where `s = γ / √(σ² + ε)`.
    pub(crate) fn with_batch_norm_merged(&self) -> Result<Graph> {
        self.rewrite(|(conv, params), (norm, norm_params)| {
            let (op, norm) = (conv.op.as_conv()?, norm.op.as_batch_norm()?);
            let merged = || {
                let (scale, shift) = norm.scale_and_shift(norm_params)?;
                let bias = match params.get("bias") {
                    Some(bias) => ((bias * &scale)? + shift)?,
                    None => shift,
                };
                let weight = params["weight"].broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
                let params: BTreeMap<_, _> =
                    [("bias".to_owned(), bias), ("weight".to_owned(), weight)].into();
                Ok((
                    Node {
                        op: Arc::new(op.clone().with_bias()),
                        ..conv.clone()
                    },
                    params,
                ))
            };
            Some(merged())
        })
    }

    /// Joins a node with the one that reads it, where nothing else does and `join` gives a node for both.
    fn rewrite(
        &self,
        join: impl Fn((&Node, &Params), (&Node, &Params)) -> Option<Result<(Node, Params)>>,
    ) -> Result<Graph> {
        let mut readers = vec![0usize; self.architecture().nodes().len()];
        for input in self.nodes().flat_map(|(_, node)| &node.inputs) {
            readers[input.index()] += 1;
        }
        // The nodes that stay, with their parameters, and where each of the old ones went.
        let mut nodes: Vec<(Node, Params)> = Vec::new();
        let mut places: Vec<NodeId> = Vec::new();
        for (id, node) in self.nodes() {
            let params = self.params(id);
            let joined = match node.inputs.as_slice() {
                [read] if readers[read.index()] == 1 => {
                    let place = places[read.index()];
                    let (last, last_params) = &nodes[place.index()];
                    let joined = join((last, last_params), (node, params)).transpose()?;
                    joined.map(|node| (place, node))
                }
                _ => None,
            };
            if let Some((place, joined)) = joined {
                nodes[place.index()] = joined;
                places.push(place);
                continue;
            }
            let inputs = node
                .inputs
                .iter()
                .map(|read| places[read.index()])
                .collect();
            places.push(NodeId::new(nodes.len()));
            nodes.push((
                Node {
                    inputs,
                    ..node.clone()
                },
                params.clone(),
            ));
        }
        // The last node is the output: what stands behind where it went, nothing reads.
        if let Some(output) = places.last() {
            nodes.truncate(output.index() + 1);
        }
        let (nodes, params) = nodes.into_iter().unzip();
        let shape = self.architecture().input_shape().to_vec();
        Ok(self.with_nodes(Architecture::from_parts(shape, nodes), params))
    }
}
