//! The dense product. candle's own gives the weight's gradient transposed, which costs another pass over a large matrix.

mod dense;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, WithDType};
use pulp::Arch as Isa;

use super::cpu;
use super::product::{Matrix, Threads, multiply};
use crate::Result;
use dense::Sizes;

/// `[N, inputs]` and weight `[outputs, inputs]` to `[N, outputs]`; differentiable by both.
pub fn forward(input: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(match input.device().is_cpu() {
        true => input
            .contiguous()?
            .apply_op2(&weight.contiguous()?, Forward)?,
        false => input.matmul(&weight.t()?)?,
    })
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

struct Forward;

impl CustomOp2 for Forward {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let ((batch, inputs), (outputs, weight_inputs)) = (
            input_layout.shape().dims2()?,
            weight_layout.shape().dims2()?,
        );
        if inputs != weight_inputs {
            candle_core::bail!("a dense layer of {weight_inputs} inputs got {inputs}");
        }
        let sizes = Sizes {
            batch,
            inputs,
            outputs,
        };
        let storage = match input {
            CpuStorage::F32(_) if sizes.suits() => {
                let (input, weight) = (
                    cpu::slice(input, input_layout)?,
                    cpu::slice(weight, weight_layout)?,
                );
                CpuStorage::F32(dense::forward(Isa::new(), input, weight, sizes))
            }
            _ => cpu::dispatch!(input, "linear", T => {
                let input = Matrix::<T>::new(cpu::slice(input, input_layout)?, batch, inputs);
                product(input, Matrix::new(cpu::slice(weight, weight_layout)?, outputs, inputs).t())
            }),
        };
        Ok((storage, Shape::from((batch, outputs))))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let by = |other: &Tensor, transpose_left| {
            gradient.apply_op2_no_bwd(&other.contiguous()?, &Product { transpose_left })
        };
        Ok((
            input.track_op().then(|| by(weight, false)).transpose()?,
            weight.track_op().then(|| by(input, true)).transpose()?,
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
            product(a, Matrix::new(cpu::slice(b, b_layout)?, b_rows, b_columns))
        });
        Ok((storage, Shape::from((rows, b_columns))))
    }
}

fn product<T: WithDType>(a: Matrix<T>, b: Matrix<T>) -> CpuStorage {
    let mut output = vec![T::zero(); a.rows() * b.columns()];
    multiply(Threads::All, &mut output, false, a, b);
    T::to_cpu_storage_owned(output)
}
