//! Functions of f32 without branches, for a compiler to compute several at once. Relative to the function in f64 they err by a few of the
//! last places (the tests say how few).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch as Isa, NullaryFnOnce};

use super::cpu;
use super::layout::Aligned;

/// Between this and its negative, a number to which it is added and from which it is taken again is rounded to a whole one, halves to the
/// even neighbour: 1.5 · 2²³.
pub(crate) const ROUNDING: f32 = 12_582_912.0;

/// `c₀ xⁿ + … + cₙ`.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.0;
    for coefficient in coefficients {
        sum = sum * x + coefficient;
    }
    sum
}

/// `2ⁿ` of a whole n from −126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// `eˣ`: `2ⁿ` times a polynomial of the rest (Cephes, expf.c).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Behind these it is infinite, or 0.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDING;
    let n = shifted - ROUNDING;
    let rest = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let sum = polynomial(
        rest,
        [
            1.987_569_1e-4,
            1.398_2e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ],
    );
    let sum = sum * rest * rest + rest + 1.0;
    // In two steps, as neither 2¹²⁸ nor 2⁻¹⁵⁰ is a number of this type.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUNDING.to_bits() as i32);
    let half = (n >> 1).clamp(-126, 127);
    sum * power_of_two(half) * power_of_two((n - half).clamp(-126, 127))
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `tanh x`: a polynomial around 0 (Cephes, tanhf.c), and `1 − 2 / (e²ˣ + 1)` elsewhere.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let square = x * x;
    let near = polynomial(
        square,
        [
            -5.704_988_7e-3,
            2.063_909e-2,
            -5.373_971_6e-2,
            1.333_144_2e-1,
            -3.333_328e-1,
        ],
    );
    let near = near * square * x + x;
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    match x.abs() < 0.625 {
        true => near,
        false => far.copysign(x),
    }
}

/// The error function: a quotient of polynomials (as in Eigen and XLA), and 1 from 4 on.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let square = x * x;
    let above = polynomial(
        square,
        [
            -2.726_142_3e-10,
            2.770_681_4e-8,
            -2.101_024e-6,
            -5.692_506_4e-5,
            -7.349_906_3e-4,
            -2.954_6e-3,
            -1.609_603_3e-2,
        ],
    );
    let below = polynomial(
        square,
        [
            -1.456_607_2e-5,
            -2.133_740_6e-4,
            -1.682_827e-3,
            -7.373_329e-3,
            -1.426_473_9e-2,
        ],
    );
    let within = x * above / below;
    let above_four = if x >= 4.0 { 1.0 } else { within };
    if x <= -4.0 { -1.0 } else { above_four }
}

/// A function of every value, of f32 on the CPU that autograd does not follow; none for what is not that.
pub(crate) fn each(
    input: &Tensor,
    f: impl Fn(f32) -> f32 + Copy + Send + Sync,
) -> Option<Result<Tensor>> {
    cpu::are_single(&[input]).then(|| {
        let aligned = Aligned::new([input])?;
        aligned.restore(&aligned.tensors[0].apply_op1_no_bwd(&Each(f))?)
    })
}

struct Each<F>(F);

impl<F: Fn(f32) -> f32 + Copy + Send + Sync> CustomOp1 for Each<F> {
    fn name(&self) -> &'static str {
        "a function of every value"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = cpu::slice::<f32>(input, layout)?;
        let arch = Isa::new();
        let output = cpu::in_blocks(
            cpu::lengths(input.len(), cpu::CHUNK),
            |block, output: &mut [f32]| {
                arch.dispatch(Mapped {
                    f: self.0,
                    input: &input[block * cpu::CHUNK..],
                    output,
                });
            },
        );
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }
}

struct Mapped<'a, F> {
    f: F,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl<F: Fn(f32) -> f32> NullaryFnOnce for Mapped<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let pairs = self.output.iter_mut().zip(self.input);
        pairs.for_each(|(output, value)| *output = (self.f)(*value));
    }
}

/// The softmax of each row `[…, length]`, of contiguous f32 on the CPU that autograd does not follow; none for what is not that.
pub(crate) fn softmax(rows: &Tensor) -> Option<Result<Tensor>> {
    let suits = cpu::are_single(&[rows]) && rows.is_contiguous() && rows.rank() > 0;
    suits.then(|| rows.apply_op1_no_bwd(&Softmax))
}

struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = cpu::slice::<f32>(input, layout)?;
        let length = layout.dims().last().copied().unwrap_or(1).max(1);
        let block = (cpu::CHUNK / length).max(1) * length;
        let arch = Isa::new();
        let output = cpu::in_blocks(
            cpu::lengths(input.len(), block),
            |place, output: &mut [f32]| {
                arch.dispatch(SoftmaxRows {
                    input: &input[place * block..],
                    length,
                    output,
                });
            },
        );
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }
}

struct SoftmaxRows<'a> {
    input: &'a [f32],
    length: usize,
    output: &'a mut [f32],
}

/// Sums and maxima that are drawn beside each other, which a processor does at once.
const LANES: usize = 16;

/// All values drawn together, in lanes first.
#[inline(always)]
fn drawn(values: &[f32], start: f32, draw: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = draw(lanes[lane], block[lane]);
        }
    }
    let lanes = lanes.iter().chain(rest);
    lanes.fold(start, |drawn, value| draw(drawn, *value))
}

impl NullaryFnOnce for SoftmaxRows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let inputs = self.input.chunks_exact(self.length);
        let outputs = self.output.chunks_exact_mut(self.length);
        for (input, output) in inputs.zip(outputs) {
            // What is not a number stays so.
            let larger = |a: f32, b: f32| if a >= b { a } else { b };
            let largest = drawn(input, f32::NEG_INFINITY, larger);
            let pairs = output.iter_mut().zip(input);
            pairs.for_each(|(output, value)| *output = exp(*value - largest));
            let factor = 1.0 / drawn(output, 0.0, |sum, value| sum + value);
            output.iter_mut().for_each(|value| *value *= factor);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// The largest error, as a part of the function or of `least`, over numbers close to each other.
    fn error(f: fn(f32) -> f32, exact: fn(f64) -> f64, range: f32, least: f64) -> f64 {
        let steps = 200_000;
        let all = (-steps..=steps).map(|step| step as f32 / steps as f32 * range);
        let error = |x: f32| {
            let exact = exact(f64::from(x));
            (f64::from(f(x)) - exact).abs() / exact.abs().max(least)
        };
        all.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn they_err_by_a_few_of_the_last_places() {
        let last = f64::from(f32::EPSILON) / 2.0;
        let least = f64::from(f32::MIN_POSITIVE);
        let erf_of = |x| libm_erf(x);
        for (name, error, places) in [
            ("exp", error(exp, f64::exp, 87.0, least), 2.5),
            (
                "sigmoid",
                error(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 60.0, least),
                4.0,
            ),
            ("tanh", error(tanh, f64::tanh, 12.0, least), 4.0),
            ("erf", error(erf, erf_of, 6.0, least), 8.0),
        ] {
            assert!(
                error < places * last,
                "{name}: {} last places",
                error / last
            );
        }
    }

    /// candle's, of f64.
    fn libm_erf(x: f64) -> f64 {
        let x = Tensor::new(x, &Device::Cpu).unwrap();
        x.erf().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn ends_are_as_they_should_be() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        assert_eq!([exp(inf), exp(-inf), exp(0.0)], [inf, 0.0, 1.0]);
        assert_eq!([exp(89.0), exp(-104.0)], [inf, 0.0]);
        assert!(exp(-100.0) > 0.0 && exp(88.7).is_finite());
        assert_eq!([sigmoid(inf), sigmoid(-inf), sigmoid(0.0)], [1.0, 0.0, 0.5]);
        assert_eq!([tanh(inf), tanh(-inf), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert_eq!([erf(inf), erf(-inf), erf(0.0)], [1.0, -1.0, 0.0]);
        for f in [exp, sigmoid, tanh, erf] {
            assert!(f(nan).is_nan());
        }
    }

    #[test]
    fn a_softmax_is_of_each_row() {
        for length in [1, 3, 16, 33, 400] {
            let x = crate::kernels::testing::tensor_by_lot(&[2, 3, length], 7);
            let x = x.affine(20.0, 300.0).unwrap();
            let own = softmax(&x).unwrap().unwrap();
            let wide = x.to_dtype(DType::F64).unwrap();
            let rest = wide.broadcast_sub(&wide.max_keepdim(2).unwrap()).unwrap();
            let exp = rest.exp().unwrap();
            let expected = exp.broadcast_div(&exp.sum_keepdim(2).unwrap()).unwrap();
            let apart = (own.to_dtype(DType::F64).unwrap() - expected)
                .unwrap()
                .abs()
                .unwrap();
            let apart = apart.flatten_all().unwrap().max(0).unwrap();
            assert!(apart.to_scalar::<f64>().unwrap() < 3e-7, "{length}");
        }
    }
}
