//! The gradient of a graph: one sweep from the output to the input, node by node. (candle differentiates the same ops, but
//! starts every gradient as a tensor of zeros and adds to it: two passes over memory more than the gradient itself takes.)

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::graph::{Graph, Node, NodeId, Trace};
use crate::{Backward, Branch, Error, Mode, Result};

impl Graph {
    /// The gradients by every trained parameter, by their full names, from that by the output. What has been used of the trace,
    /// one of training, is dropped on the way.
    pub(crate) fn backward(
        &self,
        trace: Trace,
        gradient: Tensor,
    ) -> Result<BTreeMap<String, Tensor>> {
        let wanted = self.on_the_way(|_, node| node.op.params().iter().any(|spec| spec.trained));
        let mut by_parameter = BTreeMap::new();
        self.sweep(trace, gradient, &wanted, Some(&mut by_parameter))?;
        Ok(by_parameter)
    }

    /// The logits `[N, classes]` of a batch `[N, …]` in inference, and the gradient of a function of them by the input, of the
    /// input's shape. `by_logits` gives the function's gradient by the logits, of their shape.
    pub fn input_gradient(
        &self,
        input: &Tensor,
        by_logits: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let parts = self.architecture().parts(input)?;
        if parts.len() == 1 {
            return self.part_gradient(input, by_logits);
        }
        let logits = self.forward(input)?;
        let by_logits = by_logits(&logits)?;
        let part = input.dim(0)? / parts.len();
        let by_part = |(place, input): (usize, &Tensor)| {
            let own = by_logits.narrow(0, place * part, part)?;
            Ok(self.part_gradient(input, |_| Ok(own))?.1)
        };
        let gradients = parts.iter().enumerate().map(by_part);
        let gradients = gradients.collect::<Result<Vec<_>>>()?;
        Ok((logits, Tensor::cat(&gradients, 0)?))
    }

    /// [`Graph::input_gradient`] of a batch that it takes at a time.
    fn part_gradient(
        &self,
        input: &Tensor,
        by_logits: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let name = self.architecture().nodes()[0].name.as_str();
        let mut logits = None;
        let mut by_input = self.input_gradients(&[(name, input)], |output| {
            logits = Some(output.clone());
            by_logits(output)
        })?;
        match (logits, by_input.pop()) {
            (Some(logits), Some((_, gradient))) => Ok((logits, gradient)),
            _ => Err(Error::Text("has no input".into())),
        }
    }

    /// The gradient of a function of the output (the first of several) in inference by each input that is given, by its name, of its
    /// shape. `by_output` gives the function's gradient by the output, of its shape.
    pub fn input_gradients(
        &self,
        given: &[(&str, &Tensor)],
        by_output: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Vec<(String, Tensor)>> {
        let graph = self.inference()?;
        let detached: Vec<(&str, Tensor)> = given.iter().map(|(n, x)| (*n, x.detach())).collect();
        let detached: Vec<(&str, &Tensor)> = detached.iter().map(|(n, x)| (*n, x)).collect();
        let is_given = |node: &Node| given.iter().any(|(name, _)| *name == node.name);
        let wanted = graph.on_the_way(|_, node| is_given(node));
        let kept = graph.seen_from(&wanted);
        let trace = graph.run_given(&detached, &mut Mode::Infer, |id| kept[id.index()])?;
        let gradient = by_output(trace.logits()?)?;
        let mut found = graph.sweep(trace, gradient, &wanted, None)?;
        let by_input = |(name, input): &(&str, &Tensor)| {
            let node = graph.architecture().node(name);
            let gradient = node.and_then(|node| found.remove(&node));
            Ok((
                (*name).to_owned(),
                gradient.map_or_else(|| input.zeros_like(), Ok)?,
            ))
        };
        given.iter().map(by_input).collect()
    }

    /// Carries the gradient by the output to the nodes that are wanted. Those by parameters are kept if there is a place for
    /// them; those by inputs that are wanted are given back.
    fn sweep(
        &self,
        trace: Trace,
        gradient: Tensor,
        wanted: &[bool],
        mut by_parameter: Option<&mut BTreeMap<String, Tensor>>,
    ) -> Result<BTreeMap<NodeId, Tensor>> {
        let is_wanted = |id: NodeId| wanted[id.index()];
        self.walk_back(trace, gradient, is_wanted, |trace, id, node, gradient| {
            let found = node.op.backward(&Backward {
                params: self.params(id),
                inputs: &trace.inputs(node)?,
                output: trace.output(id)?,
                saved: &trace.saved[id.index()],
                gradient,
                wants_inputs: node.inputs.iter().any(|read| is_wanted(*read)),
                wants_params: by_parameter.is_some(),
            })?;
            if let Some(all) = by_parameter.as_deref_mut() {
                for (name, gradient) in found.params {
                    all.insert(format!("{}.{name}", node.name), gradient);
                }
            }
            let by_inputs = found.inputs.into_iter().enumerate();
            let goes_on = by_inputs.filter(|(place, _)| is_wanted(node.inputs[*place]));
            Ok(goes_on.collect())
        })
    }

    /// For every node, whether its output is seen where the gradient passes through these.
    fn seen_from(&self, wanted: &[bool]) -> Vec<bool> {
        let mut seen = wanted.to_vec();
        for (_, node) in self.nodes().filter(|(id, _)| wanted[id.index()]) {
            node.inputs
                .iter()
                .for_each(|read| seen[read.index()] = true);
        }
        seen
    }

    /// For every node, whether it is one that is `sought` or depends on one by a branch: by a shape alone it has no gradient.
    fn on_the_way(&self, sought: impl Fn(NodeId, &Node) -> bool) -> Vec<bool> {
        let mut wanted = Vec::with_capacity(self.architecture().nodes().len());
        for (id, node) in self.nodes() {
            let branches = node.op.branches(node.inputs.len());
            let depends = |branch: &Branch| wanted[node.inputs[branch.input].index()];
            wanted.push(sought(id, node) || branches.iter().any(depends));
        }
        wanted
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device, Var};

    use crate::kernels::testing::tensor_by_lot;
    use crate::ops::{
        Add, AvgPool2d, BatchNorm, Concat, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Relu,
        TimeDeviation, TimeMean,
    };
    use crate::random::{Stream, generator};
    use crate::{Architecture, Training};

    use super::*;

    /// Ops of many kinds; branches that meet again, and a ReLU that is not the only reader of what it reads.
    fn every_op() -> Architecture {
        let mut net = Architecture::new([2, 12, 11]);
        let x = net.input();
        let x = net
            .add("conv1", Conv2d::new(2, 9, 5).padding(2), [x])
            .unwrap();
        let x = net.add("bn1", BatchNorm::new_2d(9), [x]).unwrap();
        let x = net.add("relu1", Relu, [x]).unwrap();
        let y = net
            .add("conv2", Conv2d::new(9, 9, 3).padding(1).without_bias(), [x])
            .unwrap();
        let y = net.add("bn2", BatchNorm::new_2d(9), [y]).unwrap();
        let x = net.add("sum", Add, [y, x]).unwrap();
        let y = net.add("relu2", Relu, [x]).unwrap();
        let x = net.add("sum2", Add, [y, x]).unwrap();
        let x = net.add("pool1", MaxPool2d::new(3, 2), [x]).unwrap();
        let x = net
            .add("conv3", Conv2d::new(9, 8, 3).padding(1).stride(2), [x])
            .unwrap();
        let x = net.add("relu3", Relu, [x]).unwrap();
        let x = net.add("pool2", AvgPool2d::new(2, 1), [x]).unwrap();
        let mean = net.add("mean", TimeMean, [x]).unwrap();
        let mean = net.add("mean.flatten", Flatten, [mean]).unwrap();
        let deviation = net.add("std", TimeDeviation, [x]).unwrap();
        let deviation = net.add("std.flatten", Flatten, [deviation]).unwrap();
        let x = net
            .add("pool", Concat::default(), [mean, deviation])
            .unwrap();
        let x = net.add("dropout", Dropout { p: 0.5 }, [x]).unwrap();
        let x = net.add("hidden", Linear::new(32, 6), [x]).unwrap();
        let x = net.add("bn3", BatchNorm::new_1d(6), [x]).unwrap();
        let x = net.add("relu4", Relu, [x]).unwrap();
        net.add("head", Linear::new(6, 3), [x]).unwrap();
        net
    }

    fn furthest(a: &Tensor, b: &Tensor) -> f64 {
        let apart = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        apart
            .max(0)
            .unwrap()
            .to_dtype(DType::F64)
            .unwrap()
            .to_scalar()
            .unwrap()
    }

    /// candle differentiates the same ops: the sweep gives what it gives, with ReLUs joined to what they read and without.
    #[test]
    fn the_sweep_gives_what_candle_gives() {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            let graph = every_op()
                .random(5, &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap();
            let by_lot =
                |shape: &[usize], seed| tensor_by_lot(shape, seed).to_dtype(dtype).unwrap();
            let (input, weigh) = (by_lot(&[4, 2, 12, 11], 1), by_lot(&[4, 3], 2));
            let training = || Training::new(generator(1, Stream::Dropout, 2));

            let (tracked, variables): (_, BTreeMap<String, Var>) = graph.to_variables().unwrap();
            let logits = tracked
                .forward_in(&input, &mut Mode::Train(&mut training()))
                .unwrap();
            let expected = (&logits * &weigh)
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap();

            for graph in [graph.clone(), graph.with_relus_joined().unwrap()] {
                let mut training = training();
                let trace = graph
                    .run(&input, &mut Mode::Train(&mut training), |_| true)
                    .unwrap();
                assert!(furthest(trace.logits().unwrap(), &logits.detach()) < tolerance);
                let gradients = graph.backward(trace, weigh.clone()).unwrap();
                assert_eq!(gradients.len(), variables.len());
                for (name, gradient) in &gradients {
                    let expected = expected.get(&variables[name]).unwrap();
                    assert_eq!(gradient.shape(), expected.shape());
                    let apart = furthest(gradient, expected);
                    let largest = furthest(expected, &expected.zeros_like().unwrap());
                    let allowed = tolerance * (1.0 + largest);
                    assert!(apart < allowed, "{name} {dtype:?}: {apart} apart");
                }
            }
        }
    }

    /// The gradient by the input is candle's, with batch normalization by its running statistics.
    #[test]
    fn the_sweep_reaches_the_input() {
        let graph = every_op()
            .random(7, &Device::Cpu)
            .unwrap()
            .map_weights(|_, tensor| {
                let noise = tensor_by_lot(tensor.dims(), 5).affine(0.2, 0.3)?;
                Ok((tensor + noise)?)
            })
            .unwrap()
            .to_dtype(DType::F64)
            .unwrap();
        let by_lot =
            |shape: &[usize], seed| tensor_by_lot(shape, seed).to_dtype(DType::F64).unwrap();
        let (input, weigh) = (by_lot(&[4, 2, 12, 11], 3), by_lot(&[4, 3], 4));
        let variable = Var::from_tensor(&input).unwrap();
        let expected = graph.forward(&variable).unwrap();
        let sum = (&expected * &weigh).unwrap().sum_all().unwrap();
        let by_input = sum.backward().unwrap().remove(&variable).unwrap();
        let largest = |of: &Tensor| furthest(of, &of.zeros_like().unwrap());
        // A graph whose parameters somebody may change merges nothing.
        for graph in [graph.clone(), graph.detach()] {
            let found = graph.input_gradient(&input, |_| Ok(weigh.clone()));
            let (logits, gradient) = found.unwrap();
            for (found, expected) in [(logits, expected.detach()), (gradient, by_input.clone())] {
                assert!(furthest(&found, &expected) < 1e-12 * largest(&expected));
            }
        }
    }

    /// A branch that nothing reads stands behind what the output is computed by.
    #[test]
    fn what_nothing_reads_does_not_become_the_output() {
        let mut net = Architecture::new([1, 6, 6]);
        let (input, conv) = (net.input(), |outputs| Conv2d::new(1, outputs, 3));
        let x = net.add("conv", conv(2), [input]).unwrap();
        net.add("dead", conv(3), [input]).unwrap();
        net.add("relu", Relu, [x]).unwrap();
        let graph = net.random(3, &Device::Cpu).unwrap();
        let input = tensor_by_lot(&[2, 1, 6, 6], 6);
        let plain = graph.forward_in(&input, &mut Mode::Infer).unwrap();
        let output = graph.forward(&input).unwrap();
        assert_eq!(output.dims(), [2, 2, 4, 4]);
        assert!(furthest(&output, &plain) < 1e-6);
    }

    /// In inference the graph that is run has fewer nodes and the same logits.
    #[test]
    fn what_runs_in_inference_gives_the_same_logits() {
        let graph = every_op().random(6, &Device::Cpu).unwrap();
        // Running statistics and scales that are not those of the start.
        let graph = graph
            .map_weights(|name, tensor| {
                let noise = tensor_by_lot(tensor.dims(), 7).affine(0.5, 1.0)?;
                Ok(if name.starts_with("bn") {
                    (tensor + noise)?
                } else {
                    tensor.clone()
                })
            })
            .unwrap()
            .to_dtype(DType::F64)
            .unwrap();
        let merged = graph
            .with_batch_norm_merged()
            .unwrap()
            .graph
            .with_relus_joined()
            .unwrap();
        let names: Vec<&str> = merged.nodes().map(|(_, node)| node.name.as_str()).collect();
        assert!(!names.iter().any(|name| name.starts_with("bn")));
        assert!(!names.contains(&"relu1") && names.contains(&"relu2"));
        let input = tensor_by_lot(&[3, 2, 12, 11], 8);
        let input = input.to_dtype(DType::F64).unwrap();
        let plain = graph.forward_in(&input, &mut Mode::Infer).unwrap();
        assert!(furthest(&graph.forward(&input).unwrap(), &plain) < 1e-12);
    }
}
