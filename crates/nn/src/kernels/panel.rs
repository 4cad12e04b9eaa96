//! Matrix products with panels of a few vectors in width: some rows at a time, their sums kept in registers.

// Over plain indices every loop is unrolled and the sums stay in registers.
#![allow(clippy::needless_range_loop)]

use pulp::Simd;

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

/// A panel in memory: its rows, of [`PANEL`] columns each, lie `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Panel<T> {
    pub values: T,
    pub stride: usize,
}

/// `out = a · b`, or `out += a · b`.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    a: &[f32],
    size: Size,
    b: Panel<&[f32]>,
    out: Panel<&mut [f32]>,
    add: bool,
) {
    for at in (0..PANEL).step_by(VECTORS * S::F32_LANES) {
        by_rows!(simd: S, size.rows, |first, ROWS| {
            let rows = rows::<ROWS>(&a[first * size.stride..], size.columns, size.stride);
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            if add {
                for r in 0..ROWS {
                    sums[r] = *pair_mut::<S>(&mut out.values[(first + r) * out.stride + at..]);
                }
            }
            for (d, b) in b.values.chunks(b.stride).take(size.columns).enumerate() {
                let b = pair::<S>(&b[at..]);
                for r in 0..ROWS {
                    let a = simd.splat_f32s(rows[r][d]);
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
#[inline(always)]
pub(super) fn multiply_transposed<S: Simd>(
    simd: S,
    a: &[f32],
    size: Size,
    b: Panel<&[f32]>,
    out: &mut [f32],
    add: bool,
) {
    for at in (0..PANEL).step_by(VECTORS * S::F32_LANES) {
        by_rows!(simd: S, size.columns, |first, ROWS| {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            if add {
                for r in 0..ROWS {
                    sums[r] = *pair_mut::<S>(&mut out[(first + r) * PANEL + at..]);
                }
            }
            for (a, b) in a.chunks(size.stride).zip(b.values.chunks(b.stride)).take(size.rows) {
                let (a, b) = (&a[first..first + ROWS], pair::<S>(&b[at..]));
                for r in 0..ROWS {
                    let a = simd.splat_f32s(a[r]);
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

fn rows<const ROWS: usize>(a: &[f32], depth: usize, stride: usize) -> [&[f32]; ROWS] {
    std::array::from_fn(|r| &a[r * stride..r * stride + depth])
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
