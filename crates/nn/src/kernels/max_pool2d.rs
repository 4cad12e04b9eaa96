//! Max pooling with a gradient for windows that overlap (candle refuses one: its issue 1593).
//!
//! Each window has one winner: the output is taken from there, and the gradient, or the relevance, goes back there. Devices
//! other than the CPU gather from the winners' places, which candle can differentiate.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, WithDType};

use super::layout::{channels_first, channels_last};
use super::{Pair, cpu};
use crate::Result;

/// What one output is the largest value of, and how such windows lie on the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The window's size.
    pub kernel: Pair,
    /// Steps between windows.
    pub stride: Pair,
    /// How far windows reach over both ends of each axis, where there is nothing: at most half the window.
    pub padding: Pair,
}

impl Window {
    /// Height and width of the output for an input of this height and width.
    fn output(&self, height: usize, width: usize) -> candle_core::Result<(usize, usize)> {
        let (kernel, stride, padding) = (self.kernel, self.stride, self.padding);
        let windows = |length: usize, kernel: usize, stride: usize, padding: usize| {
            if kernel == 0 || stride == 0 {
                candle_core::bail!("a window of {kernel} with stride {stride}: neither may be 0");
            }
            if padding > kernel / 2 {
                candle_core::bail!("padding {padding} is more than half a window of {kernel}");
            }
            if length + 2 * padding < kernel || length == 0 {
                candle_core::bail!(
                    "a window of {kernel} does not fit an input of {length}, padding {padding}"
                );
            }
            Ok((length + 2 * padding - kernel) / stride + 1)
        };
        Ok((
            windows(height, kernel.height, stride.height, padding.height)?,
            windows(width, kernel.width, stride.width, padding.width)?,
        ))
    }
}

/// `[N, C, H, W]` to `[N, C, H', W']`; differentiable. On a tie the first in scan order wins.
pub fn forward(input: &Tensor, window: Window) -> Result<Tensor> {
    if input.device().is_cpu() {
        let output = channels_last(input)?.apply_op1(MaxPool(window))?;
        return Ok(channels_first(&output)?);
    }
    let (n, c, h, w) = input.dims4()?;
    let (oh, ow) = window.output(h, w)?;
    let winners = winners(&input.detach(), window)?;
    Ok(input
        .contiguous()?
        .reshape((n * c, h * w))?
        .gather(&winners, 1)?
        .reshape((n, c, oh, ow))?)
}

/// Moves the values of the output's shape to the winners, `[N, C, H', W']` to `[N, C, H, W]`, and sums what meets there.
pub fn route(input: &Tensor, output: &Tensor, window: Window) -> Result<Tensor> {
    if input.device().is_cpu() {
        let op = Route(window);
        let routed = channels_last(input)?.apply_op2_no_bwd(&channels_last(output)?, &op)?;
        return Ok(channels_first(&routed)?);
    }
    route_by_operations(input, output, window)
}

/// [`route`] by candle's own operations.
fn route_by_operations(input: &Tensor, output: &Tensor, window: Window) -> Result<Tensor> {
    let (n, c, h, w) = input.dims4()?;
    let winners = winners(&input.detach(), window)?;
    let zeros = Tensor::zeros((n * c, h * w), output.dtype(), output.device())?;
    let values = output.contiguous()?.reshape(winners.shape())?;
    Ok(zeros
        .scatter_add(&winners, &values, 1)?
        .reshape((n, c, h, w))?)
}

/// The place of each window's largest value in its `H × W` plane, first in scan order on a tie, by candle's own operations:
/// one pass over the windows' places, each a selection of rows and columns. u32 `[N·C, H'·W']`.
fn winners(input: &Tensor, window: Window) -> Result<Tensor> {
    let (n, c, h, w) = input.dims4()?;
    let (oh, ow) = window.output(h, w)?;
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    let device = input.device();
    // What lies outside stands for the nearest place inside, which is in the window too, so that the winner is the same.
    let starts = |windows: usize, stride: usize, padding: usize, shift: usize, length: usize| {
        let place = |i: usize| (i * stride + shift).saturating_sub(padding).min(length - 1);
        (0..windows).map(|i| place(i) as u32).collect::<Vec<u32>>()
    };
    let mut best: Option<(Tensor, Tensor)> = None;
    for row in 0..kernel.height {
        let ys = starts(oh, stride.height, padding.height, row, h);
        let rows = input.index_select(&Tensor::from_slice(&ys, oh, device)?, 2)?;
        for column in 0..kernel.width {
            let xs = starts(ow, stride.width, padding.width, column, w);
            let values = rows.index_select(&Tensor::from_slice(&xs, ow, device)?, 3)?;
            let places: Vec<u32> = ys
                .iter()
                .flat_map(|y| xs.iter().map(move |x| y * w as u32 + x))
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

/// An image `[H, W, C]` and the windows on it.
#[derive(Clone, Copy)]
struct Windows {
    window: Window,
    height: usize,
    width: usize,
    channels: usize,
    out_height: usize,
    out_width: usize,
}

impl Windows {
    /// On images of `[N, H, W, C]`.
    fn new(input: &Shape, window: Window) -> candle_core::Result<Self> {
        let (_, height, width, channels) = input.dims4()?;
        let (out_height, out_width) = window.output(height, width)?;
        Ok(Windows {
            window,
            height,
            width,
            channels,
            out_height,
            out_width,
        })
    }

    fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Where the pixels of a window that are in the image begin, in scan order.
    fn pixels(self, y: usize, x: usize) -> impl Iterator<Item = usize> {
        let Window {
            kernel,
            stride,
            padding,
        } = self.window;
        let inside = |start: usize, kernel: usize, padding: usize, length: usize| {
            let past = (start + kernel - padding).min(length);
            let first = start.saturating_sub(padding);
            (first, past - first)
        };
        let (top, rows) = inside(
            y * stride.height,
            kernel.height,
            padding.height,
            self.height,
        );
        let (left, columns) = inside(x * stride.width, kernel.width, padding.width, self.width);
        let corner = (top * self.width + left) * self.channels;
        (0..rows * columns).map(move |place| {
            corner + (place / columns * self.width + place % columns) * self.channels
        })
    }

    /// The largest values of the windows of output row `y`.
    fn largest<T: WithDType>(&self, image: &[T], y: usize, output: &mut [T]) {
        for (x, output) in output.chunks_exact_mut(self.channels).enumerate() {
            let mut pixels = self.pixels(y, x).map(|at| &image[at..at + self.channels]);
            if let Some(first) = pixels.next() {
                output.copy_from_slice(first);
            }
            for pixel in pixels {
                for (most, value) in output.iter_mut().zip(pixel) {
                    *most = if *value > *most { *value } else { *most };
                }
            }
        }
    }

    /// Adds every output's value to the image at the place of its window's largest one.
    fn route<T: WithDType>(&self, image: &[T], output: &[T], routed: &mut [T]) {
        let mut most = vec![T::zero(); self.out_width * self.channels];
        // What is still to be added: nothing once a place was found, so that the first of equal values gets it.
        let mut left = vec![T::zero(); self.channels];
        for (y, output) in output.chunks_exact(most.len()).enumerate() {
            self.largest(image, y, &mut most);
            let pixels = most
                .chunks_exact(self.channels)
                .zip(output.chunks_exact(self.channels));
            for (x, (most, output)) in pixels.enumerate() {
                left.copy_from_slice(output);
                for at in self.pixels(y, x) {
                    let values = image[at..at + self.channels].iter().zip(most);
                    let routed = routed[at..at + self.channels].iter_mut();
                    for ((routed, left), (value, most)) in routed.zip(&mut left).zip(values) {
                        let here = *value == *most;
                        *routed += if here { *left } else { T::zero() };
                        *left = if here { T::zero() } else { *left };
                    }
                }
            }
        }
    }
}

struct MaxPool(Window);

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let windows = Windows::new(layout.shape(), self.0)?;
        let Windows {
            channels,
            out_height,
            out_width,
            ..
        } = windows;
        let (n, row) = (layout.dims()[0], out_width * channels);
        let storage = cpu::dispatch!(storage, "max pooling", T => {
            let input = cpu::slice::<T>(storage, layout)?;
            let output = cpu::in_blocks(cpu::lengths(n * out_height * row, row), |block, output| {
                let (image, y) = (block / out_height * windows.image(), block % out_height);
                windows.largest(&input[image..image + windows.image()], y, output);
            });
            T::to_cpu_storage_owned(output)
        });
        Ok((storage, Shape::from((n, out_height, out_width, channels))))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        input
            .apply_op2_no_bwd(&gradient.contiguous()?, &Route(self.0))
            .map(Some)
    }
}

struct Route(Window);

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
        let windows = Windows::new(input_layout.shape(), self.0)?;
        let out_image = windows.out_height * windows.out_width * windows.channels;
        let storage = cpu::dispatch!(input, "max pooling", T => {
            let (input, output) = (cpu::slice::<T>(input, input_layout)?, cpu::slice::<T>(output, output_layout)?);
            let routed = cpu::in_blocks(cpu::lengths(input.len(), windows.image()), |n, routed| {
                let image = &input[n * windows.image()..(n + 1) * windows.image()];
                windows.route(image, &output[n * out_image..(n + 1) * out_image], routed);
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

    /// Kernel, stride, padding and a length that they fit.
    fn axis() -> impl Strategy<Value = [usize; 4]> {
        (1usize..5, 1usize..4)
            .prop_flat_map(|(k, s)| (Just(k), Just(s), 0..=k / 2, 0usize..7))
            .prop_map(|(k, s, p, more)| [k, s, p, (k - 2 * p).max(1) + more])
    }

    proptest! {
        /// What other devices compute, run on the CPU, against the CPU's own kernel.
        #[test]
        fn tensor_operations_find_the_same_winners(
            [kh, sh, ph, h] in axis(),
            [kw, sw, pw, w] in axis(),
            values in proptest::collection::vec(-2i32..3, 2 * 3 * 11 * 11),
        ) {
            let values: Vec<f32> = values[..2 * 3 * h * w].iter().map(|v| *v as f32).collect();
            let input = Tensor::from_vec(values, (2, 3, h, w), &Device::Cpu).unwrap();
            let window = Window {
                kernel: (kh, kw).into(),
                stride: (sh, sw).into(),
                padding: (ph, pw).into(),
            };
            // Every output by its own number, so that no two winners are taken for each other.
            let (oh, ow) = window.output(h, w).unwrap();
            let numbers = Tensor::arange(1f32, (2 * 3 * oh * ow + 1) as f32, &Device::Cpu).unwrap();
            let numbers = numbers.reshape((2, 3, oh, ow)).unwrap();
            let flat = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let own = flat(route(&input, &numbers, window).unwrap());
            prop_assert_eq!(own, flat(route_by_operations(&input, &numbers, window).unwrap()));
        }
    }

    #[test]
    fn the_first_of_equal_values_wins() {
        let input = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu).unwrap();
        let window = Window {
            kernel: 3.into(),
            stride: 2.into(),
            padding: 0.into(),
        };
        let output = Tensor::ones((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
        let routed = route(&input, &output, window).unwrap();
        assert_eq!(
            routed.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [1., 0., 0., 0., 0., 0., 0., 0., 0.]
        );
    }
}
