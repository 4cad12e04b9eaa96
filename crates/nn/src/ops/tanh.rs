use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::kernels::elementwise::{map, map_pairs};
use crate::{Backward, Gradients, Kind, Mode, Op, Params, Result, Structure};

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
        map(inputs[0], |x| Ok(x.tanh()?))
    }

    fn structure(&self) -> Structure<'_> {
        Structure::PassThrough
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
