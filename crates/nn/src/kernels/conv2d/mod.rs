//! 2-D convolution. On the CPU, f32 and stride 1: Winograd's minimal filtering, where it has channels enough; else matrix
//! products. Groups are convolutions one after another. Work is spread over blocks of rows; sums over the batch are taken in a fixed order, so that results do not depend
//! on the number of threads. On NVIDIA devices: matrix products over windows.

mod columns;
#[cfg(feature = "cuda")]
mod cuda;
mod sizes;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod winograd;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor, WithDType};
use pulp::Arch as Isa;
use rayon::prelude::*;

use super::layout::{channels_first, channels_last};
use super::{Pair, cpu, relu};
use crate::Result;
pub use sizes::Geometry;
use sizes::Sizes;

/// `[N, C, H, W]`, weight `[K, C/groups, kh, kw]` and bias `[K]` to `[N, K, H', W']`, with negative values set to 0 if `relu`;
/// differentiable by all three.
pub fn forward(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    relu: bool,
    geometry: Geometry,
) -> Result<Tensor> {
    let bias = match bias {
        Some(bias) => bias.contiguous()?,
        None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?,
    };
    let input = channels_last(input)?;
    let output = joined(geometry.groups, 3, |group| {
        let input = part(&input, 3, group, geometry.groups)?;
        let weight = part(weight, 0, group, geometry.groups)?;
        let bias = part(&bias, 0, group, geometry.groups)?;
        Ok(input.apply_op3(&weight, &bias, Forward { geometry, relu })?)
    })?;
    Ok(channels_first(&output)?)
}

/// The transposed map: `[N, K, H', W']` and weight `[K, C/groups, kh, kw]` to the input's shape `[N, C, H, W]`. Not
/// differentiable.
pub fn input_gradient(
    output: &Tensor,
    weight: &Tensor,
    input: &Shape,
    geometry: Geometry,
) -> Result<Tensor> {
    let (n, c, h, w) = input.dims4()?;
    let output = channels_last(output)?;
    let gradient = joined(geometry.groups, 3, |group| {
        let op = InputGradient {
            geometry,
            input: Shape::from((n, h, w, c / geometry.groups)),
        };
        let output = part(&output, 3, group, geometry.groups)?;
        Ok(output.apply_op2_no_bwd(&part(weight, 0, group, geometry.groups)?, &op)?)
    })?;
    Ok(channels_first(&gradient)?)
}

/// The gradient by a weight with this kernel, `[K, C/groups, kh, kw]`, from the input `[N, C, H, W]` and the gradient by the
/// output `[N, K, H', W']`. Not differentiable.
pub fn weight_gradient(
    input: &Tensor,
    gradient: &Tensor,
    kernel: Pair,
    geometry: Geometry,
) -> Result<Tensor> {
    let (input, gradient) = (channels_last(input)?, channels_last(gradient)?);
    joined(geometry.groups, 0, |group| {
        let gradient = part(&gradient, 3, group, geometry.groups)?;
        let op = WeightGradient { geometry, kernel };
        Ok(part(&input, 3, group, geometry.groups)?.apply_op2_no_bwd(&gradient, &op)?)
    })
}

/// What belongs to one of the groups of the channels that lie along `axis`, contiguous.
fn part(tensor: &Tensor, axis: usize, group: usize, groups: usize) -> Result<Tensor> {
    let channels = tensor.dim(axis)?;
    if channels % groups != 0 {
        let problem = format!("{channels} channels do not fall into {groups} groups");
        return Err(candle_core::Error::Msg(problem).into());
    }
    let size = channels / groups;
    Ok(tensor.narrow(axis, group * size, size)?.contiguous()?)
}

/// What the groups give, behind each other along `axis`.
fn joined(
    groups: usize,
    axis: usize,
    of_group: impl Fn(usize) -> Result<Tensor>,
) -> Result<Tensor> {
    match groups {
        0 => return Err(candle_core::Error::Msg("a convolution in 0 groups".into()).into()),
        1 => return of_group(0),
        _ => {}
    }
    let parts: Vec<Tensor> = (0..groups).map(of_group).collect::<Result<_>>()?;
    Ok(Tensor::cat(&parts, axis)?)
}

/// What is done to an output before it is written.
struct Epilogue<'a, T> {
    bias: &'a [T],
    relu: bool,
}

impl<T: WithDType> Epilogue<'_, T> {
    /// To the channels of a pixel.
    fn apply(&self, pixel: &mut [T]) {
        pixel
            .iter_mut()
            .zip(self.bias)
            .for_each(|(value, bias)| *value += *bias);
        if self.relu {
            pixel.iter_mut().for_each(|value| *value = relu::of(*value));
        }
    }
}

/// The sum of partial gradients by the weights, in order; nothing of no parts.
fn sum_in_order<T: WithDType>(parts: Vec<Vec<T>>) -> Vec<T> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        let pairs = total
            .par_chunks_mut(cpu::CHUNK)
            .zip(part.par_chunks(cpu::CHUNK));
        pairs.for_each(|(total, part)| {
            total
                .iter_mut()
                .zip(part)
                .for_each(|(total, part)| *total += *part)
        });
    }
    total
}

struct Forward {
    geometry: Geometry,
    relu: bool,
}

impl Forward {
    /// Of a convolution of these tensors.
    fn sizes(&self, [input, weight, bias]: [&Layout; 3]) -> candle_core::Result<Sizes> {
        let (outputs, inputs, height, width) = weight.shape().dims4()?;
        let kernel = Pair { height, width };
        let sizes = Sizes::new(input.shape(), outputs, kernel, self.geometry)?;
        if inputs != sizes.inputs {
            candle_core::bail!("a convolution of {inputs} channels got {}", sizes.inputs);
        }
        if bias.shape().elem_count() != outputs {
            candle_core::bail!(
                "a convolution to {outputs} channels got a bias of {:?}",
                bias.shape()
            );
        }
        Ok(sizes)
    }
}

impl CustomOp3 for Forward {
    fn name(&self) -> &'static str {
        "conv2d"
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
        let sizes = self.sizes([input_layout, weight_layout, bias_layout])?;
        let storage = match input {
            CpuStorage::F32(_) if winograd::suits(&sizes) => {
                let epilogue = Epilogue {
                    bias: cpu::slice(bias, bias_layout)?,
                    relu: self.relu,
                };
                let (input, weight) = (
                    cpu::slice(input, input_layout)?,
                    cpu::slice(weight, weight_layout)?,
                );
                CpuStorage::F32(winograd::forward(
                    Isa::new(),
                    input,
                    weight,
                    &epilogue,
                    &sizes,
                ))
            }
            _ => cpu::dispatch!(input, "conv2d", T => {
                let epilogue = Epilogue::<T> { bias: cpu::slice(bias, bias_layout)?, relu: self.relu };
                let (input, weight) = (cpu::slice(input, input_layout)?, cpu::slice(weight, weight_layout)?);
                T::to_cpu_storage_owned(columns::forward(input, weight, &epilogue, &sizes))
            }),
        };
        Ok((storage, sizes.output()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let sizes = self.sizes([input_layout, weight_layout, bias_layout])?;
        let output = cuda::forward(
            (input, input_layout),
            (weight, weight_layout),
            (bias, bias_layout),
            self.relu,
            &sizes,
        )?;
        Ok((output, sizes.output()))
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
        let of_input = || {
            let op = InputGradient {
                geometry: self.geometry,
                input: input.shape().clone(),
            };
            gradient.apply_op2_no_bwd(&weight.contiguous()?, &op)
        };
        let of_weight = || {
            let op = WeightGradient {
                geometry: self.geometry,
                kernel: (weight.dim(2)?, weight.dim(3)?).into(),
            };
            input.apply_op2_no_bwd(&gradient, &op)
        };
        Ok((
            input.track_op().then(of_input).transpose()?,
            weight.track_op().then(of_weight).transpose()?,
            bias.track_op()
                .then(|| gradient.sum((0, 1, 2)))
                .transpose()?,
        ))
    }
}

struct InputGradient {
    geometry: Geometry,
    /// `[N, H, W, C]`.
    input: Shape,
}

impl InputGradient {
    fn sizes(&self, output: &Layout, weight: &Layout) -> candle_core::Result<Sizes> {
        let (outputs, _, height, width) = weight.shape().dims4()?;
        let sizes = Sizes::new(&self.input, outputs, (height, width).into(), self.geometry)?;
        sizes.check_output(output.shape())?;
        Ok(sizes)
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "conv2d-input-gradient"
    }

    fn cpu_fwd(
        &self,
        output: &CpuStorage,
        output_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(output_layout, weight_layout)?;
        let storage = match output {
            CpuStorage::F32(_) if winograd::suits(&sizes) => {
                let (output, weight) = (
                    cpu::slice(output, output_layout)?,
                    cpu::slice(weight, weight_layout)?,
                );
                CpuStorage::F32(winograd::input_gradient(Isa::new(), output, weight, &sizes))
            }
            _ => cpu::dispatch!(output, "conv2d", T => {
                let (output, weight) = (cpu::slice(output, output_layout)?, cpu::slice(weight, weight_layout)?);
                T::to_cpu_storage_owned(columns::input_gradient::<T>(output, weight, &sizes))
            }),
        };
        Ok((storage, self.input.clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        output: &CudaStorage,
        output_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let sizes = self.sizes(output_layout, weight_layout)?;
        let (output, weight) = ((output, output_layout), (weight, weight_layout));
        let gradient = cuda::input_gradient(output, weight, &sizes)?;
        Ok((gradient, self.input.clone()))
    }
}

struct WeightGradient {
    geometry: Geometry,
    kernel: Pair,
}

impl WeightGradient {
    fn sizes(&self, input: &Layout, output: &Layout) -> candle_core::Result<Sizes> {
        let outputs = output.shape().dims4()?.3;
        let sizes = Sizes::new(input.shape(), outputs, self.kernel, self.geometry)?;
        sizes.check_output(output.shape())?;
        Ok(sizes)
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "conv2d-weight-gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        output: &CpuStorage,
        output_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(input_layout, output_layout)?;
        let storage = match input {
            CpuStorage::F32(_) if winograd::suits(&sizes) => {
                let (input, output) = (
                    cpu::slice(input, input_layout)?,
                    cpu::slice(output, output_layout)?,
                );
                CpuStorage::F32(winograd::weight_gradient(Isa::new(), input, output, &sizes))
            }
            _ => cpu::dispatch!(input, "conv2d", T => {
                let (input, output) = (cpu::slice(input, input_layout)?, cpu::slice(output, output_layout)?);
                T::to_cpu_storage_owned(columns::weight_gradient::<T>(input, output, &sizes))
            }),
        };
        Ok((storage, sizes.weight()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        output: &CudaStorage,
        output_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let sizes = self.sizes(input_layout, output_layout)?;
        let (input, output) = ((input, input_layout), (output, output_layout));
        Ok((
            cuda::weight_gradient(input, output, &sizes)?,
            sizes.weight(),
        ))
    }
}
