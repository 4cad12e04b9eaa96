//! Winograd's minimal filtering for convolutions of stride 1 with 3×3 and 5×5 kernels, in f32 (Lavin & Gray 2016).
//!
//! `m × m` outputs come from an input tile of 6×6, where `m = 7 − r` for a kernel of r: `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A`.
//! Summed over channels, the elementwise product becomes 36 matrix products, with 4 (r = 3) or 2.8 (r = 5) times fewer
//! multiplications than the convolution has by its definition. The gradient by the weights is the same formula transposed:
//! `Gᵀ [ (Bᵀ d B) ⊙ (A y Aᵀ) ] G`.
//!
//! Images are `[N, H, W, C]`, and vectors hold neighbouring channels, so that every step works on whole vectors whatever the
//! image's width. Some rows of tiles are transformed, multiplied and transformed back while they are in the cache.

mod repeats;
mod scratch;
mod transform;

use std::borrow::Cow;

use pulp::{Arch as Isa, Simd, WithSimd};
use rayon::prelude::*;

use super::sizes::Sizes;
use super::sum_in_order;
use crate::kernels::cpu;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panel::{PANEL, Panel, Size, multiply, multiply_transposed};
use scratch::{Image, Rows, Scratch, Strip, Tiles};
use transform::{PLACES, SCALES, SIDE, analyse, both_ways, evaluate, interpolate};

/// Fewer channels than this fill too little of a vector.
const CHANNELS: usize = 8;

/// Whether a convolution in f32 can go this way, and is faster so.
pub(super) fn suits(sizes: &Sizes) -> bool {
    matches!(sizes.square(), Some(3 | 5)) && sizes.inputs.min(sizes.outputs) >= CHANNELS
}

/// The side of an output tile.
fn step(sizes: &Sizes) -> usize {
    SIDE + 1 - sizes.kernel.height
}

fn panels(sizes: &Sizes) -> usize {
    sizes.outputs.div_ceil(PANEL)
}

#[inline(always)]
fn load<S: Simd>(values: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&values[at..at + S::F32_LANES]).0[0]
}

#[inline(always)]
fn store<S: Simd>(values: &mut [f32], at: usize, vector: S::f32s) {
    S::as_mut_simd_f32s(&mut values[at..at + S::F32_LANES]).0[0] = vector;
}

/// The kernels of a convolution, `[outputs, inputs, r, r]`, or for the transposed one (`sizes` are its own) `[inputs, outputs, r, r]`.
#[derive(Clone, Copy)]
struct Kernels<'a> {
    sizes: &'a Sizes,
    weight: &'a [f32],
    transposed: bool,
}

impl Kernels<'_> {
    /// Values of a transformed panel.
    fn panel_size(&self) -> usize {
        PLACES * self.sizes.inputs * PANEL
    }

    /// Those of a panel of outputs, transformed: `[place, input, PANEL]`. Lanes without an output are 0.
    fn transform(self, arch: Isa, panel: usize, filters: &mut [f32]) {
        let side = self.sizes.kernel.height;
        let panel = FilterPanel {
            kernels: self,
            panel,
            filters,
        };
        match side {
            3 => arch.dispatch(Kernel::<_, 3>(panel)),
            _ => arch.dispatch(Kernel::<_, 5>(panel)),
        }
    }

    /// All of them: `[panel, place, input, PANEL]`.
    fn transformed(self, arch: Isa) -> Vec<f32> {
        cpu::in_blocks(
            std::iter::repeat_n(self.panel_size(), panels(self.sizes)),
            |panel, filters| self.transform(arch, panel, filters),
        )
    }
}

/// A piece of work for kernels of side R.
struct Kernel<T, const R: usize>(T);

struct FilterPanel<'a> {
    kernels: Kernels<'a>,
    panel: usize,
    filters: &'a mut [f32],
}

impl<const R: usize> WithSimd for Kernel<FilterPanel<'_>, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let FilterPanel {
            kernels:
                Kernels {
                    sizes,
                    weight,
                    transposed,
                },
            panel,
            filters,
        } = self.0;
        let (first, inputs) = (panel * PANEL, sizes.inputs);
        let mut kernels = vec![0.0; R * R * PANEL];
        for input in 0..sizes.inputs {
            for output in first..sizes.outputs.min(first + PANEL) {
                let at = if transposed {
                    input * sizes.outputs + output
                } else {
                    output * sizes.inputs + input
                };
                for (i, value) in weight[at * R * R..(at + 1) * R * R].iter().enumerate() {
                    let i = if transposed { R * R - 1 - i } else { i };
                    kernels[i * PANEL + output - first] = *value;
                }
            }
            for lane in (0..PANEL).step_by(S::F32_LANES) {
                both_ways::<S, R, SIDE>(
                    simd,
                    #[inline(always)]
                    |y, x| load::<S>(&kernels, (y * R + x) * PANEL + lane),
                    #[inline(always)]
                    |g| scale::<S>(simd, evaluate::<S, R>(simd, g)),
                    #[inline(always)]
                    |y, x, u| {
                        store::<S>(filters, ((y * SIDE + x) * inputs + input) * PANEL + lane, u)
                    },
                );
            }
        }
    }
}

/// The transformed kernels of a convolution, which it takes as [`Weight::Packed`].
pub(super) fn packed(arch: Isa, weight: &[f32], sizes: &Sizes) -> Vec<f32> {
    let kernels = Kernels {
        sizes,
        weight,
        transposed: false,
    };
    kernels.transformed(arch)
}

/// The kernels of a convolution.
#[derive(Clone, Copy)]
pub(super) enum Weight<'a> {
    /// `[outputs, inputs, r, r]`.
    Plain(&'a [f32]),
    /// `[inputs, outputs, r, r]`, of the transposed one.
    Transposed(&'a [f32]),
    /// What [`packed`] made of them.
    Packed(&'a [f32]),
}

/// The convolution `[N, H, W, inputs]` to `[N, H', W', outputs]`. Equal windows beside each other give equal values.
pub(super) fn forward(
    arch: Isa,
    input: &[f32],
    weight: Weight,
    epilogue: &Epilogue<f32>,
    sizes: &Sizes,
) -> Vec<f32> {
    let mut output = convolve(arch, input, weight, epilogue, sizes);
    repeats::level(input, &mut output, sizes);
    output
}

/// The transposed map, from `[N, H', W', outputs]` to `[N, H, W, inputs]`: a convolution with the kernels turned round.
pub(super) fn input_gradient(arch: Isa, output: &[f32], weight: &[f32], sizes: &Sizes) -> Vec<f32> {
    let nothing = Epilogue {
        bias: &[],
        relu: false,
    };
    let weight = Weight::Transposed(weight);
    convolve(arch, output, weight, &nothing, &sizes.transposed())
}

fn convolve(
    arch: Isa,
    input: &[f32],
    weight: Weight,
    epilogue: &Epilogue<f32>,
    sizes: &Sizes,
) -> Vec<f32> {
    let kernels = |weight, transposed| {
        Filters::Of(Kernels {
            sizes,
            weight,
            transposed,
        })
    };
    let filters = match weight {
        Weight::Plain(weight) => kernels(weight, false),
        Weight::Transposed(weight) => kernels(weight, true),
        Weight::Packed(filters) => Filters::Made(filters),
    };
    let mut bias = epilogue.bias.to_vec();
    bias.resize(panels(sizes) * PANEL, 0.0);
    let epilogue = Epilogue {
        bias: &bias,
        relu: epilogue.relu,
    };
    let all = Rows::all(sizes);
    match all.count() * Rows::tiles(sizes) <= FEW {
        true => by_panels(arch, input, filters, &epilogue, sizes),
        false => by_rows(arch, input, filters, &epilogue, sizes),
    }
}

/// Each thread has some rows of tiles, and all outputs.
fn by_rows(
    arch: Isa,
    input: &[f32],
    filters: Filters,
    epilogue: &Epilogue<f32>,
    sizes: &Sizes,
) -> Vec<f32> {
    let filters = match filters {
        Filters::Made(all) => Cow::Borrowed(all),
        Filters::Of(kernels) => Cow::Owned(kernels.transformed(arch)),
    };
    let all = Rows::all(sizes);
    let rows_a_block =
        Rows::of_block(sizes).min(all.count().div_ceil(rayon::current_num_threads()).max(1));
    let blocks: Vec<Rows> = all.split(rows_a_block).collect();
    let row = sizes.out_width * sizes.outputs;
    let length = |rows: &Rows| {
        let heights = rows
            .each(sizes)
            .map(|(_, y)| step(sizes).min(sizes.out_height - y * step(sizes)));
        heights.sum::<usize>() * row
    };
    cpu::in_blocks(blocks.iter().map(length), |block, output| {
        let convolve = Convolve {
            sizes,
            input,
            filters: Filters::Made(&filters),
            first_panel: 0,
            epilogue,
            rows: blocks[block],
            output,
        };
        convolve.run(arch, rows_a_block);
    })
}

/// So few tiles that the transforms of the kernels are most of the work: each thread has some panels of outputs, whose kernels stay in its
/// cache, and all tiles.
const FEW: usize = 64;

fn by_panels(
    arch: Isa,
    input: &[f32],
    filters: Filters,
    epilogue: &Epilogue<f32>,
    sizes: &Sizes,
) -> Vec<f32> {
    let rows = Rows::all(sizes);
    let pixels = sizes.batch * sizes.out_height * sizes.out_width;
    let share = panels(sizes).div_ceil(rayon::current_num_threads());
    let widths: Vec<usize> = cpu::lengths(sizes.outputs, share * PANEL).collect();
    let by_part = cpu::in_blocks(widths.iter().map(|width| width * pixels), |part, output| {
        let first = part * share;
        let convolve = Convolve {
            sizes: &Sizes {
                outputs: widths[part],
                ..*sizes
            },
            input,
            filters,
            first_panel: first,
            epilogue: &Epilogue {
                bias: &epilogue.bias[first * PANEL..],
                relu: epilogue.relu,
            },
            rows,
            output,
        };
        convolve.run(arch, rows.count());
    });
    if widths.len() == 1 {
        return by_part;
    }
    let mut output = vec![0.0; by_part.len()];
    for (pixel, output) in output.chunks_exact_mut(sizes.outputs).enumerate() {
        let (mut before, mut rest) = (0, output);
        for width in &widths {
            let (part, later) = rest.split_at_mut(*width);
            part.copy_from_slice(&by_part[before * pixels + pixel * width..][..*width]);
            (before, rest) = (before + width, later);
        }
    }
    output
}

/// A piece of work with output tiles of side M.
struct Tile<T, const M: usize>(T);

struct Convolve<'a> {
    sizes: &'a Sizes,
    input: &'a [f32],
    filters: Filters<'a>,
    /// The panel of the filters that the first output is in.
    first_panel: usize,
    epilogue: &'a Epilogue<'a, f32>,
    rows: Rows,
    output: &'a mut [f32],
}

/// Transformed kernels.
#[derive(Clone, Copy)]
enum Filters<'a> {
    /// Of all panels.
    Made(&'a [f32]),
    /// Of these: each panel is transformed when its turn comes.
    Of(Kernels<'a>),
}

impl Convolve<'_> {
    /// With scratch for so many rows of tiles.
    fn run(self, arch: Isa, rows: usize) {
        let sizes = self.sizes;
        Scratch::with(sizes, rows, |scratch| match sizes.kernel.height {
            3 => arch.dispatch(Tile::<_, 4>((self, scratch))),
            _ => arch.dispatch(Tile::<_, 2>((self, scratch))),
        });
    }
}

impl<const M: usize> WithSimd for Tile<(Convolve<'_>, &mut Scratch), M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (convolve, scratch) = self.0;
        let Convolve {
            sizes,
            input,
            filters,
            first_panel,
            epilogue,
            rows,
            output,
        } = convolve;
        let Scratch {
            strip,
            tiles,
            out_tiles,
            filters: own,
            ..
        } = scratch;
        transform_input::<S, M>(simd, sizes, input, rows, strip, tiles);
        let size = Size {
            rows: rows.count() * Rows::tiles(sizes),
            columns: sizes.inputs,
            stride: tiles.depth,
        };
        let place_size = sizes.inputs * PANEL;
        for panel in 0..panels(sizes) {
            let filters = match filters {
                Filters::Made(all) => {
                    let size = PLACES * place_size;
                    &all[(first_panel + panel) * size..][..size]
                }
                Filters::Of(kernels) => {
                    own.resize(PLACES * place_size, 0.0);
                    let panel = FilterPanel {
                        kernels,
                        panel: first_panel + panel,
                        filters: own,
                    };
                    match M {
                        4 => Kernel::<_, 3>(panel).with_simd(simd),
                        _ => Kernel::<_, 5>(panel).with_simd(simd),
                    }
                    own.as_slice()
                }
            };
            for (place, filter) in filters.chunks_exact(place_size).enumerate() {
                let filter = Panel {
                    values: filter,
                    stride: PANEL,
                };
                let out = Panel {
                    values: out_tiles.place_mut(place),
                    stride: PANEL,
                };
                multiply::<S>(simd, tiles.place(place), size, filter, PANEL, out, false);
            }
            transform_results::<S, M>(
                simd,
                sizes,
                rows,
                out_tiles,
                panel * PANEL,
                epilogue,
                output,
            );
        }
    }
}

/// `Bᵀ d B` of every tile of the block.
#[inline(always)]
fn transform_input<S: Simd, const M: usize>(
    simd: S,
    sizes: &Sizes,
    input: &[f32],
    rows: Rows,
    strip: &mut Strip,
    tiles: &mut Tiles,
) {
    let (stride, depth, mut to) = (tiles.stride, tiles.depth, 0);
    for (n, y) in rows.each(sizes) {
        let image = Image {
            values: &input[n * sizes.image()..(n + 1) * sizes.image()],
            width: sizes.width,
            channels: sizes.inputs,
            first: 0,
            past: sizes.inputs,
        };
        strip.fill(image, y * M, sizes.geometry.padding.height);
        let (values, transformed) = (strip.values(), tiles.values_mut());
        for x in 0..Rows::tiles(sizes) {
            for c in (0..depth).step_by(S::F32_LANES) {
                both_ways::<S, SIDE, SIDE>(
                    simd,
                    #[inline(always)]
                    |i, j| load::<S>(values, (i * strip.width + x * M + j) * strip.depth + c),
                    #[inline(always)]
                    |d| analyse::<S>(simd, d),
                    #[inline(always)]
                    |i, j, v| store::<S>(transformed, (i * SIDE + j) * stride + to + c, v),
                );
            }
            to += depth;
        }
    }
}

/// `Aᵀ m A` of the block's tiles, to the outputs from channel `first` on.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "over iterators it takes an eighth longer"
)]
fn transform_results<S: Simd, const M: usize>(
    simd: S,
    sizes: &Sizes,
    rows: Rows,
    tiles: &Tiles,
    first: usize,
    epilogue: &Epilogue<f32>,
    output: &mut [f32],
) {
    let zero = simd.splat_f32s(0.0);
    let (places, stride) = (tiles.values(), tiles.stride);
    let (mut from, mut top) = (0, 0);
    for (_, y) in rows.each(sizes) {
        let high = M.min(sizes.out_height - y * M);
        for x in 0..Rows::tiles(sizes) {
            let wide = M.min(sizes.out_width - x * M);
            for lane in (0..PANEL.min(sizes.outputs - first)).step_by(S::F32_LANES) {
                let mut values = [[zero; M]; M];
                both_ways::<S, SIDE, M>(
                    simd,
                    #[inline(always)]
                    |i, j| load::<S>(places, (i * SIDE + j) * stride + from + lane),
                    #[inline(always)]
                    |m| interpolate::<S, M>(simd, m),
                    #[inline(always)]
                    |i, j, value| values[i][j] = value,
                );
                let k = first + lane;
                let bias = load::<S>(epilogue.bias, k);
                for i in 0..high {
                    for j in 0..wide {
                        let mut value = simd.add_f32s(values[i][j], bias);
                        if epilogue.relu {
                            // Not `max`: what is not a number stays so.
                            let below = simd.less_than_or_equal_f32s(value, zero);
                            value = simd.select_f32s(below, zero, value);
                        }
                        let at = ((top + i) * sizes.out_width + x * M + j) * sizes.outputs + k;
                        if k + S::F32_LANES <= sizes.outputs {
                            store::<S>(output, at, value);
                        } else {
                            simd.partial_store_f32s(&mut output[at..at + sizes.outputs - k], value);
                        }
                    }
                }
            }
            from += PANEL;
        }
        top += high;
    }
}

/// Parts of a batch whose gradients by the weights are summed on one thread each, in order; the parts are added in order too, so
/// that the result does not depend on the number of threads.
const PARTS: usize = 8;

/// The gradient by the weights, `[outputs, inputs, r, r]`, from the input and the gradient by the output.
pub(super) fn weight_gradient(
    arch: Isa,
    input: &[f32],
    gradient: &[f32],
    sizes: &Sizes,
) -> Vec<f32> {
    let all = Rows::all(sizes);
    let parts: Vec<Rows> = all.split(all.count().div_ceil(PARTS).max(1)).collect();
    let parts = parts.into_par_iter().map(|rows| {
        let rows_a_block = Rows::of_block(sizes).min(rows.count());
        Scratch::with(sizes, rows_a_block, |scratch| {
            let part = WeightGradient {
                sizes,
                input,
                gradient,
                rows,
                rows_a_block,
                scratch,
            };
            match sizes.kernel.height {
                3 => arch.dispatch(KernelAndTile::<_, 3, 4>(part)),
                _ => arch.dispatch(KernelAndTile::<_, 5, 2>(part)),
            }
        })
    });
    let kernels = sum_in_order(parts.collect());
    if kernels.is_empty() {
        vec![0.0; sizes.weights()]
    } else {
        by_output(&kernels, sizes)
    }
}

/// A piece of work for kernels of side R and output tiles of side M.
struct KernelAndTile<T, const R: usize, const M: usize>(T);

struct WeightGradient<'a> {
    sizes: &'a Sizes,
    input: &'a [f32],
    gradient: &'a [f32],
    rows: Rows,
    rows_a_block: usize,
    scratch: &'a mut Scratch,
}

impl<const R: usize, const M: usize> WithSimd for KernelAndTile<WeightGradient<'_>, R, M> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let WeightGradient {
            sizes,
            input,
            gradient,
            rows,
            rows_a_block,
            scratch,
        } = self.0;
        let Scratch {
            strip,
            tiles,
            out_strip,
            out_tiles,
            sums,
            ..
        } = scratch;
        let place_size = sizes.inputs * PANEL;
        sums.resize(panels(sizes) * PLACES * place_size, 0.0);
        let first = rows.first;
        for rows in rows.split(rows_a_block) {
            transform_input::<S, M>(simd, sizes, input, rows, strip, tiles);
            let size = Size {
                rows: rows.count() * Rows::tiles(sizes),
                columns: sizes.inputs,
                stride: tiles.depth,
            };
            for (panel, sums) in sums.chunks_exact_mut(PLACES * place_size).enumerate() {
                transform_gradient::<S, M>(
                    simd,
                    sizes,
                    gradient,
                    rows,
                    panel * PANEL,
                    out_strip,
                    out_tiles,
                );
                for (place, sums) in sums.chunks_exact_mut(place_size).enumerate() {
                    let values = Panel {
                        values: out_tiles.place(place),
                        stride: PANEL,
                    };
                    multiply_transposed::<S>(
                        simd,
                        tiles.place(place),
                        size,
                        values,
                        sums,
                        rows.first > first,
                    );
                }
            }
        }
        let mut kernels = vec![0.0; panels(sizes) * sizes.inputs * R * R * PANEL];
        let of_panels = kernels.chunks_exact_mut(sizes.inputs * R * R * PANEL);
        for (kernels, sums) in of_panels.zip(sums.chunks_exact(PLACES * place_size)) {
            kernels_of_sums::<S, R>(simd, sums, kernels);
        }
        kernels
    }
}

/// `A y Aᵀ` of every tile of the block, for a panel of channels from `first` on.
#[inline(always)]
fn transform_gradient<S: Simd, const M: usize>(
    simd: S,
    sizes: &Sizes,
    gradient: &[f32],
    rows: Rows,
    first: usize,
    strip: &mut Strip,
    tiles: &mut Tiles,
) {
    let (stride, mut to) = (tiles.stride, 0);
    for (n, y) in rows.each(sizes) {
        let image = Image {
            values: &gradient[n * sizes.out_image()..(n + 1) * sizes.out_image()],
            width: sizes.out_width,
            channels: sizes.outputs,
            first,
            past: sizes.outputs.min(first + PANEL),
        };
        strip.fill(image, y * M, 0);
        let (values, transformed) = (strip.values(), tiles.values_mut());
        for x in 0..Rows::tiles(sizes) {
            for c in (0..PANEL).step_by(S::F32_LANES) {
                both_ways::<S, M, SIDE>(
                    simd,
                    #[inline(always)]
                    |i, j| load::<S>(values, (i * strip.width + x * M + j) * strip.depth + c),
                    #[inline(always)]
                    |y| evaluate::<S, M>(simd, y),
                    #[inline(always)]
                    |i, j, v| store::<S>(transformed, (i * SIDE + j) * stride + to + c, v),
                );
            }
            to += PANEL;
        }
    }
}

/// `Gᵀ u G` of a panel's sums `[place, input, PANEL]`, as `[input, r, r, PANEL]`.
#[inline(always)]
fn kernels_of_sums<S: Simd, const R: usize>(simd: S, sums: &[f32], kernels: &mut [f32]) {
    let place_size = sums.len() / PLACES;
    for (input, kernel) in kernels.chunks_exact_mut(R * R * PANEL).enumerate() {
        for lane in (0..PANEL).step_by(S::F32_LANES) {
            both_ways::<S, SIDE, R>(
                simd,
                #[inline(always)]
                |y, x| load::<S>(sums, (y * SIDE + x) * place_size + input * PANEL + lane),
                #[inline(always)]
                |u| interpolate::<S, R>(simd, scale::<S>(simd, u)),
                #[inline(always)]
                |y, x, g| store::<S>(kernel, (y * R + x) * PANEL + lane, g),
            );
        }
    }
}

/// `[panel, input, r, r, PANEL]` as `[outputs, inputs, r, r]`.
fn by_output(kernels: &[f32], sizes: &Sizes) -> Vec<f32> {
    let square = sizes.kernel.area();
    let of_panel = sizes.inputs * square * PANEL;
    let of_output = sizes.inputs * square;
    cpu::in_blocks(
        cpu::lengths(sizes.weights(), of_output),
        |output, weight| {
            let kernels = &kernels[output / PANEL * of_panel..][..of_panel];
            let values = kernels[output % PANEL..].iter().step_by(PANEL);
            weight
                .iter_mut()
                .zip(values)
                .for_each(|(weight, value)| *weight = *value);
        },
    )
}

/// Divides the values at the points by [`SCALES`]' products.
#[inline(always)]
fn scale<S: Simd>(simd: S, mut values: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    for i in 0..SIDE {
        values[i] = simd.mul_f32s(values[i], simd.splat_f32s(SCALES[i]));
    }
    values
}
