//! 2-D convolution as matrix products: each image's windows are laid out as columns (`im2col`), and the products run through
//! the `gemm` crate with the widest vectors that the processor has. Images are spread over threads; sums over the batch are
//! taken in a fixed order, so that results do not depend on the number of threads.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::cpu;
use super::product::{Matrix, Threads, multiply};
use crate::Result;

/// How windows lie on the input, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Steps between windows.
    pub stride: usize,
    /// Zeros on every side.
    pub padding: usize,
}

/// `[N, C, H, W]` and weight `[K, C, k, k]` to `[N, K, H', W']`; differentiable by both.
pub fn forward(input: &Tensor, weight: &Tensor, geometry: Geometry) -> Result<Tensor> {
    Ok(match input.device().is_cpu() {
        true => input
            .contiguous()?
            .apply_op2(&weight.contiguous()?, Forward(geometry))?,
        false => input.conv2d(weight, geometry.padding, geometry.stride, 1, 1)?,
    })
}

/// The transposed map: `[N, K, H', W']` and weight `[K, C, k, k]` to the input's shape `[N, C, H, W]`. Not differentiable.
pub fn input_gradient(
    output: &Tensor,
    weight: &Tensor,
    input: &Shape,
    geometry: Geometry,
) -> Result<Tensor> {
    if output.device().is_cpu() {
        let op = InputGradient {
            geometry,
            input: input.clone(),
        };
        return Ok(output
            .contiguous()?
            .apply_op2_no_bwd(&weight.contiguous()?, &op)?);
    }
    let (_, _, h, w) = input.dims4()?;
    let (_, _, oh, ow) = output.dims4()?;
    let kernel = weight.dim(2)?;
    // Rows and columns that no window reaches get nothing: candle asks for their number, the same in both directions.
    let rest = |length: usize, windows: usize| {
        length + 2 * geometry.padding - (windows - 1) * geometry.stride - kernel
    };
    let extra = rest(h, oh).max(rest(w, ow));
    let gradient = output.conv_transpose2d(weight, geometry.padding, extra, geometry.stride, 1)?;
    Ok(gradient.narrow(2, 0, h)?.narrow(3, 0, w)?.contiguous()?)
}

fn weight_gradient(
    input: &Tensor,
    output: &Tensor,
    kernel: usize,
    geometry: Geometry,
) -> candle_core::Result<Tensor> {
    let op = WeightGradient { geometry, kernel };
    input
        .contiguous()?
        .apply_op2_no_bwd(&output.contiguous()?, &op)
}

/// The sizes of one convolution.
#[derive(Clone, Copy)]
struct Sizes {
    geometry: Geometry,
    batch: usize,
    inputs: usize,
    height: usize,
    width: usize,
    outputs: usize,
    kernel: usize,
    out_height: usize,
    out_width: usize,
}

impl Sizes {
    fn new(
        input: &Shape,
        outputs: usize,
        kernel: usize,
        geometry: Geometry,
    ) -> candle_core::Result<Self> {
        let (batch, inputs, height, width) = input.dims4()?;
        let Geometry { stride, padding } = geometry;
        if height + 2 * padding < kernel || width + 2 * padding < kernel {
            candle_core::bail!(
                "a kernel of {kernel} does not fit an input of {height} × {width}, padding {padding}"
            );
        }
        let out = |length: usize| (length + 2 * padding - kernel) / stride + 1;
        let (out_height, out_width) = (out(height), out(width));
        Ok(Sizes {
            geometry,
            batch,
            inputs,
            height,
            width,
            outputs,
            kernel,
            out_height,
            out_width,
        })
    }

    /// Values of one image.
    fn image(&self) -> usize {
        self.inputs * self.height * self.width
    }

    /// Values in one window.
    fn window(&self) -> usize {
        self.inputs * self.kernel * self.kernel
    }

    /// Windows, or values of one output channel.
    fn windows(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Calls `each` for every run of the columns' matrix `[window, windows]`: the start of one output row in it, the start of
    /// the image values below it, and how many there are; these lie `stride` apart in the image. Padding is left out.
    fn each_run(&self, mut each: impl FnMut(usize, usize, usize)) {
        let Geometry { stride, padding } = self.geometry;
        for channel in 0..self.inputs {
            for (ky, kx) in (0..self.kernel).flat_map(|y| (0..self.kernel).map(move |x| (y, x))) {
                let row = ((channel * self.kernel + ky) * self.kernel + kx) * self.windows();
                // The outputs whose window holds a value of the image at kx: 0 ≤ ox·stride + kx − padding < width.
                let first = padding.saturating_sub(kx).div_ceil(stride);
                let past = (self.width + padding)
                    .saturating_sub(kx)
                    .div_ceil(stride)
                    .min(self.out_width);
                if first >= past {
                    continue;
                }
                for oy in 0..self.out_height {
                    let y = oy * stride + ky;
                    if y < padding || y - padding >= self.height {
                        continue;
                    }
                    let image =
                        (channel * self.height + y - padding) * self.width + first * stride + kx
                            - padding;
                    each(row + oy * self.out_width + first, image, past - first);
                }
            }
        }
    }

    /// The windows of one image as the columns of `[window, windows]`. What `columns` holds outside of [`Self::each_run`]
    /// must be 0 and stays so.
    fn image_to_columns<T: WithDType>(&self, image: &[T], columns: &mut [T]) {
        let stride = self.geometry.stride;
        self.each_run(|column, start, count| {
            if stride == 1 {
                columns[column..column + count].copy_from_slice(&image[start..start + count]);
            } else {
                let values = image[start..].iter().step_by(stride);
                columns[column..column + count]
                    .iter_mut()
                    .zip(values)
                    .for_each(|(to, from)| *to = *from);
            }
        });
    }

    /// The transpose of [`Self::image_to_columns`]: adds every column's values to the image.
    fn columns_to_image<T: WithDType>(&self, columns: &[T], image: &mut [T]) {
        let stride = self.geometry.stride;
        self.each_run(|column, start, count| {
            let places = image[start..].iter_mut().step_by(stride);
            columns[column..column + count]
                .iter()
                .zip(places)
                .for_each(|(from, to)| *to += *from);
        });
    }
}

struct Forward(Geometry);

impl CustomOp2 for Forward {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (outputs, inputs, kernel, _) = weight_layout.shape().dims4()?;
        let sizes = Sizes::new(input_layout.shape(), outputs, kernel, self.0)?;
        if inputs != sizes.inputs {
            candle_core::bail!("a convolution of {inputs} channels got {}", sizes.inputs);
        }
        let shape = Shape::from((sizes.batch, outputs, sizes.out_height, sizes.out_width));
        let storage = cpu::dispatch!(input, "conv2d", T => {
            let output = convolve::<T>(cpu::slice(input, input_layout)?, cpu::slice(weight, weight_layout)?, sizes);
            T::to_cpu_storage_owned(output)
        });
        Ok((storage, shape))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let of_input = || {
            let op = InputGradient {
                geometry: self.0,
                input: input.shape().clone(),
            };
            gradient
                .contiguous()?
                .apply_op2_no_bwd(&weight.contiguous()?, &op)
        };
        Ok((
            input.track_op().then(of_input).transpose()?,
            weight
                .track_op()
                .then(|| weight_gradient(input, gradient, weight.dim(2)?, self.0))
                .transpose()?,
        ))
    }
}

fn convolve<T: WithDType>(input: &[T], weight: &[T], sizes: Sizes) -> Vec<T> {
    let mut output = vec![T::zero(); sizes.batch * sizes.outputs * sizes.windows()];
    let weight = Matrix::new(weight, sizes.outputs, sizes.window());
    input
        .par_chunks(sizes.image())
        .zip(output.par_chunks_mut(sizes.outputs * sizes.windows()))
        .for_each_init(
            || vec![T::zero(); sizes.window() * sizes.windows()],
            |columns, (image, output)| {
                sizes.image_to_columns(image, columns);
                multiply(
                    Threads::One,
                    output,
                    false,
                    weight,
                    Matrix::new(columns, sizes.window(), sizes.windows()),
                );
            },
        );
    output
}

struct InputGradient {
    geometry: Geometry,
    input: Shape,
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
        let (outputs, _, kernel, _) = weight_layout.shape().dims4()?;
        let sizes = Sizes::new(&self.input, outputs, kernel, self.geometry)?;
        let storage = cpu::dispatch!(output, "conv2d", T => {
            let weight = cpu::slice(weight, weight_layout)?;
            T::to_cpu_storage_owned(spread::<T>(cpu::slice(output, output_layout)?, weight, sizes))
        });
        Ok((storage, self.input.clone()))
    }
}

fn spread<T: WithDType>(output: &[T], weight: &[T], sizes: Sizes) -> Vec<T> {
    let mut input = vec![T::zero(); sizes.batch * sizes.image()];
    let weight = Matrix::new(weight, sizes.outputs, sizes.window()).t();
    output
        .par_chunks(sizes.outputs * sizes.windows())
        .zip(input.par_chunks_mut(sizes.image()))
        .for_each_init(
            || vec![T::zero(); sizes.window() * sizes.windows()],
            |columns, (output, image)| {
                multiply(
                    Threads::One,
                    columns,
                    false,
                    weight,
                    Matrix::new(output, sizes.outputs, sizes.windows()),
                );
                sizes.columns_to_image(columns, image);
            },
        );
    input
}

struct WeightGradient {
    geometry: Geometry,
    kernel: usize,
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
        let outputs = output_layout.shape().dims4()?.1;
        let sizes = Sizes::new(input_layout.shape(), outputs, self.kernel, self.geometry)?;
        let shape = Shape::from((outputs, sizes.inputs, self.kernel, self.kernel));
        let storage = cpu::dispatch!(input, "conv2d", T => {
            let output = cpu::slice(output, output_layout)?;
            T::to_cpu_storage_owned(correlate::<T>(cpu::slice(input, input_layout)?, output, sizes))
        });
        Ok((storage, shape))
    }
}

/// Images whose weight gradients are summed on one thread, in order; the partial sums are added in order too.
const IMAGES_A_PART: usize = 8;

fn correlate<T: WithDType>(input: &[T], output: &[T], sizes: Sizes) -> Vec<T> {
    let outputs = sizes.outputs * sizes.windows();
    let parts: Vec<Vec<T>> = input
        .par_chunks(IMAGES_A_PART * sizes.image())
        .zip(output.par_chunks(IMAGES_A_PART * outputs))
        .map_init(
            || vec![T::zero(); sizes.window() * sizes.windows()],
            |columns, (images, outputs_of_part)| {
                let mut sum = vec![T::zero(); sizes.outputs * sizes.window()];
                for (image, output) in images
                    .chunks(sizes.image())
                    .zip(outputs_of_part.chunks(outputs))
                {
                    sizes.image_to_columns(image, columns);
                    let columns = Matrix::new(columns, sizes.window(), sizes.windows());
                    multiply(
                        Threads::One,
                        &mut sum,
                        true,
                        Matrix::new(output, sizes.outputs, sizes.windows()),
                        columns.t(),
                    );
                }
                sum
            },
        )
        .collect();
    let mut parts = parts.into_iter();
    let mut total = parts
        .next()
        .unwrap_or_else(|| vec![T::zero(); sizes.outputs * sizes.window()]);
    for part in parts {
        total
            .iter_mut()
            .zip(part)
            .for_each(|(total, part)| *total += part);
    }
    total
}
