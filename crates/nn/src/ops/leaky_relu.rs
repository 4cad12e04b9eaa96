use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::kernels::elementwise::{by_sign, map, map_pairs};
use crate::{Backward, Branch, Claims, Gradients, Kind, Map, Mode, Op, Params, Result};

/// `x` above 0 and `slope · x` elsewhere, of any shape. The gradient at 0 is the slope, as PyTorch has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeakyRelu {
    /// What values below 0 are multiplied by.
    pub slope: f64,
}

impl Op for LeakyRelu {
    fn name(&self) -> &str {
        "leaky-relu"
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        map(inputs[0], |x| by_sign(x, x, &(x * self.slope)?))
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE.keeping_zero()
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let of_input = map_pairs(pass.inputs[0], pass.gradient, |x, gradient| {
            by_sign(x, gradient, &(gradient * self.slope)?)
        })?;
        Ok(Gradients {
            inputs: vec![of_input],
            params: Vec::new(),
        })
    }
}
