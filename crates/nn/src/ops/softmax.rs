use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::places::axis;
use crate::kernels::functions::softmax;
use crate::{
    Backward, Branch, Claims, Gradients, Kind, Map, Mode, Op, OwnWay, Params, Passed, Passing,
    Result,
};

/// `exp(x_i) / Σ_j exp(x_j)` along an axis, or along all from it on as one. Relevance inside a network goes by the softmax's Taylor
/// expansion, `R_i = x_i (R'_i − s_i Σ_j R'_j)` (Achtibat et al. 2024, "AttnLRP", Eq. 13), which does not conserve it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// The axis, counted from the end if negative.
    pub axis: i64,
    /// Whether it and all behind it are one.
    #[serde(default)]
    pub flat: bool,
    /// Whether its logarithm is given.
    #[serde(default)]
    pub log: bool,
}

impl Softmax {
    /// With what is drawn together on the last axis of two.
    fn rows(&self, x: &Tensor) -> Result<Tensor> {
        let axis = axis(self.axis, x.rank())?;
        Ok(match self.flat {
            true => {
                let count: usize = x.dims()[axis..].iter().product();
                x.reshape((x.elem_count() / count.max(1), count))?
            }
            false => x.transpose(axis, x.rank() - 1)?.contiguous()?,
        })
    }

    /// Back from [`Softmax::rows`].
    fn unrowed(&self, rows: &Tensor, like: &Tensor) -> Result<Tensor> {
        let axis = axis(self.axis, like.rank())?;
        Ok(match self.flat {
            true => rows.reshape(like.shape())?,
            false => rows.transpose(axis, like.rank() - 1)?.contiguous()?,
        })
    }
}

impl Op for Softmax {
    fn name(&self) -> &str {
        "softmax"
    }

    fn kind(&self) -> Kind {
        Kind::Softmax
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let x = inputs[0];
        let rows = self.rows(x)?;
        if !self.log
            && let Some(given) = softmax(&rows)
        {
            return self.unrowed(&given?, x);
        }
        let last = rows.rank() - 1;
        let rest = rows.broadcast_sub(&rows.max_keepdim(last)?)?;
        let exp = rest.exp()?;
        let sum = exp.sum_keepdim(last)?;
        let given = match self.log {
            true => rest.broadcast_sub(&sum.log()?)?,
            false => exp.broadcast_div(&sum)?,
        };
        self.unrowed(&given, x)
    }

    fn claims(&self) -> Claims {
        match self.log {
            true => Claims::default(),
            false => Claims::WITHIN_ONE,
        }
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(match self.log {
            true => Map::Each,
            false => Map::Own(self),
        })
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let (given, gradient) = (self.rows(pass.output)?, self.rows(pass.gradient)?);
        let last = given.rank() - 1;
        let of_rows = match self.log {
            true => (&gradient - given.exp()?.broadcast_mul(&gradient.sum_keepdim(last)?)?)?,
            false => {
                let mean = (&given * &gradient)?.sum_keepdim(last)?;
                (&given * gradient.broadcast_sub(&mean)?)?
            }
        };
        Ok(Gradients {
            inputs: vec![self.unrowed(&of_rows, pass.inputs[0])?],
            params: Vec::new(),
        })
    }
}

impl OwnWay for Softmax {
    fn pass(&self, pass: &Passing, _: usize) -> Result<Passed> {
        let (x, given) = (self.rows(pass.inputs[0])?, self.rows(pass.output)?);
        let relevance = self.rows(pass.relevance)?;
        let total = relevance.sum_keepdim(relevance.rank() - 1)?;
        let of_rows = (x * (relevance - given.broadcast_mul(&total)?)?)?;
        // What is masked by −∞ has no share, and 0 times that is no number.
        let of_rows = given
            .ne(0.0)?
            .where_cond(&of_rows, &of_rows.zeros_like()?)?;
        Ok(Passed {
            relevance: self.unrowed(&of_rows, pass.inputs[0])?,
            epsilon: None,
        })
    }

    fn text(&self) -> &'static str {
        "the softmax's Taylor expansion"
    }
}
