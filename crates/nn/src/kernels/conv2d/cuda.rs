//! Convolutions on NVIDIA devices: matrix products over windows, which our kernels lay out and gather, some images at a time.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{CudaStorage, Layout, Result};

use super::sizes::Sizes;
use crate::kernels::cpu::dispatch;
use crate::kernels::cuda::{Value, kernel, launch, room, view};

/// Values of windows that are laid out at a time: a GiB in f32.
const PART: usize = 1 << 28;

/// A tensor's storage and how it lies there.
pub(super) type Stored<'a> = (&'a CudaStorage, &'a Layout);

impl Sizes {
    /// Windows of one image.
    fn places(&self) -> usize {
        self.out_height * self.out_width
    }

    /// The images from one to before another of each part.
    fn parts(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let size = (PART / (self.places() * self.window())).max(1);
        let batch = self.batch;
        let starts = (0..batch).step_by(size);
        starts.map(move |start| (start, (start + size).min(batch)))
    }

    /// The windows of images from one to before another, `[windows, kh·kw·C]`.
    fn columns<T: Value>(&self, input: Stored, start: usize, past: usize) -> Result<CudaStorage> {
        let (device, image) = (input.0.device(), self.image());
        let images = view::<T>(input.0, input.1)?;
        let images = images.slice(start * image..past * image);
        let count = (past - start) * self.places() * self.window();
        let mut columns = room::<T>(device, count)?;
        let function = kernel::<T>(device, "columns")?;
        launch!(function, count, &images, &mut columns, &self.windows());
        Ok(CudaStorage::wrap_cuda_slice(columns, device.clone()))
    }

    /// Weights `[K, C, kh, kw]` as `[K, kh·kw·C]`, in the order of the columns.
    fn by_window<T: Value>(&self, weight: Stored) -> Result<CudaStorage> {
        let weights = view::<T>(weight.0, weight.1)?;
        let device = weight.0.device();
        let mut swapped = room::<T>(device, weights.len())?;
        let (a, b) = (self.inputs as u32, self.kernel.area() as u32);
        let function = kernel::<T>(device, "swapped")?;
        launch!(function, weights.len(), &weights, &mut swapped, &a, &b);
        Ok(CudaStorage::wrap_cuda_slice(swapped, device.clone()))
    }
}

/// `a · b` of matrices.
fn product(a: Stored, b: Stored) -> Result<CudaStorage> {
    let ((rows, inner), columns) = (a.1.shape().dims2()?, b.1.shape().dims2()?.1);
    a.0.matmul(b.0, (1, rows, columns, inner), a.1, b.1)
}

/// Rows of `[rows, columns]` of a contiguous tensor.
fn rows(layout: &Layout, columns: usize, start: usize, past: usize) -> Layout {
    Layout::contiguous_with_offset(
        (past - start, columns),
        layout.start_offset() + start * columns,
    )
}

/// What the parts give, behind each other.
fn joined<T: Value>(device: &CudaDevice, mut parts: Vec<CudaStorage>) -> Result<CudaStorage> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let slices: Vec<&CudaSlice<T>> = parts
        .iter()
        .map(CudaStorage::as_cuda_slice)
        .collect::<Result<_>>()?;
    let mut all = room::<T>(device, slices.iter().map(|slice| slice.len()).sum())?;
    let mut start = 0;
    for slice in slices {
        device.memcpy_dtod(slice, &mut all.slice_mut(start..start + slice.len()))?;
        start += slice.len();
    }
    Ok(CudaStorage::wrap_cuda_slice(all, device.clone()))
}

/// `[N, H, W, C]` to `[N, H', W', K]`.
pub(super) fn forward(
    input: Stored,
    weight: Stored,
    bias: Stored,
    relu: bool,
    sizes: &Sizes,
) -> Result<CudaStorage> {
    let device = input.0.device();
    Ok(dispatch!(input.0, "conv2d", T => {
        let by_window = sizes.by_window::<T>(weight)?;
        let weight = Layout::contiguous((sizes.outputs, sizes.window())).transpose(0, 1)?;
        let bias = view::<T>(bias.0, bias.1)?;
        let mut parts = Vec::new();
        for (start, past) in sizes.parts() {
            let columns = sizes.columns::<T>(input, start, past)?;
            let layout = Layout::contiguous(((past - start) * sizes.places(), sizes.window()));
            let mut output = product((&columns, &layout), (&by_window, &weight))?;
            let values = output.as_cuda_slice_mut::<T>()?;
            let (count, channels) = (values.len(), sizes.outputs as u32);
            let function = kernel::<T>(device, "epilogue")?;
            launch!(function, count, values, &bias, &channels, &u32::from(relu));
            parts.push(output);
        }
        joined::<T>(device, parts)?
    }))
}

/// `[N, H', W', K]` to `[N, H, W, C]`.
pub(super) fn input_gradient(output: Stored, weight: Stored, sizes: &Sizes) -> Result<CudaStorage> {
    let device = output.0.device();
    Ok(dispatch!(output.0, "conv2d", T => {
        let by_window = sizes.by_window::<T>(weight)?;
        let weight = Layout::contiguous((sizes.outputs, sizes.window()));
        let mut parts = Vec::new();
        for (start, past) in sizes.parts() {
            let places = sizes.places();
            let layout = rows(output.1, sizes.outputs, start * places, past * places);
            let columns = product((output.0, &layout), (&by_window, &weight))?;
            let columns = columns.as_cuda_slice::<T>()?;
            let count = (past - start) * sizes.image();
            let mut images = room::<T>(device, count)?;
            let function = kernel::<T>(device, "images")?;
            launch!(function, count, columns, &mut images, &sizes.windows());
            parts.push(CudaStorage::wrap_cuda_slice(images, device.clone()));
        }
        joined::<T>(device, parts)?
    }))
}

/// `[N, H, W, C]` and `[N, H', W', K]` to `[K, C, kh, kw]`.
pub(super) fn weight_gradient(input: Stored, output: Stored, sizes: &Sizes) -> Result<CudaStorage> {
    let device = input.0.device();
    Ok(dispatch!(input.0, "conv2d", T => {
        let mut swapped = device.alloc_zeros::<T>(sizes.weights())?;
        let (a, b) = (sizes.kernel.area() as u32, sizes.inputs as u32);
        let mut total: Option<CudaStorage> = None;
        let layout = Layout::contiguous(sizes.weights());
        for (start, past) in sizes.parts() {
            let places = sizes.places();
            let columns = sizes.columns::<T>(input, start, past)?;
            let windows = Layout::contiguous(((past - start) * places, sizes.window()));
            let gradient = rows(output.1, sizes.outputs, start * places, past * places);
            let part = product((output.0, &gradient.transpose(0, 1)?), (&columns, &windows))?;
            total = Some(match total {
                None => part,
                Some(total) => sum((&total, &layout), (&part, &layout))?,
            });
        }
        if let Some(total) = total {
            let total = total.as_cuda_slice::<T>()?;
            launch!(kernel::<T>(device, "swapped")?, sizes.weights(), total, &mut swapped, &a, &b);
        }
        CudaStorage::wrap_cuda_slice(swapped, device.clone())
    }))
}

fn sum(a: Stored, b: Stored) -> Result<CudaStorage> {
    let expression = crate::kernels::cuda::Expression::of("a + b");
    crate::kernels::cuda::expression(expression, "conv2d", [a, b, b])
}
