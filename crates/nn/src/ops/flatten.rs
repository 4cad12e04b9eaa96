use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Branch, Claims, InOrder, Kind, Map, Mode, Op, Params, Result};

/// `[N, …]` to `[N, elements]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flatten;

impl Op for Flatten {
    fn name(&self) -> &str {
        "flatten"
    }

    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(inputs[0].flatten_from(1)?)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Moved(&InOrder))
    }
}
