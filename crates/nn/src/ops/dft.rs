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
    /// `[n · parts, m · 2]`.
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
        let given = if self.onesided { whole / 2 + 1 } else { whole };
        let (sign, share) = match self.inverse {
            true => (1.0, 1.0 / whole as f64),
            false => (-1.0, 1.0),
        };
        let mut matrix = vec![0f64; n * parts * given * 2];
        for t in 0..n.min(whole) {
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
        let matrix = Tensor::from_vec(matrix, (n * parts, given * 2), &Device::Cpu)?;
        Ok(matrix.to_dtype(like.dtype())?.to_device(like.device())?)
    }

    /// With the axis and the parts as the last ones, for as many values.
    fn transformed(&self, x: &Tensor, n: usize, parts: usize, back: bool) -> Result<Tensor> {
        let rank = x.rank();
        let axis = axis(self.axis, rank)?;
        if rank < 2 || axis == rank - 1 {
            return problem(format!("no Fourier transform along axis {axis} of {rank}"));
        }
        let matrix = self.matrix(n, parts, x)?;
        let matrix = if back {
            matrix.t()?.contiguous()?
        } else {
            matrix
        };
        let x = x.transpose(axis, rank - 2)?.contiguous()?;
        let mut dims = x.dims().to_vec();
        let product = x.reshape(((), matrix.dim(0)?))?.matmul(&matrix)?;
        dims[rank - 1] = if back { parts } else { 2 };
        dims[rank - 2] = product.dim(1)? / dims[rank - 1];
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
        let x = inputs[0];
        let n = x.dims()[axis(self.axis, x.rank())?];
        self.transformed(x, n, x.dims().last().copied().unwrap_or(0), false)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }
}

/// Its `weight` is a single factor of 1, which stands for all where a rule maps them.
impl LinearOp for Dft {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        Ok((
            Tensor::ones(1, inputs[0].dtype(), inputs[0].device())?,
            None,
        ))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let n = input.dims()[axis(self.axis, input.rank())?];
        let parts = input.dims().last().copied().unwrap_or(0);
        Ok(self
            .transformed(input, n, parts, false)?
            .broadcast_mul(weight)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        let n = input.dims()[axis(self.axis, input.rank())?];
        let parts = input.dims().last().copied().unwrap_or(0);
        Ok(self
            .transformed(output, n, parts, true)?
            .broadcast_mul(weight)?)
    }
}
