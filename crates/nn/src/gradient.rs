//! The gradient of a graph: one sweep from the output to the input, node by node. (candle differentiates the same ops, but
//! starts every gradient as a tensor of zeros and adds to it: two passes over memory more than the gradient itself takes.)

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::graph::{Graph, Trace};
use crate::kernels::pointwise;
use crate::{Backward, Result};

impl Graph {
    /// The gradients by every trained parameter, by their full names, from that by the output. What has been used of the trace,
    /// one of training, is dropped on the way.
    pub(crate) fn backward(&self, mut trace: Trace, gradient: Tensor) -> Result<BTreeMap<String, Tensor>> {
        let wanted = self.on_the_way_to_parameters();
        let mut gradients: Vec<Option<Tensor>> = vec![None; wanted.len()];
        if let Some(last) = gradients.last_mut() {
            *last = Some(gradient);
        }
        let mut by_parameter = BTreeMap::new();
        for (id, node) in self.nodes().rev() {
            let (Some(gradient), true) = (gradients[id.index()].take(), wanted[id.index()]) else {
                continue;
            };
            let inputs: Vec<&Tensor> = node.inputs.iter().map(|read| trace.output(*read)).collect::<Result<_>>()?;
            let found = node.op.backward(&Backward {
                params: self.params(id),
                inputs: &inputs,
                output: trace.output(id)?,
                saved: &trace.saved[id.index()],
                gradient: &gradient,
                wants_inputs: node.inputs.iter().any(|read| wanted[read.index()]),
            })?;
            trace.forget(id);
            for (name, gradient) in found.params {
                by_parameter.insert(format!("{}.{name}", node.name), gradient);
            }
            for (read, gradient) in node.inputs.iter().zip(found.inputs) {
                let sum = &mut gradients[read.index()];
                *sum = Some(match sum.take() {
                    Some(before) => pointwise::sum(&before, &gradient)?,
                    None => gradient,
                });
            }
        }
        Ok(by_parameter)
    }

    /// For every node, whether it has trained parameters or reads one that has.
    fn on_the_way_to_parameters(&self) -> Vec<bool> {
        let mut wanted = Vec::with_capacity(self.architecture().nodes().len());
        for (_, node) in self.nodes() {
            let own = node.op.params().iter().any(|spec| spec.trained);
            wanted.push(own || node.inputs.iter().any(|read| wanted[read.index()]));
        }
        wanted
    }
}
