//! Matrix products with panels of a few vectors in width: some rows at a time, their sums kept in registers.

// Over plain indices every loop is unrolled and the sums stay in registers.
#![allow(clippy::needless_range_loop)]

use pulp::{Arch as Isa, Simd, WithSimd};

use super::cpu;
use super::epilogue::Epilogue;

/// Columns of the right matrix that lie together.
pub(super) const PANEL: usize = 32;
/// Vectors of a panel that are computed at a time.
const VECTORS: usize = 2;

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

/// A matrix in row order: how many rows, how many columns, and how far apart the rows lie.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub rows: usize,
    pub columns: usize,
    pub stride: usize,
}

/// A matrix `[outputs, depth]` as panels `[depth, PANEL]` of outputs, with zeros beside the last ones.
pub(super) struct Panels {
    outputs: usize,
    depth: usize,
    values: Vec<f32>,
}

/// Depth that is taken at a time: a panel's part of it stays in the innermost cache.
const DEPTH: usize = 256;

/// Values of rows that stay in a core's own cache.
pub(super) const ROWS_CACHE: usize = 1 << 16;

/// Rows are multiplied so many at a time, where there are as many.
pub(super) const ROWS_AT_A_TIME: usize = 12;

/// Rows of another matrix, as many values of each as panels are deep.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    pub count: usize,
    /// From one to the next.
    pub stride: usize,
}

impl Panels {
    /// Of the value of every output at every depth.
    pub fn new(
        outputs: usize,
        depth: usize,
        value: impl Fn(usize, usize) -> f32 + Send + Sync,
    ) -> Self {
        let count = outputs.div_ceil(PANEL);
        let values = cpu::in_blocks(
            std::iter::repeat_n(depth * PANEL, count),
            |panel, values: &mut [f32]| {
                let first = panel * PANEL;
                for lane in 0..PANEL.min(outputs - first) {
                    let lanes = values.iter_mut().skip(lane).step_by(PANEL);
                    lanes
                        .enumerate()
                        .for_each(|(place, to)| *to = value(first + lane, place));
                }
            },
        );
        Panels {
            outputs,
            depth,
            values,
        }
    }

    /// `rows · panelsᵀ` of rows that lie one behind another: rows of all outputs.
    pub fn product(&self, arch: Isa, rows: &[f32], epilogue: &Epilogue<f32>) -> Vec<f32> {
        let count = rows.len() / self.depth.max(1);
        let share = count.div_ceil(rayon::current_num_threads());
        let block = (ROWS_CACHE / self.depth.max(1)).min(share);
        let block = block.max(1).next_multiple_of(ROWS_AT_A_TIME);
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

struct Product<'a> {
    panels: &'a Panels,
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
    assert!(a.len() >= reach(size.rows, size.stride, size.columns));
    assert!(b.values.len() >= reach(size.columns, b.stride, PANEL) && width <= PANEL);
    for at in (0..width).step_by(VECTORS * S::F32_LANES) {
        by_rows!(simd: S, size.rows, |first, ROWS| {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            if add {
                for r in 0..ROWS {
                    sums[r] = *pair_mut::<S>(&mut out.values[(first + r) * out.stride + at..]);
                }
            }
            for d in 0..size.columns {
                // SAFETY: d is below `columns`, and `at` with the pair's width no more than a panel's, as the second assertion has it.
                let b = pair::<S>(unsafe { b.values.get_unchecked(d * b.stride + at..d * b.stride + at + VECTORS * S::F32_LANES) });
                for r in 0..ROWS {
                    // SAFETY: `first + r` is below `rows`, and d below `columns`, as the first assertion has it.
                    let a = unsafe { *a.get_unchecked((first + r) * size.stride + d) };
                    let a = simd.splat_f32s(a);
                    sums[r] = [
                        simd.mul_add_f32s(a, b[0], sums[r][0]),
                        simd.mul_add_f32s(a, b[1], sums[r][1]),
                    ];
                }
            }
            for r in 0..ROWS {
                *pair_mut::<S>(&mut out.values[(first + r) * out.stride + at..]) = sums[r];
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
    assert!(a.len() >= reach(size.rows, size.stride, size.columns));
    assert!(b.values.len() >= reach(size.rows, b.stride, PANEL));
    for at in (0..PANEL).step_by(VECTORS * S::F32_LANES) {
        by_rows!(simd: S, size.columns, |first, ROWS| {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            if add {
                for r in 0..ROWS {
                    sums[r] = *pair_mut::<S>(&mut out[(first + r) * PANEL + at..]);
                }
            }
            for row in 0..size.rows {
                // SAFETY: as in `multiply`, of `row` below `rows` and `first + r` below `columns`.
                let (a, b) = unsafe {
                    (
                        a.get_unchecked(row * size.stride + first..),
                        b.values.get_unchecked(row * b.stride + at..row * b.stride + at + VECTORS * S::F32_LANES),
                    )
                };
                let b = pair::<S>(b);
                for r in 0..ROWS {
                    // SAFETY: likewise.
                    let a = simd.splat_f32s(unsafe { *a.get_unchecked(r) });
                    sums[r] = [
                        simd.mul_add_f32s(a, b[0], sums[r][0]),
                        simd.mul_add_f32s(a, b[1], sums[r][1]),
                    ];
                }
            }
            for r in 0..ROWS {
                *pair_mut::<S>(&mut out[(first + r) * PANEL + at..]) = sums[r];
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
fn pair<S: Simd>(values: &[f32]) -> [S::f32s; VECTORS] {
    let values = S::as_simd_f32s(&values[..VECTORS * S::F32_LANES]).0;
    [values[0], values[1]]
}

#[inline(always)]
fn pair_mut<S: Simd>(values: &mut [f32]) -> &mut [S::f32s; VECTORS] {
    let values = S::as_mut_simd_f32s(&mut values[..VECTORS * S::F32_LANES]).0;
    pulp::as_arrays_mut::<VECTORS, _>(values)
        .0
        .first_mut()
        .expect("a panel is a multiple of this")
}
