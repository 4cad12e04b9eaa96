use std::sync::Arc;

use candle_core::{Shape, Tensor};

use super::rectified::{Rectified, Rectify};
use crate::kernels::batch_norm;
use crate::{
    Backward, Gradients, Init, Kind, LinearOp, Mode, Op, ParamSpec, Params, Result, Structure,
};

/// Added to the variance unless another is asked for (PyTorch's default).
const EPSILON: f64 = 1e-5;
/// How much of the running statistics a batch replaces (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// Batch normalization of channels, `[N, C]` or `[N, C, …]` (Ioffe & Szegedy 2015, algorithm 1). In training it takes the
/// batch's statistics, and moves the running ones a tenth of the way; else it takes the running ones.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// C.
    pub channels: usize,
}

impl BatchNorm {
    /// The same with another number added to the variance than 1e-5.
    pub fn epsilon(self, epsilon: f64) -> impl Op + Clone {
        Normalization {
            channels: self.channels,
            epsilon,
        }
    }

    fn normalization(&self) -> Normalization {
        Normalization {
            channels: self.channels,
            epsilon: EPSILON,
        }
    }

    /// `s = γ / √(σ² + ε)` and `β − s μ` of the running statistics, `[C]`.
    pub(crate) fn scale_and_shift(&self, params: &Params) -> Result<(Tensor, Tensor)> {
        self.normalization().scale_and_shift(params)
    }
}

impl Op for BatchNorm {
    fn kind(&self) -> Kind {
        Kind::BatchNorm
    }

    fn params(&self) -> Vec<ParamSpec> {
        self.normalization().params()
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.normalization().forward(params, inputs, mode)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Linear(self)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        self.normalization().backward(pass)
    }

    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        self.normalization().with_relu()
    }

    fn as_batch_norm(&self) -> Option<&BatchNorm> {
        Some(self)
    }
}

impl LinearOp for BatchNorm {
    fn weights(&self, params: &Params, input: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        self.normalization().weights(params, input)
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.normalization().apply(input, weight)
    }

    fn affine(&self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        self.normalization().affine(input, weight, bias)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        self.normalization().transpose(output, weight, input)
    }
}

/// It with its ε.
#[derive(Clone, Debug)]
struct Normalization {
    channels: usize,
    epsilon: f64,
}

impl Op for Normalization {
    fn kind(&self) -> Kind {
        Kind::BatchNorm
    }

    fn params(&self) -> Vec<ParamSpec> {
        let spec = |name, value, trained| ParamSpec {
            name,
            shape: Shape::from(self.channels),
            init: Init::Constant(value),
            trained,
        };
        vec![
            spec("weight", 1.0, true),
            spec("bias", 0.0, true),
            spec("running_mean", 0.0, false),
            spec("running_var", 1.0, false),
        ]
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.forward_then(params, inputs, mode, false)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Linear(self)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let [statistics] = pass.saved else {
            return Err(candle_core::Error::Msg(
                "batch normalization was not computed in training".into(),
            )
            .into());
        };
        let [of_input, of_weight, of_bias] = batch_norm::gradients(
            pass.inputs[0],
            &pass.params["weight"],
            statistics,
            self.epsilon,
            pass.gradient,
        )?;
        Ok(Gradients {
            inputs: vec![of_input],
            params: vec![("weight", of_weight), ("bias", of_bias)],
        })
    }

    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Rectified(self.clone())))
    }
}

impl Normalization {
    /// `s = γ / √(σ² + ε)` and `β − s μ` of the running statistics, `[C]`.
    fn scale_and_shift(&self, params: &Params) -> Result<(Tensor, Tensor)> {
        let scale = (&params["weight"] / (&params["running_var"] + self.epsilon)?.sqrt()?)?;
        let shift = (&params["bias"] - (&scale * &params["running_mean"])?)?;
        Ok((scale, shift))
    }
}

impl Rectify for Normalization {
    fn forward_then(
        &self,
        params: &Params,
        inputs: &[&Tensor],
        mode: &mut Mode,
        relu: bool,
    ) -> Result<Tensor> {
        let Mode::Train(training) = mode else {
            let (scale, shift) = self.scale_and_shift(params)?;
            return batch_norm::scale(inputs[0], &scale, &shift, relu);
        };
        let statistics = batch_norm::statistics(inputs[0])?;
        let values = inputs[0].elem_count() / self.channels;
        // The running variance is the unbiased one.
        let unbiased = values as f64 / (values as f64 - 1.0).max(1.0);
        for (name, row, scale) in [("running_mean", 0, 1.0), ("running_var", 1, unbiased)] {
            let new = (statistics.get(row)? * (scale * MOMENTUM))?.to_dtype(inputs[0].dtype())?;
            training.update(name, ((&params[name] * (1.0 - MOMENTUM))? + new)?);
        }
        training.save(&statistics);
        let parameters = [&params["weight"], &params["bias"]];
        batch_norm::forward(inputs[0], parameters, &statistics, self.epsilon, relu)
    }
}

impl LinearOp for Normalization {
    /// `s = γ / √(σ² + ε)` and `β − s μ`, shaped `[C, 1, …]` for the input's rank.
    fn weights(&self, params: &Params, input: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let (scale, shift) = self.scale_and_shift(params)?;
        let mut shape = vec![1; input.rank() - 1];
        shape[0] = self.channels;
        Ok((scale.reshape(shape.clone())?, Some(shift.reshape(shape)?)))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let scale = weight.flatten_all()?;
        batch_norm::scale(input, &scale, &scale.zeros_like()?, false)
    }

    fn affine(&self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        batch_norm::scale(input, &weight.flatten_all()?, &bias.flatten_all()?, false)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        self.apply(output, weight)
    }
}
