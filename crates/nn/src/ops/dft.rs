use std::f64::consts::TAU;

use candle_core::{Device, Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{axis, problem};
use crate::{Branch, Kind, LinearOp, Map, Mode, Op, Params, Result};

/// The discrete Fourier transform along an axis, `[…, n, …, 1 or 2]` to `[…, m, …, 2]`: real and imaginary parts stand on the last
/// axis.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dft {
    /// The axis, counted from the end if negative.
    pub axis: i64,
    /// Whether it is the inverse, divided by n.
    #[serde(default)]
    pub inverse: bool,
    /// Whether only frequencies up to half the rate are given, or, of the inverse, read.
    #[serde(default)]
    pub onesided: bool,
    /// How many values are transformed: what is read is cut, or zeros are added; none for as many as there are.
    #[serde(default)]
    pub length: Option<usize>,
}

/// No transform is of more values: it is computed as a product of matrices.
const LONGEST: usize = 1 << 12;

impl Dft {
    /// `[k · parts, m · 2]` for an axis of n values, of which the first k are read.
    fn matrix(&self, n: usize, parts: usize, like: &Tensor) -> Result<Tensor> {
        let whole = self.length.unwrap_or(n);
        if whole == 0
            || whole > LONGEST
            || !(1..=2).contains(&parts)
            || (self.inverse && self.onesided)
        {
            return problem(format!(
                "no Fourier transform of {n} values of {parts} parts to {whole}"
            ));
        }
        let (read, given) = (
            n.min(whole),
            if self.onesided { whole / 2 + 1 } else { whole },
        );
        let (sign, share) = match self.inverse {
            true => (1.0, 1.0 / whole as f64),
            false => (-1.0, 1.0),
        };
        let mut matrix = vec![0f64; read * parts * given * 2];
        for t in 0..read {
            for f in 0..given {
                let angle = sign * TAU * ((t * f) % whole) as f64 / whole as f64;
                let (sin, cos) = angle.sin_cos();
                let mut set = |part: usize, of: usize, value: f64| {
                    matrix[((t * parts + part) * given + f) * 2 + of] = value * share;
                };
                set(0, 0, cos);
                set(0, 1, sin);
                if parts == 2 {
                    set(1, 0, -sin);
                    set(1, 1, cos);
                }
            }
        }
        let matrix = Tensor::from_vec(matrix, (read * parts, given * 2), &Device::Cpu)?;
        Ok(matrix.to_dtype(like.dtype())?.to_device(like.device())?)
    }

    /// The axis, its length, and the parts of what is read.
    fn sizes(&self, shape: &[usize]) -> Result<(usize, usize, usize)> {
        let axis = axis(self.axis, shape.len())?;
        match shape {
            [.., parts] if axis < shape.len() - 1 => Ok((axis, shape[axis], *parts)),
            _ => problem(format!(
                "no Fourier transform along axis {axis} of {shape:?}"
            )),
        }
    }

    /// The product with a matrix along the axis and the parts, which are so many behind it.
    fn product(&self, x: &Tensor, axis: usize, matrix: &Tensor, parts: usize) -> Result<Tensor> {
        let rank = x.rank();
        let x = x.transpose(axis, rank - 2)?.contiguous()?;
        let mut dims = x.dims().to_vec();
        let product = x.reshape(((), matrix.dim(0)?))?.matmul(matrix)?;
        dims[rank - 1] = parts;
        dims[rank - 2] = product.dim(1)? / parts;
        Ok(product
            .reshape(dims)?
            .transpose(axis, rank - 2)?
            .contiguous()?)
    }
}

impl Op for Dft {
    fn name(&self) -> &str {
        "dft"
    }

    fn kind(&self) -> Kind {
        Kind::Linear
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let (weight, _) = self.weights(&Params::new(), inputs)?;
        self.apply(inputs[0], &weight)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }
}

/// The weight is the transform's matrix.
impl LinearOp for Dft {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let (_, n, parts) = self.sizes(inputs[0].dims())?;
        Ok((self.matrix(n, parts, inputs[0])?, None))
    }

    /// They depend on the length.
    fn has_fixed_weights(&self) -> bool {
        false
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (axis, _, parts) = self.sizes(input.dims())?;
        let read = input.narrow(axis, 0, weight.dim(0)? / parts)?;
        self.product(&read, axis, weight, 2)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        let (axis, n, parts) = self.sizes(input.dims())?;
        let read = self.product(output, axis, &weight.t()?.contiguous()?, parts)?;
        Ok(read.pad_with_zeros(axis, 0, n - weight.dim(0)? / parts)?)
    }
}
