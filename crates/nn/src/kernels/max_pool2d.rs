//! Max pooling with a gradient for windows that overlap (candle refuses one: its issue 1593).
//!
//! Each window has one winner: the output is taken from there, and the gradient, or the relevance, goes back there. Devices
//! other than the CPU gather from the winners' places, which candle can differentiate.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::cpu;
use crate::Result;

fn output_length(length: usize, kernel: usize, stride: usize) -> candle_core::Result<usize> {
    if length < kernel {
        candle_core::bail!("a window of {kernel} does not fit an input of {length}");
    }
    Ok((length - kernel) / stride + 1)
}

/// `[N, C, H, W]` to `[N, C, H', W']`; differentiable. On a tie the first in scan order wins.
pub fn forward(input: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    if input.device().is_cpu() {
        return Ok(input.contiguous()?.apply_op1(MaxPool { kernel, stride })?);
    }
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
    if input.device().is_cpu() {
        return Ok(input
            .contiguous()?
            .apply_op2_no_bwd(&output.contiguous()?, &Route { kernel, stride })?);
    }
    let (n, c, h, w) = input.dims4()?;
    let winners = winners(&input.detach(), kernel, stride)?;
    let zeros = Tensor::zeros((n * c, h * w), output.dtype(), output.device())?;
    let values = output.contiguous()?.reshape(winners.shape())?;
    Ok(zeros
        .scatter_add(&winners, &values, 1)?
        .reshape((n, c, h, w))?)
}

/// The place of each window's largest value in its `H × W` plane, first in scan order on a tie, by candle's own operations:
/// one pass over the windows' `kernel²` places, each a selection of rows and columns. u32 `[N·C, H'·W']`.
fn winners(input: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
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

/// One plane `H × W` and the windows on it.
#[derive(Clone, Copy)]
struct Windows {
    kernel: usize,
    stride: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
}

impl Windows {
    fn new(input: &Shape, kernel: usize, stride: usize) -> candle_core::Result<Self> {
        let (_, _, h, width) = input.dims4()?;
        let (out_height, out_width) = (
            output_length(h, kernel, stride)?,
            output_length(width, kernel, stride)?,
        );
        Ok(Windows {
            kernel,
            stride,
            width,
            out_height,
            out_width,
        })
    }

    /// How many there are.
    fn count(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Every window's largest value: of its rows first, a vector at a time, then of the columns. `rows` holds one row.
    fn largest<T: WithDType>(&self, plane: &[T], rows: &mut [T], output: &mut [T]) {
        let larger = |a: T, b: T| if b > a { b } else { a };
        for (y, output) in output.chunks_mut(self.out_width).enumerate() {
            let band = &plane[y * self.stride * self.width..];
            let (first, rest) = band[..self.kernel * self.width].split_at(self.width);
            rows.copy_from_slice(first);
            for row in rest.chunks(self.width) {
                rows.iter_mut()
                    .zip(row)
                    .for_each(|(most, value)| *most = larger(*most, *value));
            }
            for (x, output) in output.iter_mut().enumerate() {
                let window = &rows[x * self.stride..x * self.stride + self.kernel];
                *output = window[1..]
                    .iter()
                    .fold(window[0], |most, value| larger(most, *value));
            }
        }
    }

    /// Calls `each` with every window's number and the place of its largest value.
    fn each_winner<T: WithDType>(&self, plane: &[T], mut each: impl FnMut(usize, usize)) {
        for window in 0..self.count() {
            let start =
                (window / self.out_width * self.width + window % self.out_width) * self.stride;
            let mut at = start;
            for row in 0..self.kernel {
                let first = start + row * self.width;
                for (column, value) in plane[first..first + self.kernel].iter().enumerate() {
                    if *value > plane[at] {
                        at = first + column;
                    }
                }
            }
            each(window, at);
        }
    }
}

struct MaxPool {
    kernel: usize,
    stride: usize,
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n, c, h, w) = layout.shape().dims4()?;
        let windows = Windows::new(layout.shape(), self.kernel, self.stride)?;
        let storage = cpu::dispatch!(storage, "max pooling", T => {
            let mut output = vec![T::default(); n * c * windows.count()];
            let input = cpu::slice::<T>(storage, layout)?;
            let planes = input.par_chunks(h * w).zip(output.par_chunks_mut(windows.count()));
            planes.for_each_init(
                || vec![T::default(); w],
                |rows, (plane, output)| windows.largest(plane, rows, output),
            );
            T::to_cpu_storage_owned(output)
        });
        Ok((
            storage,
            Shape::from((n, c, windows.out_height, windows.out_width)),
        ))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let route = Route {
            kernel: self.kernel,
            stride: self.stride,
        };
        input
            .apply_op2_no_bwd(&gradient.contiguous()?, &route)
            .map(Some)
    }
}

struct Route {
    kernel: usize,
    stride: usize,
}

impl CustomOp2 for Route {
    fn name(&self) -> &'static str {
        "max-pool-route"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        output: &CpuStorage,
        output_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, _, h, w) = input_layout.shape().dims4()?;
        let windows = Windows::new(input_layout.shape(), self.kernel, self.stride)?;
        let storage = cpu::dispatch!(input, "max pooling", T => {
            let (input, output) = (cpu::slice::<T>(input, input_layout)?, cpu::slice::<T>(output, output_layout)?);
            let mut routed = vec![T::default(); input.len()];
            let planes = input.par_chunks(h * w).zip(output.par_chunks(windows.count()));
            planes.zip(routed.par_chunks_mut(h * w)).for_each(|((plane, output), routed)| {
                windows.each_winner(plane, |window, at| routed[at] += output[window]);
            });
            T::to_cpu_storage_owned(routed)
        });
        Ok((storage, input_layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What other devices compute, run on the CPU, against the CPU's own kernel.
        #[test]
        fn tensor_operations_find_the_same_winners(
            (h, w, kernel, stride) in (1usize..5).prop_flat_map(|k| (k..12, k..12, Just(k), 1usize..4)),
            values in proptest::collection::vec(-2i32..3, 2 * 3 * 11 * 11),
        ) {
            let values: Vec<f32> = values[..2 * 3 * h * w].iter().map(|v| *v as f32).collect();
            let input = Tensor::from_vec(values.clone(), (2, 3, h, w), &Device::Cpu).unwrap();
            let places = winners(&input, kernel, stride).unwrap().to_vec2::<u32>().unwrap();
            let windows = Windows::new(input.shape(), kernel, stride).unwrap();
            for (plane, places) in values.chunks(h * w).zip(places) {
                let mut own = Vec::new();
                windows.each_winner(plane, |_, at| own.push(at as u32));
                prop_assert_eq!(own, places);
            }
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
