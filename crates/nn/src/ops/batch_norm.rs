use candle_core::{Shape, Tensor};

use crate::kernels::batch_norm;
use crate::{Init, Kind, LinearOp, Mode, Op, ParamSpec, Params, Result, Structure};

/// Added to the variance (PyTorch's default).
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

impl Op for BatchNorm {
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
        let Mode::Train(training) = mode else {
            return super::linear::affine(self, params, inputs[0]);
        };
        let statistics = batch_norm::statistics(inputs[0])?;
        let values = inputs[0].elem_count() / self.channels;
        // The running variance is the unbiased one.
        let unbiased = values as f64 / (values as f64 - 1.0).max(1.0);
        for (name, row, scale) in [("running_mean", 0, 1.0), ("running_var", 1, unbiased)] {
            let new = (statistics.get(row)? * (scale * MOMENTUM))?.to_dtype(inputs[0].dtype())?;
            training.update(name, ((&params[name] * (1.0 - MOMENTUM))? + new)?);
        }
        batch_norm::normalize(
            inputs[0],
            &params["weight"],
            &params["bias"],
            &statistics,
            EPSILON,
        )
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Linear(self)
    }
}

impl LinearOp for BatchNorm {
    /// `s = γ / √(σ² + ε)` and `β − s μ`, shaped `[C, 1, …]` for the input's rank.
    fn weights(&self, params: &Params, input: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let scale = (&params["weight"] / (&params["running_var"] + EPSILON)?.sqrt()?)?;
        let shift = (&params["bias"] - (&scale * &params["running_mean"])?)?;
        let mut shape = vec![1; input.rank() - 1];
        shape[0] = self.channels;
        Ok((scale.reshape(shape.clone())?, Some(shift.reshape(shape)?)))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(input.broadcast_mul(weight)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        Ok(output.broadcast_mul(weight)?)
    }
}
