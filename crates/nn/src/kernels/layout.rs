//! How images lie in memory. By its shape a tensor of images is `[N, C, H, W]`; what the kernels give keeps the channels of a
//! pixel together, as a permuted view. A kernel that reads it finds it as it likes it, and nobody else need know.

use candle_core::{Result, Tensor};

use super::strided::contiguous;

/// `[N, C, …]` as contiguous `[N, …, C]`: free of cost for what a kernel gave.
pub(crate) fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    contiguous(&in_pixels(tensor)?)
}

/// A view of `[N, C, …]` as `[N, …, C]`.
fn in_pixels(tensor: &Tensor) -> Result<Tensor> {
    let axes: Vec<usize> = [0].into_iter().chain(2..tensor.rank()).chain([1]).collect();
    tensor.permute(axes)
}

/// The order of axes that undoes another.
pub(crate) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (place, axis) in order.iter().enumerate() {
        inverse[*axis] = place;
    }
    inverse
}

/// Whether a tensor is a view of contiguous `[N, …, C]`, and not contiguous itself.
pub(crate) fn is_channels_last(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.rank() > 2 && !tensor.is_contiguous() && in_pixels(tensor)?.is_contiguous())
}

/// The `[N, C, …]` of a kernel's `[N, …, C]`.
pub(crate) fn channels_first(tensor: &Tensor) -> Result<Tensor> {
    let axes: Vec<usize> = [0, tensor.rank() - 1]
        .into_iter()
        .chain(1..tensor.rank() - 1)
        .collect();
    tensor.permute(axes)
}

/// Tensors of one shape as contiguous ones that hold their values in one order: that of the first one's memory.
pub(crate) struct Aligned<const N: usize> {
    pub tensors: [Tensor; N],
    /// Whether that is `[N, …, C]`.
    pub channels_last: bool,
}

impl<const N: usize> Aligned<N> {
    pub fn new(tensors: [&Tensor; N]) -> Result<Self> {
        let first = tensors[0];
        let channels_last = is_channels_last(first)?;
        let mut aligned = tensors.map(Tensor::clone);
        for tensor in &mut aligned {
            *tensor = match channels_last {
                true => self::channels_last(tensor)?,
                false => contiguous(tensor)?,
            };
        }
        Ok(Aligned {
            tensors: aligned,
            channels_last,
        })
    }

    /// A tensor in the same order, as one of the first one's shape.
    pub fn restore(&self, tensor: &Tensor) -> Result<Tensor> {
        match self.channels_last {
            true => channels_first(tensor),
            false => Ok(tensor.clone()),
        }
    }
}
