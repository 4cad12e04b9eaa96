//! Batch normalization in training (Ioffe & Szegedy 2015): a pass for the statistics, one for the values, and two for the
//! gradients. Sums are taken in f64, over parts of the batch in a fixed order.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Shape, Tensor, WithDType,
};

use super::layout::{channels_first, channels_last};
use super::sums::sum_rows;
use super::{cpu, relu};
use crate::Result;

/// Mean and biased variance of every channel of `[N, C, …]`, as f64 `[2, C]`. Not differentiable: [`normalize`] is.
pub fn statistics(input: &Tensor) -> Result<Tensor> {
    let input = input.detach();
    if input.device().is_cpu() {
        return Ok(channels_last(&input)?.apply_op1_no_bwd(&Statistics)?);
    }
    let channels = input
        .flatten_from(1)?
        .reshape((input.dim(0)?, input.dim(1)?, ()))?;
    let channels = channels.transpose(0, 1)?.flatten_from(1)?;
    let mean = channels.mean_keepdim(1)?;
    let variance = channels.broadcast_sub(&mean)?.sqr()?.mean(1)?;
    Ok(Tensor::stack(&[mean.squeeze(1)?, variance], 0)?.to_dtype(DType::F64)?)
}

/// `γ (x − μ) / √(σ² + ε) + β` with the batch's own [`statistics`]; differentiable by the input, γ and β, through the
/// statistics too.
pub fn normalize(
    input: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    statistics: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    forward(input, [weight, bias], statistics, epsilon, false)
}

/// [`normalize`], with negative values set to 0 if `relu`.
pub(crate) fn forward(
    input: &Tensor,
    [weight, bias]: [&Tensor; 2],
    statistics: &Tensor,
    epsilon: f64,
    relu: bool,
) -> Result<Tensor> {
    if input.device().is_cpu() {
        let op = Normalize {
            batch: Batch::new(statistics, epsilon)?,
            relu,
        };
        let output =
            channels_last(input)?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?;
        return Ok(channels_first(&output)?);
    }
    let values = input
        .flatten_from(1)?
        .reshape((input.dim(0)?, input.dim(1)?, ()))?;
    let mean = values.mean_keepdim(2)?.mean_keepdim(0)?;
    let centred = values.broadcast_sub(&mean)?;
    let deviation = (centred.sqr()?.mean_keepdim(2)?.mean_keepdim(0)? + epsilon)?.sqrt()?;
    let column = |tensor: &Tensor| tensor.reshape((1, tensor.elem_count(), 1));
    let unit = centred.broadcast_div(&deviation)?;
    let output = unit
        .broadcast_mul(&column(weight)?)?
        .broadcast_add(&column(bias)?)?
        .reshape(input.shape())?;
    if relu {
        relu::forward(&output)
    } else {
        Ok(output)
    }
}

/// `scale · x + shift` with a number each for every channel, and negative values set to 0 if `relu`: what batch normalization
/// is once it is trained.
pub(crate) fn scale(input: &Tensor, scale: &Tensor, shift: &Tensor, relu: bool) -> Result<Tensor> {
    if input.device().is_cpu() && ![input, scale, shift].iter().any(|tensor| tensor.track_op()) {
        let op = Scale { relu };
        let output = channels_last(input)?.apply_op3_no_bwd(scale, shift, &op)?;
        return Ok(channels_first(&output)?);
    }
    let mut column = vec![1; input.rank() - 1];
    column[0] = scale.elem_count();
    let output = input
        .broadcast_mul(&scale.reshape(column.clone())?)?
        .broadcast_add(&shift.reshape(column)?)?;
    if relu {
        relu::forward(&output)
    } else {
        Ok(output)
    }
}

/// The gradients of [`normalize`] by the input, γ and β. Not differentiable on the CPU.
pub(crate) fn gradients(
    input: &Tensor,
    weight: &Tensor,
    statistics: &Tensor,
    epsilon: f64,
    gradient: &Tensor,
) -> Result<[Tensor; 3]> {
    if !input.device().is_cpu() {
        return gradients_by_operations(input, weight, statistics, epsilon, gradient);
    }
    let batch = Batch::new(statistics, epsilon)?;
    let (input, gradient) = (channels_last(input)?, channels_last(gradient)?);
    let [of_input, of_weight, of_bias] = batch.gradients(&input, weight, &gradient)?;
    Ok([channels_first(&of_input)?, of_weight, of_bias])
}

/// [`gradients`] by candle's own operations.
fn gradients_by_operations(
    input: &Tensor,
    weight: &Tensor,
    statistics: &Tensor,
    epsilon: f64,
    gradient: &Tensor,
) -> Result<[Tensor; 3]> {
    let flat = |tensor: &Tensor| {
        tensor
            .flatten_from(1)?
            .reshape((tensor.dim(0)?, tensor.dim(1)?, ()))
    };
    let (values, gradient) = (flat(input)?, flat(gradient)?);
    let count = (values.elem_count() / values.dim(1)?) as f64;
    let statistics = statistics.to_dtype(input.dtype())?;
    let column = |tensor: &Tensor| tensor.reshape((1, tensor.elem_count(), 1));
    let mean = column(&statistics.get(0)?)?;
    let inverse = (column(&statistics.get(1)?)? + epsilon)?.sqrt()?.recip()?;
    let unit = values.broadcast_sub(&mean)?.broadcast_mul(&inverse)?;
    let of_bias = gradient.sum_keepdim((0, 2))?;
    let of_weight = (&gradient * &unit)?.sum_keepdim((0, 2))?;
    // γ/σ · (g − Σg/n − x̂ Σgx̂/n)
    let centred = gradient.broadcast_sub(&(&of_bias / count)?)?;
    let centred = (centred - unit.broadcast_mul(&(&of_weight / count)?)?)?;
    let of_input = centred.broadcast_mul(&(column(weight)? * inverse)?)?;
    Ok([
        of_input.reshape(input.shape())?,
        of_weight.flatten_all()?,
        of_bias.flatten_all()?,
    ])
}

/// `[2, C]`.
fn rows_of(sums: [Vec<f64>; 2]) -> (CpuStorage, Shape) {
    let shape = Shape::from((2, sums[0].len()));
    (CpuStorage::F64(sums.concat()), shape)
}

fn channels(layout: &Layout) -> candle_core::Result<usize> {
    match layout.dims() {
        [_, .., channels] if *channels > 0 => Ok(*channels),
        _ => candle_core::bail!("batch normalization reads [N, C, …]"),
    }
}

struct Statistics;

impl CustomOp1 for Statistics {
    fn name(&self) -> &'static str {
        "batch-statistics"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let channels = channels(layout)?;
        let moments = cpu::dispatch!(storage, "batch normalization", T => {
            let data = cpu::slice::<T>(storage, layout)?;
            // Distances from the first row: in f64 their squares lose nothing that f32 has.
            let origin: Vec<f64> = data.iter().take(channels).map(|x| x.to_f64()).collect();
            let [mut mean, mut variance] = sum_rows(data.len(), channels, |row, [sums, squares]| {
                let row = data[row..row + channels].iter().zip(&origin);
                for ((x, origin), (sum, square)) in row.zip(sums.iter_mut().zip(squares)) {
                    let distance = x.to_f64() - origin;
                    *sum += distance;
                    *square += distance * distance;
                }
            });
            let count = (data.len() / channels) as f64;
            for ((mean, variance), origin) in mean.iter_mut().zip(&mut variance).zip(origin) {
                *mean /= count;
                *variance = *variance / count - *mean * *mean;
                // Not `max`: what is not a number stays so.
                if *variance < 0.0 {
                    *variance = 0.0;
                }
                *mean += origin;
            }
            [mean, variance]
        });
        Ok(rows_of(moments))
    }
}

/// What a batch is normalized with.
struct Batch {
    mean: Vec<f64>,
    /// `1 / √(σ² + ε)`
    inverse: Vec<f64>,
}

/// A number a channel, twice: `scale · x + shift`.
type Line<T> = Vec<(T, T)>;

impl Batch {
    fn new(statistics: &Tensor, epsilon: f64) -> candle_core::Result<Self> {
        let rows = statistics.to_vec2::<f64>()?;
        let inverse = rows[1]
            .iter()
            .map(|variance| (variance + epsilon).sqrt().recip());
        Ok(Batch {
            inverse: inverse.collect(),
            mean: rows[0].clone(),
        })
    }

    fn line<T: WithDType>(&self, weight: &[T], bias: &[T]) -> Line<T> {
        let lines = weight
            .iter()
            .zip(bias)
            .zip(self.mean.iter().zip(&self.inverse));
        lines
            .map(|((weight, bias), (mean, inverse))| {
                let scale = weight.to_f64() * inverse;
                (
                    T::from_f64(scale),
                    T::from_f64(bias.to_f64() - scale * mean),
                )
            })
            .collect()
    }

    /// The gradients by the input `[N, …, C]`, γ and β.
    fn gradients(
        &self,
        input: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<[Tensor; 3]> {
        let sums = input.apply_op2_no_bwd(gradient, &Sums(self))?;
        let rows = sums.to_vec2::<f64>()?;
        let weights = weight.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let count = (input.elem_count() / weights.len()) as f64;
        // γ/σ · (g − Σg/n − x̂ Σgx̂/n), as p g + q x + r.
        let channel = |c: usize| {
            let scale = weights[c] * self.inverse[c];
            let slope = scale * rows[1][c] / count * self.inverse[c];
            [
                scale,
                -slope,
                slope * self.mean[c] - scale * rows[0][c] / count,
            ]
        };
        let combine = Combine((0..weights.len()).map(channel).collect());
        let of_parameter = |row: usize| sums.get(row)?.to_dtype(weight.dtype());
        Ok([
            input.apply_op2_no_bwd(gradient, &combine)?,
            of_parameter(1)?,
            of_parameter(0)?,
        ])
    }
}

/// `[…, channels]`, each channel along its line.
fn along_lines<T: WithDType>(
    input: &[T],
    channels: usize,
    line: &Line<T>,
    relu: bool,
) -> candle_core::Result<Vec<T>> {
    if line.len() != channels {
        candle_core::bail!(
            "batch normalization of {} channels got {channels}",
            line.len()
        );
    }
    let size = cpu::CHUNK.div_ceil(channels) * channels;
    Ok(cpu::in_blocks(
        cpu::lengths(input.len(), size),
        |block, output| {
            let rows = input[block * size..].chunks_exact(channels);
            for (output, input) in output.chunks_exact_mut(channels).zip(rows) {
                for ((y, x), (scale, shift)) in output.iter_mut().zip(input).zip(line) {
                    *y = *scale * *x + *shift;
                }
                if relu {
                    output.iter_mut().for_each(|y| *y = relu::of(*y));
                }
            }
        },
    ))
}

struct Scale {
    relu: bool,
}

impl CustomOp3 for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let output = cpu::dispatch!(input, "batch normalization", T => {
            let (scale, shift) = (cpu::slice::<T>(scale, scale_layout)?, cpu::slice::<T>(shift, shift_layout)?);
            let line = scale.iter().copied().zip(shift.iter().copied()).collect();
            let input = cpu::slice(input, input_layout)?;
            T::to_cpu_storage_owned(along_lines(input, channels(input_layout)?, &line, self.relu)?)
        });
        Ok((output, input_layout.shape().clone()))
    }
}

struct Normalize {
    batch: Batch,
    relu: bool,
}

impl CustomOp3 for Normalize {
    fn name(&self) -> &'static str {
        "batch-norm"
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
        let output = cpu::dispatch!(input, "batch normalization", T => {
            let input = cpu::slice::<T>(input, input_layout)?;
            let line = self.batch.line::<T>(cpu::slice(weight, weight_layout)?, cpu::slice(bias, bias_layout)?);
            T::to_cpu_storage_owned(along_lines(input, channels(input_layout)?, &line, self.relu)?)
        });
        Ok((output, input_layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradient = gradient.contiguous()?;
        if self.relu {
            gradient = relu::gradient(output, &gradient)?;
        }
        let gradients = self.batch.gradients(input, weight, &gradient)?;
        let [of_input, of_weight, of_bias] = gradients.map(Some);
        Ok((of_input, of_weight, of_bias))
    }
}

/// `Σ g` and `Σ g x̂` of every channel, `[2, C]` in f64.
struct Sums<'a>(&'a Batch);

impl CustomOp2 for Sums<'_> {
    fn name(&self) -> &'static str {
        "batch-norm-sums"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let channels = channels(input_layout)?;
        let sums = cpu::dispatch!(input, "batch normalization", T => {
            let input = cpu::slice::<T>(input, input_layout)?;
            let gradient = cpu::slice::<T>(gradient, gradient_layout)?;
            let [plain, mut weighted] = sum_rows(input.len(), channels, |row, [plain, weighted]| {
                let values = input[row..row + channels].iter().zip(&gradient[row..row + channels]);
                let values = values.zip(&self.0.mean);
                for (((x, g), mean), (plain, weighted)) in values.zip(plain.iter_mut().zip(weighted)) {
                    *plain += g.to_f64();
                    *weighted += g.to_f64() * (x.to_f64() - mean);
                }
            });
            weighted.iter_mut().zip(&self.0.inverse).for_each(|(sum, inverse)| *sum *= inverse);
            [plain, weighted]
        });
        Ok(rows_of(sums))
    }
}

/// `p g + q x + r` with three numbers a channel.
struct Combine(Vec<[f64; 3]>);

impl CustomOp2 for Combine {
    fn name(&self) -> &'static str {
        "batch-norm-input-gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let channels = channels(input_layout)?;
        let output = cpu::dispatch!(input, "batch normalization", T => {
            let input = cpu::slice::<T>(input, input_layout)?;
            let gradient = cpu::slice::<T>(gradient, gradient_layout)?;
            let numbers: Vec<[T; 3]> = self.0.iter().map(|numbers| numbers.map(T::from_f64)).collect();
            let size = cpu::CHUNK.div_ceil(channels) * channels;
            T::to_cpu_storage_owned(cpu::in_blocks(cpu::lengths(input.len(), size), |block, output| {
                let values = input[block * size..].iter().zip(&gradient[block * size..]);
                let numbers = numbers.iter().cycle();
                for ((output, (x, g)), [p, q, r]) in output.iter_mut().zip(values).zip(numbers) {
                    *output = *p * *g + *q * *x + *r;
                }
            }))
        });
        Ok((output, input_layout.shape().clone()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::kernels::testing::tensor_by_lot;

    /// What other devices compute, run on the CPU, against the CPU's own kernel.
    #[test]
    fn tensor_operations_give_the_same_gradients() {
        let by_lot =
            |shape: &[usize], seed| tensor_by_lot(shape, seed).to_dtype(DType::F64).unwrap();
        for shape in [&[5, 3][..], &[4, 3, 2, 6]] {
            let (input, gradient, weight) = (by_lot(shape, 1), by_lot(shape, 2), by_lot(&[3], 3));
            let statistics = statistics(&input).unwrap();
            let own = gradients(&input, &weight, &statistics, 0.1, &gradient).unwrap();
            let theirs =
                gradients_by_operations(&input, &weight, &statistics, 0.1, &gradient).unwrap();
            for (own, theirs) in own.iter().zip(&theirs) {
                let apart = (own - theirs)
                    .unwrap()
                    .abs()
                    .unwrap()
                    .flatten_all()
                    .unwrap();
                assert!(apart.max(0).unwrap().to_scalar::<f64>().unwrap() < 1e-12);
            }
        }
    }
}
