use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{axes, named};
use crate::kernels::pointwise::{repeated_difference, repeated_product};
use crate::kernels::sums::sum_along;
use crate::{Backward, Branch, Gradients, Kind, LinearOp, Map, Mode, Op, Params, Result};

/// `(x − μ) / √(σ² + ε)` with the mean and the variance along axes: what layer, instance and group normalization have in common.
/// To relevance it is a layer, linear in x with the deviation held as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardize {
    /// The axes, counted from the end if negative.
    #[serde(default)]
    pub axes: Vec<i64>,
    /// If none is named, how many first ones are left out.
    #[serde(default)]
    pub first: usize,
    /// ε.
    pub epsilon: f64,
}

/// `x / max(‖x‖, ε)`, or with `squared` `x / √(mean x² + ε)`, along axes: division by a norm. To relevance likewise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// The axes, counted from the end if negative.
    pub axes: Vec<i64>,
    /// ε.
    #[serde(default)]
    pub epsilon: f64,
    /// Whether it is the root of the mean square, with ε under the root.
    #[serde(default)]
    pub root_mean_square: bool,
}

fn mean(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let count: usize = axes.iter().map(|axis| x.dims()[*axis]).product();
    Ok((sum_along(x, axes)? * (1.0 / count.max(1) as f64))?)
}

impl Standardize {
    fn axes(&self, rank: usize) -> Result<Vec<usize>> {
        named(&self.axes, self.first, rank)
    }

    fn centred(&self, x: &Tensor) -> Result<Tensor> {
        let mean = mean(x, &self.axes(x.rank())?)?;
        Ok(repeated_difference(x, &mean)?)
    }

    /// `1 / √(σ² + ε)` of what is centred.
    fn scale(&self, centred: &Tensor) -> Result<Tensor> {
        let variance = mean(&centred.sqr()?, &self.axes(centred.rank())?)?;
        Ok((variance + self.epsilon)?.sqrt()?.recip()?)
    }
}

impl Op for Standardize {
    fn name(&self) -> &str {
        "standardize"
    }

    fn kind(&self) -> Kind {
        Kind::Norm
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let centred = self.centred(inputs[0])?;
        Ok(repeated_product(&centred, &self.scale(&centred)?)?)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }

    /// `(g − mean g − y mean(g y)) / √(σ² + ε)`.
    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let (y, g) = (pass.output, pass.gradient);
        let axes = self.axes(y.rank())?;
        let along = mean(&(y * g)?, &axes)?;
        let rest = g.broadcast_sub(&mean(g, &axes)?)?;
        let rest = (rest - y.broadcast_mul(&along)?)?;
        let scale = self.scale(&self.centred(pass.inputs[0])?)?;
        Ok(Gradients {
            inputs: vec![rest.broadcast_mul(&scale)?],
            params: Vec::new(),
        })
    }
}

/// The weight is the inverse deviation. That values are centred is in no weight.
impl LinearOp for Standardize {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        Ok((self.scale(&self.centred(inputs[0])?)?, None))
    }

    fn has_mappable_weights(&self) -> bool {
        false
    }

    fn has_fixed_weights(&self) -> bool {
        false
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(self.centred(input)?.broadcast_mul(weight)?)
    }

    /// Centring is its own transpose.
    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        self.centred(&output.broadcast_mul(weight)?)
    }
}

impl Normalize {
    /// What values are multiplied by, and whether that depends on them: 1, or 0 where the norm is below its least.
    fn scale(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let axes = axes(&self.axes, x.rank())?;
        if self.root_mean_square {
            let scale = (mean(&x.sqr()?, &axes)? + self.epsilon)?.sqrt()?.recip()?;
            return Ok((scale.clone(), scale.ones_like()?));
        }
        let norm = x.sqr()?.sum_keepdim(axes)?.sqrt()?;
        let depends = norm.gt(self.epsilon)?.to_dtype(x.dtype())?;
        Ok((norm.maximum(self.epsilon)?.recip()?, depends))
    }
}

impl Op for Normalize {
    fn name(&self) -> &str {
        "normalize"
    }

    fn kind(&self) -> Kind {
        Kind::Norm
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(inputs[0].broadcast_mul(&self.scale(inputs[0])?.0)?)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }

    /// `(g − y Σ g y) / ‖x‖`, or the mean in place of the sum.
    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let (y, g) = (pass.output, pass.gradient);
        let axes = axes(&self.axes, y.rank())?;
        let along = match self.root_mean_square {
            true => mean(&(y * g)?, &axes)?,
            false => (y * g)?.sum_keepdim(axes)?,
        };
        let (scale, depends) = self.scale(pass.inputs[0])?;
        let rest = (g - y.broadcast_mul(&(along * depends)?)?)?;
        Ok(Gradients {
            inputs: vec![rest.broadcast_mul(&scale)?],
            params: Vec::new(),
        })
    }
}

/// The weight is the inverse norm.
impl LinearOp for Normalize {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        Ok((self.scale(inputs[0])?.0, None))
    }

    fn has_fixed_weights(&self) -> bool {
        false
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(input.broadcast_mul(weight)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        Ok(output.broadcast_mul(weight)?)
    }
}
