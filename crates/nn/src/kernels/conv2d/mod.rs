//! 2-D convolution. On the CPU, f32 and stride 1: Winograd's minimal filtering, where it has channels enough; else matrix
//! products. Channels by themselves (depthwise) are summed tap by tap; other groups are convolutions one after another. Work is spread over
//! blocks of rows; sums over the batch are taken in a fixed order, so that results do not depend
//! on the number of threads. On NVIDIA devices: matrix products over windows.

mod columns;
#[cfg(feature = "cuda")]
mod cuda;
mod depthwise;
mod direct;
mod sizes;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod winograd;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor, WithDType};
use pulp::Arch as Isa;
use rayon::prelude::*;

use super::epilogue::Epilogue;
use super::layout::{channels_first, channels_last};
use super::panel::Panels;
use super::{Pair, cpu, relu};
use crate::Result;
pub use sizes::Geometry;
use sizes::Sizes;
use winograd::Weight;

/// A weight as the kernels read it, for a layer that computes over and over; none where they read it as it is.
///
/// # Errors
/// Those of candle.
pub(crate) fn packed(weight: &Tensor, geometry: Geometry) -> Result<Option<Tensor>> {
    match cpu::are_single(&[weight]) && geometry.groups == 1 && weight.elem_count() > 0 {
        true => Ok(Some(
            weight.contiguous()?.apply_op1_no_bwd(&Pack { geometry })?,
        )),
        false => Ok(None),
    }
}

/// `[N, C, H, W]`, weight `[K, C/groups, kh, kw]` and bias `[K]` to `[N, K, H', W']`, with negative values set to 0 if `relu`;
/// differentiable by all three.
pub fn forward(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    relu: bool,
    geometry: Geometry,
) -> Result<Tensor> {
    forward_packed(input, (weight, None), bias, relu, geometry)
}

/// [`forward`] by a weight and what became of it [packed].
pub(crate) fn forward_packed(
    input: &Tensor,
    (weight, packed): (&Tensor, Option<&Tensor>),
    bias: Option<&Tensor>,
    relu: bool,
    geometry: Geometry,
) -> Result<Tensor> {
    let bias = match bias {
        Some(bias) => bias.contiguous()?,
        None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?,
    };
    let input = channels_last(input)?;
    let parts = Parts::of(geometry, &input, weight.dim(0)?)?;
    let geometry = parts.geometry;
    let output = parts.joined(3, |group| {
        let input = parts.part(&input, 3, group)?;
        let weight = parts.part(weight, 0, group)?;
        let bias = parts.part(&bias, 0, group)?;
        let packed = packed.cloned();
        let op = Forward {
            geometry,
            relu,
            packed,
        };
        Ok(input.apply_op3(&weight, &bias, op)?)
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
    let parts = Parts::of(geometry, &output, c)?;
    let gradient = parts.joined(3, |group| {
        let op = InputGradient {
            geometry: parts.geometry,
            input: Shape::from((n, h, w, c / parts.count)),
        };
        let output = parts.part(&output, 3, group)?;
        Ok(output.apply_op2_no_bwd(&parts.part(weight, 0, group)?, &op)?)
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
    let parts = Parts::of(geometry, &input, gradient.dim(3)?)?;
    parts.joined(0, |group| {
        let gradient = parts.part(&gradient, 3, group)?;
        let op = WeightGradient {
            geometry: parts.geometry,
            kernel,
        };
        Ok(parts
            .part(&input, 3, group)?
            .apply_op2_no_bwd(&gradient, &op)?)
    })
}

/// The convolutions that one falls into, of the same sizes.
struct Parts {
    count: usize,
    /// That of each.
    geometry: Geometry,
}

impl Parts {
    /// Of a convolution that reads or gives `images`, `[N, H, W, …]`, and so many channels on the other side.
    fn of(geometry: Geometry, images: &Tensor, channels: usize) -> Result<Self> {
        let is_whole = geometry.groups == 1
            || images.device().is_cpu() && depthwise::suits(geometry, images.dim(3)?, channels);
        Ok(match is_whole {
            true => Parts { count: 1, geometry },
            false => Parts {
                count: geometry.groups,
                geometry: Geometry {
                    groups: 1,
                    ..geometry
                },
            },
        })
    }

    /// What belongs to one of them of the channels that lie along `axis`, contiguous.
    fn part(&self, tensor: &Tensor, axis: usize, group: usize) -> Result<Tensor> {
        let channels = tensor.dim(axis)?;
        if channels % self.count != 0 {
            let problem = format!("{channels} channels do not fall into {} groups", self.count);
            return Err(candle_core::Error::Msg(problem).into());
        }
        let size = channels / self.count;
        Ok(tensor.narrow(axis, group * size, size)?.contiguous()?)
    }

    /// What they give, behind each other along `axis`.
    fn joined(&self, axis: usize, of_group: impl Fn(usize) -> Result<Tensor>) -> Result<Tensor> {
        match self.count {
            0 => return Err(candle_core::Error::Msg("a convolution in 0 groups".into()).into()),
            1 => return of_group(0),
            _ => {}
        }
        let parts: Vec<Tensor> = (0..self.count).map(of_group).collect::<Result<_>>()?;
        Ok(Tensor::cat(&parts, axis)?)
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

struct Pack {
    geometry: Geometry,
}

impl CustomOp1 for Pack {
    fn name(&self) -> &'static str {
        "conv2d-pack"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (outputs, inputs, height, width) = layout.shape().dims4()?;
        // Of an image that the kernel just fits, as nothing depends on the image.
        let Geometry { dilation, .. } = self.geometry;
        let image = (
            1,
            (height - 1) * dilation.height + 1,
            (width - 1) * dilation.width + 1,
            inputs,
        );
        let kernel = (height, width).into();
        let sizes = Sizes::new(&image.into(), outputs, kernel, self.geometry)?;
        let weight = cpu::slice(weight, layout)?;
        let values = match winograd::suits(&sizes) {
            true => winograd::packed(Isa::new(), weight, &sizes),
            false => direct::panels(weight, &sizes).into_values(),
        };
        let shape = Shape::from(values.len());
        Ok((CpuStorage::F32(values), shape))
    }
}

struct Forward {
    geometry: Geometry,
    relu: bool,
    /// The weight, packed.
    packed: Option<Tensor>,
}

impl Forward {
    /// Of a convolution of these tensors.
    fn sizes(&self, [input, weight, bias]: [&Layout; 3]) -> candle_core::Result<Sizes> {
        let (outputs, inputs, height, width) = weight.shape().dims4()?;
        let kernel = Pair { height, width };
        let sizes = Sizes::new(input.shape(), outputs, kernel, self.geometry)?;
        let inputs = inputs * self.geometry.groups;
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
            CpuStorage::F32(_) if !sizes.is_depthwise() => {
                let epilogue = Epilogue {
                    bias: cpu::slice(bias, bias_layout)?,
                    relu: self.relu,
                };
                let (input, weight) = (
                    cpu::slice(input, input_layout)?,
                    cpu::slice(weight, weight_layout)?,
                );
                let arch = Isa::new();
                CpuStorage::F32(cpu::beside(self.packed.as_ref(), |packed| {
                    Ok(if winograd::suits(&sizes) {
                        let weight = packed.map_or(Weight::Plain(weight), Weight::Packed);
                        winograd::forward(arch, input, weight, &epilogue, &sizes)
                    } else {
                        let panels = match packed {
                            Some(panels) => {
                                Panels::packed(panels.into(), sizes.outputs, sizes.window())
                            }
                            None => direct::panels(weight, &sizes),
                        };
                        direct::forward(arch, input, &panels, &epilogue, &sizes)
                    })
                })?)
            }
            _ => cpu::dispatch!(input, "conv2d", T => {
                let epilogue = Epilogue::<T> { bias: cpu::slice(bias, bias_layout)?, relu: self.relu };
                let (input, weight) = (cpu::slice(input, input_layout)?, cpu::slice(weight, weight_layout)?);
                T::to_cpu_storage_owned(match sizes.is_depthwise() {
                    true => depthwise::forward(Isa::new(), input, weight, &epilogue, &sizes),
                    false => columns::forward(input, weight, &epilogue, &sizes),
                })
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
                T::to_cpu_storage_owned(match sizes.is_depthwise() {
                    true => depthwise::input_gradient::<T>(Isa::new(), output, weight, &sizes),
                    false => columns::input_gradient::<T>(output, weight, &sizes),
                })
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
                T::to_cpu_storage_owned(match sizes.is_depthwise() {
                    true => depthwise::weight_gradient::<T>(input, output, &sizes),
                    false => columns::weight_gradient::<T>(input, output, &sizes),
                })
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
