use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use crate::kernels::cpu;
use crate::{Kind, Mode, Op, Params, Result, Structure};

/// `max(x, 0)`, of any shape. The gradient at 0 is 0, as PyTorch has it (candle's own has 1).
#[derive(Clone, Debug)]
pub struct Relu;

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 16;

impl Op for Relu {
    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(match inputs[0].device().is_cpu() {
            true => inputs[0].contiguous()?.apply_op1(Relu)?,
            false => (inputs[0] * inputs[0].gt(0.0)?.to_dtype(inputs[0].dtype())?)?,
        })
    }

    fn structure(&self) -> Structure<'_> {
        Structure::PassThrough
    }
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
        fn relu<T: WithDType>(values: &[T]) -> CpuStorage {
            let zero = T::zero();
            let mut output = values.to_vec();
            // Not `max`: what is not a number stays so, and is seen in the logits.
            let relu = |values: &mut [T]| {
                values
                    .iter_mut()
                    .for_each(|x| *x = if *x <= zero { zero } else { *x })
            };
            output.par_chunks_mut(CHUNK).for_each(relu);
            T::to_cpu_storage_owned(output)
        }
        let output = cpu::dispatch!(storage, "relu", T => relu::<T>(cpu::slice(storage, layout)?));
        Ok((output, layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(
            (gradient * output.gt(0.0)?.to_dtype(gradient.dtype())?)?,
        ))
    }
}
