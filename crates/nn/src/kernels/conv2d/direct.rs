//! Convolution in f32 as products of windows with panels of weights, for any kernel and geometry. Windows that lie one behind another in
//! the image are read where they are; others are laid out as rows first, some pixels at a time.

use pulp::{Arch as Isa, Simd, WithSimd};

use super::columns::each_run;
use super::sizes::{Geometry, Sizes};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panel::{Panels, Rows, rows_a_block};
use crate::kernels::{Pair, cpu};

/// The same convolution with axes joined that lie behind each other in memory: columns of width 1 as rows, and pixels of which each is
/// its own window as one row.
fn flat(sizes: &Sizes) -> Sizes {
    let turned = |pair: Pair| Pair {
        height: pair.width,
        width: pair.height,
    };
    let mut flat = *sizes;
    let Geometry {
        stride,
        padding,
        dilation,
        groups,
    } = sizes.geometry;
    if (sizes.width, sizes.kernel.width, padding.width) == (1, 1, 0) {
        flat = Sizes {
            geometry: Geometry {
                stride: turned(stride),
                padding: turned(padding),
                dilation: turned(dilation),
                groups,
            },
            height: 1,
            width: sizes.height,
            kernel: turned(sizes.kernel),
            out_height: 1,
            out_width: sizes.out_height,
            ..flat
        };
    }
    let Geometry {
        stride, padding, ..
    } = flat.geometry;
    if (flat.kernel.height, stride.height, padding.height) == (1, 1, 0) {
        // Rows have nothing to do with each other, as images have not.
        flat.batch *= flat.height;
        (flat.height, flat.out_height) = (1, 1);
        if (flat.kernel.width, stride.width, padding.width) == (1, 1, 0) {
            flat.width *= flat.batch;
            flat.out_width *= flat.batch;
            flat.batch = 1;
        }
    }
    flat
}

/// Weights `[outputs, inputs, kh, kw]` as panels whose depth is in the order of a window.
pub(super) fn panels(weight: &[f32], sizes: &Sizes) -> Panels<'static> {
    Panels::new(weight, sizes.outputs, sizes.kernel.area())
}

/// `[N, H, W, inputs]` to `[N, H', W', outputs]`.
pub(super) fn forward(
    arch: Isa,
    input: &[f32],
    panels: &Panels,
    epilogue: &Epilogue<f32>,
    sizes: &Sizes,
) -> Vec<f32> {
    let sizes = &flat(sizes);
    let pixels = sizes.out_height * sizes.out_width;
    let block = rows_a_block(sizes.batch * pixels, sizes.window());
    let pixels = block.clamp(1, pixels.max(1));
    let of_image = cpu::lengths(sizes.out_image(), pixels * sizes.outputs);
    let blocks = of_image.clone().count();
    cpu::in_blocks(
        (0..sizes.batch).flat_map(|_| of_image.clone()),
        |block, output: &mut [f32]| {
            let (image, first) = (block / blocks, block % blocks * pixels);
            arch.dispatch(Block {
                sizes,
                image: &input[image * sizes.image()..(image + 1) * sizes.image()],
                panels,
                epilogue,
                first,
                output,
            });
        },
    )
}

/// Some pixels of an image's output.
struct Block<'a> {
    sizes: &'a Sizes,
    image: &'a [f32],
    panels: &'a Panels<'a>,
    epilogue: &'a Epilogue<'a, f32>,
    first: usize,
    output: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Block {
            sizes,
            image,
            panels,
            epilogue,
            first,
            output,
        } = self;
        let count = output.len() / sizes.outputs;
        let Geometry {
            stride,
            padding,
            dilation,
            ..
        } = sizes.geometry;
        let is_row = (sizes.kernel.height, sizes.height) == (1, 1);
        let is_whole = padding == 0.into() && (dilation.width == 1 || sizes.kernel.width == 1);
        if is_row && is_whole {
            let step = stride.width * sizes.inputs;
            let rows = Rows {
                values: &image[first * step..],
                count,
                stride: step,
            };
            panels.multiply(simd, rows, output);
        } else {
            let mut windows = vec![0.0; count * sizes.window()];
            each_run(sizes, first..first + count, |to, from, length| {
                windows[to..to + length].copy_from_slice(&image[from..from + length]);
            });
            let rows = Rows {
                values: &windows,
                count,
                stride: sizes.window(),
            };
            panels.multiply(simd, rows, output);
        }
        output
            .chunks_exact_mut(sizes.outputs)
            .for_each(|pixel| epilogue.apply(pixel));
    }
}
