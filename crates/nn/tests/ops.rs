//! The ops against their definitions: candle's own convolution, loops, and the transposed map as the adjoint.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Shape, Tensor};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::ops::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, BatchNorm, Conv1d, Conv2d, Linear,
    MaxPool1d, MaxPool2d, Relu, TimeDeviation, TimeMean,
};
use speechlens_nn::{Architecture, Map, Mode, Op, Params};

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
    let Map::Layer(linear) = op.branches(1).remove(0).map else {
        panic!("{op:?} is linear");
    };
    let weight = match weight {
        Some(weight) => weight.clone(),
        None => linear.weights(&Params::new(), &[input]).unwrap().0,
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
    of: impl Fn(&[f64]) -> f64,
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

/// What there is of them between the ends of the axis.
fn windows(length: usize, kernel: usize, stride: usize, padding: usize) -> Vec<(usize, usize)> {
    (0..=length + 2 * padding - kernel)
        .step_by(stride)
        .map(|start| {
            let end = (start + kernel - padding).min(length);
            (start.saturating_sub(padding), end)
        })
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Every value of the output added to the input's place where its window first has its largest value, in scan order.
fn routed(
    input: &Tensor,
    output: &Tensor,
    rows: &[(usize, usize)],
    columns: &[(usize, usize)],
) -> Tensor {
    let (_, _, h, w) = input.dims4().unwrap();
    let (values, given) = (flat(input), flat(output));
    let mut sums = vec![0.0; values.len()];
    let planes = values.chunks(h * w).zip(sums.chunks_mut(h * w));
    for ((plane, sums), given) in planes.zip(given.chunks(rows.len() * columns.len())) {
        let windows = rows
            .iter()
            .flat_map(|rows| columns.iter().map(move |columns| (rows, columns)));
        for (((top, bottom), (left, right)), given) in windows.zip(given) {
            let places = (*top..*bottom).flat_map(|y| (*left..*right).map(move |x| y * w + x));
            let mut winner = top * w + left;
            for place in places {
                if plane[place] > plane[winner] {
                    winner = place;
                }
            }
            sums[winner] += given;
        }
    }
    Tensor::from_vec(sums, input.shape(), &Device::Cpu).unwrap()
}

/// A square window, its padding, and height and width of an input that it fits.
fn pooling_sizes() -> impl Strategy<Value = (usize, [usize; 2], [usize; 2])> {
    (1usize..5)
        .prop_flat_map(|k| (Just(k), [0..=k / 2, 0..=k / 2], [k..k + 9, k..k + 9]))
        .prop_map(|(k, padding, [h, w])| {
            let length = |most: usize, padding: usize| (most - 2 * padding).max(1);
            (k, padding, [length(h, padding[0]), length(w, padding[1])])
        })
}

/// Kernel, stride, padding, dilation and a length that they fit.
fn axis() -> impl Strategy<Value = [usize; 5]> {
    (1usize..5, 1usize..4, 0usize..3, 1usize..4, 0usize..9).prop_map(
        |(kernel, stride, padding, dilation, more)| {
            let least = ((kernel - 1) * dilation + 1).saturating_sub(2 * padding);
            [kernel, stride, padding, dilation, least.max(1) + more]
        },
    )
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

    /// Dilated and in groups, against candle's own where it has one number for both axes; the transposed map for any.
    #[test]
    fn convolution_of_any_geometry(
        [kh, sh, ph, dh, h] in axis(),
        [kw, sw, pw, dw, w] in axis(),
        batch in 1usize..4,
        (inputs, outputs) in (1usize..4, 1usize..4),
        groups in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (all, given) = (groups * inputs, groups * outputs);
        let op = Conv2d::new(all, given, (kh, kw)).stride((sh, sw)).padding((ph, pw));
        let op = op.dilation((dh, dw)).groups(groups).without_bias();
        let input = by_lot((batch, all, h, w), &mut rng);
        let weight = by_lot((given, inputs, kh, kw), &mut rng);
        transpose_is_the_adjoint(&op, &input, Some(&weight), &mut rng);

        let op = Conv2d::new(all, given, (kh, kw)).stride(sw).padding(pw).dilation(dw).groups(groups);
        if h + 2 * pw > (kh - 1) * dw {
            let expected = input.conv2d(&weight, pw, sw, dw, groups).unwrap();
            let params = Params::from([("weight".into(), weight)]);
            let output = op.without_bias().forward(&params, &[&input], &mut Mode::Infer).unwrap();
            close(&output, &expected, 1e-12);
        }

        let op = Conv1d::new(all, given, kw).stride(sw).padding(pw).dilation(dw).groups(groups);
        let input = by_lot((batch, all, w), &mut rng);
        let weight = by_lot((given, inputs, kw), &mut rng);
        let bias = by_lot(given, &mut rng);
        let expected = input.conv1d(&weight, pw, sw, dw, groups).unwrap();
        let expected = expected.broadcast_add(&bias.unsqueeze(1).unwrap()).unwrap();
        transpose_is_the_adjoint(&op, &input, Some(&weight), &mut rng);
        let params = Params::from([("weight".into(), weight), ("bias".into(), bias)]);
        close(&op.forward(&params, &[&input], &mut Mode::Infer).unwrap(), &expected, 1e-12);
    }

    #[test]
    fn pooling(
        (kernel, [above, beside], [height, width]) in pooling_sizes(),
        stride in 1usize..5,
        (rows, columns) in (1usize..8, 1usize..8),
        batch in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let input = by_lot((batch, 3, height, width), &mut rng);
        let turned = input.transpose(2, 3).unwrap().contiguous().unwrap().transpose(2, 3).unwrap();
        let (down, across) = (windows(height, kernel, stride, above), windows(width, kernel, stride, beside));

        let max = MaxPool2d::new(kernel, stride).padding((above, beside));
        close(&forward(&max, &input), &over_windows(&input, &down, &across, largest), 1e-15);
        close(&forward(&max, &turned), &forward(&max, &input), 1e-15);
        let output = forward(&max, &input);
        let s = by_lot(output.shape(), &mut rng);
        let Map::Winner(routing) = max.branches(1).remove(0).map else { panic!("max pooling routes") };
        let (one, other) = (inner(&output, &s), inner(&input, &routing.route(&[&input], 0, &s).unwrap()));
        prop_assert!((one - other).abs() < 1e-11 * (1.0 + one.abs()), "{} and {}", one, other);
        close(&routing.route(&[&turned], 0, &s).unwrap(), &routing.route(&[&input], 0, &s).unwrap(), 1e-15);
        // Of equal values the first one gets it all.
        let ties = (&input * 1.5).unwrap().round().unwrap();
        let back = routing.route(&[&ties], 0, &s).unwrap();
        close(&back, &routed(&ties, &s, &down, &across), 1e-13);
        let (one, other) = (flat(&s).iter().sum::<f64>(), flat(&back).iter().sum::<f64>());
        prop_assert!((one - other).abs() < 1e-11 * (1.0 + one.abs()), "{} and {}", one, other);

        // Zeros around the input count.
        let average = AvgPool2d::new(kernel, stride).padding((above, beside));
        let all = (kernel * kernel) as f64;
        let expected = over_windows(&input, &down, &across, |values| values.iter().sum::<f64>() / all);
        close(&forward(&average, &input), &expected, 1e-14);
        transpose_is_the_adjoint(&average, &turned, None, &mut rng);

        // The same over time, which is along the rows of an image of height 1.
        let image = input.narrow(2, 0, 1).unwrap();
        let sound = image.squeeze(2).unwrap();
        let max = MaxPool1d::new(kernel, stride).padding(beside);
        let expected = over_windows(&image, &[(0, 1)], &across, largest).squeeze(2).unwrap();
        close(&forward(&max, &sound), &expected, 1e-15);
        let s = by_lot(expected.shape(), &mut rng);
        let Map::Winner(routing) = max.branches(1).remove(0).map else { panic!("max pooling routes") };
        let ties = (&image * 1.5).unwrap().round().unwrap();
        let back = routing.route(&[&ties.squeeze(2).unwrap()], 0, &s).unwrap();
        let expected = routed(&ties, &s.unsqueeze(2).unwrap(), &[(0, 1)], &across);
        close(&back, &expected.squeeze(2).unwrap(), 1e-13);
        let average = AvgPool1d::new(kernel, stride).padding(beside);
        let all = kernel as f64;
        let expected = over_windows(&image, &[(0, 1)], &across, |values| values.iter().sum::<f64>() / all);
        close(&forward(&average, &sound), &expected.squeeze(2).unwrap(), 1e-14);
        transpose_is_the_adjoint(&average, &sound, None, &mut rng);
        transpose_is_the_adjoint(&AdaptiveAvgPool1d { size: columns }, &sound, None, &mut rng);

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
        transpose_is_the_adjoint(&Linear::new(inputs, outputs).without_bias(), &input, Some(&weight), &mut rng);
    }

    #[test]
    fn normalization_and_statistics(
        (batch, channels) in (1usize..4, 1usize..4),
        rest in proptest::collection::vec(1usize..6, 0..3),
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = [vec![batch, channels], rest].concat();
        let input = by_lot(shape.as_slice(), &mut rng);
        let scale = by_lot([vec![channels], vec![1; shape.len() - 2]].concat().as_slice(), &mut rng);
        transpose_is_the_adjoint(&BatchNorm::new_2d(channels), &input, Some(&scale), &mut rng);
        transpose_is_the_adjoint(&BatchNorm::new_2d(channels).epsilon(0.1), &input, Some(&scale), &mut rng);
        if shape.len() > 2 {
            transpose_is_the_adjoint(&TimeMean, &input, None, &mut rng);
            transpose_is_the_adjoint(&TimeDeviation, &input, None, &mut rng);
        }
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
    fn refused<const RANK: usize>(op: impl Op + 'static, shape: [usize; RANK]) {
        let mut net = Architecture::new(shape);
        let x = net.input();
        net.add("the-layer", op, [x]).unwrap();
        let graph = net.random(1, &Device::Cpu).unwrap();
        let shape = [&[2], shape.as_slice()].concat();
        let input = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let error = graph.forward(&input).unwrap_err().to_string();
        assert!(error.contains("the-layer"), "{error}");
    }
    let (kernel, stride) = (3, 2);
    refused(Conv2d::new(1, 1, 5), [1, 4, 9]);
    refused(Conv2d::new(2, 1, 3), [1, 9, 9]);
    refused(MaxPool2d::new(kernel, stride), [1, 2, 9]);
    refused(AvgPool2d::new(kernel, stride), [1, 9, 2]);
    refused(Conv2d::new(3, 4, 3).groups(2), [3, 9, 9]);
    refused(Conv2d::new(4, 3, 3).groups(2), [4, 9, 9]);
    refused(Conv2d::new(4, 4, 3).groups(0), [4, 9, 9]);
    refused(Conv2d::new(1, 1, 3).dilation((1, 4)), [1, 9, 8]);
    refused(Conv2d::new(1, 1, 3).stride((1, 0)), [1, 9, 9]);
    refused(Conv2d::new(1, 1, 3).dilation(0), [1, 9, 9]);
    refused(Conv1d::new(1, 1, 3), [1, 9, 9]);
    refused(Conv1d::new(1, 1, 5).padding(1), [1, 2]);
    refused(MaxPool2d::new(kernel, stride).padding(2), [1, 9, 9]);
    refused(MaxPool1d::new(kernel, stride), [1, 9, 9]);
    refused(AvgPool2d::new(kernel, stride).padding((0, 2)), [1, 9, 9]);
    refused(AvgPool1d::new(kernel, stride), [1, 9, 9]);
    refused(AvgPool2d::new(kernel, stride), [1, 9]);
}
