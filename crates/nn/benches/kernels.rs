//! The kernels on the shapes of AlexNet and ResNet34, batches of 8; throughput is in floating-point operations by definition.
//!
//! `cargo bench -p speechlens-nn`

use std::hint::black_box;

use candle_core::{Device, Result, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use speechlens_nn::kernels::conv2d::{self, Geometry};
use speechlens_nn::kernels::max_pool2d::{self, Window};
use speechlens_nn::kernels::{batch_norm, linear};

const BATCH: usize = 8;

fn by_lot(shape: impl Into<candle_core::Shape>) -> Tensor {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu).expect("a tensor")
}

/// Name, height and width, channels in and out, kernel, stride and padding.
type Layer = (&'static str, [usize; 2], [usize; 2], usize, usize, usize);

const CONVOLUTIONS: [Layer; 11] = [
    ("alexnet 1", [227, 227], [1, 64], 11, 4, 2),
    ("alexnet 2", [27, 27], [64, 192], 5, 1, 2),
    ("alexnet 3", [13, 13], [192, 384], 3, 1, 1),
    ("alexnet 4", [13, 13], [384, 256], 3, 1, 1),
    ("alexnet 5", [13, 13], [256, 256], 3, 1, 1),
    ("resnet34 input", [64, 200], [1, 32], 3, 1, 1),
    ("resnet34 1", [64, 200], [32, 32], 3, 1, 1),
    ("resnet34 2 down", [64, 200], [32, 64], 3, 2, 1),
    ("resnet34 2", [32, 100], [64, 64], 3, 1, 1),
    ("resnet34 3", [16, 50], [128, 128], 3, 1, 1),
    ("resnet34 4", [8, 25], [256, 256], 3, 1, 1),
];

fn convolution(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv2d");
    for (name, [height, width], [inputs, outputs], kernel, stride, padding) in CONVOLUTIONS {
        let geometry = Geometry {
            stride: stride.into(),
            padding: padding.into(),
            ..Geometry::default()
        };
        let (input, weight) = (
            by_lot((BATCH, inputs, height, width)),
            by_lot((outputs, inputs, kernel, kernel)),
        );
        let forward =
            || conv2d::forward(black_box(&input), &weight, None, false, geometry).expect("fits");
        let output = forward();
        let operations = 2 * output.elem_count() * inputs * kernel * kernel;
        group.throughput(Throughput::Elements(operations as u64));
        group.bench_function(BenchmarkId::new("forward", name), |b| b.iter(forward));
        group.bench_function(BenchmarkId::new("input gradient", name), |b| {
            b.iter(|| conv2d::input_gradient(black_box(&output), &weight, input.shape(), geometry))
        });
        group.bench_function(BenchmarkId::new("weight gradient", name), |b| {
            b.iter(|| conv2d::weight_gradient(black_box(&input), &output, kernel.into(), geometry))
        });
    }
}

fn dense(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("linear");
    for (inputs, outputs) in [(9216, 4096), (4096, 4096), (4096, 256)] {
        let (input, weight) = (by_lot((BATCH, inputs)), by_lot((outputs, inputs)));
        let output = linear::forward(&input, &weight, None, false).expect("fits");
        let name = format!("{inputs} to {outputs}");
        group.throughput(Throughput::Elements((2 * BATCH * inputs * outputs) as u64));
        group.bench_function(BenchmarkId::new("forward", &name), |b| {
            b.iter(|| linear::forward(black_box(&input), &weight, None, false))
        });
        group.bench_function(BenchmarkId::new("input gradient", &name), |b| {
            b.iter(|| linear::input_gradient(black_box(&output), &weight))
        });
        group.bench_function(BenchmarkId::new("weight gradient", &name), |b| {
            b.iter(|| linear::weight_gradient(black_box(&input), &output))
        });
    }
}

fn others(criterion: &mut Criterion) {
    let channels_last = |shape: [usize; 4]| -> Result<Tensor> {
        by_lot([shape[0], shape[2], shape[3], shape[1]].as_slice()).permute((0, 3, 1, 2))
    };
    let mut group = criterion.benchmark_group("others");
    let input = channels_last([BATCH, 64, 56, 56]).expect("a view");
    let window = Window {
        kernel: 3.into(),
        stride: 2.into(),
        padding: 0.into(),
    };
    let output = max_pool2d::forward(&input, window).expect("fits");
    group.throughput(Throughput::Elements(input.elem_count() as u64));
    group.bench_function("max pooling", |b| {
        b.iter(|| max_pool2d::forward(black_box(&input), window))
    });
    group.bench_function("max pooling back", |b| {
        b.iter(|| max_pool2d::route(black_box(&input), &output, window))
    });
    let input = channels_last([BATCH, 32, 64, 200]).expect("a view");
    let (weight, bias) = (by_lot(32), by_lot(32));
    let statistics = batch_norm::statistics(&input).expect("of channels");
    group.throughput(Throughput::Elements(input.elem_count() as u64));
    group.bench_function("batch statistics", |b| {
        b.iter(|| batch_norm::statistics(black_box(&input)))
    });
    group.bench_function("batch normalization", |b| {
        b.iter(|| batch_norm::normalize(black_box(&input), &weight, &bias, &statistics, 1e-5))
    });
}

criterion_group!(benches, convolution, dense, others);
criterion_main!(benches);
