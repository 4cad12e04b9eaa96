//! Matrix products with panels of a vector or a few in width: some rows at a time, their sums kept in registers.

// Over plain indices every loop is unrolled and the sums stay in registers.
#![allow(clippy::needless_range_loop)]

use std::borrow::Cow;

use pulp::{Arch as Isa, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu;
use super::epilogue::Epilogue;

/// Columns of the right matrix that lie together: two vectors of 256 bits. Wider panels, of which half is read at a time, would fill
/// half the sets of the innermost cache and leave the others empty.
pub(super) const PANEL: usize = 16;

/// Runs `$body` with `$ROWS` rows at a time from `$first` on, as many as the registers hold, and then with what is left.
macro_rules! by_rows {
    ($simd:ident: $S:ident, $count:expr, |$first:ident, $ROWS:ident| $body:expr) => {{
        let (count, mut $first) = ($count, 0);
        if $S::REGISTER_COUNT >= 32 {
            const $ROWS: usize = 12;
            while $first + $ROWS <= count {
                $body;
                $first += $ROWS;
            }
        }
        {
            const $ROWS: usize = 6;
            while $first + $ROWS <= count {
                $body;
                $first += $ROWS;
            }
        }
        by_rows!(@rest count - $first, |$ROWS| $body, 1 2 3 4 5);
    }};
    (@rest $count:expr, |$ROWS:ident| $body:expr, $($rows:literal)*) => {
        match $count {
            $($rows => {
                const $ROWS: usize = $rows;
                $body;
            })*
            _ => (),
        }
    };
}

/// Runs `$body` for each in order, several without a look at whether they are the last: what counts and addresses them takes half as
/// many instructions as their products. (In a function the sums would not stay in registers.)
macro_rules! in_order {
    ($count:expr, |$place:ident| $body:expr) => {{
        const AT_A_TIME: usize = 4;
        let (count, mut next) = ($count, 0);
        while next + AT_A_TIME <= count {
            for step in 0..AT_A_TIME {
                let $place = next + step;
                $body
            }
            next += AT_A_TIME;
        }
        while next < count {
            let $place = next;
            $body
            next += 1;
        }
    }};
}

/// A matrix in row order: how many rows, how many columns, and how far apart the rows lie.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub rows: usize,
    pub columns: usize,
    pub stride: usize,
}

/// A matrix `[outputs, depth]` as panels `[depth, PANEL]` of outputs, with zeros beside the last ones.
pub(super) struct Panels<'a> {
    outputs: usize,
    depth: usize,
    values: Cow<'a, [f32]>,
}

/// Depth that is taken at a time: a panel's part of it stays in the innermost cache.
const DEPTH: usize = 256;

/// Values of rows that stay in a core's own cache.
const ROWS_CACHE: usize = 1 << 16;

/// Rows are multiplied so many at a time, where there are as many.
const ROWS_AT_A_TIME: usize = 6;

/// How many of these rows a thread takes at a time: as many as stay in its cache, and as many for one thread as for another.
pub(super) fn rows_a_block(count: usize, depth: usize) -> usize {
    let threads = rayon::current_num_threads();
    let most = (ROWS_CACHE / depth.max(1)).max(ROWS_AT_A_TIME);
    let blocks = count.div_ceil(most).next_multiple_of(threads).max(1);
    let block = count.div_ceil(blocks).max(1);
    block.next_multiple_of(ROWS_AT_A_TIME)
}

/// Rows of another matrix, as many values of each as panels are deep.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    pub count: usize,
    /// From one to the next.
    pub stride: usize,
}

impl<'a> Panels<'a> {
    /// Of the values of panels that were made before.
    pub fn packed(values: Cow<'a, [f32]>, outputs: usize, depth: usize) -> Self {
        Panels {
            outputs,
            depth,
            values,
        }
    }

    /// As they lie in memory: `[panel, depth, PANEL]`.
    pub fn into_values(self) -> Vec<f32> {
        self.values.into_owned()
    }

    /// Of weights `[outputs, inputs, places]`, of which panels have the depth `[places, inputs]`.
    pub fn new(weight: &[f32], outputs: usize, places: usize) -> Self {
        let depth = weight.len() / outputs.max(1);
        let inputs = depth / places.max(1);
        let values = cpu::in_blocks(
            std::iter::repeat_n(depth * PANEL, outputs.div_ceil(PANEL)),
            |panel, values: &mut [f32]| {
                let first = panel * PANEL;
                let rows = &weight[first * depth..];
                // What is written for some inputs stays in the cache for all outputs.
                for input in (0..inputs).step_by(PANEL) {
                    let past = inputs.min(input + PANEL);
                    for (lane, row) in rows.chunks_exact(depth).take(PANEL).enumerate() {
                        for place in 0..places {
                            let to = place * inputs + input..place * inputs + past;
                            let to =
                                values[to.start * PANEL..to.end * PANEL].chunks_exact_mut(PANEL);
                            let from = row[input * places..past * places].chunks_exact(places);
                            to.zip(from).for_each(|(to, from)| to[lane] = from[place]);
                        }
                    }
                }
            },
        );
        Panels::packed(values.into(), outputs, depth)
    }

    /// Of the transposed matrix, `[depth, outputs]`.
    fn of_columns(values: &[f32], outputs: usize) -> Self {
        let depth = values.len() / outputs.max(1);
        let mut panels = vec![0.0; outputs.div_ceil(PANEL) * depth * PANEL];
        for (panel, to) in panels.chunks_exact_mut(depth * PANEL).enumerate() {
            let width = PANEL.min(outputs - panel * PANEL);
            let rows = values.chunks_exact(outputs);
            for (to, from) in to.chunks_exact_mut(PANEL).zip(rows) {
                to[..width].copy_from_slice(&from[panel * PANEL..][..width]);
            }
        }
        Panels::packed(panels.into(), outputs, depth)
    }

    /// `rows · panelsᵀ` of rows that lie one behind another: rows of all outputs.
    pub fn product(&self, arch: Isa, rows: &[f32], epilogue: &Epilogue<f32>) -> Vec<f32> {
        let count = rows.len() / self.depth.max(1);
        let block = rows_a_block(count, self.depth);
        let lengths = cpu::lengths(count * self.outputs, block * self.outputs);
        cpu::in_blocks(lengths, |place, output: &mut [f32]| {
            arch.dispatch(Product {
                panels: self,
                rows: Rows {
                    values: &rows[place * block * self.depth..],
                    count: output.len() / self.outputs,
                    stride: self.depth,
                },
                epilogue,
                output,
            });
        })
    }

    /// `rows · panelsᵀ`, to rows of all outputs.
    #[inline(always)]
    pub fn multiply<S: Simd>(&self, simd: S, rows: Rows, output: &mut [f32]) {
        let mut last = Vec::new();
        for first in (0..self.depth).step_by(DEPTH) {
            let columns = DEPTH.min(self.depth - first);
            let size = Size {
                rows: rows.count,
                columns,
                stride: rows.stride,
            };
            let a = &rows.values[first.min(rows.values.len())..];
            let all = self.values.chunks_exact(self.depth * PANEL).enumerate();
            for (panel, values) in all {
                let b = Panel {
                    values: &values[first * PANEL..(first + columns) * PANEL],
                    stride: PANEL,
                };
                let at = panel * PANEL;
                if at + PANEL <= self.outputs {
                    let out = Panel {
                        values: &mut output[at..],
                        stride: self.outputs,
                    };
                    multiply(simd, a, size, b, PANEL, out, first > 0);
                } else {
                    last.resize(rows.count * PANEL, 0.0);
                    let out = Panel {
                        values: last.as_mut_slice(),
                        stride: PANEL,
                    };
                    let width = self.outputs - at;
                    multiply(simd, a, size, b, width, out, first > 0);
                }
            }
        }
        let width = self.outputs % PANEL;
        for (to, from) in output
            .chunks_exact_mut(self.outputs)
            .zip(last.chunks_exact(PANEL))
        {
            to[self.outputs - width..].copy_from_slice(&from[..width]);
        }
    }
}

/// The products of matrices `[rows, depth]` and `[depth, columns]`, pair by pair.
pub(super) fn products(
    arch: Isa,
    a: &[f32],
    b: &[f32],
    [pairs, rows, depth, columns]: [usize; 4],
) -> Vec<f32> {
    let panels = b.par_chunks_exact(depth * columns);
    let panels: Vec<Panels> = panels.map(|b| Panels::of_columns(b, columns)).collect();
    let block = rows_a_block(pairs * rows, depth).min(rows);
    let of_pair = cpu::lengths(rows * columns, block * columns);
    let blocks = of_pair.clone().count();
    let lengths = (0..pairs).flat_map(|_| of_pair.clone());
    cpu::in_blocks(lengths, |place, output: &mut [f32]| {
        let (pair, first) = (place / blocks, place % blocks * block);
        arch.dispatch(Product {
            panels: &panels[pair],
            rows: Rows {
                values: &a[(pair * rows + first) * depth..],
                count: output.len() / columns,
                stride: depth,
            },
            epilogue: &Epilogue {
                bias: &[],
                relu: false,
            },
            output,
        });
    })
}

struct Product<'a> {
    panels: &'a Panels<'a>,
    rows: Rows<'a>,
    epilogue: &'a Epilogue<'a, f32>,
    output: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.panels.multiply(simd, self.rows, self.output);
        let rows = self.output.chunks_exact_mut(self.panels.outputs);
        rows.for_each(|row| self.epilogue.apply(row));
    }
}

/// A panel in memory: its rows, of [`PANEL`] columns each, lie `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Panel<T> {
    pub values: T,
    pub stride: usize,
}

/// `out = a · b`, or `out += a · b`, of the first `width` columns; what becomes of the others is not said.
///
/// # Panics
/// If one of them is shorter than the sizes say.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    a: &[f32],
    size: Size,
    b: Panel<&[f32]>,
    width: usize,
    out: Panel<&mut [f32]>,
    add: bool,
) {
    match S::F32_LANES < PANEL {
        true => multiply_by::<S, 2>(simd, a, size, b, width, out, add),
        false => multiply_by::<S, 1>(simd, a, size, b, width, out, add),
    }
}

/// [`multiply`] by so many vectors at a time.
#[inline(always)]
fn multiply_by<S: Simd, const VECTORS: usize>(
    simd: S,
    a: &[f32],
    size: Size,
    b: Panel<&[f32]>,
    width: usize,
    out: Panel<&mut [f32]>,
    add: bool,
) {
    assert!(a.len() >= reach(size.rows, size.stride, size.columns));
    assert!(b.values.len() >= reach(size.columns, b.stride, PANEL) && width <= PANEL);
    for at in (0..width).step_by(VECTORS * S::F32_LANES) {
        by_rows!(simd: S, size.rows, |first, ROWS| {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            if add {
                for r in 0..ROWS {
                    sums[r] = *vectors_mut::<S, VECTORS>(&mut out.values[(first + r) * out.stride + at..]);
                }
            }
            in_order!(size.columns, |d| {
                // SAFETY: d is below `columns`, and `at` with the vectors' width no more than a panel's, as the second assertion has it.
                let b = vectors::<S, VECTORS>(unsafe {
                    b.values.get_unchecked(d * b.stride + at..d * b.stride + at + VECTORS * S::F32_LANES)
                });
                for r in 0..ROWS {
                    // SAFETY: `first + r` is below `rows`, and d below `columns`, as the first assertion has it.
                    let a = simd.splat_f32s(unsafe { *a.get_unchecked((first + r) * size.stride + d) });
                    for v in 0..VECTORS {
                        sums[r][v] = simd.mul_add_f32s(a, b[v], sums[r][v]);
                    }
                }
            });
            for r in 0..ROWS {
                *vectors_mut::<S, VECTORS>(&mut out.values[(first + r) * out.stride + at..]) = sums[r];
            }
        });
    }
}

/// `out = aᵀ · b`, or `out += aᵀ · b`, where `out` has as many rows as `a` has columns.
///
/// # Panics
/// If one of them is shorter than the sizes say.
#[inline(always)]
pub(super) fn multiply_transposed<S: Simd>(
    simd: S,
    a: &[f32],
    size: Size,
    b: Panel<&[f32]>,
    out: &mut [f32],
    add: bool,
) {
    match S::F32_LANES < PANEL {
        true => multiply_transposed_by::<S, 2>(simd, a, size, b, out, add),
        false => multiply_transposed_by::<S, 1>(simd, a, size, b, out, add),
    }
}

/// [`multiply_transposed`] by so many vectors at a time.
#[inline(always)]
fn multiply_transposed_by<S: Simd, const VECTORS: usize>(
    simd: S,
    a: &[f32],
    size: Size,
    b: Panel<&[f32]>,
    out: &mut [f32],
    add: bool,
) {
    assert!(a.len() >= reach(size.rows, size.stride, size.columns));
    assert!(b.values.len() >= reach(size.rows, b.stride, PANEL));
    for at in (0..PANEL).step_by(VECTORS * S::F32_LANES) {
        by_rows!(simd: S, size.columns, |first, ROWS| {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            if add {
                for r in 0..ROWS {
                    sums[r] = *vectors_mut::<S, VECTORS>(&mut out[(first + r) * PANEL + at..]);
                }
            }
            in_order!(size.rows, |row| {
                // SAFETY: as in `multiply`, of `row` below `rows` and `first + r` below `columns`.
                let (a, b) = unsafe {
                    (
                        a.get_unchecked(row * size.stride + first..),
                        b.values.get_unchecked(row * b.stride + at..row * b.stride + at + VECTORS * S::F32_LANES),
                    )
                };
                let b = vectors::<S, VECTORS>(b);
                for r in 0..ROWS {
                    // SAFETY: likewise.
                    let a = simd.splat_f32s(unsafe { *a.get_unchecked(r) });
                    for v in 0..VECTORS {
                        sums[r][v] = simd.mul_add_f32s(a, b[v], sums[r][v]);
                    }
                }
            });
            for r in 0..ROWS {
                *vectors_mut::<S, VECTORS>(&mut out[(first + r) * PANEL + at..]) = sums[r];
            }
        });
    }
}

/// How many values rows of so many take that lie `stride` apart.
fn reach(rows: usize, stride: usize, values: usize) -> usize {
    let before = |last: usize| last.saturating_mul(stride).saturating_add(values);
    rows.checked_sub(1).map_or(0, before)
}

#[inline(always)]
fn vectors<S: Simd, const VECTORS: usize>(values: &[f32]) -> [S::f32s; VECTORS] {
    let values = S::as_simd_f32s(&values[..VECTORS * S::F32_LANES]).0;
    std::array::from_fn(|v| values[v])
}

#[inline(always)]
fn vectors_mut<S: Simd, const VECTORS: usize>(values: &mut [f32]) -> &mut [S::f32s; VECTORS] {
    let values = S::as_mut_simd_f32s(&mut values[..VECTORS * S::F32_LANES]).0;
    pulp::as_arrays_mut::<VECTORS, _>(values)
        .0
        .first_mut()
        .expect("a panel is a multiple of this")
}
