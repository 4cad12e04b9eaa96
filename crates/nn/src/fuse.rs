//! Graphs that compute the same in fewer passes over memory.

use candle_core::Tensor;

use crate::graph::{Architecture, Graph, Node, NodeId};
use crate::{Params, Result};

/// A graph some of whose nodes compute what several did.
pub struct Joined {
    /// The graph.
    pub graph: Graph,
    /// For each of the nodes that were, the one whose output is now what its output went into.
    pub places: Vec<NodeId>,
}

/// The value of a constant.
fn value_of<'a>(node: &Node, params: &'a Params) -> Option<&'a Tensor> {
    (node.op.name() == "constant").then(|| &params["value"])
}

impl Graph {
    /// The same function with every ReLU computed by the op that it alone reads, where that can be.
    pub(crate) fn with_relus_joined(&self) -> Result<Graph> {
        let joined = self.clone().rewrite(|last, next, _| {
            let op = next.0.op.is_relu().then(|| last.0.op.with_relu())??;
            let node = Node {
                op,
                ..last.0.clone()
            };
            Some(Ok((node, last.1.clone())))
        })?;
        Ok(joined.graph)
    }

    /// The same function in inference with batch normalization merged into the dense layer or convolution that it alone
    /// reads: `w ← s w` and `b ← s b + β − s μ`, where `s = γ / √(σ² + ε)`. A merged layer has the name of the layer before.
    pub fn with_batch_norm_merged(&self) -> Result<Joined> {
        self.clone().merging_batch_norm()
    }

    /// The same function in inference, of a graph that nobody needs as it was: layers are merged one after the other, and what they were
    /// made of is dropped. It takes little more memory than its weights, and so more time than it could. Outputs keep their names.
    ///
    /// # Errors
    /// If a layer cannot be merged.
    pub fn into_inference(self) -> Result<Graph> {
        if self.is_shared() {
            return Ok(self);
        }
        let named = |id: NodeId| (id, self.architecture().nodes()[id.index()].name.clone());
        let outputs: Vec<_> = self
            .architecture()
            .outputs()
            .into_iter()
            .map(named)
            .collect();
        let Joined { mut graph, places } = self.merging_batch_norm()?;
        let mut architecture = graph.architecture().clone();
        for (output, name) in outputs {
            architecture = architecture.renamed(places[output.index()], &name)?;
        }
        let params = graph.take_params();
        let mut graph = graph.with_nodes(architecture, params);
        graph.is_lean = true;
        Ok(graph)
    }

    fn merging_batch_norm(self) -> Result<Joined> {
        self.rewrite(|(layer, params), (norm, norm_params), _| {
            let affine = norm.op.scale_and_shift(norm_params)?;
            let scaled = affine.and_then(|(scale, shift)| {
                let scaled = layer.op.scaled(params, &scale, &shift);
                scaled.transpose()
            });
            let node = |(op, params)| {
                let node = Node {
                    op,
                    ..layer.clone()
                };
                (node, params)
            };
            Some(scaled.transpose()?.map(node))
        })
    }

    /// The same function where a constant that is added to a dense layer or convolution, a number for each channel, is the layer's
    /// bias: to rules it is one. A joined layer has the name of the sum, whose output it gives.
    pub fn with_biases_joined(&self) -> Result<Graph> {
        let joined = self
            .clone()
            .rewrite(|(layer, params), (sum, _), constants| {
                let ("add", [constant]) = (sum.op.name(), constants) else {
                    return None;
                };
                let node = |(op, params)| {
                    let inputs = layer.inputs.clone();
                    let name = sum.name.clone();
                    (Node { name, op, inputs }, params)
                };
                Some(layer.op.shifted(params, constant)?.map(node))
            })?;
        Ok(joined.graph.without_unread_constants())
    }

    /// The value of a node that is a constant.
    pub(crate) fn constant(&self, id: NodeId) -> Option<&Tensor> {
        value_of(&self.architecture().nodes()[id.index()], self.params(id))
    }

    /// Joins a node with the one that reads it, where nothing else does and `join` gives a node for both. What else that one reads
    /// are constants, and `join` is told their values.
    fn rewrite(
        mut self,
        join: impl Fn((&Node, &Params), (&Node, &Params), &[&Tensor]) -> Option<Result<(Node, Params)>>,
    ) -> Result<Joined> {
        let readers = self.architecture().readers();
        // The nodes that stay, with their parameters, and where each of the old ones went.
        let mut nodes: Vec<(Node, Params)> = Vec::new();
        let mut places: Vec<NodeId> = Vec::new();
        let params = self.take_params();
        for (node, params) in self.architecture().nodes().iter().zip(params) {
            let constant = |read: &NodeId| {
                let (node, params) = &nodes[places[read.index()].index()];
                value_of(node, params)
            };
            let mut computed = node.inputs.iter().filter(|read| constant(read).is_none());
            let joined = match (computed.next(), computed.next()) {
                (Some(read), None) if readers[read.index()] == 1 => {
                    let place = places[read.index()];
                    let (last, last_params) = &nodes[place.index()];
                    let constants: Vec<&Tensor> = node.inputs.iter().filter_map(constant).collect();
                    let joined = join((last, last_params), (node, &params), &constants);
                    let joined = joined.transpose()?;
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
                params,
            ));
        }
        let outputs = self.architecture().outputs().into_iter();
        let outputs = outputs.map(|output| places[output.index()]).collect();
        let (nodes, params) = nodes.into_iter().unzip();
        Ok(Joined {
            graph: self.with_nodes(Architecture::from_parts(nodes, outputs), params),
            places,
        })
    }
}
