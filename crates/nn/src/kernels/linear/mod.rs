//! The dense product. candle's own gives the weight's gradient transposed, which costs another pass over a large matrix.

mod dense;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor, WithDType};
use pulp::Arch as Isa;
use rayon::prelude::*;

use super::epilogue::Epilogue;
use super::panel::Panels;
use super::product::{Matrix, Threads, multiply};
use super::{cpu, relu};
use crate::Result;
use dense::Sizes;

/// A weight `[outputs, inputs]` as the kernels read it for many rows, for a layer that computes over and over; none where they read it as
/// it is.
pub(crate) fn packed(weight: &Tensor) -> Result<Option<Tensor>> {
    match cpu::are_single(&[weight]) && weight.elem_count() > 0 {
        true => Ok(Some(weight.contiguous()?.apply_op1_no_bwd(&Pack)?)),
        false => Ok(None),
    }
}

struct Pack;

impl CustomOp1 for Pack {
    fn name(&self) -> &'static str {
        "linear-pack"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (outputs, _) = layout.shape().dims2()?;
        let values = Panels::new(cpu::slice(weight, layout)?, outputs, 1).into_values();
        let shape = Shape::from(values.len());
        Ok((CpuStorage::F32(values), shape))
    }
}

/// `[N, inputs]`, weight `[outputs, inputs]` and bias `[outputs]` to `[N, outputs]`, with negative values set to 0 if `relu`;
/// differentiable by all three.
pub fn forward(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    forward_packed(input, (weight, None), bias, relu)
}

/// [`forward`] by a weight and what became of it [packed].
pub(crate) fn forward_packed(
    input: &Tensor,
    (weight, packed): (&Tensor, Option<&Tensor>),
    bias: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    if input.device().is_cpu() {
        let bias = match bias {
            Some(bias) => bias.contiguous()?,
            None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?,
        };
        let (input, weight) = (input.contiguous()?, weight.contiguous()?);
        let packed = packed.cloned();
        return Ok(input.apply_op3(&weight, &bias, Forward { relu, packed })?);
    }
    let mut output = input.matmul(&weight.t()?)?;
    if let Some(bias) = bias {
        output = output.broadcast_add(bias)?;
    }
    match relu {
        true => relu::forward(&output),
        false => Ok(output),
    }
}

/// The transposed map: `[N, outputs]` and weight `[outputs, inputs]` to `[N, inputs]`. Not differentiable on the CPU.
pub fn input_gradient(output: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(match output.device().is_cpu() {
        true => output.contiguous()?.apply_op2_no_bwd(
            &weight.contiguous()?,
            &Product {
                transpose_left: false,
            },
        )?,
        false => output.matmul(weight)?,
    })
}

/// The gradient by the weight, `[outputs, inputs]`, from the input `[N, inputs]` and the gradient by the output `[N, outputs]`.
/// Not differentiable on the CPU.
pub fn weight_gradient(input: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    Ok(match input.device().is_cpu() {
        true => gradient.contiguous()?.apply_op2_no_bwd(
            &input.contiguous()?,
            &Product {
                transpose_left: true,
            },
        )?,
        false => gradient.t()?.matmul(input)?,
    })
}

struct Forward {
    relu: bool,
    /// The weight, packed.
    packed: Option<Tensor>,
}

impl CustomOp3 for Forward {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let ((batch, inputs), (outputs, weight_inputs)) = (
            input_layout.shape().dims2()?,
            weight_layout.shape().dims2()?,
        );
        if inputs != weight_inputs {
            candle_core::bail!("a dense layer of {weight_inputs} inputs got {inputs}");
        }
        if bias_layout.shape().elem_count() != outputs {
            candle_core::bail!(
                "a dense layer to {outputs} outputs got a bias of {:?}",
                bias_layout.shape()
            );
        }
        let sizes = Sizes {
            batch,
            inputs,
            outputs,
        };
        let relu = self.relu;
        let storage = match input {
            CpuStorage::F32(_) if outputs > 0 && inputs > 0 => {
                let (input, weight) = (
                    cpu::slice(input, input_layout)?,
                    cpu::slice::<f32>(weight, weight_layout)?,
                );
                let bias = cpu::slice(bias, bias_layout)?;
                let (epilogue, arch) = (Epilogue { bias, relu }, Isa::new());
                CpuStorage::F32(match sizes.suits() {
                    true => dense::forward(arch, input, weight, &epilogue, sizes),
                    false => cpu::beside(self.packed.as_ref(), |packed| {
                        let panels = match packed {
                            Some(panels) => Panels::packed(panels.into(), outputs, inputs),
                            None => Panels::new(weight, outputs, 1),
                        };
                        Ok(panels.product(arch, input, &epilogue))
                    })?,
                })
            }
            _ => cpu::dispatch!(input, "linear", T => {
                let input = Matrix::<T>::new(cpu::slice(input, input_layout)?, batch, inputs);
                let weight = Matrix::new(cpu::slice(weight, weight_layout)?, outputs, inputs);
                let epilogue = Epilogue { bias: cpu::slice(bias, bias_layout)?, relu };
                let mut output = product(input, weight.t());
                output.par_chunks_mut(outputs.max(1)).for_each(|row| epilogue.apply(row));
                T::to_cpu_storage_owned(output)
            }),
        };
        Ok((storage, Shape::from((batch, outputs))))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradient = gradient.contiguous()?;
        if self.relu {
            gradient = relu::gradient(output, &gradient)?;
        }
        let by = |other: &Tensor, transpose_left| {
            gradient.apply_op2_no_bwd(&other.contiguous()?, &Product { transpose_left })
        };
        Ok((
            input.track_op().then(|| by(weight, false)).transpose()?,
            weight.track_op().then(|| by(input, true)).transpose()?,
            bias.track_op().then(|| gradient.sum(0)).transpose()?,
        ))
    }
}

/// `a · b`, or `aᵀ · b`.
struct Product {
    transpose_left: bool,
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let ((a_rows, a_columns), (b_rows, b_columns)) =
            (a_layout.shape().dims2()?, b_layout.shape().dims2()?);
        let (rows, inner) = if self.transpose_left {
            (a_columns, a_rows)
        } else {
            (a_rows, a_columns)
        };
        if inner != b_rows {
            candle_core::bail!("a product over {inner} and {b_rows} terms");
        }
        let sizes = Sizes {
            batch: rows,
            inputs: b_columns,
            outputs: inner,
        };
        if let (CpuStorage::F32(_), false, true) = (a, self.transpose_left, sizes.suits()) {
            let (a, b) = (cpu::slice(a, a_layout)?, cpu::slice(b, b_layout)?);
            let output = dense::input_gradient(Isa::new(), a, b, sizes);
            return Ok((CpuStorage::F32(output), Shape::from((rows, b_columns))));
        }
        let storage = cpu::dispatch!(a, "linear", T => {
            let a = Matrix::<T>::new(cpu::slice(a, a_layout)?, a_rows, a_columns);
            let a = if self.transpose_left { a.t() } else { a };
            let product = product(a, Matrix::new(cpu::slice(b, b_layout)?, b_rows, b_columns));
            T::to_cpu_storage_owned(product)
        });
        Ok((storage, Shape::from((rows, b_columns))))
    }
}

fn product<T: WithDType>(a: Matrix<T>, b: Matrix<T>) -> Vec<T> {
    let mut output = vec![T::zero(); a.rows() * b.columns()];
    multiply(Threads::All, &mut output, false, a, b);
    output
}
