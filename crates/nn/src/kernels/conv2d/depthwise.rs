//! Convolutions of every channel by itself: vectors hold neighbouring channels, and a place of the output is the sum of a few places
//! of the input, each times the weights of a tap. For any kernel, geometry and type.

use candle_core::WithDType;
use pulp::{Arch as Isa, NullaryFnOnce};
use rayon::prelude::*;

use super::sizes::{Geometry, Sizes};
use super::sum_in_order;
use crate::kernels::cpu;
use crate::kernels::epilogue::Epilogue;

/// Channels whose sums are kept in registers.
const CHANNELS: usize = 32;

/// Images whose gradients are summed on one thread, in order.
const IMAGES_A_PART: usize = 4;

/// Whether every channel is read by one of the output's alone.
pub(super) fn suits(geometry: Geometry, inputs: usize, outputs: usize) -> bool {
    geometry.groups > 1 && [inputs, outputs] == [geometry.groups; 2]
}

/// `[channels, taps]` as `[taps, channels]`, or the other way about.
fn turned<T: WithDType>(values: &[T], rows: usize) -> Vec<T> {
    let columns = values.len() / rows.max(1);
    let mut turned = Vec::with_capacity(values.len());
    for column in 0..columns {
        turned.extend(values.iter().skip(column).step_by(columns).copied());
    }
    turned
}

/// A tap of the kernel, and the pixel that it is on.
#[derive(Clone, Copy)]
struct Tap {
    tap: usize,
    pixel: usize,
}

/// The taps of an output pixel that lie on the image, and its pixels there.
fn of_output(sizes: &Sizes, pixel: usize, taps: &mut Vec<Tap>) {
    let Geometry {
        stride,
        padding,
        dilation,
        ..
    } = sizes.geometry;
    let (row, x) = (pixel / sizes.out_width, pixel % sizes.out_width);
    let (image, y) = (row / sizes.out_height, row % sizes.out_height);
    for ky in 0..sizes.kernel.height {
        let place = y * stride.height + ky * dilation.height;
        let Some(y) = place
            .checked_sub(padding.height)
            .filter(|y| *y < sizes.height)
        else {
            continue;
        };
        for kx in 0..sizes.kernel.width {
            let place = x * stride.width + kx * dilation.width;
            if let Some(x) = place
                .checked_sub(padding.width)
                .filter(|x| *x < sizes.width)
            {
                taps.push(Tap {
                    tap: ky * sizes.kernel.width + kx,
                    pixel: (image * sizes.height + y) * sizes.width + x,
                });
            }
        }
    }
}

/// The window on an axis whose tap is on a place, if there is one.
fn window(
    place: usize,
    tap: usize,
    [stride, padding, dilation]: [usize; 3],
    count: usize,
) -> Option<usize> {
    let first = (place + padding).checked_sub(tap * dilation)?;
    (first % stride == 0 && first / stride < count).then_some(first / stride)
}

/// The taps that read an input pixel, and the output's pixels that they do it for.
fn of_input(sizes: &Sizes, pixel: usize, taps: &mut Vec<Tap>) {
    let Geometry {
        stride,
        padding,
        dilation,
        ..
    } = sizes.geometry;
    let (row, x) = (pixel / sizes.width, pixel % sizes.width);
    let (image, y) = (row / sizes.height, row % sizes.height);
    let down = [stride.height, padding.height, dilation.height];
    let across = [stride.width, padding.width, dilation.width];
    for ky in 0..sizes.kernel.height {
        let Some(y) = window(y, ky, down, sizes.out_height) else {
            continue;
        };
        for kx in 0..sizes.kernel.width {
            if let Some(x) = window(x, kx, across, sizes.out_width) {
                taps.push(Tap {
                    tap: ky * sizes.kernel.width + kx,
                    pixel: (image * sizes.out_height + y) * sizes.out_width + x,
                });
            }
        }
    }
}

/// Adds to every channel of `sums` the products of all taps.
#[inline(always)]
fn add<T: WithDType>(sums: &mut [T], from: &[T], weight: &[T], taps: &[Tap], channels: usize) {
    let mut blocks = sums.chunks_exact_mut(CHANNELS);
    let mut first = 0;
    for sums in &mut blocks {
        let mut kept = [T::zero(); CHANNELS];
        for Tap { tap, pixel } in taps {
            let values = &from[pixel * channels + first..][..CHANNELS];
            let weights = &weight[tap * channels + first..][..CHANNELS];
            for lane in 0..CHANNELS {
                kept[lane] += values[lane] * weights[lane];
            }
        }
        sums.copy_from_slice(&kept);
        first += CHANNELS;
    }
    let rest = blocks.into_remainder();
    for Tap { tap, pixel } in taps {
        let values = &from[pixel * channels + first..];
        let weights = &weight[tap * channels + first..];
        let pairs = values.iter().zip(weights);
        rest.iter_mut()
            .zip(pairs)
            .for_each(|(sum, (value, weight))| *sum += *value * *weight);
    }
}

/// Some pixels of a map: each the sum of its taps.
struct Pixels<'a, T> {
    sizes: &'a Sizes,
    from: &'a [T],
    /// `[taps, channels]`.
    weight: &'a [T],
    taps_of: fn(&Sizes, usize, &mut Vec<Tap>),
    first: usize,
    output: &'a mut [T],
    epilogue: Option<&'a Epilogue<'a, T>>,
}

impl<T: WithDType> NullaryFnOnce for Pixels<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let channels = self.sizes.inputs;
        let mut taps = Vec::with_capacity(self.sizes.kernel.area());
        for (place, pixel) in self.output.chunks_exact_mut(channels).enumerate() {
            taps.clear();
            (self.taps_of)(self.sizes, self.first + place, &mut taps);
            add(pixel, self.from, self.weight, &taps, channels);
            if let Some(epilogue) = self.epilogue {
                epilogue.apply(pixel);
            }
        }
    }
}

/// A map of so many values, each pixel of which is the sum of its taps.
fn map<T: WithDType>(
    arch: Isa,
    from: &[T],
    weight: &[T],
    taps_of: fn(&Sizes, usize, &mut Vec<Tap>),
    epilogue: Option<&Epilogue<T>>,
    (length, sizes): (usize, &Sizes),
) -> Vec<T> {
    let channels = sizes.inputs;
    let weight = turned(weight, channels);
    let pixels = (cpu::CHUNK / channels).max(1);
    cpu::in_blocks(
        cpu::lengths(length, pixels * channels),
        |block, output: &mut [T]| {
            arch.dispatch(Pixels {
                sizes,
                from,
                weight: &weight,
                taps_of,
                first: block * pixels,
                output,
                epilogue,
            });
        },
    )
}

/// `[N, H, W, C]` and weight `[C, 1, kh, kw]` to `[N, H', W', C]`.
pub(super) fn forward<T: WithDType>(
    arch: Isa,
    input: &[T],
    weight: &[T],
    epilogue: &Epilogue<T>,
    sizes: &Sizes,
) -> Vec<T> {
    let length = sizes.batch * sizes.out_image();
    let epilogue = Some(epilogue);
    map(arch, input, weight, of_output, epilogue, (length, sizes))
}

/// The transposed map, from `[N, H', W', C]` to `[N, H, W, C]`.
pub(super) fn input_gradient<T: WithDType>(
    arch: Isa,
    output: &[T],
    weight: &[T],
    sizes: &Sizes,
) -> Vec<T> {
    let length = sizes.batch * sizes.image();
    map(arch, output, weight, of_input, None, (length, sizes))
}

/// The gradient by the weights, `[C, 1, kh, kw]`.
pub(super) fn weight_gradient<T: WithDType>(input: &[T], output: &[T], sizes: &Sizes) -> Vec<T> {
    let (channels, taps) = (sizes.inputs, sizes.kernel.area());
    let parts = output.par_chunks(IMAGES_A_PART * sizes.out_image());
    let parts = parts.enumerate().map(|(part, gradients)| {
        let first = part * IMAGES_A_PART * sizes.out_height * sizes.out_width;
        let (mut sum, mut read) = (vec![T::zero(); taps * channels], Vec::new());
        for (place, gradient) in gradients.chunks_exact(channels).enumerate() {
            read.clear();
            of_output(sizes, first + place, &mut read);
            for Tap { tap, pixel } in &read {
                let values = &input[pixel * channels..][..channels];
                let sums = &mut sum[tap * channels..][..channels];
                let pairs = values.iter().zip(gradient);
                sums.iter_mut()
                    .zip(pairs)
                    .for_each(|(sum, (value, gradient))| *sum += *value * *gradient);
            }
        }
        sum
    });
    let sum = sum_in_order(parts.collect());
    match sum.is_empty() {
        true => vec![T::zero(); channels * taps],
        false => turned(&sum, taps),
    }
}
