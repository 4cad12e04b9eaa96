//! Max pooling with a gradient for windows that overlap (candle refuses one: its issue 1593).
//!
//! Each window has one winner: the output is taken from there, and the gradient, or the relevance, goes back there.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, WithDType};

#[cfg(any(feature = "cuda", test))]
use super::cuda;
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
    let output = channels_last(input)?.apply_op1(MaxPool(window))?;
    Ok(channels_first(&output)?)
}

/// Moves the values of the output's shape to the winners, `[N, C, H', W']` to `[N, C, H, W]`, and sums what meets there.
pub fn route(input: &Tensor, output: &Tensor, window: Window) -> Result<Tensor> {
    let op = Route(window);
    let routed = channels_last(input)?.apply_op2_no_bwd(&channels_last(output)?, &op)?;
    Ok(channels_first(&routed)?)
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

    fn out_image(&self) -> usize {
        self.out_height * self.out_width * self.channels
    }

    #[cfg(any(feature = "cuda", test))]
    fn on_device(&self) -> cuda::Windows {
        cuda::Windows {
            height: self.height as u32,
            width: self.width as u32,
            channels: self.channels as u32,
            kernel: cuda::pair(self.window.kernel),
            stride: cuda::pair(self.window.stride),
            padding: cuda::pair(self.window.padding),
            dilation: [1, 1],
            out_height: self.out_height as u32,
            out_width: self.out_width as u32,
        }
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

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let windows = Windows::new(layout.shape(), self.0)?;
        let (n, device) = (layout.dims()[0], &storage.device);
        let count = n * windows.out_image();
        let output = cpu::dispatch!(storage, "max pooling", T => {
            let images = cuda::view::<T>(storage, layout)?;
            let mut output = cuda::room::<T>(device, count)?;
            let function = cuda::kernel::<T>(device, "max_pool")?;
            cuda::launch!(function, count, &images, &mut output, &windows.on_device());
            CudaStorage::wrap_cuda_slice(output, device.clone())
        });
        let shape = Shape::from((n, windows.out_height, windows.out_width, windows.channels));
        Ok((output, shape))
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
        let out_image = windows.out_image();
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

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        output: &CudaStorage,
        output_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        let windows = Windows::new(input_layout.shape(), self.0)?;
        let (count, device) = (input_layout.shape().elem_count(), &input.device);
        let routed = cpu::dispatch!(input, "max pooling", T => {
            let images = cuda::view::<T>(input, input_layout)?;
            let output = cuda::view::<T>(output, output_layout)?;
            let mut routed = cuda::room::<T>(device, count)?;
            let function = cuda::kernel::<T>(device, "max_pool_route")?;
            cuda::launch!(function, count, &images, &output, &mut routed, &windows.on_device());
            CudaStorage::wrap_cuda_slice(routed, device.clone())
        });
        Ok((routed, input_layout.shape().clone()))
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
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nvidia_devices_find_the_same_winners(
            [kh, sh, ph, h] in axis(),
            [kw, sw, pw, w] in axis(),
            values in proptest::collection::vec(-2i32..3, 2 * 3 * 11 * 11),
        ) {
            let values: Vec<f32> = values[..2 * 3 * h * w].iter().map(|v| *v as f32).collect();
            let shape = Shape::from((2, h, w, 3));
            let window = Window {
                kernel: (kh, kw).into(),
                stride: (sh, sw).into(),
                padding: (ph, pw).into(),
            };
            let input = Tensor::from_vec(values.clone(), &shape, &Device::Cpu).unwrap();
            let windows = Windows::new(&shape, window).unwrap();
            let flat = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let pooled = input.apply_op1_no_bwd(&MaxPool(window)).unwrap();
            let Some(theirs) = cuda::rehearse_kernel::<f32>(
                "max_pool", &[&values], windows.on_device(), pooled.elem_count(),
            ) else { return Ok(()) };
            prop_assert_eq!(&flat(pooled.clone()), &theirs);
            // Every output by its own number, so that no two winners are taken for each other.
            let numbers: Vec<f32> = (1..=pooled.elem_count()).map(|number| number as f32).collect();
            let output = Tensor::from_vec(numbers.clone(), pooled.shape(), &Device::Cpu).unwrap();
            let routed = flat(input.apply_op2_no_bwd(&output, &Route(window)).unwrap());
            let theirs = cuda::rehearse_kernel::<f32>(
                "max_pool_route", &[&values, &numbers], windows.on_device(), values.len(),
            );
            prop_assert_eq!(Some(routed), theirs);
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
