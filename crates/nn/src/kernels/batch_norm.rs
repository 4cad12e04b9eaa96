//! Batch normalization in training (Ioffe & Szegedy 2015): a pass for the statistics, one for the values, and two for the
//! gradients.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Shape, Tensor, WithDType,
};
use rayon::prelude::*;

use super::cpu;
use crate::Result;

/// Mean and biased variance of every channel of `[N, C, …]`, as f64 `[2, C]`. Not differentiable: [`normalize`] is.
pub fn statistics(input: &Tensor) -> Result<Tensor> {
    let input = input.detach();
    if input.device().is_cpu() {
        return Ok(input.contiguous()?.apply_op1_no_bwd(&Statistics)?);
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
    if input.device().is_cpu() {
        let rows = statistics.to_vec2::<f64>()?;
        let inverse = rows[1]
            .iter()
            .map(|variance| (variance + epsilon).sqrt().recip())
            .collect();
        let op = Normalize {
            mean: rows[0].clone(),
            inverse,
        };
        return Ok(input.contiguous()?.apply_op3(
            &weight.contiguous()?,
            &bias.contiguous()?,
            op,
        )?);
    }
    let values = input
        .flatten_from(1)?
        .reshape((input.dim(0)?, input.dim(1)?, ()))?;
    let mean = values.mean_keepdim(2)?.mean_keepdim(0)?;
    let centred = values.broadcast_sub(&mean)?;
    let deviation = (centred.sqr()?.mean_keepdim(2)?.mean_keepdim(0)? + epsilon)?.sqrt()?;
    let column = |tensor: &Tensor| tensor.reshape((1, tensor.elem_count(), 1));
    let unit = centred.broadcast_div(&deviation)?;
    Ok(unit
        .broadcast_mul(&column(weight)?)?
        .broadcast_add(&column(bias)?)?
        .reshape(input.shape())?)
}

/// `[N, C, …]` as N · C planes of so many values.
#[derive(Clone, Copy)]
struct Planes {
    channels: usize,
    values: usize,
}

impl Planes {
    fn new(layout: &Layout) -> candle_core::Result<Self> {
        match layout.dims() {
            [_, channels, rest @ ..] => Ok(Planes {
                channels: *channels,
                values: rest.iter().product(),
            }),
            _ => candle_core::bail!("batch normalization reads [N, C, …]"),
        }
    }

    /// The channel's planes, in order.
    fn of<T>(self, data: &[T], channel: usize) -> impl Iterator<Item = &[T]> {
        data.chunks(self.values)
            .skip(channel)
            .step_by(self.channels)
    }

    /// How many values a channel has.
    fn count<T>(self, data: &[T]) -> f64 {
        (data.len() / self.channels) as f64
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
        fn moments<T: WithDType>(data: &[T], planes: Planes) -> Vec<f64> {
            let count = planes.count(data);
            let of_channel = |channel| {
                let sum = |map: &dyn Fn(f64) -> f64| -> f64 {
                    planes
                        .of(data, channel)
                        .map(|plane| plane.iter().map(|v| map(v.to_f64())).sum::<f64>())
                        .sum()
                };
                let mean = sum(&|v| v) / count;
                (mean, sum(&|v| (v - mean) * (v - mean)) / count)
            };
            let (mut means, variances): (Vec<f64>, Vec<f64>) =
                (0..planes.channels).into_par_iter().map(of_channel).unzip();
            means.extend(variances);
            means
        }
        let planes = Planes::new(layout)?;
        let moments = cpu::dispatch!(storage, "batch normalization", T => {
            moments::<T>(cpu::slice(storage, layout)?, planes)
        });
        Ok((CpuStorage::F64(moments), Shape::from((2, planes.channels))))
    }
}

/// With the batch's mean and the inverse of its deviation.
struct Normalize {
    mean: Vec<f64>,
    inverse: Vec<f64>,
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
        let planes = Planes::new(input_layout)?;
        let output = cpu::dispatch!(input, "batch normalization", T => {
            let input = cpu::slice::<T>(input, input_layout)?;
            let (weight, bias) = (cpu::slice::<T>(weight, weight_layout)?, cpu::slice::<T>(bias, bias_layout)?);
            let mut output = vec![T::default(); input.len()];
            let pairs = output.par_chunks_mut(planes.values).zip(input.par_chunks(planes.values)).enumerate();
            pairs.for_each(|(plane, (output, input))| {
                let channel = plane % planes.channels;
                let scale = weight[channel].to_f64() * self.inverse[channel];
                let shift = T::from_f64(bias[channel].to_f64() - scale * self.mean[channel]);
                let scale = T::from_f64(scale);
                output.iter_mut().zip(input).for_each(|(y, x)| *y = scale * *x + shift);
            });
            T::to_cpu_storage_owned(output)
        });
        Ok((output, input_layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let sums = Sums {
            mean: self.mean.clone(),
            inverse: self.inverse.clone(),
        };
        let sums = input.apply_op2_no_bwd(&gradient, &sums)?;
        let of_weight = |row: usize| sums.get(row)?.to_dtype(weight.dtype());
        let rows = sums.to_vec2::<f64>()?;
        let weights = weight.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let of_input = || {
            let count = (input.elem_count() / weights.len()) as f64;
            let channel = |c: usize| {
                // γ/σ · (g − Σg/n − x̂ Σgx̂/n), as p g + q x + r.
                let scale = weights[c] * self.inverse[c];
                let slope = scale * rows[1][c] / count * self.inverse[c];
                [
                    scale,
                    -slope,
                    slope * self.mean[c] - scale * rows[0][c] / count,
                ]
            };
            input.apply_op2_no_bwd(
                &gradient,
                &Combine((0..weights.len()).map(channel).collect()),
            )
        };
        let of_input = input.track_op().then(of_input).transpose()?;
        Ok((of_input, Some(of_weight(1)?), Some(of_weight(0)?)))
    }
}

/// `Σ g` and `Σ g x̂` of every channel, `[2, C]` in f64.
struct Sums {
    mean: Vec<f64>,
    inverse: Vec<f64>,
}

impl CustomOp2 for Sums {
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
        let planes = Planes::new(input_layout)?;
        let sums = cpu::dispatch!(input, "batch normalization", T => {
            let input = cpu::slice::<T>(input, input_layout)?;
            let gradient = cpu::slice::<T>(gradient, gradient_layout)?;
            let of_channel = |channel| {
                let (mut plain, mut weighted) = (0.0, 0.0);
                for (input, gradient) in planes.of(input, channel).zip(planes.of(gradient, channel)) {
                    for (x, g) in input.iter().zip(gradient) {
                        plain += g.to_f64();
                        weighted += g.to_f64() * (x.to_f64() - self.mean[channel]);
                    }
                }
                (plain, weighted * self.inverse[channel])
            };
            let (mut plain, weighted): (Vec<f64>, Vec<f64>) =
                (0..planes.channels).into_par_iter().map(of_channel).unzip();
            plain.extend(weighted);
            plain
        });
        Ok((CpuStorage::F64(sums), Shape::from((2, planes.channels))))
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
        let planes = Planes::new(input_layout)?;
        let output = cpu::dispatch!(input, "batch normalization", T => {
            let input = cpu::slice::<T>(input, input_layout)?;
            let gradient = cpu::slice::<T>(gradient, gradient_layout)?;
            let mut output = vec![T::default(); input.len()];
            let pairs = input.par_chunks(planes.values).zip(gradient.par_chunks(planes.values));
            output.par_chunks_mut(planes.values).zip(pairs).enumerate().for_each(|(plane, (output, (input, gradient)))| {
                let [p, q, r] = self.0[plane % planes.channels].map(T::from_f64);
                for ((output, x), g) in output.iter_mut().zip(input).zip(gradient) {
                    *output = p * *g + q * *x + r;
                }
            });
            T::to_cpu_storage_owned(output)
        });
        Ok((output, input_layout.shape().clone()))
    }
}
