use candle_core::Tensor;
use rand::RngExt;

use crate::{Backward, Gradients, Kind, Mode, Op, Params, Result, Structure};

/// In training, sets each value to 0 with probability `p` and scales the others by `1/(1 − p)`; else passes its input on.
/// The mask is drawn on the CPU, so that a seed gives the same one on every device.
#[derive(Clone, Debug)]
pub struct Dropout {
    /// The probability of a 0.
    pub p: f64,
}

impl Op for Dropout {
    fn kind(&self) -> Kind {
        Kind::Dropout
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        let input = inputs[0];
        let Mode::Train(training) = mode else {
            return Ok(input.clone());
        };
        let kept = (1.0 / (1.0 - self.p)) as f32;
        let mask: Vec<f32> = (0..input.elem_count())
            .map(|_| {
                if training.rng.random::<f64>() < self.p {
                    0.0
                } else {
                    kept
                }
            })
            .collect();
        let mask =
            Tensor::from_vec(mask, input.shape(), input.device())?.to_dtype(input.dtype())?;
        training.save(&mask);
        Ok((input * mask)?)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::PassThrough
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
