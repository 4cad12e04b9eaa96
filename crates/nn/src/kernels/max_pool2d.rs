//! Max pooling with a gradient for windows that overlap (candle refuses one: its issue 1593).
//!
//! A forward pass finds each window's winner; the output is gathered from there and the gradient, or the relevance, goes
//! back there. Gathering is candle's, so the gradient works on any device.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::cpu;
use crate::Result;

fn output_length(length: usize, kernel: usize, stride: usize) -> candle_core::Result<usize> {
    if length < kernel {
        candle_core::bail!("a window of {kernel} does not fit an input of {length}");
    }
    Ok((length - kernel) / stride + 1)
}

/// `[N, C, H, W]` to `[N, C, H', W']`.
pub fn forward(input: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let (n, c, h, w) = input.dims4()?;
    let (oh, ow) = (
        output_length(h, kernel, stride)?,
        output_length(w, kernel, stride)?,
    );
    let winners = winners(&input.detach(), kernel, stride)?;
    Ok(input
        .contiguous()?
        .reshape((n * c, h * w))?
        .gather(&winners, 1)?
        .reshape((n, c, oh, ow))?)
}

/// Moves the values of the output's shape to the winners, `[N, C, H', W']` to `[N, C, H, W]`, and sums what meets there.
pub fn route(input: &Tensor, output: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let (n, c, h, w) = input.dims4()?;
    let winners = winners(&input.detach(), kernel, stride)?;
    let zeros = Tensor::zeros((n * c, h * w), output.dtype(), output.device())?;
    let values = output.contiguous()?.reshape(winners.shape())?;
    Ok(zeros
        .scatter_add(&winners, &values, 1)?
        .reshape((n, c, h, w))?)
}

/// The place of each window's largest value in its `H × W` plane, first in scan order on a tie: u32 `[N·C, H'·W']`.
fn winners(input: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    match input.device().is_cpu() {
        true => Ok(input
            .contiguous()?
            .apply_op1_no_bwd(&Winners { kernel, stride })?),
        false => winners_by_tensor_ops(input, kernel, stride),
    }
}

/// [`winners`] by candle's own operations: one pass over the windows' `kernel²` places, each a selection of rows and columns.
fn winners_by_tensor_ops(input: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let (n, c, h, w) = input.dims4()?;
    let (oh, ow) = (
        output_length(h, kernel, stride)?,
        output_length(w, kernel, stride)?,
    );
    let device = input.device();
    let starts = |count: usize, shift: usize| -> Vec<u32> {
        (0..count).map(|i| (i * stride + shift) as u32).collect()
    };
    let mut best: Option<(Tensor, Tensor)> = None;
    for row in 0..kernel {
        let rows = input.index_select(&Tensor::from_vec(starts(oh, row), oh, device)?, 2)?;
        for column in 0..kernel {
            let values =
                rows.index_select(&Tensor::from_vec(starts(ow, column), ow, device)?, 3)?;
            let places: Vec<u32> = starts(oh, row)
                .iter()
                .flat_map(|y| {
                    starts(ow, column)
                        .into_iter()
                        .map(move |x| y * w as u32 + x)
                })
                .collect();
            let places =
                Tensor::from_vec(places, (1, 1, oh, ow), device)?.broadcast_as((n, c, oh, ow))?;
            best = Some(match best {
                None => (values, places.contiguous()?),
                Some((most, at)) => {
                    let better = values.gt(&most)?;
                    (
                        better.where_cond(&values, &most)?,
                        better.where_cond(&places.contiguous()?, &at)?,
                    )
                }
            });
        }
    }
    let (_, places) =
        best.ok_or_else(|| candle_core::Error::Msg("a window of 0 has no largest value".into()))?;
    Ok(places.reshape((n * c, oh * ow))?)
}

struct Winners {
    kernel: usize,
    stride: usize,
}

impl CustomOp1 for Winners {
    fn name(&self) -> &'static str {
        "max-pool-winners"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let (oh, ow) = (
            output_length(h, self.kernel, self.stride)?,
            output_length(w, self.kernel, self.stride)?,
        );
        let mut winners = vec![0u32; n * c * oh * ow];
        cpu::dispatch!(storage, "max pooling", T => {
            self.find::<T>(cpu::slice(storage, layout)?, (h, w), (oh, ow), &mut winners);
        });
        Ok((CpuStorage::U32(winners), Shape::from((n * c, oh * ow))))
    }
}

impl Winners {
    fn find<T: WithDType>(
        &self,
        input: &[T],
        (h, w): (usize, usize),
        (oh, ow): (usize, usize),
        winners: &mut [u32],
    ) {
        let find = |(plane, winners): (&[T], &mut [u32])| {
            for (place, winner) in winners.iter_mut().enumerate() {
                let start = place / ow * self.stride * w + place % ow * self.stride;
                let mut at = start;
                for row in 0..self.kernel {
                    for index in start + row * w..start + row * w + self.kernel {
                        if plane[index] > plane[at] {
                            at = index;
                        }
                    }
                }
                *winner = at as u32;
            }
        };
        input
            .par_chunks(h * w)
            .zip(winners.par_chunks_mut(oh * ow))
            .for_each(find);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tensor_operations_find_the_same_winners(
            (h, w, kernel, stride) in (1usize..5).prop_flat_map(|k| (k..12, k..12, Just(k), 1usize..4)),
            values in proptest::collection::vec(-2i32..3, 2 * 3 * 11 * 11),
        ) {
            let values: Vec<f32> = values[..2 * 3 * h * w].iter().map(|v| *v as f32).collect();
            let input = Tensor::from_vec(values, (2, 3, h, w), &Device::Cpu).unwrap();
            let one = winners(&input, kernel, stride).unwrap().to_vec2::<u32>().unwrap();
            let other = winners_by_tensor_ops(&input, kernel, stride).unwrap().to_vec2::<u32>().unwrap();
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn the_first_of_equal_values_wins() {
        let input = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu).unwrap();
        let routed = route(
            &input,
            &Tensor::ones((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap(),
            3,
            2,
        )
        .unwrap();
        assert_eq!(
            routed.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [1., 0., 0., 0., 0., 0., 0., 0., 0.]
        );
    }
}
