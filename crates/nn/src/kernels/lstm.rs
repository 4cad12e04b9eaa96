//! A step of an LSTM behind its matrix products, in one pass over memory.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::cpu;

/// From what comes of the input and of the state before, `[N, 4 H]` each (write, keep, candidate, show), and that state, `[N, 2 H]` (what
/// is given, the cell), to the state behind the step. In f32 on the CPU, and not differentiable.
pub(crate) fn step(of_input: &Tensor, of_state: &Tensor, state: &Tensor) -> Result<Tensor> {
    of_input.apply_op3_no_bwd(of_state, state, &Step)
}

struct Step;

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl CustomOp3 for Step {
    fn name(&self) -> &'static str {
        "a step of an LSTM"
    }

    fn cpu_fwd(
        &self,
        of_input: &CpuStorage,
        of_input_layout: &Layout,
        of_state: &CpuStorage,
        of_state_layout: &Layout,
        state: &CpuStorage,
        state_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, width) = state_layout.shape().dims2()?;
        let hidden = width / 2;
        for layout in [of_input_layout, of_state_layout] {
            if layout.dims() != [batch, 4 * hidden] {
                candle_core::bail!("gates of {:?} for a state of {hidden}", layout.dims());
            }
        }
        let of_input = cpu::slice::<f32>(of_input, of_input_layout)?;
        let of_state = cpu::slice::<f32>(of_state, of_state_layout)?;
        let state = cpu::slice::<f32>(state, state_layout)?;
        let mut next = vec![0f32; batch * width];
        let row = |(row, next): (usize, &mut [f32])| {
            let gates = row * 4 * hidden;
            let cell = &state[row * width + hidden..][..hidden];
            let (given, kept) = next.split_at_mut(hidden);
            for place in 0..hidden {
                let gate = |gate: usize| {
                    let at = gates + gate * hidden + place;
                    of_input[at] + of_state[at]
                };
                let kept_now = sigmoid(gate(1)) * cell[place] + sigmoid(gate(0)) * gate(2).tanh();
                kept[place] = kept_now;
                given[place] = sigmoid(gate(3)) * kept_now.tanh();
            }
        };
        next.par_chunks_mut(width.max(1)).enumerate().for_each(row);
        Ok((CpuStorage::F32(next), state_layout.shape().clone()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use crate::Architecture;
    use crate::kernels::testing::tensor_by_lot;
    use crate::ops::{Cell, Recurrent};

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        let apart = (a.to_dtype(DType::F64).unwrap() - b)
            .unwrap()
            .abs()
            .unwrap();
        apart.max_all().unwrap().to_scalar().unwrap()
    }

    /// In f64 steps are candle's operations.
    #[test]
    fn steps_are_those_of_other_types() {
        for reverse in [false, true] {
            let mut net = Architecture::reading("input", vec![None, None, Some(5)]);
            let lstm = Recurrent {
                cell: Cell::Lstm,
                inputs: 5,
                hidden: 7,
                reverse,
                bias: true,
            };
            net.add("lstm", lstm, [net.input()]).unwrap();
            let single = net.random(1, &Device::Cpu).unwrap();
            let double = single.to_dtype(DType::F64).unwrap();
            let input = tensor_by_lot(&[6, 3, 5], 2);
            let found = single.forward(&input).unwrap();
            let expected = double.forward(&input.to_dtype(DType::F64).unwrap());
            assert!(apart(&found, &expected.unwrap()) < 1e-6);
        }
    }
}
