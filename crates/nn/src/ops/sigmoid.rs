use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions;
use crate::kernels::elementwise::{map, map_pairs};
use crate::{Backward, Branch, Claims, Gradients, Kind, Map, Mode, Op, Params, Result};

/// `1 / (1 + e⁻ˣ)`, of any shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sigmoid;

impl Op for Sigmoid {
    fn name(&self) -> &str {
        "sigmoid"
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        map(inputs[0], functions::sigmoid)
    }

    fn claims(&self) -> Claims {
        Claims::WITHIN_ONE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }

    /// `y (1 − y)` of the gradient.
    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let of_input = map_pairs(pass.output, pass.gradient, |y, gradient| {
            Ok(((y - y.sqr()?)? * gradient)?)
        })?;
        Ok(Gradients {
            inputs: vec![of_input],
            params: Vec::new(),
        })
    }
}
