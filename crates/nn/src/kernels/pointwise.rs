//! Two tensors of one shape, value by value, in one pass over memory.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use super::layout::Aligned;
use super::{cpu, relu};

/// What becomes of two values.
pub trait Zip: Send + Sync {
    /// For error messages.
    fn name(&self) -> &'static str;

    /// Of one pair.
    fn of<T: WithDType>(&self, a: T, b: T) -> T;
}

/// Applies `op` to every pair of values of two tensors of one shape on the CPU. Not differentiable.
///
/// # Errors
/// If the shapes differ.
pub fn zip(op: &impl Zip, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let aligned = Aligned::new([a, b])?;
    let [first, second] = &aligned.tensors;
    aligned.restore(&first.apply_op2_no_bwd(second, &Pairs(op))?)
}

/// `a + b`, of one shape. Not differentiable on the CPU.
pub fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.device().is_cpu() {
        zip(&Sum, a, b)
    } else {
        a + b
    }
}

/// `a · b`, value by value, of one shape. Not differentiable on the CPU.
pub fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.device().is_cpu() {
        zip(&Product, a, b)
    } else {
        a * b
    }
}

struct Pairs<'a, Z>(&'a Z);

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
        if a_layout.shape() != b_layout.shape() {
            candle_core::bail!(
                "{}: {:?} and {:?}",
                self.0.name(),
                a_layout.shape(),
                b_layout.shape()
            );
        }
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
}

/// `a · b`.
struct Product;

impl Zip for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn of<T: WithDType>(&self, a: T, b: T) -> T {
        a * b
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
}
