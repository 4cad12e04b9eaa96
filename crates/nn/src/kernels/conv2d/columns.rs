//! Convolution as matrix products: the windows of some rows of the output are laid out as the rows of a matrix, and the
//! products run through the `gemm` crate. For any kernel, geometry and type.

use std::ops::Range;

use candle_core::WithDType;
use rayon::prelude::*;

use super::sizes::{Geometry, Sizes};
use crate::kernels::cpu;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::product::{Matrix, Threads, multiply};

/// Values of a matrix of windows that stay in the cache.
const CACHE: usize = 1 << 17;

/// Images whose gradients are summed on one thread, in order; the parts are added in order too, so that the result does not
/// depend on the number of threads.
const IMAGES_A_PART: usize = 4;

/// Calls `each` for every run of values that an image and the matrix of the windows of some of the output's pixels share: where it begins
/// in the matrix, where in the image, and how long it is. Padding is in no run.
pub(super) fn each_run(
    sizes: &Sizes,
    pixels: Range<usize>,
    mut each: impl FnMut(usize, usize, usize),
) {
    let Geometry {
        stride,
        padding,
        dilation,
        ..
    } = sizes.geometry;
    let kernel = sizes.kernel;
    // Columns of the kernel that lie side by side in the image.
    let beside = if dilation.width == 1 { kernel.width } else { 1 };
    let mut window = 0;
    for pixel in pixels {
        let (oy, ox) = (pixel / sizes.out_width, pixel % sizes.out_width);
        for column in (0..kernel.width).step_by(beside) {
            let left = ox * stride.width + column * dilation.width;
            // Those of them that hold a value of the image.
            let first = padding.width.saturating_sub(left);
            let past = (sizes.width + padding.width)
                .saturating_sub(left)
                .min(beside);
            for row in 0..kernel.height {
                let y = oy * stride.height + row * dilation.height;
                if y >= padding.height && y - padding.height < sizes.height && first < past {
                    let image = (y - padding.height) * sizes.width + left + first - padding.width;
                    each(
                        window + (row * kernel.width + column + first) * sizes.inputs,
                        image * sizes.inputs,
                        (past - first) * sizes.inputs,
                    );
                }
            }
        }
        window += sizes.window();
    }
}

/// `[outputs, inputs, kh, kw]` as `[outputs, kh, kw, inputs]`, the order of a window.
fn in_window_order<T: WithDType>(weight: &[T], sizes: &Sizes) -> Vec<T> {
    let places = sizes.kernel.area();
    let mut ordered = vec![T::zero(); weight.len()];
    for (from, to) in weight
        .chunks(sizes.window())
        .zip(ordered.chunks_mut(sizes.window()))
    {
        for (c, from) in from.chunks(places).enumerate() {
            for (place, value) in from.iter().enumerate() {
                to[place * sizes.inputs + c] = *value;
            }
        }
    }
    ordered
}

/// `[N, H, W, inputs]` to `[N, H', W', outputs]`.
pub(super) fn forward<T: WithDType>(
    input: &[T],
    weight: &[T],
    epilogue: &Epilogue<T>,
    sizes: &Sizes,
) -> Vec<T> {
    let weight = in_window_order(weight, sizes);
    let weight = Matrix::new(&weight, sizes.outputs, sizes.window()).t();
    let rows = (CACHE / (sizes.window() * sizes.out_width)).clamp(1, sizes.out_height);
    let row = sizes.out_width * sizes.outputs;
    let of_image = cpu::lengths(sizes.out_image(), rows * row);
    let blocks = sizes.out_height.div_ceil(rows);
    cpu::in_blocks(
        (0..sizes.batch).flat_map(|_| of_image.clone()),
        |block, output| {
            let (image, first) = (block / blocks, block % blocks * rows);
            let image = &input[image * sizes.image()..(image + 1) * sizes.image()];
            let count = output.len() / sizes.outputs;
            let mut windows = vec![T::zero(); count * sizes.window()];
            each_run(
                sizes,
                first * sizes.out_width..first * sizes.out_width + count,
                |to, from, length| {
                    windows[to..to + length].copy_from_slice(&image[from..from + length]);
                },
            );
            let windows = Matrix::new(&windows, count, sizes.window());
            multiply(Threads::One, output, false, windows, weight);
            output
                .chunks_mut(sizes.outputs)
                .for_each(|pixel| epilogue.apply(pixel));
        },
    )
}

/// The transposed map, from `[N, H', W', outputs]` to `[N, H, W, inputs]`.
pub(super) fn input_gradient<T: WithDType>(output: &[T], weight: &[T], sizes: &Sizes) -> Vec<T> {
    let weight = in_window_order(weight, sizes);
    let weight = Matrix::new(&weight, sizes.outputs, sizes.window());
    let pixels = sizes.out_height * sizes.out_width;
    cpu::in_blocks(
        cpu::lengths(sizes.batch * sizes.image(), sizes.image()),
        |n, image| {
            let output = &output[n * sizes.out_image()..(n + 1) * sizes.out_image()];
            let mut windows = vec![T::zero(); pixels * sizes.window()];
            multiply(
                Threads::One,
                &mut windows,
                false,
                Matrix::new(output, pixels, sizes.outputs),
                weight,
            );
            each_run(sizes, 0..pixels, |from, to, length| {
                image[to..to + length]
                    .iter_mut()
                    .zip(&windows[from..from + length])
                    .for_each(|(to, from)| *to += *from);
            });
        },
    )
}

/// The gradient by the weights, `[outputs, inputs, kh, kw]`.
pub(super) fn weight_gradient<T: WithDType>(input: &[T], output: &[T], sizes: &Sizes) -> Vec<T> {
    let pixels = sizes.out_height * sizes.out_width;
    let parts: Vec<Vec<T>> = input
        .par_chunks(IMAGES_A_PART * sizes.image())
        .zip(output.par_chunks(IMAGES_A_PART * sizes.out_image()))
        .map(|(images, outputs)| {
            let mut windows = vec![T::zero(); pixels * sizes.window()];
            let mut sum = vec![T::zero(); sizes.weights()];
            for (image, output) in images
                .chunks(sizes.image())
                .zip(outputs.chunks(sizes.out_image()))
            {
                each_run(sizes, 0..pixels, |to, from, length| {
                    windows[to..to + length].copy_from_slice(&image[from..from + length]);
                });
                let output = Matrix::new(output, pixels, sizes.outputs).t();
                multiply(
                    Threads::One,
                    &mut sum,
                    true,
                    output,
                    Matrix::new(&windows, pixels, sizes.window()),
                );
            }
            sum
        })
        .collect();
    let sum = super::sum_in_order(parts);
    let (places, mut weight) = (sizes.kernel.area(), vec![T::zero(); sizes.weights()]);
    for (from, to) in sum
        .chunks(sizes.window())
        .zip(weight.chunks_mut(sizes.window()))
    {
        for (place, from) in from.chunks(sizes.inputs).enumerate() {
            for (c, value) in from.iter().enumerate() {
                to[c * places + place] = *value;
            }
        }
    }
    weight
}
