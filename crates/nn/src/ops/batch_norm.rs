use std::sync::Arc;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::rectified::{Rectified, Rectify};
use crate::kernels::batch_norm;
use crate::{
    Backward, Branch, Gradients, Init, Kind, LinearOp, Map, Mode, Op, ParamSpec, Params, Result,
};

/// Added to the variance (PyTorch's default).
const EPSILON: f64 = 1e-5;
/// How much of the running statistics a batch replaces (PyTorch's default).
const MOMENTUM: f64 = 0.1;

/// Batch normalization of channels, `[N, C]` or `[N, C, …]` (Ioffe & Szegedy 2015, algorithm 1). In training it takes the
/// batch's statistics, and moves the running ones a tenth of the way; else it takes the running ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BatchNorm {
    channels: usize,
    #[serde(default = "epsilon")]
    epsilon: f64,
    /// Whether it is of images, which composites know it by.
    images: bool,
}

fn epsilon() -> f64 {
    EPSILON
}

impl BatchNorm {
    /// PyTorch's `BatchNorm1d`: of `[N, channels]` or `[N, channels, T]`.
    pub fn new_1d(channels: usize) -> Self {
        BatchNorm {
            channels,
            epsilon: EPSILON,
            images: false,
        }
    }

    /// PyTorch's `BatchNorm2d`: of `[N, channels, H, W]`.
    pub fn new_2d(channels: usize) -> Self {
        BatchNorm {
            channels,
            epsilon: EPSILON,
            images: true,
        }
    }

    /// The same with another number added to the variance than 1e-5.
    pub fn epsilon(self, epsilon: f64) -> Self {
        BatchNorm { epsilon, ..self }
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &str {
        "batch-norm"
    }

    fn kind(&self) -> Kind {
        match self.images {
            true => Kind::BatchNorm2d,
            false => Kind::BatchNorm1d,
        }
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

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let [statistics] = pass.saved else {
            // In inference the statistics are given: a scale of each channel, whose parameters nobody trains.
            let (weight, _) = self.weights(pass.params, pass.inputs)?;
            return Ok(Gradients {
                inputs: vec![self.apply(pass.gradient, &weight)?],
                params: Vec::new(),
            });
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

    fn scale_and_shift(&self, params: &Params) -> Option<Result<(Tensor, Tensor)>> {
        Some(self.of_statistics(params))
    }
}

impl BatchNorm {
    /// `s = γ / √(σ² + ε)` and `β − s μ` of the running statistics, `[C]`.
    fn of_statistics(&self, params: &Params) -> Result<(Tensor, Tensor)> {
        let scale = (&params["weight"] / (&params["running_var"] + self.epsilon)?.sqrt()?)?;
        let shift = (&params["bias"] - (&scale * &params["running_mean"])?)?;
        Ok((scale, shift))
    }
}

impl Rectify for BatchNorm {
    fn forward_then(
        &self,
        params: &Params,
        inputs: &[&Tensor],
        mode: &mut Mode,
        relu: bool,
    ) -> Result<Tensor> {
        let Mode::Train(training) = mode else {
            let (scale, shift) = self.of_statistics(params)?;
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

impl LinearOp for BatchNorm {
    /// `s = γ / √(σ² + ε)` and `β − s μ`, shaped `[C, 1, …]` for the input's rank.
    fn weights(&self, params: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let (scale, shift) = self.of_statistics(params)?;
        let mut shape = vec![1; inputs[0].rank() - 1];
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
