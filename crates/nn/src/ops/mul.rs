use std::ops::RangeInclusive;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::gathered;
use crate::kernels::pointwise::repeated_product;
use crate::{Branch, Claims, Kind, LinearOp, Map, Mode, Op, Params, Result};

/// The product of two values, place by place, of one shape or with axes that are repeated: a value and its gate, or an input and its mask. Relevance goes to each by
/// half, through the map that is linear in it with the other held (Achtibat et al. 2024, "AttnLRP", Eq. 14).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mul;

/// The other factor, by its place.
struct Times(usize);

impl Op for Mul {
    fn name(&self) -> &str {
        "mul"
    }

    fn kind(&self) -> Kind {
        Kind::Product
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(repeated_product(inputs[0], inputs[1])?)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        let half = |input, other| Branch {
            input,
            share: 0.5,
            map: Map::Layer(other),
        };
        vec![half(0, &Times(1)), half(1, &Times(0))]
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }
}

impl LinearOp for Times {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        Ok((inputs[self.0].clone(), None))
    }

    fn has_fixed_weights(&self) -> bool {
        false
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(repeated_product(input, weight)?)
    }

    /// What was repeated is added up.
    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        gathered(&repeated_product(output, weight)?, input)
    }
}
