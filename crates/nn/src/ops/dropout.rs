use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::kernels::dropout;
use crate::{Backward, Branch, Claims, Gradients, InOrder, Kind, Map, Mode, Op, Params, Result};

/// In training, sets each value to 0 with probability `p` and scales the others by `1/(1 − p)`; else passes its input on.
/// A seed gives the same mask on every device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dropout {
    /// The probability of a 0.
    pub p: f64,
}

impl Op for Dropout {
    fn name(&self) -> &str {
        "dropout"
    }

    fn kind(&self) -> Kind {
        Kind::Dropout
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        let input = inputs[0];
        let Mode::Train(training) = mode else {
            return Ok(input.clone());
        };
        let mask = dropout::mask(&mut training.rng, self.p, input)?;
        training.save(&mask);
        Ok((input * mask)?)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Moved(&InOrder))
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let gradient = match pass.saved {
            [mask, ..] => (pass.gradient * mask)?,
            [] => pass.gradient.clone(),
        };
        Ok(Gradients {
            inputs: vec![gradient],
            params: Vec::new(),
        })
    }
}
