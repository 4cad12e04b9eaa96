//! Sums over a batch.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::cpu;
use super::layout::channels_last;
use crate::Result;

/// `[N, C, …]` to `[C]`. Not differentiable.
pub fn sum_by_channel(tensor: &Tensor) -> Result<Tensor> {
    Ok(channels_last(tensor)?.apply_op1_no_bwd(&ByChannel)?)
}

/// Values that one thread sums at a time.
const PART: usize = 1 << 17;

/// K sums for each channel over `length` values `[…, C]`, in f64, in parts and these in order, so that the result does not depend
/// on the number of threads: `add` adds the row that begins at a place.
pub(super) fn sum_rows<const K: usize>(
    length: usize,
    channels: usize,
    add: impl Fn(usize, &mut [Vec<f64>; K]) + Sync,
) -> [Vec<f64>; K] {
    let zeros = || std::array::from_fn(|_| vec![0.0; channels]);
    let part_length = (PART / channels).max(1) * channels;
    let of_part = |part: usize| {
        let mut sums = zeros();
        let past = length.min((part + 1) * part_length);
        (part * part_length..past)
            .step_by(channels)
            .for_each(|row| add(row, &mut sums));
        sums
    };
    let parts: Vec<_> = (0..length.div_ceil(part_length))
        .into_par_iter()
        .map(of_part)
        .collect();
    parts
        .iter()
        .fold(zeros(), |mut total: [Vec<f64>; K], part| {
            for (total, part) in total.iter_mut().flatten().zip(part.iter().flatten()) {
                *total += part;
            }
            total
        })
}

struct ByChannel;

impl CustomOp1 for ByChannel {
    fn name(&self) -> &'static str {
        "sum-by-channel"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let channels = layout.dims()[layout.dims().len() - 1].max(1);
        let sums = cpu::dispatch!(storage, "a sum", T => {
            let data = cpu::slice::<T>(storage, layout)?;
            let [sums] = sum_rows(data.len(), channels, |row, [sums]| {
                sums.iter_mut().zip(&data[row..]).for_each(|(sum, value)| *sum += value.to_f64());
            });
            T::to_cpu_storage_owned(sums.into_iter().map(T::from_f64).collect())
        });
        Ok((sums, Shape::from(channels)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        use super::cuda::{Expression, room, sum_by_channel, view};
        let channels = layout.dims()[layout.dims().len() - 1].max(1);
        let device = &storage.device;
        let sums = cpu::dispatch!(storage, "a sum", T => {
            let values = view::<T>(storage, layout)?;
            let mut sums = room::<T>(device, channels)?;
            let of_values = Expression::of("a");
            sum_by_channel(device, of_values, [&values; 2], None, 1.0, &mut sums.as_view_mut())?;
            CudaStorage::wrap_cuda_slice(sums, device.clone())
        });
        Ok((sums, Shape::from(channels)))
    }
}
