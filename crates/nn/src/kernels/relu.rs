//! `max(x, 0)`. The gradient at 0 is 0, as PyTorch has it (candle's own has 1).

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType};

use super::cpu;
use super::layout::Aligned;
use super::pointwise::{Zip, zip};
use crate::Result;

/// Of any shape; differentiable.
pub fn forward(input: &Tensor) -> Result<Tensor> {
    if !input.device().is_cpu() {
        return Ok((input * input.gt(0.0)?.to_dtype(input.dtype())?)?);
    }
    let aligned = Aligned::new([input])?;
    Ok(aligned.restore(&aligned.tensors[0].apply_op1(Relu)?)?)
}

/// `gradient` where the output is above 0, and 0 elsewhere.
pub fn gradient(output: &Tensor, gradient: &Tensor) -> candle_core::Result<Tensor> {
    match output.device().is_cpu() {
        true => zip(&Mask, output, gradient),
        false => gradient * output.gt(0.0)?.to_dtype(gradient.dtype())?,
    }
}

/// Of one value. Not `max`: what is not a number stays so, and is seen in the logits.
pub(super) fn of<T: WithDType>(value: T) -> T {
    if value <= T::zero() { T::zero() } else { value }
}

struct Relu;

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

    fn bwd(
        &self,
        _: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        self::gradient(output, gradient).map(Some)
    }
}

struct Mask;

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
}
