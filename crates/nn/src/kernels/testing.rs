//! What the kernels' tests share.

use candle_core::{Device, Tensor};
use pulp::Arch as Isa;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// All sets of instructions that there are here, the widest vectors first.
pub(crate) fn archs() -> Vec<Isa> {
    let mut archs = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        archs.extend(pulp::x86::V4::try_new().map(Isa::V4));
        archs.extend(pulp::x86::V3::try_new().map(Isa::V3));
    }
    archs.push(Isa::Scalar);
    archs
}

pub(crate) fn by_lot(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Values in ±1 on the CPU, the same for a seed.
pub(crate) fn tensor_by_lot(shape: &[usize], seed: u64) -> Tensor {
    let values = by_lot(shape.iter().product(), &mut ChaCha8Rng::seed_from_u64(seed));
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// The largest distance of sums of so many products of values by lot, as a part of what such a sum is by its deviation.
pub(crate) fn apart(sums: &[f32], expected: &[f64], terms: usize) -> f64 {
    assert_eq!(sums.len(), expected.len());
    let pairs = sums.iter().zip(expected);
    let furthest = pairs.map(|(a, b)| (f64::from(*a) - b).abs());
    // The product of two values in ±1 deviates by 1/3.
    furthest.fold(0.0, f64::max) / ((terms as f64).sqrt() / 3.0)
}

/// Sums of products as f64 has them, each with the sum of its terms' magnitudes.
pub(crate) type Sums = Vec<(f64, f64)>;

/// Adds a product to a sum.
pub(crate) fn add(sum: &mut (f64, f64), product: f64) {
    *sum = (sum.0 + product, sum.1 + product.abs());
}

/// The largest distance of f32's sums of so many products from f64's, as a part of what rounding can make of it in any order of
/// adding up: `γ_n Σ |x w|`, where `γ_n = n u / (1 − n u)` and u = 2⁻²⁴ (Higham 2002, Eq. 3.5).
pub(crate) fn of_rounding(sums: &[f32], expected: &[(f64, f64)], terms: usize) -> f64 {
    assert_eq!(sums.len(), expected.len());
    let rounded = terms as f64 * 2f64.powi(-24);
    let gamma = rounded / (1.0 - rounded);
    let part = |(sum, (exact, magnitude)): (&f32, &(f64, f64))| {
        (f64::from(*sum) - exact).abs() / (gamma * magnitude).max(f64::MIN_POSITIVE)
    };
    sums.iter().zip(expected).map(part).fold(0.0, f64::max)
}
