//! The matrix products over the channels: a few rows at a time, kept in registers.

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

/// `out [count, PANEL] = a [count, depth] · b [depth, PANEL]`; the rows of `a` lie `stride` apart.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    a: &[f32],
    (count, depth, stride): (usize, usize, usize),
    b: &[f32],
    out: &mut [f32],
) {
    for at in (0..PANEL).step_by(VECTORS * S::F32_LANES) {
        by_rows!(simd: S, count, |first, ROWS| {
            let rows = rows::<ROWS>(&a[first * stride..], depth, stride);
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            for (d, b) in b.chunks_exact(PANEL).take(depth).enumerate() {
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
                *pair_mut::<S>(&mut out[(first + r) * PANEL + at..]) = sums[r];
            }
        });
    }
}

/// `out [count, PANEL] += aᵀ · b`, with `a [depth, count]`, its rows `stride` apart, and `b [depth, PANEL]`.
#[inline(always)]
pub(super) fn multiply_transposed<S: Simd>(
    simd: S,
    a: &[f32],
    (count, depth, stride): (usize, usize, usize),
    b: &[f32],
    out: &mut [f32],
) {
    for at in (0..PANEL).step_by(VECTORS * S::F32_LANES) {
        by_rows!(simd: S, count, |first, ROWS| {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            for r in 0..ROWS {
                sums[r] = *pair_mut::<S>(&mut out[(first + r) * PANEL + at..]);
            }
            for (a, b) in a.chunks(stride).zip(b.chunks_exact(PANEL)).take(depth) {
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
