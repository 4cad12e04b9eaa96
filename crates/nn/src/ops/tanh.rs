use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions;
use crate::kernels::elementwise::{map, map_pairs};
use crate::{Backward, Branch, Claims, Gradients, Kind, Map, Mode, Op, Params, Result};

/// `tanh(x)`, of any shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tanh;

impl Op for Tanh {
    fn name(&self) -> &str {
        "tanh"
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        map(inputs[0], functions::tanh)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE.keeping_zero()
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }

    /// `1 − y²` of the gradient.
    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let of_input = map_pairs(pass.output, pass.gradient, |y, gradient| {
            Ok((gradient - (y.sqr()? * gradient)?)?)
        })?;
        Ok(Gradients {
            inputs: vec![of_input],
            params: Vec::new(),
        })
    }
}
