use std::ops::RangeInclusive;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Branch, Claims, Kind, Map, Mode, MovingOp, Op, Params, Result};

/// Branches behind each other along the second axis: `[N, a, …]`, `[N, b, …]`, … to `[N, a + b + …, …]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Concat;

impl Op for Concat {
    fn name(&self) -> &str {
        "concat"
    }

    fn kind(&self) -> Kind {
        Kind::Concat
    }

    fn arity(&self) -> RangeInclusive<usize> {
        1..=usize::MAX
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(Tensor::cat(inputs, 1)?)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, inputs: usize) -> Vec<Branch<'_>> {
        Branch::each(inputs, || Map::Moved(self))
    }
}

impl MovingOp for Concat {
    fn back(&self, output: &Tensor, inputs: &[&Shape], place: usize) -> Result<Tensor> {
        let lengths = inputs.iter().map(|input| Ok(input.dim(1)?));
        let lengths = lengths.collect::<Result<Vec<usize>>>()?;
        let start = lengths[..place].iter().sum();
        Ok(output.narrow(1, start, lengths[place])?.contiguous()?)
    }
}
