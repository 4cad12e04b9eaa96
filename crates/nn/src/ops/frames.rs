//! Windows that slide along the last axis.

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::moving::{Moving, moving};
use super::places::{check_size, problem, put_back, taken};
use crate::{Map, MovingOp, Result};

/// Frames of the last axis, one at every `hop`: `[…, T]` to `[…, frames, length]`. What is left behind the last whole one is in none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// Values of a frame.
    pub length: usize,
    /// From the first of one to the first of the next.
    pub hop: usize,
}

impl Frames {
    /// How many there are of so many values, and the place that each of their values is read from.
    fn places(&self, values: usize) -> Result<(usize, Vec<u32>)> {
        if self.hop == 0 || self.length == 0 || self.length > values {
            return problem(format!(
                "{values} values have no frame of {} every {}",
                self.length, self.hop
            ));
        }
        let count = (values - self.length) / self.hop + 1;
        check_size(&[count, self.length])?;
        let frames = (0..count).map(|frame| frame * self.hop);
        let places = frames.flat_map(|start| start..start + self.length);
        Ok((count, places.map(|place| place as u32).collect()))
    }
}

impl Moving for Frames {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let (x, last) = (inputs[0], inputs[0].rank().saturating_sub(1));
        let (count, places) = self.places(x.dim(last)?)?;
        let mut dims = x.dims()[..last].to_vec();
        dims.extend([count, self.length]);
        Ok(taken(x, last, &places)?.reshape(dims)?)
    }

    fn map(&self) -> Map<'_> {
        Map::Moved(self)
    }
}

impl MovingOp for Frames {
    fn back(&self, output: &Tensor, inputs: &[&Shape], _: usize) -> Result<Tensor> {
        let dims = inputs[0].dims();
        let last = dims.len().saturating_sub(1);
        let (_, places) = self.places(dims[last])?;
        let mut flat = dims[..last].to_vec();
        flat.push(places.len());
        put_back(&output.reshape(flat)?, last, &places, dims[last])
    }
}

moving! {
    Frames "frames" 1..=1;
}
