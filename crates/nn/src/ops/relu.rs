use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::kernels::relu;
use crate::{Backward, Branch, Claims, Gradients, Kind, Map, Mode, Op, Params, Result};

/// `max(x, 0)`, of any shape. The gradient at 0 is 0, as PyTorch has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relu;

impl Op for Relu {
    fn name(&self) -> &str {
        "relu"
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        relu::forward(inputs[0])
    }

    fn claims(&self) -> Claims {
        Claims::NON_NEGATIVE.keeping_zero()
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let inputs = vec![relu::gradient(pass.output, pass.gradient)?];
        Ok(Gradients {
            inputs,
            params: Vec::new(),
        })
    }

    fn is_relu(&self) -> bool {
        true
    }
}
