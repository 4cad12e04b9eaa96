//! Every op against PyTorch (`goldens/make_ops.py`), in f64 and f32: what it gives, its own gradients and candle's, and that what
//! it tells a sweep is the same.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use candle_core::{DType, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use speechlens_nn::kernels::batch_norm;
use speechlens_nn::ops::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, Add, AvgPool1d, AvgPool2d, BatchNorm, Concat, Conv1d,
    Conv2d, Flatten, LeakyRelu, Linear, MaxPool1d, MaxPool2d, Mul, PRelu, Relu, Sigmoid, Tanh,
    TimeDeviation, TimeMean,
};
use speechlens_nn::{Backward, Map, Mode, Op, Params, Training};
use speechlens_tests::{Tensors, golden};

/// The ops of the script's cases.
fn ops() -> Vec<(&'static str, Box<dyn Op>)> {
    let max2 = |kernel, stride| MaxPool2d::new(kernel, stride);
    let max1 = |kernel, stride| MaxPool1d::new(kernel, stride);
    let average2 = |kernel, stride| AvgPool2d::new(kernel, stride);
    let average1 = |kernel, stride| AvgPool1d::new(kernel, stride);
    let norm = || BatchNorm::new_2d(4);
    vec![
        ("linear", Box::new(Linear::new(7, 5))),
        (
            "linear-without-bias",
            Box::new(Linear::new(7, 5).without_bias()),
        ),
        (
            "conv2d",
            Box::new(Conv2d::new(4, 3, 3).stride(2).padding(1)),
        ),
        (
            "conv2d-without-bias",
            Box::new(Conv2d::new(4, 3, 2).without_bias()),
        ),
        (
            "conv2d-rectangular",
            Box::new(Conv2d::new(4, 3, (3, 4)).stride((1, 2)).padding((2, 1))),
        ),
        (
            "conv2d-dilated",
            Box::new(Conv2d::new(4, 3, 3).padding(2).dilation(2)),
        ),
        (
            "conv2d-dilated-on-one-axis",
            Box::new(
                Conv2d::new(4, 3, (2, 3))
                    .stride((2, 3))
                    .padding((0, 3))
                    .dilation((1, 3)),
            ),
        ),
        (
            "conv2d-grouped",
            Box::new(Conv2d::new(4, 6, 3).padding(1).groups(2)),
        ),
        (
            "conv2d-depthwise",
            Box::new(
                Conv2d::new(4, 8, (3, 2))
                    .stride(2)
                    .padding(1)
                    .dilation((2, 1))
                    .groups(4)
                    .without_bias(),
            ),
        ),
        (
            "conv2d-wide-groups",
            Box::new(Conv2d::new(16, 24, 3).padding(1).groups(2)),
        ),
        (
            "conv1d",
            Box::new(Conv1d::new(4, 3, 5).stride(3).padding(2)),
        ),
        (
            "conv1d-without-bias",
            Box::new(Conv1d::new(4, 3, 4).without_bias()),
        ),
        (
            "conv1d-dilated",
            Box::new(Conv1d::new(4, 3, 3).padding(4).dilation(4)),
        ),
        (
            "conv1d-grouped",
            Box::new(
                Conv1d::new(4, 6, 3)
                    .stride(2)
                    .padding(1)
                    .dilation(2)
                    .groups(2),
            ),
        ),
        (
            "conv1d-depthwise",
            Box::new(Conv1d::new(4, 4, 3).padding(1).groups(4)),
        ),
        ("max-pool2d", Box::new(max2(3, 2))),
        ("max-pool2d-padded", Box::new(max2(3, 2).padding(1))),
        (
            "max-pool2d-padded-on-one-axis",
            Box::new(max2(4, 3).padding((0, 2))),
        ),
        ("max-pool2d-ties", Box::new(max2(3, 1).padding(1))),
        ("max-pool1d", Box::new(max1(3, 3))),
        ("max-pool1d-padded", Box::new(max1(5, 2).padding(2))),
        ("max-pool1d-ties", Box::new(max1(4, 1).padding(1))),
        ("avg-pool2d", Box::new(average2(3, 2))),
        ("avg-pool2d-padded", Box::new(average2(3, 2).padding(1))),
        (
            "avg-pool2d-padded-on-one-axis",
            Box::new(average2(4, 3).padding((2, 0))),
        ),
        ("avg-pool1d", Box::new(average1(3, 2))),
        ("avg-pool1d-padded", Box::new(average1(4, 3).padding(2))),
        (
            "adaptive-avg-pool2d",
            Box::new(AdaptiveAvgPool2d { size: (2, 4) }),
        ),
        (
            "adaptive-avg-pool1d",
            Box::new(AdaptiveAvgPool1d { size: 5 }),
        ),
        ("relu", Box::new(Relu)),
        ("leaky-relu", Box::new(LeakyRelu { slope: 0.2 })),
        ("prelu", Box::new(PRelu { parameters: 1 })),
        ("prelu-by-channel", Box::new(PRelu { parameters: 4 })),
        (
            "prelu-by-channel-over-time",
            Box::new(PRelu { parameters: 4 }),
        ),
        ("sigmoid", Box::new(Sigmoid)),
        ("tanh", Box::new(Tanh)),
        ("batch-norm", Box::new(norm())),
        ("batch-norm-over-time", Box::new(norm())),
        ("batch-norm-epsilon", Box::new(norm().epsilon(1e-2))),
        (
            "batch-norm-epsilon-over-time",
            Box::new(norm().epsilon(1e-2)),
        ),
        ("batch-norm-training-over-time", Box::new(norm())),
        (
            "batch-norm-training-epsilon",
            Box::new(norm().epsilon(1e-2)),
        ),
        ("flatten", Box::new(Flatten)),
        ("sum-of-3", Box::new(Add)),
        ("product", Box::new(Mul)),
        ("concat-of-3", Box::new(Concat::default())),
        ("time-mean", Box::new(TimeMean)),
        ("time-mean-over-time", Box::new(TimeMean)),
        ("time-deviation", Box::new(TimeDeviation)),
        ("time-deviation-over-time", Box::new(TimeDeviation)),
    ]
}

fn wide(tensor: &Tensor) -> Tensor {
    tensor.detach().to_dtype(DType::F64).unwrap()
}

/// That they are the same, by their size.
fn same(ours: &Tensor, theirs: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(ours.shape(), theirs.shape(), "{what}");
    let largest = |tensor: Tensor| -> f64 {
        let size = tensor.abs().unwrap().max_all().unwrap();
        size.to_scalar().unwrap()
    };
    let apart = largest((wide(ours) - wide(theirs)).unwrap());
    let allowed = tolerance * (1.0 + largest(wide(theirs)));
    assert!(apart < allowed, "{what}: {apart} apart");
}

/// One case of the script.
struct Case<'a> {
    name: &'a str,
    op: &'a dyn Op,
    tensors: Tensors,
    tolerance: f64,
}

impl Case<'_> {
    fn same(&self, ours: &Tensor, theirs: &str, what: &str) {
        let what = format!("{}, {theirs} {what} in {:?}", self.name, ours.dtype());
        same(ours, &self.tensors[theirs], self.tolerance, &what);
    }

    fn input_names(&self) -> Vec<String> {
        match self.tensors.contains_key("input") {
            true => vec!["input".into()],
            false => {
                let names = (0..).map(|i| format!("input.{i}"));
                names
                    .take_while(|name| self.tensors.contains_key(name))
                    .collect()
            }
        }
    }

    fn in_training(&self) -> bool {
        self.name.contains("training")
    }

    fn forward(&self, op: &dyn Op, params: &Params, inputs: &[&Tensor]) -> Tensor {
        let mut training = Training::new(ChaCha8Rng::seed_from_u64(0));
        let mut mode = match self.in_training() {
            true => Mode::Train(&mut training),
            false => Mode::Infer,
        };
        op.forward(params, inputs, &mut mode).unwrap()
    }

    fn params(&self) -> Params {
        let mut params = Params::new();
        for spec in self.op.params() {
            let tensor = &self.tensors[spec.name];
            assert_eq!(tensor.shape(), &spec.shape, "{}: {}", self.name, spec.name);
            params.insert(spec.name.into(), tensor.clone());
        }
        params
    }

    fn gives_what_pytorch_gives(&self) {
        let (names, params) = (self.input_names(), self.params());
        let inputs: Vec<&Tensor> = names.iter().map(|name| &self.tensors[name]).collect();
        let output = self.forward(self.op, &params, &inputs);
        self.same(&output, "output", "");
        // What batch normalization keeps for its gradient.
        let saved = match self.in_training() {
            true => vec![batch_norm::statistics(inputs[0]).unwrap()],
            false => Vec::new(),
        };
        self.differentiates(&params, &inputs, &output, &saved);
        self.is_differentiated_by_candle(&params, &names);
        if !self.in_training() {
            self.tells_a_sweep(&params, &inputs);
        }
    }

    /// By its own gradients, which training takes, and by those of the op that a ReLU has been joined to.
    fn differentiates(
        &self,
        params: &Params,
        inputs: &[&Tensor],
        output: &Tensor,
        saved: &[Tensor],
    ) {
        let backward = |op: &dyn Op, output: &Tensor, gradient: &Tensor| {
            op.backward(&Backward {
                params,
                inputs,
                output,
                saved,
                gradient,
                wants_inputs: true,
                wants_params: true,
            })
        };
        let cotangent = &self.tensors["cotangent"];
        let found = backward(self.op, output, cotangent).unwrap();
        for (name, gradient) in self.input_names().iter().zip(&found.inputs) {
            self.same(gradient, &format!("gradient/{name}"), "of its own");
        }
        let trained = self.op.params().into_iter().filter(|spec| spec.trained);
        assert_eq!(found.inputs.len(), inputs.len(), "{}", self.name);
        // In inference nobody trains what batch normalization has.
        let is_norm = self.name.starts_with("batch-norm");
        let expected = if is_norm && !self.in_training() {
            0
        } else {
            trained.count()
        };
        assert_eq!(found.params.len(), expected, "{}", self.name);
        for (name, gradient) in &found.params {
            self.same(gradient, &format!("gradient/{name}"), "of its own");
        }

        let Some(joined) = self.op.with_relu() else {
            return;
        };
        let positive = Relu.forward(&Params::new(), &[output], &mut Mode::Infer);
        let positive = positive.unwrap();
        let rectified = self.forward(&*joined, params, inputs);
        same(&rectified, &positive, self.tolerance, self.name);
        let mask = output.gt(0.0).unwrap().to_dtype(output.dtype()).unwrap();
        let expected = backward(self.op, output, &(cotangent * mask).unwrap()).unwrap();
        let found = backward(&*joined, &rectified, cotangent).unwrap();
        for (ours, theirs) in found.inputs.iter().zip(&expected.inputs) {
            same(ours, theirs, self.tolerance, self.name);
        }
        for ((_, ours), (_, theirs)) in found.params.iter().zip(&expected.params) {
            same(ours, theirs, self.tolerance, self.name);
        }
    }

    fn is_differentiated_by_candle(&self, params: &Params, names: &[String]) {
        let variable = |tensor: &Tensor| Var::from_tensor(tensor).unwrap();
        let inputs: Vec<Var> = names.iter().map(|x| variable(&self.tensors[x])).collect();
        let mut tracked = params.clone();
        let mut variables = Vec::new();
        for spec in self.op.params().iter().filter(|spec| spec.trained) {
            let parameter = variable(&params[spec.name]);
            tracked.insert(spec.name.into(), parameter.as_tensor().clone());
            variables.push((spec.name.to_owned(), parameter));
        }
        let read: Vec<&Tensor> = inputs.iter().map(Var::as_tensor).collect();
        let output = self.forward(self.op, &tracked, &read);
        let weighed = (output * &self.tensors["cotangent"]).unwrap();
        let gradients = weighed.sum_all().unwrap().backward().unwrap();
        for (name, variable) in names.iter().cloned().zip(inputs).chain(variables) {
            let gradient = gradients.get(&variable).unwrap();
            self.same(gradient, &format!("gradient/{name}"), "by candle");
        }
    }

    /// The maps of the branches carry back what the gradient does; an elementwise function's passes as much as it gets.
    fn tells_a_sweep(&self, params: &Params, inputs: &[&Tensor]) {
        let cotangent = &self.tensors["cotangent"];
        let branches = self.op.branches(inputs.len());
        let shares: f64 = branches.iter().map(|branch| branch.share).sum();
        let is_sum = matches!(branches[0].map, Map::Term(_) | Map::Moved(_));
        assert_eq!(shares, if is_sum { inputs.len() as f64 } else { 1.0 });
        let shapes: Vec<_> = inputs.iter().map(|input| input.shape()).collect();
        let names = self.input_names();
        for branch in branches {
            let input = inputs[branch.input];
            let name = &format!("gradient/{}", names[branch.input]);
            match branch.map {
                Map::Layer(op) => {
                    let (weight, bias) = op.weights(params, inputs).unwrap();
                    let output = match bias {
                        Some(bias) => op.affine(input, &weight, &bias).unwrap(),
                        None => op.apply(input, &weight).unwrap(),
                    };
                    // The floor of a deviation's variance is in no weight.
                    let tolerance =
                        self.tolerance
                            .max(if op.has_fixed_weights() { 0.0 } else { 1e-9 });
                    same(&output, &self.tensors["output"], tolerance, self.name);
                    let back = op.transpose(cotangent, &weight, input.shape()).unwrap();
                    self.same(&back, name, "by the transposed map");
                }
                Map::Winner(op) => {
                    let routed = op.route(&[input], 0, cotangent).unwrap();
                    self.same(&routed, name, "by its routing");
                    let (routed, given) = (routed.sum_all().unwrap(), cotangent.sum_all().unwrap());
                    same(&routed, &given, self.tolerance, self.name);
                }
                Map::Moved(op) => {
                    let back = op.back(cotangent, &shapes, branch.input).unwrap();
                    self.same(&back, name, "by where its values were");
                }
                Map::Term(_) => self.same(cotangent, name, "as a term of a sum"),
                Map::Own(op) => panic!("{} goes {}", self.name, op.text()),
                Map::Each => {
                    let shape = self.tensors["output"].shape();
                    assert_eq!(shape.elem_count(), input.elem_count(), "{}", self.name);
                }
            }
        }
    }
}

#[test]
fn every_op_gives_what_pytorch_gives() {
    let golden = golden("ops/ops.safetensors").unwrap();
    let ops = ops();
    let names: BTreeSet<&str> = ops.iter().map(|(name, _)| *name).collect();
    let of_script: BTreeSet<&str> = golden
        .keys()
        .filter_map(|key| Some(key.split_once('/')?.0))
        .collect();
    assert_eq!(names, of_script);
    for (name, op) in &ops {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
            let prefix = format!("{name}/");
            let of_case = golden
                .iter()
                .filter_map(|(key, tensor)| Some((key.strip_prefix(&prefix)?, tensor)))
                .map(|(key, tensor)| (key.to_owned(), tensor.to_dtype(dtype).unwrap()));
            let case = Case {
                name,
                op: &**op,
                tensors: of_case.collect(),
                tolerance,
            };
            case.gives_what_pytorch_gives();
        }
    }
}
