//! The transforms between a tile and its places.
//!
//! A tile's values, or a kernel's, are the coefficients of a polynomial. `evaluate` takes it to its values at six points: 0, ±P,
//! ±Q and ∞ (where the value is the leading coefficient). `interpolate` is the transpose, and `analyse` the matrix `Bᵀ` that
//! makes the whole an exact convolution. Two of the three directions are done with each pair of maps (Lavin & Gray 2016, Eq. 8).
//! The points decide how many digits are lost (Barabasz et al. 2020, "Error analysis and improving the accuracy of Winograd
//! convolution for deep neural networks"): these lose fewer than the usual ±1 and ±2, and are exact in binary as well.

use pulp::Simd;

/// A tile's side, or the number of points.
pub(super) const SIDE: usize = 6;
/// Places in a transformed tile.
pub(super) const PLACES: usize = SIDE * SIDE;

const P: f32 = 0.75;
const Q: f32 = 1.5;

/// What the kernel's values at the points are multiplied by: `1 / Π_{j ≠ i} (p_i − p_j)` over the finite points, and 1 at ∞.
pub(super) const SCALES: [f32; SIDE] = {
    let points = [0.0, P, -P, Q, -Q];
    let mut scales = [1.0; SIDE];
    let mut i = 0;
    while i < points.len() {
        let (mut j, mut product) = (0, 1.0f64);
        while j < points.len() {
            if i != j {
                product *= (points[i] - points[j]) as f64;
            }
            j += 1;
        }
        scales[i] = (1.0 / product) as f32;
        i += 1;
    }
    scales
};

/// `c − a·b`.
#[inline(always)]
fn minus<S: Simd>(simd: S, c: S::f32s, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.mul_add_f32s(simd.neg_f32s(a), b, c)
}

/// The values at the points of the polynomial with the first N coefficients in `c`.
#[inline(always)]
pub(super) fn evaluate<S: Simd, const N: usize>(simd: S, c: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    // By Horner's rule in p², for the even and the odd coefficients.
    let halves = |p: f32| {
        let square = simd.splat_f32s(p * p);
        let (mut even, mut odd) = (c[(N - 1) & !1], c[(N - 2) | 1]);
        let mut j = (N - 1) & !1;
        while j >= 2 {
            j -= 2;
            even = simd.mul_add_f32s(even, square, c[j]);
        }
        let mut j = (N - 2) | 1;
        while j >= 3 {
            j -= 2;
            odd = simd.mul_add_f32s(odd, square, c[j]);
        }
        (even, odd)
    };
    let (p, q) = (simd.splat_f32s(P), simd.splat_f32s(Q));
    let (even_p, odd_p) = halves(P);
    let (even_q, odd_q) = halves(Q);
    [
        c[0],
        simd.mul_add_f32s(odd_p, p, even_p),
        minus(simd, even_p, odd_p, p),
        simd.mul_add_f32s(odd_q, q, even_q),
        minus(simd, even_q, odd_q, q),
        c[N - 1],
    ]
}

/// The transpose of [`evaluate`]: N values; what lies beyond them has no meaning.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "over iterators it takes an eighth longer"
)]
pub(super) fn interpolate<S: Simd, const N: usize>(simd: S, v: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let sums = [simd.add_f32s(v[1], v[2]), simd.add_f32s(v[3], v[4])];
    let differences = [simd.sub_f32s(v[1], v[2]), simd.sub_f32s(v[3], v[4])];
    let mut c = [v[0]; SIDE];
    c[0] = simd.add_f32s(v[0], simd.add_f32s(sums[0], sums[1]));
    let (mut p, mut q) = (1.0, 1.0);
    for j in 1..N {
        (p, q) = (p * P, q * Q);
        let of = if j % 2 == 0 { sums } else { differences };
        let p = simd.splat_f32s(p);
        let first = if j + 1 == N {
            simd.mul_add_f32s(of[0], p, v[5])
        } else {
            simd.mul_f32s(of[0], p)
        };
        c[j] = simd.mul_add_f32s(of[1], simd.splat_f32s(q), first);
    }
    c
}

/// `Bᵀ`: row i holds the coefficients of `Π_{j ≠ i} (x − p_j)` over the finite points.
#[inline(always)]
pub(super) fn analyse<S: Simd>(simd: S, d: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    let (p, q) = (simd.splat_f32s(P), simd.splat_f32s(Q));
    let (pp, qq) = (simd.splat_f32s(P * P), simd.splat_f32s(Q * Q));
    let sum = simd.splat_f32s(P * P + Q * Q);
    let product = simd.splat_f32s(P * P * Q * Q);
    let even_p = minus(simd, d[4], d[2], qq);
    let odd_p = minus(simd, d[3], d[1], qq);
    let even_q = minus(simd, d[4], d[2], pp);
    let odd_q = minus(simd, d[3], d[1], pp);
    [
        simd.mul_add_f32s(d[0], product, minus(simd, d[4], d[2], sum)),
        simd.mul_add_f32s(odd_p, p, even_p),
        minus(simd, even_p, odd_p, p),
        simd.mul_add_f32s(odd_q, q, even_q),
        minus(simd, even_q, odd_q, q),
        simd.mul_add_f32s(d[1], product, minus(simd, d[5], d[3], sum)),
    ]
}

/// The first N values, and `rest` beyond. (`array::from_fn` would be compiled once, without the wider vectors.)
#[inline(always)]
fn six<T: Copy, const N: usize>(rest: T, mut value: impl FnMut(usize) -> T) -> [T; SIDE] {
    [
        value(0),
        if N > 1 { value(1) } else { rest },
        if N > 2 { value(2) } else { rest },
        if N > 3 { value(3) } else { rest },
        if N > 4 { value(4) } else { rest },
        if N > 5 { value(5) } else { rest },
    ]
}

/// Applies a map of N values to M along the rows and then along the columns of a square.
#[inline(always)]
pub(super) fn both_ways<S: Simd, const N: usize, const M: usize>(
    simd: S,
    mut load: impl FnMut(usize, usize) -> S::f32s,
    map: impl Fn([S::f32s; SIDE]) -> [S::f32s; SIDE],
    mut store: impl FnMut(usize, usize, S::f32s),
) {
    let zero = simd.splat_f32s(0.0);
    let half = six::<_, N>(
        [zero; SIDE],
        #[inline(always)]
        |y| {
            map(six::<_, N>(
                zero,
                #[inline(always)]
                |x| load(y, x),
            ))
        },
    );
    six::<_, M>(
        (),
        #[inline(always)]
        |x| {
            let column = map(six::<_, N>(
                zero,
                #[inline(always)]
                |y| half[y][x],
            ));
            six::<_, M>(
                (),
                #[inline(always)]
                |y| store(y, x, column[y]),
            );
        },
    );
}
