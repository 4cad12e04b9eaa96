//! The gradient of a graph: one sweep from the output to the input, node by node. (candle differentiates the same ops, but
//! starts every gradient as a tensor of zeros and adds to it: two passes over memory more than the gradient itself takes.)

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::graph::{Graph, NodeId};
use crate::kernels::pointwise::{Sum, zip};
use crate::{Backward, Mode, Result, Training};

/// What a training pass leaves for the backward one.
pub(crate) struct Tape {
    /// What every node gave.
    outputs: Vec<Option<Tensor>>,
    /// What every node kept.
    saved: Vec<Vec<Tensor>>,
}

impl Tape {
    /// What the network gave.
    pub fn logits(&self) -> Result<&Tensor> {
        let last = self.outputs.last().and_then(Option::as_ref);
        last.ok_or_else(|| candle_core::Error::Msg("a graph has an input at least".into()).into())
    }
}

impl Graph {
    /// A forward pass in training that keeps what [`Graph::backward`] needs.
    pub(crate) fn record(&self, input: &Tensor, training: &mut Training) -> Result<Tape> {
        let count = self.architecture().nodes().len();
        let mut tape = Tape { outputs: Vec::with_capacity(count), saved: Vec::with_capacity(count) };
        for (id, _) in self.nodes() {
            let outputs = &tape.outputs;
            let read = |read: NodeId| outputs.get(read.index())?.as_ref();
            let output = self.node_forward(id, input, read, &mut Mode::Train(training))?;
            tape.outputs.push(Some(output));
            tape.saved.push(std::mem::take(&mut training.saved));
        }
        Ok(tape)
    }

    /// The gradients by every trained parameter, by their full names, from that by the output. What has been used of the tape
    /// is dropped on the way.
    pub(crate) fn backward(&self, mut tape: Tape, gradient: Tensor) -> Result<BTreeMap<String, Tensor>> {
        let wanted = self.on_the_way_to_parameters();
        let mut gradients: Vec<Option<Tensor>> = vec![None; wanted.len()];
        if let Some(last) = gradients.last_mut() {
            *last = Some(gradient);
        }
        let mut by_parameter = BTreeMap::new();
        for (id, node) in self.nodes().rev() {
            let (gradient, output) = (gradients[id.index()].take(), tape.outputs[id.index()].take());
            let (Some(gradient), Some(output), true) = (gradient, output, wanted[id.index()]) else {
                continue;
            };
            let inputs: Vec<&Tensor> =
                node.inputs.iter().filter_map(|read| tape.outputs[read.index()].as_ref()).collect();
            let found = node.op.backward(&Backward {
                params: self.params(id),
                inputs: &inputs,
                output: &output,
                saved: &tape.saved[id.index()],
                gradient: &gradient,
                wants_inputs: node.inputs.iter().any(|read| wanted[read.index()]),
            })?;
            for (name, gradient) in found.params {
                by_parameter.insert(format!("{}.{name}", node.name), gradient);
            }
            for (read, gradient) in node.inputs.iter().zip(found.inputs) {
                let sum = &mut gradients[read.index()];
                *sum = Some(match sum.take() {
                    Some(before) if gradient.device().is_cpu() => zip(&Sum, &before, &gradient)?,
                    Some(before) => (before + gradient)?,
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
