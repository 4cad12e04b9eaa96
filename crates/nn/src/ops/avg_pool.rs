use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::conv2d::none;
use super::pad::{Fit, WindowPad};
use crate::kernels::layout::Aligned;
use crate::kernels::matmul;
use crate::kernels::pointwise::repeated_product;
use crate::{Branch, Claims, Kind, LinearOp, Map, Mode, Op, Pair, Params, Result};

/// Average pooling: `[N, C, H, W]` to `[N, C, H', W']`, windows that may overlap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AvgPool2d {
    kernel: Pair,
    stride: Pair,
    #[serde(default = "none")]
    padding: Pair,
}

/// Average pooling over time: `[N, C, T]` to `[N, C, T']`, windows that may overlap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AvgPool1d {
    kernel: usize,
    stride: usize,
    #[serde(default)]
    padding: usize,
}

/// Average pooling to a given size, with PyTorch's windows: output `i` of `n` averages inputs `⌊i·H/n⌋ .. ⌈(i+1)·H/n⌉`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdaptiveAvgPool2d {
    /// Height and width of the output.
    pub size: (usize, usize),
}

/// Average pooling over time to a given length, with the windows of [`AdaptiveAvgPool2d`]: `[N, C, T]` to `[N, C, size]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdaptiveAvgPool1d {
    /// The output's length.
    pub size: usize,
}

impl AvgPool2d {
    /// Windows of this size, and the steps between them.
    pub fn new(kernel: impl Into<Pair>, stride: impl Into<Pair>) -> Self {
        AvgPool2d {
            kernel: kernel.into(),
            stride: stride.into(),
            padding: none(),
        }
    }

    /// The same with zeros around the input, on both sides of each axis, which count in the averages: at most half a window.
    pub fn padding(self, padding: impl Into<Pair>) -> Self {
        let padding = padding.into();
        AvgPool2d { padding, ..self }
    }
}

impl AvgPool1d {
    /// Windows of this length, and the steps between them.
    pub fn new(kernel: usize, stride: usize) -> Self {
        AvgPool1d {
            kernel,
            stride,
            padding: 0,
        }
    }

    /// The same with zeros before and after the input, which count in the averages: at most half a window.
    pub fn padding(self, padding: usize) -> Self {
        AvgPool1d { padding, ..self }
    }
}

/// Average pooling over any axes behind the channels, as ONNX has it: padding that differs from end to end, that counts or does not,
/// and windows whose values do not lie next to each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgWindows {
    /// How the windows lie.
    pub windows: WindowPad,
    /// Whether padding counts; never that which a last window reaches over.
    #[serde(default)]
    pub counts_padding: bool,
}

/// Inputs that one output averages.
struct Window {
    start: usize,
    end: usize,
    /// From one to the next.
    step: usize,
    /// By how many the sum is divided: padding counts.
    size: usize,
}

/// Average pooling is separable: windows along each of the axes behind the channels.
trait Windows {
    /// What the registry calls it.
    const NAME: &'static str;
    /// The number of these axes.
    fn axes(&self) -> usize;

    /// The windows of one of them, counted from 0, by its length.
    fn windows(&self, axis: usize, length: usize) -> Result<Vec<Window>>;
}

/// Windows of one size at regular steps, with zeros at both ends.
fn regular(kernel: usize, stride: usize, padding: usize, length: usize) -> Result<Vec<Window>> {
    let problem = if kernel == 0 || stride == 0 {
        format!("an average over {kernel} with stride {stride}: neither may be 0")
    } else if padding > kernel / 2 {
        format!("padding {padding} is more than half a window of {kernel}")
    } else if length == 0 || length + 2 * padding < kernel {
        format!("an average over {kernel} does not fit an input of {length}, padding {padding}")
    } else {
        let count = (length + 2 * padding - kernel) / stride + 1;
        let window = |i: usize| Window {
            start: (i * stride).saturating_sub(padding),
            end: (i * stride + kernel - padding).min(length),
            step: 1,
            size: kernel,
        };
        return Ok((0..count).map(window).collect());
    };
    Err(candle_core::Error::Msg(problem).into())
}

/// So many more averages than values an adaptive pool gives at most.
const MORE: usize = 64;

/// `count` windows that cover the axis.
fn adaptive(length: usize, count: usize) -> Result<Vec<Window>> {
    // A file of a few bytes could else ask for any memory.
    if length == 0 || count > length + MORE {
        let problem = format!("{length} values cannot be averaged to {count}");
        return Err(candle_core::Error::Msg(problem).into());
    }
    let window = |i: usize| {
        let (start, end) = (i * length / count, ((i + 1) * length).div_ceil(count));
        Window {
            start,
            end,
            step: 1,
            size: end - start,
        }
    };
    Ok((0..count).map(window).collect())
}

impl Windows for AvgPool2d {
    const NAME: &'static str = "avg-pool2d";

    fn axes(&self) -> usize {
        2
    }

    fn windows(&self, axis: usize, length: usize) -> Result<Vec<Window>> {
        let of = |pair: Pair| [pair.height, pair.width][axis];
        regular(of(self.kernel), of(self.stride), of(self.padding), length)
    }
}

impl Windows for AvgPool1d {
    const NAME: &'static str = "avg-pool1d";

    fn axes(&self) -> usize {
        1
    }

    fn windows(&self, _: usize, length: usize) -> Result<Vec<Window>> {
        regular(self.kernel, self.stride, self.padding, length)
    }
}

impl Windows for AdaptiveAvgPool2d {
    const NAME: &'static str = "adaptive-avg-pool2d";

    fn axes(&self) -> usize {
        2
    }

    fn windows(&self, axis: usize, length: usize) -> Result<Vec<Window>> {
        adaptive(length, [self.size.0, self.size.1][axis])
    }
}

impl Windows for AdaptiveAvgPool1d {
    const NAME: &'static str = "adaptive-avg-pool1d";

    fn axes(&self) -> usize {
        1
    }

    fn windows(&self, _: usize, length: usize) -> Result<Vec<Window>> {
        adaptive(length, self.size)
    }
}

impl Windows for AvgWindows {
    const NAME: &'static str = "avg-windows";

    fn axes(&self) -> usize {
        self.windows.kernel.len()
    }

    fn windows(&self, axis: usize, length: usize) -> Result<Vec<Window>> {
        let WindowPad {
            kernel,
            stride,
            dilation,
            after,
            fit,
            ..
        } = &self.windows;
        let (before, last) = self.windows.amounts(axis, length)?;
        let (stride, step) = (stride[axis], dilation[axis]);
        let extent = (kernel[axis] - 1) * step + 1;
        let padded = before + length + last;
        if padded < extent {
            let problem = format!("an average over {extent} does not fit {length} values");
            return Err(candle_core::Error::Msg(problem).into());
        }
        // What a last window reaches over the end is no padding.
        let declared = match fit {
            Some(Fit::Ceil) => before + length + after[axis],
            _ => padded,
        };
        let window = |i: usize| {
            let places = (0..kernel[axis]).map(move |k| i * stride + k * step);
            let inside = places
                .clone()
                .filter(|place| (before..before + length).contains(place));
            let mut ends = inside.clone().map(|place| place - before);
            let (count, start) = (inside.count(), ends.next());
            let start = start.unwrap_or(0);
            let size = match self.counts_padding {
                true => places.filter(|place| *place < declared).count(),
                false => count,
            };
            Window {
                start,
                end: start + count.saturating_sub(1) * step + count.min(1),
                step,
                size: size.max(1),
            }
        };
        Ok((0..=(padded - extent) / stride).map(window).collect())
    }
}

/// `[length, outputs]`, 1/size in each window; none if every window is one value, in order, as AlexNet's are.
fn averaging_matrix(windows: &[Window], length: usize, like: &Tensor) -> Result<Option<Tensor>> {
    let mut single = windows.iter().enumerate();
    if windows.len() == length
        && single.all(|(i, window)| (window.start, window.end, window.size) == (i, i + 1, 1))
    {
        return Ok(None);
    }
    let mut matrix = vec![0f64; length * windows.len()];
    for (output, window) in windows.iter().enumerate() {
        for input in (window.start..window.end).step_by(window.step) {
            matrix[input * windows.len() + output] = 1.0 / window.size as f64;
        }
    }
    let matrix = Tensor::from_vec(matrix, (length, windows.len()), &candle_core::Device::Cpu)?;
    Ok(Some(
        matrix.to_dtype(like.dtype())?.to_device(like.device())?,
    ))
}

/// `x · m` over an axis behind the first two, of a tensor of any rank, its channels left where they lie in memory.
fn along_axis(x: &Tensor, axis: usize, matrix: &Tensor) -> Result<Tensor> {
    let aligned = Aligned::new([x])?;
    let [in_order] = &aligned.tensors;
    let axis = if aligned.channels_last {
        axis - 1
    } else {
        axis
    };
    let mut dims = in_order.dims().to_vec();
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let length = std::mem::replace(&mut dims[axis], matrix.dim(1)?);
    let product = match inner {
        1 => matmul::forward(&in_order.reshape((outer, length))?, matrix)?,
        _ => {
            // One matrix for all, not a copy for each.
            let matrices = matrix.t()?.broadcast_left(outer)?;
            matrices.matmul(&in_order.reshape((outer, length, inner))?)?
        }
    };
    Ok(aligned.restore(&product.reshape(dims)?)?)
}

/// The averages of `x`, for an input of the given shape, or back from them by the transposed map.
fn averages<P: Windows>(pool: &P, x: &Tensor, input: &[usize], back: bool) -> Result<Tensor> {
    if input.len() != 2 + pool.axes() {
        let problem = format!(
            "pooling over {} axes does not fit an input of {input:?}",
            pool.axes()
        );
        return Err(candle_core::Error::Msg(problem).into());
    }
    let mut x = x.clone();
    for (axis, length) in input[2..].iter().enumerate().rev() {
        let windows = pool.windows(axis, *length)?;
        if let Some(matrix) = averaging_matrix(&windows, *length, &x)? {
            let matrix = if back {
                matrix.t()?.contiguous()?
            } else {
                matrix
            };
            x = along_axis(&x, 2 + axis, &matrix)?;
        }
    }
    Ok(x)
}

/// The averages are the layer; its `weight` is a single factor of 1, which stands for all of the (non-negative) weights 1/n
/// where a rule maps them.
impl<P: Windows> LinearOp for P {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let like = inputs[0];
        Ok((Tensor::ones(1, like.dtype(), like.device())?, None))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(repeated_product(
            &averages(self, input, input.dims(), false)?,
            weight,
        )?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        Ok(repeated_product(
            &averages(self, output, input.dims(), true)?,
            weight,
        )?)
    }
}

impl<P: Windows + Serialize + std::fmt::Debug + Send + Sync> Op for P {
    fn name(&self) -> &str {
        P::NAME
    }

    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        super::linear::affine(self, params, inputs[0])
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }
}
