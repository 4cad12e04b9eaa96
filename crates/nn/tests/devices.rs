//! An NVIDIA device computes what the CPU does. Skipped, with the reason, where there is none.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Shape, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::kernels::batch_norm::{normalize, statistics};
use speechlens_nn::kernels::conv2d::{self, Geometry};
use speechlens_nn::kernels::max_pool2d::{self, Window};
use speechlens_nn::kernels::pointwise::{below_rank, of_sign, quotient};
use speechlens_nn::kernels::ranks::ranks;
use speechlens_nn::loss::Loss;
use speechlens_nn::ops::{BatchNorm, Conv2d, Dropout, Flatten, Linear, Relu};
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::Config;
use speechlens_nn::{Architecture, Trainer};

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
#[cfg_attr(
    not(feature = "cuda"),
    ignore = "built without the feature `cuda`: no NVIDIA device"
)]
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
#[cfg_attr(
    not(feature = "cuda"),
    ignore = "built without the feature `cuda`: no NVIDIA device"
)]
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
#[cfg_attr(
    not(feature = "cuda"),
    ignore = "built without the feature `cuda`: no NVIDIA device"
)]
fn values_at_one_place() {
    let Some(gpu) = gpu() else { return };
    let (a, b) = (by_lot((3, 2, 7, 5), 1), by_lot((3, 2, 7, 5), 2));
    agree(&gpu, [&a, &b], |[a, z]| quotient(a, z, 0.25, 0.5).unwrap());
    agree(&gpu, [&a, &b], |[a, z]| of_sign(a, z, false).unwrap());
}

#[test]
#[cfg_attr(
    not(feature = "cuda"),
    ignore = "built without the feature `cuda`: no NVIDIA device"
)]
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
#[cfg_attr(
    not(feature = "cuda"),
    ignore = "built without the feature `cuda`: no NVIDIA device"
)]
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
                let parameter = Var::from_tensor(start).unwrap();
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

#[test]
#[cfg_attr(
    not(feature = "cuda"),
    ignore = "built without the feature `cuda`: no NVIDIA device"
)]
fn batch_normalization() {
    let Some(gpu) = gpu() else { return };
    let tensors = [by_lot((4, 6, 5, 3), 1), by_lot(6, 2), by_lot(6, 3)];
    agree(&gpu, tensors.each_ref(), |[x, w, b]| {
        let moments = statistics(x).unwrap();
        normalize(x, w, b, &moments, 1e-5).unwrap()
    });
    agree(&gpu, tensors.each_ref(), |[x, w, b]| {
        let [x, w] = [x, w].map(|tensor| Var::from_tensor(tensor).unwrap());
        let output = normalize(&x, &w, b, &statistics(&x).unwrap(), 1e-5).unwrap();
        let loss = (output.sqr().unwrap() * output).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        let [of_x, of_w] = [x, w].map(|variable| gradients.get(&variable).unwrap().clone());
        Tensor::cat(&[of_x.flatten_all().unwrap(), of_w], 0).unwrap()
    });
}

/// Masks of dropout, running statistics, losses that are read together.
#[test]
#[cfg_attr(
    not(feature = "cuda"),
    ignore = "built without the feature `cuda`: no NVIDIA device"
)]
fn training() {
    let Some(gpu) = gpu() else { return };
    let mut net = Architecture::new([2, 6, 5]);
    let x = net
        .add("conv", Conv2d::new(2, 4, 3), [net.input()])
        .unwrap();
    let x = net.add("bn", BatchNorm::new_2d(4), [x]).unwrap();
    let x = net.add("relu", Relu, [x]).unwrap();
    let x = net.add("flatten", Flatten, [x]).unwrap();
    let x = net.add("dropout", Dropout { p: 0.5 }, [x]).unwrap();
    net.add("dense", Linear::new(48, 3), [x]).unwrap();
    let graph = net.random(1, &Device::Cpu).unwrap();
    let config = Config {
        epochs: 1,
        batch: 4,
        optimizer: Optimizer::Sgd {
            lr: 0.01,
            momentum: 0.9,
        },
        schedule: Schedule::Constant,
        seed: 1,
        loss: Loss::CrossEntropy,
    };
    agree(&gpu, [&by_lot((4, 2, 6, 5), 2)], |[input]| {
        let graph = graph
            .map_weights(|_, tensor| Ok(tensor.to_device(input.device())?))
            .unwrap();
        let mut trainer = Trainer::new(&graph, config.clone()).unwrap();
        for _ in 0..3 {
            trainer.step(input, &[0, 1, 2, 0]).unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        trainer.save(file.path()).unwrap();
        let losses: Vec<f32> = trainer
            .history()
            .loss
            .iter()
            .map(|loss| *loss as f32)
            .collect();
        assert_eq!(losses.len(), 3);
        let mut all = vec![Tensor::new(losses, input.device()).unwrap()];
        let weights = trainer.graph().weights();
        all.extend(weights.values().map(|weight| weight.flatten_all().unwrap()));
        Tensor::cat(&all, 0).unwrap()
    });
}
