use std::ops::RangeInclusive;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::axis;
use crate::kernels::layout::{channels_first, channels_last, is_channels_last};
use crate::{Branch, Claims, Kind, Map, Mode, MovingOp, Op, Params, Result};

/// Branches behind each other along an axis, the second unless it is named: `[N, a, …]`, `[N, b, …]`, … to `[N, a + b + …, …]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// The axis, counted from the end if negative.
    #[serde(default = "second")]
    pub axis: i64,
}

impl Default for Concat {
    fn default() -> Self {
        Concat { axis: second() }
    }
}

fn second() -> i64 {
    1
}

/// Behind each other along an axis. Of images, channels stay where they lie in memory.
fn joined(inputs: &[&Tensor], axis: usize) -> Result<Tensor> {
    let first = inputs[0];
    let alike = inputs.iter().all(|x| x.rank() == first.rank());
    if !alike || !is_channels_last(first)? {
        return Ok(Tensor::cat(inputs, axis)?);
    }
    let pixels = inputs.iter().map(|x| channels_last(x));
    let pixels = pixels.collect::<candle_core::Result<Vec<_>>>()?;
    let axis = match axis {
        0 => 0,
        1 => first.rank() - 1,
        axis => axis - 1,
    };
    Ok(channels_first(&Tensor::cat(&pixels, axis)?)?)
}

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

    fn keeps_batch(&self) -> bool {
        self.axis > 0
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        joined(inputs, axis(self.axis, inputs[0].rank())?)
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
        let axis = axis(self.axis, output.rank())?;
        let lengths = inputs.iter().map(|input| Ok(input.dim(axis)?));
        let lengths = lengths.collect::<Result<Vec<usize>>>()?;
        let start = lengths[..place].iter().sum();
        Ok(output.narrow(axis, start, lengths[place])?.contiguous()?)
    }
}
