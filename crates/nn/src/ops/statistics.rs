use candle_core::{D, Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Branch, Claims, Kind, LinearOp, Map, Mode, Op, Params, Result};

/// The smallest variance under the root.
const FLOOR: f64 = 1e-10;

/// The mean over time: `[N, C, H, T]` to `[N, C, H]`, `[N, C, T]` to `[N, C]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimeMean;

/// The standard deviation over time, `√(E[(x − μ)²] + 1e-10)`: `[N, C, H, T]` to `[N, C, H]`, `[N, C, T]` to `[N, C]`.
///
/// It is homogeneous of degree one in its input but for the floor, so that for a given input it is linear in it, with the weights
/// `(x_t − μ) / (T σ)` and the floor as its bias: `Σ_t x_t (x_t − μ) / (T σ) + 1e-10 / σ = σ`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimeDeviation;

fn deviation(input: &Tensor) -> Result<(Tensor, Tensor)> {
    // Channels last, candle's sums over time would take one value at a time.
    let input = &input.contiguous()?;
    let centred = input.broadcast_sub(&input.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + FLOOR)?.sqrt()?;
    Ok((centred, deviation))
}

impl Op for TimeMean {
    fn name(&self) -> &str {
        "time-mean"
    }

    fn kind(&self) -> Kind {
        Kind::StatsPool
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(inputs[0].contiguous()?.mean(D::Minus1)?)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }
}

impl LinearOp for TimeMean {
    /// 1/T.
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let input = inputs[0];
        let weight = Tensor::ones(1, input.dtype(), input.device())?;
        Ok(((weight / input.dim(D::Minus1)? as f64)?, None))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(input.sum(D::Minus1)?.broadcast_mul(weight)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        Ok(output
            .broadcast_mul(weight)?
            .unsqueeze(D::Minus1)?
            .broadcast_as(input)?
            .contiguous()?)
    }
}

impl Op for TimeDeviation {
    fn name(&self) -> &str {
        "time-deviation"
    }

    fn kind(&self) -> Kind {
        Kind::StatsPool
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(deviation(inputs[0])?.1.squeeze(D::Minus1)?)
    }

    fn claims(&self) -> Claims {
        Claims::NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }
}

impl LinearOp for TimeDeviation {
    /// `(x_t − μ) / (T σ)`, of the input's shape, and `1e-10 / σ`.
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let (centred, deviation) = deviation(inputs[0])?;
        let weight = (centred.broadcast_div(&deviation)? / inputs[0].dim(D::Minus1)? as f64)?;
        let floor = (deviation.squeeze(D::Minus1)?.recip()? * FLOOR)?;
        Ok((weight, Some(floor)))
    }

    fn has_fixed_weights(&self) -> bool {
        false
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(input.broadcast_mul(weight)?.sum(D::Minus1)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        Ok(output.unsqueeze(D::Minus1)?.broadcast_mul(weight)?)
    }
}
