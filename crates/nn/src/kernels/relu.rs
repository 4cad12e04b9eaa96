//! `max(x, 0)`. The gradient at 0 is 0, as PyTorch has it (candle's own has 1).

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType};

use super::cpu;
use super::cuda::Expression;
use super::layout::Aligned;
use super::pointwise::{Zip, zip};
use crate::Result;

/// Of any shape; differentiable.
pub fn forward(input: &Tensor) -> Result<Tensor> {
    let aligned = Aligned::new([input])?;
    Ok(aligned.restore(&aligned.tensors[0].apply_op1(Relu)?)?)
}

/// `gradient` where the output is above 0, and 0 elsewhere.
pub fn gradient(output: &Tensor, gradient: &Tensor) -> candle_core::Result<Tensor> {
    zip(&Mask, output, gradient)
}

/// Of one value. Not `max`: what is not a number stays so, and is seen in the logits.
pub(super) fn of<T: WithDType>(value: T) -> T {
    if value <= T::zero() { T::zero() } else { value }
}

struct Relu;

impl Relu {
    /// [`of`] on NVIDIA devices.
    #[cfg(any(feature = "cuda", test))]
    const EXPRESSION: Expression = Expression::of("a <= T(0) ? T(0) : a");
}

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let output = cpu::dispatch!(storage, "relu", T => {
            let input = cpu::slice::<T>(storage, layout)?;
            let output = cpu::in_blocks(cpu::lengths(input.len(), cpu::CHUNK), |block, output| {
                let input = &input[block * cpu::CHUNK..];
                output.iter_mut().zip(input).for_each(|(output, input)| *output = of(*input));
            });
            T::to_cpu_storage_owned(output)
        });
        Ok((output, layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let input = (storage, layout);
        let output = super::cuda::expression(Self::EXPRESSION, "relu", [input; 3])?;
        Ok((output, layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        self::gradient(output, gradient).map(Some)
    }
}

pub(super) struct Mask;

impl Zip for Mask {
    fn name(&self) -> &'static str {
        "relu-gradient"
    }

    fn of<T: WithDType>(&self, output: T, gradient: T) -> T {
        if output > T::zero() {
            gradient
        } else {
            T::zero()
        }
    }

    fn expression(&self) -> Expression {
        Expression::of("a > T(0) ? b : T(0)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cuda::rehearse;

    #[test]
    fn the_expression_says_the_same() {
        let values = [0.0f32, -0.0, 1.5, -2.25, f32::NEG_INFINITY];
        if let Some(found) = rehearse::<f32>(Relu::EXPRESSION, [&values; 3]) {
            assert_eq!(found, values.map(of::<f32>));
        }
    }
}
