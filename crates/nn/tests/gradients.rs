//! The gradient of every op against central finite differences, in f64.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::ops::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, Add, AvgPool1d, AvgPool2d, Cell, Concat, Conv1d, Conv2d,
    Dropout, Flatten, LeakyRelu, Linear, MaxPool1d, MaxPool2d, Mul, PRelu, Recurrent, Relu,
    Sigmoid, Tanh,
};
use speechlens_nn::{Architecture, Backward, Mode, Op, Params, Result, Training, loss};

/// Values in ±1, none of them near another or 0, so that a small step changes no winner and no sign.
fn values(shape: &[usize], rng: &mut ChaCha8Rng) -> Tensor {
    let count: usize = shape.iter().product();
    let mut values: Vec<f64> = (0..count)
        .map(|i| (i as f64 + 0.5) * 2.0 / count as f64 - 1.0)
        .map(|x| if x == 0.0 { 1.5 } else { x })
        .collect();
    values.shuffle(rng);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Values in ±1, by lot.
fn by_lot(shape: &[usize], rng: &mut ChaCha8Rng) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn scalar(tensor: &Tensor) -> f64 {
    tensor.sum_all().unwrap().to_scalar().unwrap()
}

/// Compares the gradients of `⟨f(inputs), c⟩`, c by lot, with central differences: along a direction by lot, so that every
/// element counts, and along some of the axes, so that each counts alone.
fn gradients_hold(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], seed: u64) {
    const STEP: f64 = 1e-5;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let variables: Vec<Var> = inputs
        .iter()
        .map(|x| Var::from_tensor(x).unwrap())
        .collect();
    let tracked: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let output = f(&tracked).unwrap();
    let cotangent = by_lot(output.dims(), &mut rng);
    let gradients = (output * &cotangent)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let value = |inputs: &[Tensor]| scalar(&(f(inputs).unwrap() * &cotangent).unwrap());
    for (index, (variable, input)) in variables.iter().zip(inputs).enumerate() {
        let gradient = gradients.get(variable).expect("a gradient");
        assert_eq!(gradient.shape(), input.shape());
        let count = input.elem_count();
        let mut directions = vec![by_lot(input.dims(), &mut rng)];
        for _ in 0..12 {
            let mut axis = vec![0f64; count];
            axis[rng.random_range(0..count)] = 1.0;
            directions.push(Tensor::from_vec(axis, input.shape(), &Device::Cpu).unwrap());
        }
        for direction in directions {
            // Both kinds stay within a fraction of the distance between two values.
            let step = STEP.min(0.1 / count as f64);
            let moved = |by: f64| {
                let mut inputs = inputs.to_vec();
                inputs[index] = (input + (&direction * by).unwrap()).unwrap();
                value(&inputs)
            };
            let numeric = (moved(step) - moved(-step)) / (2.0 * step);
            let exact = scalar(&(gradient * &direction).unwrap());
            assert!(
                (numeric - exact).abs() < 1e-7 * (1.0 + exact.abs()),
                "input {index}: {numeric} by differences, {exact} by the gradient"
            );
        }
    }
}

/// An op with its parameters behind what it reads.
fn of_op(op: &dyn Op, inputs: &[Tensor]) -> Result<Tensor> {
    let (read, given) = inputs.split_at(inputs.len() - op.params().len());
    let read: Vec<&Tensor> = read.iter().collect();
    op.forward(&params(op, given), &read, &mut Mode::Infer)
}

fn params(op: &dyn Op, given: &[Tensor]) -> Params {
    let names = op.params();
    assert_eq!(names.len(), given.len());
    let given = given.iter().cloned();
    let named = names.iter().map(|spec| spec.name.to_owned()).zip(given);
    named.collect()
}

/// Both gradients of an op: candle's against differences, and its own, which training takes, against candle's.
fn gradients_of_op_hold(op: &dyn Op, tensors: &[Tensor], seed: u64) {
    gradients_hold(|x| of_op(op, x), tensors, seed);
    let (read, given) = tensors.split_at(tensors.len() - op.params().len());
    let variables: Vec<Var> = tensors
        .iter()
        .map(|x| Var::from_tensor(x).unwrap())
        .collect();
    let tracked: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let output = of_op(op, &tracked).unwrap();
    let gradient = by_lot(output.dims(), &mut ChaCha8Rng::seed_from_u64(seed));
    let weighed = (&output * &gradient).unwrap();
    let expected = weighed.sum_all().unwrap().backward().unwrap();
    let own = op
        .backward(&Backward {
            params: &params(op, given),
            inputs: &read.iter().collect::<Vec<_>>(),
            output: &output.detach(),
            saved: &[],
            gradient: &gradient,
            wants_inputs: true,
            wants_params: true,
        })
        .unwrap();
    let names: Vec<&str> = own.params.iter().map(|(name, _)| *name).collect();
    let specs = op.params();
    assert_eq!(
        names,
        specs.iter().map(|spec| spec.name).collect::<Vec<_>>()
    );
    let of_params = own.params.into_iter().map(|(_, gradient)| gradient);
    let own: Vec<Tensor> = own.inputs.into_iter().chain(of_params).collect();
    assert_eq!(own.len(), variables.len());
    for (own, variable) in own.iter().zip(&variables) {
        let apart = (own - expected.get(variable).unwrap())
            .unwrap()
            .abs()
            .unwrap();
        let apart: f64 = apart.max_all().unwrap().to_scalar().unwrap();
        assert!(apart < 1e-11, "{op:?}: {apart} apart");
    }
}

/// Kernel, stride, padding, dilation and a length that they fit.
fn axis() -> impl Strategy<Value = [usize; 5]> {
    (1usize..5, 1usize..4, 0usize..3, 1usize..4, 0usize..6).prop_map(
        |(kernel, stride, padding, dilation, more)| {
            let least = ((kernel - 1) * dilation + 1).saturating_sub(2 * padding);
            [kernel, stride, padding, dilation, least.max(1) + more]
        },
    )
}

/// A square window, its padding, and height and width of an input that it fits.
fn pooling() -> impl Strategy<Value = (usize, [usize; 2], [usize; 2])> {
    (1usize..5)
        .prop_flat_map(|k| (Just(k), [0..=k / 2, 0..=k / 2], [k..k + 7, k..k + 7]))
        .prop_map(|(k, padding, [h, w])| {
            let length = |most: usize, padding: usize| (most - 2 * padding).max(1);
            (k, padding, [length(h, padding[0]), length(w, padding[1])])
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn convolution(
        (kernel, padding, height, width) in (1usize..6, 0usize..3).prop_flat_map(|(kernel, padding)| {
            let least = kernel.saturating_sub(2 * padding).max(1);
            (Just(kernel), Just(padding), least..least + 8, least..least + 8)
        }),
        batch in 1usize..10,
        inputs in 1usize..4,
        outputs in 1usize..4,
        stride in 1usize..5,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let op = Conv2d::new(inputs, outputs, kernel).stride(stride).padding(padding);
        let tensors = [
            by_lot(&[batch, inputs, height, width], &mut rng),
            by_lot(&[outputs, inputs, kernel, kernel], &mut rng),
            by_lot(&[outputs], &mut rng),
        ];
        gradients_of_op_hold(&op, &tensors, seed);
    }

    /// Every axis by itself, dilated and in groups; and over time.
    #[test]
    fn convolution_of_any_geometry(
        [kh, sh, ph, dh, h] in axis(),
        [kw, sw, pw, dw, w] in axis(),
        batch in 1usize..4,
        (inputs, outputs) in (1usize..3, 1usize..3),
        groups in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (all, given) = (groups * inputs, groups * outputs);
        let op = Conv2d::new(all, given, (kh, kw)).stride((sh, sw)).padding((ph, pw)).dilation((dh, dw));
        let tensors = [
            by_lot(&[batch, all, h, w], &mut rng),
            by_lot(&[given, inputs, kh, kw], &mut rng),
        ];
        gradients_of_op_hold(&op.groups(groups).without_bias(), &tensors, seed);

        let op = Conv1d::new(all, given, kw).stride(sw).padding(pw).dilation(dw).groups(groups);
        let tensors = [
            by_lot(&[batch, all, w], &mut rng),
            by_lot(&[given, inputs, kw], &mut rng),
            by_lot(&[given], &mut rng),
        ];
        gradients_of_op_hold(&op, &tensors, seed);
    }

    /// Overlapping windows, gaps between windows, and everything between.
    #[test]
    fn max_pooling(
        (kernel, padding, [height, width]) in pooling(),
        stride in 1usize..5,
        batch in 1usize..4,
        channels in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let input = values(&[batch, channels, height, width], &mut rng);
        let pool = MaxPool2d::new(kernel, stride).padding((padding[0], padding[1]));
        gradients_of_op_hold(&pool, &[input], seed);
        let input = values(&[batch, channels, width], &mut rng);
        gradients_of_op_hold(&MaxPool1d::new(kernel, stride).padding(padding[1]), &[input], seed);
    }

    #[test]
    fn average_pooling(
        (kernel, padding, [height, width]) in pooling(),
        stride in 1usize..5,
        size in (1usize..8, 1usize..8),
        batch in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let input = [by_lot(&[batch, 2, height, width], &mut rng)];
        let pool = AvgPool2d::new(kernel, stride).padding((padding[0], padding[1]));
        gradients_of_op_hold(&pool, &input, seed);
        gradients_of_op_hold(&AdaptiveAvgPool2d { size }, &input, seed);
        let input = [by_lot(&[batch, 2, width], &mut rng)];
        gradients_of_op_hold(&AvgPool1d::new(kernel, stride).padding(padding[1]), &input, seed);
        gradients_of_op_hold(&AdaptiveAvgPool1d { size: size.1 }, &input, seed);
    }

    #[test]
    fn activations(
        batch in 1usize..4,
        channels in 1usize..4,
        rest in proptest::collection::vec(1usize..5, 0..3),
        slope in -1.0..1.0,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = [vec![batch, channels], rest].concat();
        let input = values(&shape, &mut rng);
        for op in [&Relu as &dyn Op, &LeakyRelu { slope }, &Sigmoid, &Tanh] {
            gradients_of_op_hold(op, std::slice::from_ref(&input), seed);
        }
        for parameters in [1, channels] {
            let tensors = [input.clone(), by_lot(&[parameters], &mut rng)];
            gradients_of_op_hold(&PRelu { parameters }, &tensors, seed);
        }
    }

    #[test]
    fn branches(
        widths in proptest::collection::vec(1usize..4, 1..5),
        rest in proptest::collection::vec(1usize..4, 0..3),
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = |width: usize| [vec![2, width], rest.clone()].concat();
        let parts: Vec<Tensor> = widths.iter().map(|width| by_lot(&shape(*width), &mut rng)).collect();
        gradients_of_op_hold(&Concat::default(), &parts, seed);
        let terms: Vec<Tensor> = widths.iter().map(|_| by_lot(&shape(3), &mut rng)).collect();
        gradients_of_op_hold(&Add, &terms, seed);
    }

    #[test]
    fn products(lengths in prop::collection::vec(1usize..5, 1..5), repeated in 0usize..16, left_out in 0usize..3, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let of_axis = |(axis, length): (usize, &usize)| if repeated >> axis & 1 == 1 { 1 } else { *length };
        let gate: Vec<usize> = lengths.iter().enumerate().map(of_axis).collect();
        let factors = [by_lot(&lengths, &mut rng), by_lot(&gate[left_out.min(gate.len() - 1)..], &mut rng)];
        gradients_of_op_hold(&Mul, &factors, seed);
        let [value, gate] = factors;
        gradients_of_op_hold(&Mul, &[gate, value], seed);
    }

    #[test]
    fn dense_and_the_loss(batch in 1usize..10, inputs in 1usize..9, outputs in 1usize..9, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let input = values(&[batch, inputs], &mut rng);
        let dense = [input.clone(), by_lot(&[outputs, inputs], &mut rng), by_lot(&[outputs], &mut rng)];
        let op = Linear::new(inputs, outputs);
        gradients_of_op_hold(&op, &dense, seed);
        gradients_of_op_hold(&op.without_bias(), &dense[..2], seed);
        let logits = (input * 6.0).unwrap();
        let targets = by_lot(&[batch, inputs], &mut rng).ge(0.0).unwrap();
        let targets = targets.to_dtype(candle_core::DType::F64).unwrap();
        gradients_hold(|x| loss::binary_cross_entropy_with_logits(&x[0], &targets), &[logits], seed);
    }
}

/// A whole network in training, by its input and by every parameter: the same seed drops the same values.
#[test]
fn a_network_with_dropout() {
    let mut net = Architecture::new([2, 11, 9]);
    let mut x = net.input();
    let overlapping = MaxPool2d::new(3, 2);
    x = net.add("0", Conv2d::new(2, 4, 3).padding(1), [x]).unwrap();
    x = net.add("1", Relu, [x]).unwrap();
    x = net.add("2", overlapping, [x]).unwrap();
    x = net
        .add("3", Conv2d::new(4, 3, 3).stride(2).padding(2), [x])
        .unwrap();
    x = net.add("4", Relu, [x]).unwrap();
    x = net
        .add("5", AdaptiveAvgPool2d { size: (2, 2) }, [x])
        .unwrap();
    x = net.add("6", Flatten, [x]).unwrap();
    x = net.add("7", Dropout { p: 0.4 }, [x]).unwrap();
    net.add("8", Linear::new(12, 2), [x]).unwrap();
    let graph = net
        .random(5, &Device::Cpu)
        .unwrap()
        .to_dtype(candle_core::DType::F64)
        .unwrap();
    let (names, weights): (Vec<_>, Vec<_>) = graph.weights().into_iter().unzip();
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut tensors = vec![by_lot(&[3, 2, 11, 9], &mut rng)];
    tensors.extend(weights);
    let loss = |x: &[Tensor]| {
        let weights: BTreeMap<_, _> = names.iter().cloned().zip(x[1..].iter().cloned()).collect();
        let graph = graph.architecture().clone().with_weights(weights)?;
        let rng = ChaCha8Rng::seed_from_u64(7);
        let logits = graph.forward_in(&x[0], &mut Mode::Train(&mut Training::new(rng)))?;
        let targets = loss::one_hot(&[0, 1, 1], 2, logits.dtype(), logits.device())?;
        loss::binary_cross_entropy_with_logits(&logits, &targets)
    };
    gradients_hold(loss, &tensors, 8);
}

/// Only what is tracked is differentiated, and to the same values as when both are.
#[test]
fn a_convolution_tracks_either_side_alone() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let tensors = [
        by_lot(&[9, 2, 7, 5], &mut rng),
        by_lot(&[3, 2, 3, 3], &mut rng),
        by_lot(&[3], &mut rng),
    ];
    let op = Conv2d::new(2, 3, 3).stride(2).padding(1);
    let gradients = |tracked: [bool; 3]| -> Vec<Option<Vec<f64>>> {
        let variables: Vec<Var> = tensors
            .iter()
            .map(|x| Var::from_tensor(x).unwrap())
            .collect();
        let inputs: Vec<Tensor> = variables
            .iter()
            .zip(tracked)
            .map(|(v, tracked)| {
                if tracked {
                    v.as_tensor().clone()
                } else {
                    v.as_tensor().detach()
                }
            })
            .collect();
        let output = of_op(&op, &inputs).unwrap();
        let found = output.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let flat = |v: &Var| {
            found
                .get(v)
                .map(|g| g.flatten_all().unwrap().to_vec1().unwrap())
        };
        variables.iter().map(flat).collect()
    };
    let both = gradients([true; 3]);
    for side in 0..3 {
        let mut tracked = [false; 3];
        tracked[side] = true;
        let alone = gradients(tracked);
        for (other, gradient) in alone.iter().enumerate() {
            let expected = both[other].as_ref().filter(|_| other == side);
            assert_eq!(gradient.as_ref(), expected);
        }
    }
}

/// Of gates that are shut as far as they go, in the numbers that networks run in.
#[test]
fn shut_gates_have_gradients_that_are_numbers() {
    for cell in [Cell::Lstm, Cell::Gru] {
        let mut net = Architecture::reading("x", vec![Some(3), Some(1), Some(2)]);
        let layer = Recurrent {
            cell,
            inputs: 2,
            hidden: 4,
            reverse: false,
            bias: true,
        };
        net.add("layer", layer, [net.input()]).unwrap();
        let graph = net.random(1, &Device::Cpu).unwrap();
        let input = Tensor::new(
            &[[[-1e4f32, 3e3]], [[1e4, 1e4]], [[-2e3, -1e4]]],
            &Device::Cpu,
        );
        let (_, gradient) = graph
            .input_gradient(&input.unwrap(), |output| Ok(output.ones_like()?))
            .unwrap();
        let all: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
        assert!(all.iter().all(|slope| slope.is_finite()), "{all:?}");
    }
}
