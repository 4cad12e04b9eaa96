use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{axis, constant};
use crate::{Branch, Claims, Kind, LinearOp, Map, Mode, Op, Params, Result};

/// The sum of all values up to each place of an axis.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CumSum {
    /// The axis, counted from the end if negative.
    pub axis: i64,
    /// Without the place itself.
    #[serde(default)]
    pub exclusive: bool,
    /// From the end on.
    #[serde(default)]
    pub reverse: bool,
}

/// Values moved towards the end, or the start, with zeros where none come from.
fn moved(x: &Tensor, axis: usize, by: usize, to_start: bool) -> candle_core::Result<Tensor> {
    let left = x.dim(axis)? - by;
    match to_start {
        false => x.narrow(axis, 0, left)?.pad_with_zeros(axis, by, 0),
        true => x.narrow(axis, by, left)?.pad_with_zeros(axis, 0, by),
    }
}

impl CumSum {
    /// By sums of 1, 2, 4, … values, each of two of those before.
    fn sums(&self, x: &Tensor, reverse: bool) -> Result<Tensor> {
        let axis = axis(self.axis, x.rank())?;
        let (mut sums, length) = (x.clone(), x.dim(axis)?);
        let mut count = 1;
        while count < length {
            sums = (&sums + moved(&sums, axis, count, reverse)?)?;
            count *= 2;
        }
        Ok(match self.exclusive && length > 0 {
            true => moved(&sums, axis, 1, reverse)?,
            false => sums,
        })
    }
}

impl Op for CumSum {
    fn name(&self) -> &str {
        "cumsum"
    }

    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn keeps_batch(&self) -> bool {
        self.axis != 0
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        self.sums(inputs[0], self.reverse)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }
}

/// Its `weight` is a single 1, which stands for all where a rule maps them.
impl LinearOp for CumSum {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        Ok((constant(1.0, 1, inputs[0])?, None))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(self.sums(input, self.reverse)?.broadcast_mul(weight)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        Ok(self.sums(output, !self.reverse)?.broadcast_mul(weight)?)
    }
}
