//! Convolutions by candle's own operations, for devices other than the CPU. candle has one stride, padding and dilation for
//! both axes, and no groups in the transposed map: where they differ, values are spread by zeros, or the wanted ones picked.

use candle_core::{Shape, Tensor};

use super::{Geometry, joined, part};
use crate::Result;
use crate::kernels::Pair;

/// `[…, H, W]` with its values `steps` apart and zeros between.
fn spread(tensor: &Tensor, steps: Pair) -> Result<Tensor> {
    let mut spread = tensor.clone();
    for (axis, step) in [(2, steps.height), (3, steps.width)] {
        let length = spread.dim(axis)?;
        let mut dims = spread.dims().to_vec();
        dims[axis] = (length - 1) * step + 1;
        let places = places(length, step, tensor)?;
        let zeros = Tensor::zeros(dims, tensor.dtype(), tensor.device())?;
        spread = zeros.index_add(&places, &spread.contiguous()?, axis)?;
    }
    Ok(spread)
}

/// The values of `[…, H, W]` that are `steps` apart.
fn every(tensor: &Tensor, steps: Pair) -> Result<Tensor> {
    let mut picked = tensor.clone();
    for (axis, step) in [(2, steps.height), (3, steps.width)] {
        let length = (picked.dim(axis)? - 1) / step + 1;
        let places = places(length, step, tensor)?;
        picked = picked.contiguous()?.index_select(&places, axis)?;
    }
    Ok(picked)
}

fn places(count: usize, step: usize, like: &Tensor) -> Result<Tensor> {
    let places: Vec<u32> = (0..count).map(|i| (i * step) as u32).collect();
    Ok(Tensor::from_vec(places, count, like.device())?)
}

/// The one number for both axes and the tensor itself, or 1 and the tensor spread.
fn uniform(tensor: &Tensor, steps: Pair) -> Result<(Tensor, usize)> {
    Ok(match steps.single() {
        Some(step) => (tensor.clone(), step),
        None => (spread(tensor, steps)?, 1),
    })
}

/// The one number for both axes and the image itself, or 0 and the image with its zeros.
fn padded(image: &Tensor, padding: Pair) -> Result<(Tensor, usize)> {
    Ok(match padding.single() {
        Some(padding) => (image.clone(), padding),
        None => {
            let image = image.pad_with_zeros(2, padding.height, padding.height)?;
            (image.pad_with_zeros(3, padding.width, padding.width)?, 0)
        }
    })
}

/// [`super::forward`] without bias.
pub(super) fn forward(input: &Tensor, weight: &Tensor, geometry: Geometry) -> Result<Tensor> {
    let (input, padding) = padded(input, geometry.padding)?;
    let (weight, dilation) = uniform(weight, geometry.dilation)?;
    let stride = geometry.stride.single();
    let output = input.conv2d(
        &weight,
        padding,
        stride.unwrap_or(1),
        dilation,
        geometry.groups,
    )?;
    match stride {
        Some(_) => Ok(output),
        None => every(&output, geometry.stride),
    }
}

/// [`super::input_gradient`].
pub(super) fn input_gradient(
    output: &Tensor,
    weight: &Tensor,
    input: &Shape,
    geometry: Geometry,
) -> Result<Tensor> {
    let (_, _, h, w) = input.dims4()?;
    let Pair { height, width } = geometry.padding;
    let (output, stride) = uniform(output, geometry.stride)?;
    let (weight, dilation) = uniform(weight, geometry.dilation)?;
    let (_, _, oh, ow) = output.dims4()?;
    let (_, _, kh, kw) = weight.dims4()?;
    // Rows and columns that no window reaches get nothing: candle asks for their number, the same in both directions.
    let rest = |length: usize, windows: usize, kernel: usize| {
        length - (windows - 1) * stride - (kernel - 1) * dilation - 1
    };
    let extra = rest(h + 2 * height, oh, kh).max(rest(w + 2 * width, ow, kw));
    let gradient = joined(geometry.groups, 1, |group| {
        let [output, weight] = [
            part(&output, 1, group, geometry.groups)?,
            part(&weight, 0, group, geometry.groups)?,
        ];
        Ok(output.conv_transpose2d(&weight, 0, extra, stride, dilation)?)
    })?;
    Ok(gradient
        .narrow(2, height, h)?
        .narrow(3, width, w)?
        .contiguous()?)
}

/// [`super::weight_gradient`].
pub(super) fn weight_gradient(
    input: &Tensor,
    gradient: &Tensor,
    kernel: Pair,
    geometry: Geometry,
) -> Result<Tensor> {
    let (input, padding) = padded(input, geometry.padding)?;
    let (gradient, stride) = uniform(gradient, geometry.stride)?;
    let dilation = geometry.dilation.single();
    // A convolution over the batch: images and channels change places, and the windows' steps become those within the kernel.
    let sums = joined(geometry.groups, 1, |group| {
        let images = part(&input, 1, group, geometry.groups)?.transpose(0, 1)?;
        let kernels = part(&gradient, 1, group, geometry.groups)?.transpose(0, 1)?;
        Ok(images.contiguous()?.conv2d(
            &kernels.contiguous()?,
            padding,
            dilation.unwrap_or(1),
            stride,
            1,
        )?)
    })?;
    let sums = match dilation {
        Some(_) => sums,
        None => every(&sums, geometry.dilation)?,
    };
    Ok(sums
        .transpose(0, 1)?
        .narrow(2, 0, kernel.height)?
        .narrow(3, 0, kernel.width)?
        .contiguous()?)
}
