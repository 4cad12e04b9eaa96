//! Two tensors, value by value, in one pass over memory.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType};

use super::cuda::Expression;
use super::layout::{Aligned, inverse};
use super::strided::Walk;
use super::{cpu, relu};

/// What becomes of two values.
pub(crate) trait Zip: Send + Sync {
    /// For error messages.
    fn name(&self) -> &'static str;

    /// Of one pair.
    fn of<T: WithDType>(&self, a: T, b: T) -> T;

    /// The same on NVIDIA devices.
    #[cfg_attr(not(any(feature = "cuda", test)), allow(dead_code))]
    fn expression(&self) -> Expression;
}

/// Applies `op` to every pair of values of two tensors of one shape. Not differentiable.
///
/// # Errors
/// If the shapes differ.
pub(crate) fn zip(op: &impl Zip, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let aligned = Aligned::new([a, b])?;
    let [first, second] = &aligned.tensors;
    aligned.restore(&first.apply_op2_no_bwd(second, &Pairs(op))?)
}

/// `a + b`, of one shape. Not differentiable.
pub fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    zip(&Sum, a, b)
}

/// `a · b`, value by value, of one shape. Not differentiable.
pub fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    zip(&Product, a, b)
}

/// `factor · a / (z + ε s(z))` with s(0) = +1, value by value, of one shape: the quotient of LRP's rules (Montavon et al. 2019,
/// section 10.2); 0 where ε and z are 0. Not differentiable.
pub fn quotient(a: &Tensor, z: &Tensor, epsilon: f64, factor: f64) -> Result<Tensor> {
    zip(&Quotient { epsilon, factor }, z, a)
}

/// `a` where `z` is above 0, or below 0 if not `positive`; 0 elsewhere. Not differentiable.
pub fn of_sign(a: &Tensor, z: &Tensor, positive: bool) -> Result<Tensor> {
    let sign = if positive { 1.0 } else { -1.0 };
    zip(&OfSign(sign), z, a)
}

/// `value` where the rank is below `count`, and `input` elsewhere, of one shape. Not differentiable.
pub fn below_rank(ranks: &Tensor, input: &Tensor, count: usize, value: f32) -> Result<Tensor> {
    let op = BelowRank {
        count: count as f64,
        value: value.into(),
    };
    zip(&op, ranks, input)
}

/// Applies `op` to every pair of values of two tensors whose shapes go together: an axis of length 1, or one that is not there, is
/// repeated. Not differentiable.
///
/// # Errors
/// If they do not go together.
pub(crate) fn zip_repeated(op: &impl Zip, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.shape() == b.shape() {
        return zip(op, a, b);
    }
    let shape = a.shape().broadcast_shape_binary_op(b.shape(), "a pair")?;
    let (a, b) = (a.broadcast_as(&shape)?, b.broadcast_as(&shape)?);
    if !a.device().is_cpu() {
        return zip(op, &a, &b);
    }
    // In the order in which the first lies in memory, or the second where the first is repeated.
    let step = |axis: &usize| match a.stride()[*axis] {
        0 => b.stride()[*axis],
        step => step,
    };
    let mut order: Vec<usize> = (0..shape.rank()).collect();
    order.sort_by_key(|axis| std::cmp::Reverse(step(axis)));
    let back = inverse(&order);
    let (a, b) = (a.permute(order.as_slice())?, b.permute(order)?);
    a.apply_op2_no_bwd(&b, &Repeated(op))?.permute(back)
}

/// `a · b` of shapes that go together, by autograd where that follows.
pub(crate) fn repeated_product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match is_own(a, b) {
        true => zip_repeated(&Product, a, b),
        false => a.broadcast_mul(b),
    }
}

/// `a − b`, likewise.
pub(crate) fn repeated_difference(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match is_own(a, b) {
        true => zip_repeated(&Difference, a, b),
        false => a.broadcast_sub(b),
    }
}

/// Whether the pairs are of numbers that the kernels compute with, and autograd does not follow.
pub(crate) fn is_own(a: &Tensor, b: &Tensor) -> bool {
    let is_real = matches!(a.dtype(), DType::F32 | DType::F64) && a.dtype() == b.dtype();
    is_real && !a.track_op() && !b.track_op()
}

struct Repeated<'a, Z>(&'a Z);

impl<Z: Zip> CustomOp2 for Repeated<'_, Z> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let walk = Walk::new([a_layout, b_layout]);
        let output = cpu::dispatch!(a, "an operation on pairs", T => {
            let (a, b) = (T::cpu_storage_as_slice(a)?, T::cpu_storage_as_slice(b)?);
            T::to_cpu_storage_owned(walk.write(|output: &mut [T], run| {
                let (a, b) = (&a[run.starts[0]..], &b[run.starts[1]..]);
                let output = output.iter_mut();
                // The usual ones apart, which a compiler makes vectors of.
                match run.steps {
                    [1, 1] => output.zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = self.0.of(*a, *b)),
                    [1, 0] => output.zip(a).for_each(|(to, a)| *to = self.0.of(*a, b[0])),
                    [0, 1] => output.zip(b).for_each(|(to, b)| *to = self.0.of(a[0], *b)),
                    [a_step, b_step] => output.enumerate().for_each(|(i, to)| {
                        *to = self.0.of(a[i * a_step], b[i * b_step]);
                    }),
                }
            }))
        });
        Ok((output, a_layout.shape().clone()))
    }
}

struct Pairs<'a, Z>(&'a Z);

impl<Z: Zip> Pairs<'_, Z> {
    fn check(&self, a: &Layout, b: &Layout) -> Result<()> {
        if a.shape() != b.shape() {
            candle_core::bail!("{}: {:?} and {:?}", self.0.name(), a.shape(), b.shape());
        }
        Ok(())
    }
}

impl<Z: Zip> CustomOp2 for Pairs<'_, Z> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.check(a_layout, b_layout)?;
        let output = cpu::dispatch!(a, "an operation on pairs", T => {
            let (a, b) = (cpu::slice::<T>(a, a_layout)?, cpu::slice::<T>(b, b_layout)?);
            let output = cpu::in_blocks(cpu::lengths(a.len(), cpu::CHUNK), |block, output| {
                let pairs = a[block * cpu::CHUNK..].iter().zip(&b[block * cpu::CHUNK..]);
                output.iter_mut().zip(pairs).for_each(|(output, (a, b))| *output = self.0.of(*a, *b));
            });
            T::to_cpu_storage_owned(output)
        });
        Ok((output, a_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        a_layout: &Layout,
        b: &CudaStorage,
        b_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.check(a_layout, b_layout)?;
        let (a, b) = ((a, a_layout), (b, b_layout));
        let output = super::cuda::expression(self.0.expression(), self.0.name(), [a, b, b])?;
        Ok((output, a_layout.shape().clone()))
    }
}

/// `a + b`.
pub(crate) struct Sum;

impl Zip for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn of<T: WithDType>(&self, a: T, b: T) -> T {
        a + b
    }

    fn expression(&self) -> Expression {
        Expression::of("a + b")
    }
}

/// `a − b`.
struct Difference;

impl Zip for Difference {
    fn name(&self) -> &'static str {
        "difference"
    }

    fn of<T: WithDType>(&self, a: T, b: T) -> T {
        a - b
    }

    fn expression(&self) -> Expression {
        Expression::of("a - b")
    }
}

/// `a · b`.
pub(crate) struct Product;

impl Zip for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn of<T: WithDType>(&self, a: T, b: T) -> T {
        a * b
    }

    fn expression(&self) -> Expression {
        Expression::of("a * b")
    }
}

/// `max(a + b, 0)`.
pub(crate) struct SumRelu;

impl Zip for SumRelu {
    fn name(&self) -> &'static str {
        "sum-relu"
    }

    fn of<T: WithDType>(&self, a: T, b: T) -> T {
        relu::of(a + b)
    }

    fn expression(&self) -> Expression {
        Expression::of("a + b <= T(0) ? T(0) : a + b")
    }
}

/// [`quotient`], of z and the value.
struct Quotient {
    epsilon: f64,
    factor: f64,
}

impl Zip for Quotient {
    fn name(&self) -> &'static str {
        "a relevance's quotient"
    }

    fn of<T: WithDType>(&self, z: T, value: T) -> T {
        let (epsilon, factor) = (T::from_f64(self.epsilon), T::from_f64(self.factor));
        let denominator = match z >= T::zero() {
            true => z + epsilon,
            false => z - epsilon,
        };
        match denominator == T::zero() {
            true => T::zero(),
            false => factor * value / denominator,
        }
    }

    fn expression(&self) -> Expression {
        Expression {
            text: "p == T(0) && a == T(0) ? T(0) : q * b / (a >= T(0) ? a + p : a - p)",
            numbers: [self.epsilon, self.factor, 0.0],
        }
    }
}

/// [`of_sign`], of z and the value; the sign is 1 or −1.
struct OfSign(f64);

impl Zip for OfSign {
    fn name(&self) -> &'static str {
        "values of one sign"
    }

    fn of<T: WithDType>(&self, z: T, value: T) -> T {
        if T::from_f64(self.0) * z > T::zero() {
            value
        } else {
            T::zero()
        }
    }

    fn expression(&self) -> Expression {
        Expression {
            text: "p * a > T(0) ? b : T(0)",
            numbers: [self.0, 0.0, 0.0],
        }
    }
}

/// [`below_rank`].
struct BelowRank {
    count: f64,
    value: f64,
}

impl Zip for BelowRank {
    fn name(&self) -> &'static str {
        "values below a rank"
    }

    fn of<T: WithDType>(&self, rank: T, input: T) -> T {
        if rank < T::from_f64(self.count) {
            T::from_f64(self.value)
        } else {
            input
        }
    }

    fn expression(&self) -> Expression {
        Expression {
            text: "a < p ? q : b",
            numbers: [self.count, self.value, 0.0],
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::cuda::rehearse;
    use crate::kernels::testing::tensor_by_lot;

    /// Values of either sign, zeros of either sign, and what is no number.
    fn values() -> (Vec<f64>, Vec<f64>) {
        let few = [0.0, -0.0, 1.5, -2.25, 3.0, -1e-9, 1e-9, f64::NAN];
        let pairs = few.iter().flat_map(|a| few.iter().map(move |b| (*a, *b)));
        pairs.unzip()
    }

    fn same(op: &impl Zip) {
        let (a, b) = values();
        let Some(found) = rehearse::<f64>(op.expression(), [&a, &b, &b]) else {
            return;
        };
        for ((a, b), found) in a.iter().zip(&b).zip(found) {
            let expected: f64 = op.of(*a, *b);
            let alike = found == expected || found.is_nan() && expected.is_nan();
            assert!(
                alike,
                "{} of {a} and {b}: {found}, not {expected}",
                op.name()
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// As candle repeats, of axes in any order.
        #[test]
        fn what_is_repeated_is_as_candles(
            lengths in [1usize..4, 1usize..5, 1usize..6, 1usize..7],
            of_a in [any::<bool>(); 4],
            of_b in [any::<bool>(); 4],
            left_out in 0usize..3,
            order in Just([0usize, 1, 2, 3]).prop_shuffle(),
            seed: u64,
        ) {
            let dims = |repeated: [bool; 4]| -> Vec<usize> {
                lengths.iter().zip(repeated).map(|(n, one)| if one { 1 } else { *n }).collect()
            };
            let a = tensor_by_lot(&dims(of_a), seed);
            let a = a.permute(order.as_slice()).unwrap().contiguous().unwrap().permute(inverse(&order)).unwrap();
            let b = tensor_by_lot(&dims(of_b)[left_out..], seed ^ 1);
            let flat = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (a, b) in [(&a, &b), (&b, &a)] {
                let own = zip_repeated(&Difference, a, b).unwrap();
                let candles = a.broadcast_sub(b).unwrap();
                prop_assert_eq!(own.dims(), candles.dims());
                prop_assert_eq!(flat(own), flat(candles));
            }
        }
    }

    #[test]
    fn expressions_say_the_same() {
        same(&Sum);
        same(&Difference);
        same(&Product);
        same(&SumRelu);
        same(&Quotient {
            epsilon: 0.25,
            factor: 0.5,
        });
        same(&OfSign(1.0));
        same(&OfSign(-1.0));
        same(&BelowRank {
            count: 2.0,
            value: -80.0,
        });
        same(&relu::Mask);
    }
}
