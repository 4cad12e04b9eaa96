//! The ops against their definitions: candle's own convolution, loops, and the transposed map as the adjoint.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Shape, Tensor};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::ops::{AdaptiveAvgPool2d, AvgPool2d, Conv2d, Linear, MaxPool2d, Relu};
use speechlens_nn::{Architecture, Mode, Op, Params, Structure};

fn by_lot(shape: impl Into<Shape>, rng: &mut ChaCha8Rng) -> Tensor {
    let shape = shape.into();
    let values: Vec<f64> = (0..shape.elem_count())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn inner(a: &Tensor, b: &Tensor) -> f64 {
    (a * b).unwrap().sum_all().unwrap().to_scalar().unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn close(a: &Tensor, b: &Tensor, tolerance: f64) {
    assert_eq!(a.shape(), b.shape());
    let apart = flat(a)
        .iter()
        .zip(flat(b))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(apart < tolerance, "{apart} apart");
}

fn forward(op: &dyn Op, input: &Tensor) -> Tensor {
    op.forward(&Params::new(), &[input], &mut Mode::Infer)
        .unwrap()
}

/// `⟨apply(a, w), s⟩ = ⟨a, transpose(s, w)⟩`, for any weights.
fn transpose_is_the_adjoint(
    op: &dyn Op,
    input: &Tensor,
    weight: Option<&Tensor>,
    rng: &mut ChaCha8Rng,
) {
    let Structure::Linear(linear) = op.structure() else {
        panic!("{op:?} is linear");
    };
    let weight = match weight {
        Some(weight) => weight.clone(),
        None => linear.weights(&Params::new(), input).unwrap().0,
    };
    let output = linear.apply(input, &weight).unwrap();
    let s = by_lot(output.shape(), rng);
    let back = linear.transpose(&s, &weight, input.shape()).unwrap();
    assert_eq!(back.shape(), input.shape());
    let (one, other) = (inner(&output, &s), inner(input, &back));
    assert!(
        (one - other).abs() < 1e-11 * (1.0 + one.abs()),
        "{op:?}: {one} and {other}"
    );
}

/// The mean, or the largest, over windows given by axis: `[start, end)` of each output row and column.
fn over_windows(
    input: &Tensor,
    rows: &[(usize, usize)],
    columns: &[(usize, usize)],
    of: fn(&[f64]) -> f64,
) -> Tensor {
    let (n, c, h, w) = input.dims4().unwrap();
    let values = flat(input);
    let mut output = Vec::new();
    for plane in values.chunks(h * w) {
        for (top, bottom) in rows {
            for (left, right) in columns {
                let window: Vec<f64> = (*top..*bottom)
                    .flat_map(|y| plane[y * w + left..y * w + right].to_vec())
                    .collect();
                output.push(of(&window));
            }
        }
    }
    Tensor::from_vec(output, (n, c, rows.len(), columns.len()), &Device::Cpu).unwrap()
}

fn windows(length: usize, kernel: usize, stride: usize) -> Vec<(usize, usize)> {
    (0..=length - kernel)
        .step_by(stride)
        .map(|start| (start, start + kernel))
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn convolution(
        (kernel, padding, height, width) in (1usize..6, 0usize..3).prop_flat_map(|(kernel, padding)| {
            let least = kernel.saturating_sub(2 * padding).max(1);
            (Just(kernel), Just(padding), least..least + 12, least..least + 12)
        }),
        batch in 1usize..10,
        inputs in 1usize..4,
        outputs in 1usize..5,
        stride in 1usize..5,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let op = Conv2d::new(inputs, outputs, kernel).stride(stride).padding(padding);
        let input = by_lot((batch, inputs, height, width), &mut rng);
        let weight = by_lot((outputs, inputs, kernel, kernel), &mut rng);
        let bias = by_lot(outputs, &mut rng);
        let expected = input.conv2d(&weight, padding, stride, 1, 1).unwrap();
        let expected = expected.broadcast_add(&bias.reshape((1, outputs, 1, 1)).unwrap()).unwrap();
        let params = Params::from([("weight".into(), weight.clone()), ("bias".into(), bias)]);
        close(&op.forward(&params, &[&input], &mut Mode::Infer).unwrap(), &expected, 1e-12);

        let single: Params =
            params.iter().map(|(name, x)| (name.clone(), x.to_dtype(DType::F32).unwrap())).collect();
        let of_single =
            op.forward(&single, &[&input.to_dtype(DType::F32).unwrap()], &mut Mode::Infer).unwrap();
        close(&of_single.to_dtype(DType::F64).unwrap(), &expected, 1e-4);

        // What lies in memory otherwise is the same tensor.
        let turned = input.transpose(2, 3).unwrap().contiguous().unwrap().transpose(2, 3).unwrap();
        close(&op.forward(&params, &[&turned], &mut Mode::Infer).unwrap(), &expected, 1e-12);
        transpose_is_the_adjoint(&op, &input, Some(&weight), &mut rng);
        transpose_is_the_adjoint(&op, &turned, Some(&weight), &mut rng);
    }

    #[test]
    fn pooling(
        (kernel, height, width) in (1usize..5).prop_flat_map(|k| (Just(k), k..k + 9, k..k + 9)),
        stride in 1usize..5,
        (rows, columns) in (1usize..8, 1usize..8),
        batch in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let input = by_lot((batch, 3, height, width), &mut rng);
        let turned = input.transpose(2, 3).unwrap().contiguous().unwrap().transpose(2, 3).unwrap();
        let (down, across) = (windows(height, kernel, stride), windows(width, kernel, stride));

        let max = MaxPool2d { kernel, stride };
        close(&forward(&max, &input), &over_windows(&input, &down, &across, largest), 1e-15);
        close(&forward(&max, &turned), &forward(&max, &input), 1e-15);
        let output = forward(&max, &input);
        let s = by_lot(output.shape(), &mut rng);
        let Structure::Routing(routing) = max.structure() else { panic!("max pooling routes") };
        let (one, other) = (inner(&output, &s), inner(&input, &routing.route(&input, &s).unwrap()));
        prop_assert!((one - other).abs() < 1e-11 * (1.0 + one.abs()), "{} and {}", one, other);
        close(&routing.route(&turned, &s).unwrap(), &routing.route(&input, &s).unwrap(), 1e-15);

        let average = AvgPool2d { kernel, stride };
        close(&forward(&average, &input), &over_windows(&input, &down, &across, mean), 1e-14);
        transpose_is_the_adjoint(&average, &turned, None, &mut rng);

        // PyTorch's windows; more outputs than inputs repeat them.
        let split = |length: usize, count: usize| -> Vec<(usize, usize)> {
            (0..count).map(|i| (i * length / count, ((i + 1) * length).div_ceil(count))).collect()
        };
        let adaptive = AdaptiveAvgPool2d { size: (rows, columns) };
        let expected = over_windows(&input, &split(height, rows), &split(width, columns), mean);
        close(&forward(&adaptive, &turned), &expected, 1e-14);
        transpose_is_the_adjoint(&adaptive, &input, None, &mut rng);
    }

    #[test]
    fn dense(batch in 1usize..6, inputs in 1usize..9, outputs in 1usize..9, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let input = by_lot((batch, inputs), &mut rng);
        let weight = by_lot((outputs, inputs), &mut rng);
        transpose_is_the_adjoint(&Linear::new(inputs, outputs), &input, Some(&weight), &mut rng);
    }
}

/// A NaN in the features must be seen in the logits, not pass for silence.
#[test]
fn relu_keeps_what_is_not_a_number() {
    let input = Tensor::new(
        &[f64::NAN, -1.0, 0.0, 2.0, f64::NEG_INFINITY, f64::INFINITY],
        &Device::Cpu,
    )
    .unwrap();
    let output = flat(&forward(&Relu, &input));
    assert!(output[0].is_nan());
    assert_eq!(output[1..], [0.0, 0.0, 2.0, 0.0, f64::INFINITY]);
}

/// Layers that do not fit what they read are errors with the layer's name, whoever notices.
#[test]
fn what_does_not_fit_is_an_error_that_names_the_layer() {
    fn refused(op: impl Op + 'static, shape: [usize; 3]) {
        let mut net = Architecture::new(shape);
        let x = net.input();
        net.add("the-layer", op, [x]).unwrap();
        let graph = net.random(1, &Device::Cpu).unwrap();
        let shape = [2, shape[0], shape[1], shape[2]];
        let input = Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap();
        let error = graph.forward(&input).unwrap_err().to_string();
        assert!(error.contains("the-layer"), "{error}");
    }
    let (kernel, stride) = (3, 2);
    refused(Conv2d::new(1, 1, 5), [1, 4, 9]);
    refused(Conv2d::new(2, 1, 3), [1, 9, 9]);
    refused(MaxPool2d { kernel, stride }, [1, 2, 9]);
    refused(AvgPool2d { kernel, stride }, [1, 9, 2]);
}
