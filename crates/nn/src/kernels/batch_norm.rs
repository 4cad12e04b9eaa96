//! Batch normalization in training (Ioffe & Szegedy 2015): a pass for the statistics, one for the values, and two for the
//! gradients. Sums are taken in f64, over parts of the batch in a fixed order.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp3, DType, Layout, Shape, Storage, Tensor, WithDType,
};

#[cfg(any(feature = "cuda", test))]
use super::cuda::Expression;
use super::layout::{channels_first, channels_last};
use super::sums::sum_rows;
use super::{cpu, relu};
use crate::Result;

/// Mean and biased variance of every channel of `[N, C, …]`, as f64 `[2, C]`. Not differentiable: [`normalize`] is.
pub fn statistics(input: &Tensor) -> Result<Tensor> {
    Ok(channels_last(&input.detach())?.apply_op1_no_bwd(&Statistics)?)
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
    let batch = Batch::new(statistics, epsilon)?;
    let op = Normalize {
        line: batch.line(weight, bias)?,
        batch,
        relu,
    };
    let output = channels_last(input)?.apply_op3(weight, bias, op)?;
    Ok(channels_first(&output)?)
}

/// `scale · x + shift` with a number each for every channel, and negative values set to 0 if `relu`: what batch normalization
/// is once it is trained.
pub(crate) fn scale(input: &Tensor, scale: &Tensor, shift: &Tensor, relu: bool) -> Result<Tensor> {
    if ![input, scale, shift].iter().any(|tensor| tensor.track_op()) {
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

/// The gradients of [`normalize`] by the input, γ and β. Not differentiable.
pub(crate) fn gradients(
    input: &Tensor,
    weight: &Tensor,
    statistics: &Tensor,
    epsilon: f64,
    gradient: &Tensor,
) -> Result<[Tensor; 3]> {
    let batch = Batch::new(statistics, epsilon)?;
    let (input, gradient) = (channels_last(input)?, channels_last(gradient)?);
    let [of_input, of_weight, of_bias] = batch.gradients(&input, weight, &gradient)?;
    Ok([channels_first(&of_input)?, of_weight, of_bias])
}

fn channels(layout: &Layout) -> candle_core::Result<usize> {
    match layout.dims() {
        [_, .., channels] if *channels > 0 => Ok(*channels),
        _ => candle_core::bail!("batch normalization reads [N, C, …]"),
    }
}

/// Fails unless there are `rows` numbers a channel.
fn check(numbers: &Layout, [rows, channels]: [usize; 2]) -> candle_core::Result<()> {
    match numbers.shape().elem_count() {
        count if count == rows * channels => Ok(()),
        count => candle_core::bail!(
            "batch normalization of {} channels got {channels}",
            count / rows
        ),
    }
}

/// `rows` numbers a channel.
fn numbers<'a, T: WithDType>(
    storage: &'a CpuStorage,
    layout: &Layout,
    shape: [usize; 2],
) -> candle_core::Result<&'a [T]> {
    check(layout, shape)?;
    cpu::slice::<T>(storage, layout)
}

/// What a batch is normalized with: `[C]` in f64.
struct Batch {
    mean: Tensor,
    /// `1 / √(σ² + ε)`
    inverse: Tensor,
}

impl Batch {
    fn new(statistics: &Tensor, epsilon: f64) -> candle_core::Result<Self> {
        Ok(Batch {
            mean: statistics.get(0)?,
            inverse: (statistics.get(1)? + epsilon)?.sqrt()?.recip()?,
        })
    }

    /// Scale and shift, `[C]`.
    fn line(&self, weight: &Tensor, bias: &Tensor) -> candle_core::Result<[Tensor; 2]> {
        let in_f64 = |tensor: &Tensor| tensor.detach().to_dtype(DType::F64);
        let scale = (in_f64(weight)? * &self.inverse)?;
        let shift = (in_f64(bias)? - (&scale * &self.mean)?)?;
        Ok([
            scale.to_dtype(weight.dtype())?,
            shift.to_dtype(weight.dtype())?,
        ])
    }

    /// The gradients by the input `[N, …, C]`, γ and β.
    fn gradients(
        &self,
        input: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<[Tensor; 3]> {
        let sums = gradient.apply_op3_no_bwd(input, &self.rows()?, &Sums)?;
        let (of_bias, of_weight) = (sums.get(0)?, sums.get(1)?);
        let count = (input.elem_count() / weight.elem_count()) as f64;
        // γ/σ · (g − Σg/n − x̂ Σgx̂/n), as p g + q x + r.
        let p = (weight.detach().to_dtype(DType::F64)? * &self.inverse)?;
        let slope = (((&p * &of_weight)? / count)? * &self.inverse)?;
        let r = ((&slope * &self.mean)? - ((&p * &of_bias)? / count)?)?;
        let numbers = Tensor::stack(&[p, slope.neg()?, r], 0)?.to_dtype(input.dtype())?;
        let of_input = gradient.apply_op3_no_bwd(input, &numbers, &Combine)?;
        Ok([
            of_input,
            of_weight.to_dtype(weight.dtype())?,
            of_bias.to_dtype(weight.dtype())?,
        ])
    }

    /// `[2, C]`
    fn rows(&self) -> candle_core::Result<Tensor> {
        Tensor::stack(&[&self.mean, &self.inverse], 0)
    }
}

struct Statistics;

impl Statistics {
    /// What is summed on NVIDIA devices; the mean is p.
    #[cfg(any(feature = "cuda", test))]
    const EXPRESSIONS: [Expression; 2] = [Expression::of("a"), Expression::of("(a - p) * (a - p)")];
}

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
        let moments = CpuStorage::F64(moments.concat());
        Ok((moments, Shape::from((2, channels))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        use super::cuda::{room, sum_by_channel, view};
        let (channels, device) = (channels(layout)?, &storage.device);
        let count = (layout.shape().elem_count() / channels) as f64;
        let mut moments = room::<f64>(device, 2 * channels)?;
        cpu::dispatch!(storage, "batch normalization", T => {
            let x = view::<T>(storage, layout)?;
            let [sum, squares] = Statistics::EXPRESSIONS;
            let (mut mean, mut variance) = moments.split_at_mut(channels);
            sum_by_channel(device, sum, [&x, &x], None, count.recip(), &mut mean)?;
            let mean = mean.as_view();
            let numbers = Some([&mean, &mean]);
            sum_by_channel(device, squares, [&x, &x], numbers, count.recip(), &mut variance)?;
        });
        let moments = CudaStorage::wrap_cuda_slice(moments, device.clone());
        Ok((moments, Shape::from((2, channels))))
    }
}

struct Scale {
    relu: bool,
}

impl Scale {
    /// The same on NVIDIA devices.
    #[cfg(any(feature = "cuda", test))]
    fn expression(&self) -> Expression {
        Expression::of(match self.relu {
            true => "p * a + q <= T(0) ? T(0) : p * a + q",
            false => "p * a + q",
        })
    }
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
        let channels = channels(input_layout)?;
        let output = cpu::dispatch!(input, "batch normalization", T => {
            let scale = numbers::<T>(scale, scale_layout, [1, channels])?;
            let shift = numbers::<T>(shift, shift_layout, [1, channels])?;
            let input = cpu::slice::<T>(input, input_layout)?;
            let size = cpu::CHUNK.div_ceil(channels) * channels;
            T::to_cpu_storage_owned(cpu::in_blocks(cpu::lengths(input.len(), size), |block, output| {
                let rows = input[block * size..].chunks_exact(channels);
                for (output, input) in output.chunks_exact_mut(channels).zip(rows) {
                    let line = scale.iter().zip(shift);
                    for ((y, x), (scale, shift)) in output.iter_mut().zip(input).zip(line) {
                        *y = *scale * *x + *shift;
                    }
                    if self.relu {
                        output.iter_mut().for_each(|y| *y = relu::of(*y));
                    }
                }
            }))
        });
        Ok((output, input_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        scale: &CudaStorage,
        scale_layout: &Layout,
        shift: &CudaStorage,
        shift_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let channels = channels(input_layout)?;
        check(scale_layout, [1, channels])?;
        check(shift_layout, [1, channels])?;
        let output = cpu::dispatch!(input, "batch normalization", T => {
            use super::cuda::{by_channel, view};
            let x = view::<T>(input, input_layout)?;
            let (scale, shift) = (view::<T>(scale, scale_layout)?, view::<T>(shift, shift_layout)?);
            by_channel(&input.device, self.expression(), [&x, &x], [&scale, &shift, &shift])?
        });
        Ok((output, input_layout.shape().clone()))
    }
}

struct Normalize {
    batch: Batch,
    /// Scale and shift that the batch, γ and β make.
    line: [Tensor; 2],
    relu: bool,
}

impl Normalize {
    fn scale(&self) -> Scale {
        Scale { relu: self.relu }
    }
}

impl CustomOp3 for Normalize {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let [(scale, scale_layout), (shift, shift_layout)] =
            self.line.each_ref().map(Tensor::storage_and_layout);
        match (&*scale, &*shift) {
            (Storage::Cpu(scale), Storage::Cpu(shift)) => {
                self.scale()
                    .cpu_fwd(input, layout, scale, scale_layout, shift, shift_layout)
            }
            _ => candle_core::bail!("statistics and input are on different devices"),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let [(scale, scale_layout), (shift, shift_layout)] =
            self.line.each_ref().map(Tensor::storage_and_layout);
        match (&*scale, &*shift) {
            (Storage::Cuda(scale), Storage::Cuda(shift)) => {
                self.scale()
                    .cuda_fwd(input, layout, scale, scale_layout, shift, shift_layout)
            }
            _ => candle_core::bail!("statistics and input are on different devices"),
        }
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

/// `Σ g` and `Σ g x̂` of every channel, `[2, C]` in f64, of g, x, and a [`Batch`]'s rows.
struct Sums;

impl Sums {
    /// What is summed on NVIDIA devices, of g and x.
    #[cfg(any(feature = "cuda", test))]
    const EXPRESSIONS: [Expression; 2] = [Expression::of("a"), Expression::of("a * (b - p) * q")];
}

impl CustomOp3 for Sums {
    fn name(&self) -> &'static str {
        "batch-norm-sums"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        input: &CpuStorage,
        input_layout: &Layout,
        batch: &CpuStorage,
        batch_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let channels = channels(input_layout)?;
        let rows = numbers::<f64>(batch, batch_layout, [2, channels])?;
        let (mean, inverse) = rows.split_at(channels);
        let sums = cpu::dispatch!(input, "batch normalization", T => {
            let input = cpu::slice::<T>(input, input_layout)?;
            let gradient = cpu::slice::<T>(gradient, gradient_layout)?;
            let [plain, mut weighted] = sum_rows(input.len(), channels, |row, [plain, weighted]| {
                let values = input[row..row + channels].iter().zip(&gradient[row..row + channels]);
                let values = values.zip(mean);
                for (((x, g), mean), (plain, weighted)) in values.zip(plain.iter_mut().zip(weighted)) {
                    *plain += g.to_f64();
                    *weighted += g.to_f64() * (x.to_f64() - mean);
                }
            });
            weighted.iter_mut().zip(inverse).for_each(|(sum, inverse)| *sum *= inverse);
            [plain, weighted]
        });
        let sums = CpuStorage::F64(sums.concat());
        Ok((sums, Shape::from((2, channels))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
        input: &CudaStorage,
        input_layout: &Layout,
        batch: &CudaStorage,
        batch_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        use super::cuda::{room, sum_by_channel, view};
        let (channels, device) = (channels(input_layout)?, &input.device);
        check(batch_layout, [2, channels])?;
        let rows = view::<f64>(batch, batch_layout)?;
        let numbers = [&rows.slice(..channels), &rows.slice(channels..)];
        let mut sums = room::<f64>(device, 2 * channels)?;
        cpu::dispatch!(input, "batch normalization", T => {
            let (g, x) = (view::<T>(gradient, gradient_layout)?, view::<T>(input, input_layout)?);
            let [plain, weighted] = Sums::EXPRESSIONS;
            let (mut of_bias, mut of_weight) = sums.split_at_mut(channels);
            sum_by_channel(device, plain, [&g, &x], None, 1.0, &mut of_bias)?;
            sum_by_channel(device, weighted, [&g, &x], Some(numbers), 1.0, &mut of_weight)?;
        });
        let sums = CudaStorage::wrap_cuda_slice(sums, device.clone());
        Ok((sums, Shape::from((2, channels))))
    }
}

/// `p g + q x + r` with three numbers a channel, `[3, C]`.
struct Combine;

impl Combine {
    /// The same on NVIDIA devices.
    #[cfg(any(feature = "cuda", test))]
    const EXPRESSION: Expression = Expression::of("p * a + q * b + r");
}

impl CustomOp3 for Combine {
    fn name(&self) -> &'static str {
        "batch-norm-input-gradient"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        input: &CpuStorage,
        input_layout: &Layout,
        rows: &CpuStorage,
        rows_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let channels = channels(input_layout)?;
        let output = cpu::dispatch!(input, "batch normalization", T => {
            let input = cpu::slice::<T>(input, input_layout)?;
            let gradient = cpu::slice::<T>(gradient, gradient_layout)?;
            let rows = numbers::<T>(rows, rows_layout, [3, channels])?;
            let of_channel = |c: usize| [rows[c], rows[channels + c], rows[2 * channels + c]];
            let numbers: Vec<[T; 3]> = (0..channels).map(of_channel).collect();
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

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
        input: &CudaStorage,
        input_layout: &Layout,
        rows: &CudaStorage,
        rows_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let channels = channels(input_layout)?;
        let output = cpu::dispatch!(input, "batch normalization", T => {
            use super::cuda::{by_channel, view};
            let (g, x) = (view::<T>(gradient, gradient_layout)?, view::<T>(input, input_layout)?);
            check(rows_layout, [3, channels])?;
            let rows = view::<T>(rows, rows_layout)?;
            let numbers = [0, 1, 2].map(|row| rows.slice(row * channels..(row + 1) * channels));
            by_channel(&input.device, Combine::EXPRESSION, [&g, &x], numbers.each_ref())?
        });
        Ok((output, input_layout.shape().clone()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::cuda::{rehearse_by_channel, rehearse_sum_by_channel};

    fn tensor(values: &[f64], shape: impl Into<Shape>) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    fn near(found: Option<Vec<f64>>, expected: &Tensor) {
        let expected = expected.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for (found, expected) in found.iter().flatten().zip(&expected) {
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        }
        assert!(found.is_none_or(|found| found.len() == expected.len()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        /// On `[rows, channels]`, what the ops compute and what their expressions say on NVIDIA devices.
        #[test]
        fn nvidia_devices_compute_the_same(
            (rows, channels, part) in (1usize..9, 1usize..6, 1usize..12),
            values in prop::collection::vec(-2.0f64..2.0, 2 * 9 * 6 + 3 * 6),
            relu: bool,
        ) {
            let count = rows * channels;
            let (x, rest) = values.split_at(count);
            let (g, rest) = rest.split_at(count);
            let [p, q, r] = [0, 1, 2].map(|row| &rest[row * channels..(row + 1) * channels]);
            let [input, gradient] = [x, g].map(|values| tensor(values, (rows, channels)));

            let statistics = input.apply_op1_no_bwd(&Statistics).unwrap();
            let mean = statistics.get(0).unwrap().to_vec1::<f64>().unwrap();
            let averaged = (statistics * rows as f64).unwrap();
            for (row, expression) in Statistics::EXPRESSIONS.into_iter().enumerate() {
                let found = rehearse_sum_by_channel(expression, [x, x], [&mean, &mean], part);
                near(found, &averaged.get(row).unwrap());
            }

            let batch = tensor(&[p, q].concat(), (2, channels));
            let sums = gradient.apply_op3_no_bwd(&input, &batch, &Sums).unwrap();
            for (row, expression) in Sums::EXPRESSIONS.into_iter().enumerate() {
                let found = rehearse_sum_by_channel(expression, [g, x], [p, q], part);
                near(found, &sums.get(row).unwrap());
            }

            let (scale, shift) = (tensor(p, channels), tensor(q, channels));
            let op = Scale { relu };
            let scaled = input.apply_op3_no_bwd(&scale, &shift, &op).unwrap();
            near(rehearse_by_channel(op.expression(), [x, x], [p, q, q]), &scaled);

            let numbers = tensor(&[p, q, r].concat(), (3, channels));
            let combined = gradient.apply_op3_no_bwd(&input, &numbers, &Combine).unwrap();
            near(rehearse_by_channel(Combine::EXPRESSION, [g, x], [p, q, r]), &combined);
        }
    }
}
