//! An NVIDIA device computes what the CPU does. Skipped, with the reason, where there is none.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Shape, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::kernels::conv2d::{self, Geometry};
use speechlens_nn::kernels::max_pool2d::{self, Window};
use speechlens_nn::kernels::pointwise::{below_rank, of_sign, quotient};
use speechlens_nn::kernels::ranks::ranks;
use speechlens_nn::optim::Optimizer;

fn gpu() -> Option<Device> {
    match speechlens_nn::device("cuda:0") {
        Ok(device) => Some(device),
        Err(problem) => {
            eprintln!("skipped: {problem}");
            None
        }
    }
}

fn by_lot(shape: impl Into<Shape>, seed: u64) -> Tensor {
    let shape = shape.into();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.elem_count())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A function of tensors, on the CPU and on the device.
#[track_caller]
fn agree<const N: usize>(gpu: &Device, tensors: [&Tensor; N], f: impl Fn([&Tensor; N]) -> Tensor) {
    let there = tensors.map(|tensor| tensor.to_device(gpu).unwrap());
    let read = |tensor: Tensor| {
        let tensor = tensor.to_device(&Device::Cpu).unwrap();
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let (own, theirs) = (read(f(tensors)), read(f(there.each_ref())));
    assert_eq!(own.len(), theirs.len());
    let largest = own.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for (own, theirs) in own.iter().zip(&theirs) {
        assert!(
            (own - theirs).abs() <= 1e-4 * largest,
            "{theirs}, not {own}"
        );
    }
}

#[test]
fn convolutions() {
    let Some(gpu) = gpu() else { return };
    for (side, stride, padding, groups) in [(3, 1, 1, 1), (11, 4, 2, 1), (3, 2, 0, 3)] {
        let geometry = Geometry {
            stride: stride.into(),
            padding: padding.into(),
            groups,
            ..Geometry::default()
        };
        let input = by_lot((3, 6, 29, 23), 1);
        let weight = by_lot((12, 6 / groups, side, side), 2);
        let bias = by_lot(12, 3);
        let forward =
            |[x, w, b]: [&Tensor; 3]| conv2d::forward(x, w, Some(b), true, geometry).unwrap();
        agree(&gpu, [&input, &weight, &bias], forward);
        let output = by_lot(forward([&input, &weight, &bias]).dims4().unwrap(), 4);
        agree(&gpu, [&output, &weight], |[y, w]| {
            conv2d::input_gradient(y, w, input.shape(), geometry).unwrap()
        });
        agree(&gpu, [&input, &output], |[x, y]| {
            conv2d::weight_gradient(x, y, side.into(), geometry).unwrap()
        });
    }
}

#[test]
fn pooling() {
    let Some(gpu) = gpu() else { return };
    let window = Window {
        kernel: 3.into(),
        stride: 2.into(),
        padding: 1.into(),
    };
    let input = by_lot((2, 5, 13, 9), 1);
    let forward = |[x]: [&Tensor; 1]| max_pool2d::forward(x, window).unwrap();
    agree(&gpu, [&input], forward);
    let output = by_lot(forward([&input]).dims4().unwrap(), 2);
    agree(&gpu, [&input, &output], |[x, y]| {
        max_pool2d::route(x, y, window).unwrap()
    });
}

#[test]
fn values_at_one_place() {
    let Some(gpu) = gpu() else { return };
    let (a, b) = (by_lot((3, 2, 7, 5), 1), by_lot((3, 2, 7, 5), 2));
    agree(&gpu, [&a, &b], |[a, z]| quotient(a, z, 0.25, 0.5).unwrap());
    agree(&gpu, [&a, &b], |[a, z]| of_sign(a, z, false).unwrap());
}

#[test]
fn orders() {
    let Some(gpu) = gpu() else { return };
    let (values, input) = (by_lot((3, 1, 37, 41), 1), by_lot((3, 1, 37, 41), 2));
    for falling in [false, true] {
        agree(&gpu, [&values], |[values]| ranks(values, falling).unwrap());
    }
    agree(&gpu, [&values, &input], |[values, input]| {
        below_rank(&ranks(values, true).unwrap(), input, 100, -80.0).unwrap()
    });
}

#[test]
fn optimizers() {
    let Some(gpu) = gpu() else { return };
    let sgd = Optimizer::Sgd {
        lr: 0.1,
        momentum: 0.9,
    };
    let adam = Optimizer::AdamW {
        lr: 0.1,
        weight_decay: 0.01,
    };
    for optimizer in [sgd, adam] {
        agree(
            &gpu,
            [&by_lot(50, 1), &by_lot(50, 2)],
            |[start, gradient]| {
                let parameter = candle_core::Var::from_tensor(start).unwrap();
                let slots = optimizer.start(&parameter).unwrap();
                for step in 1..=3 {
                    optimizer
                        .update(step, &parameter, gradient, &slots)
                        .unwrap();
                }
                parameter.as_tensor().clone()
            },
        );
    }
}
