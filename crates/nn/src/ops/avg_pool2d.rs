use candle_core::{D, Shape, Tensor};

use crate::{Kind, LinearOp, Mode, Op, Params, Result, Structure};

/// Average pooling: `[N, C, H, W]` to `[N, C, H', W']`, windows that may overlap, no padding.
#[derive(Clone, Debug)]
pub struct AvgPool2d {
    /// The window's side.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
}

/// Average pooling to a given size, with PyTorch's windows: output `i` of `n` averages inputs `⌊i·H/n⌋ .. ⌈(i+1)·H/n⌉`.
#[derive(Clone, Debug)]
pub struct AdaptiveAvgPool2d {
    /// Height and width of the output.
    pub size: (usize, usize),
}

/// Average pooling is separable: a window along each axis, given by the axis's length.
trait Windows {
    /// The windows of the axis `D::Minus2` or `D::Minus1` of the given length, as (start, end).
    fn windows(&self, axis: D, length: usize) -> Result<Vec<(usize, usize)>>;
}

impl Windows for AvgPool2d {
    fn windows(&self, _: D, length: usize) -> Result<Vec<(usize, usize)>> {
        if length < self.kernel {
            let problem = format!(
                "an average over {} does not fit an input of {length}",
                self.kernel
            );
            return Err(candle_core::Error::Msg(problem).into());
        }
        let count = (length - self.kernel) / self.stride + 1;
        Ok((0..count)
            .map(|i| (i * self.stride, i * self.stride + self.kernel))
            .collect())
    }
}

impl Windows for AdaptiveAvgPool2d {
    fn windows(&self, axis: D, length: usize) -> Result<Vec<(usize, usize)>> {
        let count = if matches!(axis, D::Minus2) {
            self.size.0
        } else {
            self.size.1
        };
        Ok((0..count)
            .map(|i| (i * length / count, ((i + 1) * length).div_ceil(count)))
            .collect())
    }
}

/// `[length, outputs]`, 1/n in each window of n.
fn averaging_matrix(windows: &[(usize, usize)], length: usize, like: &Tensor) -> Result<Tensor> {
    let mut matrix = vec![0f64; length * windows.len()];
    for (output, &(start, end)) in windows.iter().enumerate() {
        for input in start..end {
            matrix[input * windows.len() + output] = 1.0 / (end - start) as f64;
        }
    }
    let matrix = Tensor::from_vec(matrix, (length, windows.len()), &candle_core::Device::Cpu)?;
    Ok(matrix.to_dtype(like.dtype())?.to_device(like.device())?)
}

/// `x · m` over the last axis, of a tensor of any rank.
fn along_last_axis(x: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    let product = x
        .contiguous()?
        .reshape(((), x.dim(D::Minus1)?))?
        .matmul(matrix)?;
    if let Some(last) = dims.last_mut() {
        *last = matrix.dim(1)?;
    }
    Ok(product.reshape(dims)?)
}

/// Both axes of `x` times a matrix each.
fn along_both_axes(x: &Tensor, rows: &Tensor, columns: &Tensor) -> Result<Tensor> {
    let x = along_last_axis(x, columns)?;
    Ok(along_last_axis(&x.transpose(D::Minus2, D::Minus1)?, rows)?
        .transpose(D::Minus2, D::Minus1)?
        .contiguous()?)
}

fn matrices(
    pool: &impl Windows,
    height: usize,
    width: usize,
    like: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let rows = averaging_matrix(&pool.windows(D::Minus2, height)?, height, like)?;
    let columns = averaging_matrix(&pool.windows(D::Minus1, width)?, width, like)?;
    Ok((rows, columns))
}

/// Whether every window is one value, in order, as AlexNet's are.
fn is_identity(pool: &impl Windows, height: usize, width: usize) -> Result<bool> {
    let single = |windows: Vec<(usize, usize)>, length| {
        windows.len() == length
            && windows
                .iter()
                .enumerate()
                .all(|(i, window)| *window == (i, i + 1))
    };
    Ok(single(pool.windows(D::Minus2, height)?, height)
        && single(pool.windows(D::Minus1, width)?, width))
}

/// `tensor` times the single `weight`, where that is not 1.
fn scaled(tensor: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let factor = weight
        .to_dtype(candle_core::DType::F64)?
        .sum_all()?
        .to_scalar::<f64>()?;
    Ok(if factor == 1.0 {
        tensor.clone()
    } else {
        (tensor * factor)?
    })
}

/// The averages are the layer; its `weight` is a single factor of 1, which stands for all of the (non-negative) weights 1/n
/// where a rule maps them.
impl<P: Windows> LinearOp for P {
    fn weights(&self, _: &Params, like: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        Ok((Tensor::ones(1, like.dtype(), like.device())?, None))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = input.dims4()?;
        if is_identity(self, height, width)? {
            return scaled(input, weight);
        }
        let (rows, columns) = matrices(self, height, width, input)?;
        Ok(along_both_axes(input, &rows, &columns)?.broadcast_mul(weight)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        let (_, _, height, width) = input.dims4()?;
        if is_identity(self, height, width)? {
            return scaled(output, weight);
        }
        let (rows, columns) = matrices(self, height, width, output)?;
        Ok(along_both_axes(output, &rows.t()?, &columns.t()?)?.broadcast_mul(weight)?)
    }
}

impl<P: Windows + std::fmt::Debug + Send + Sync> Op for P {
    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        super::linear::affine(self, params, inputs[0])
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Linear(self)
    }
}
