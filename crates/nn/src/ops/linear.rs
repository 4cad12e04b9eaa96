use std::sync::Arc;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::rectified::{Rectified, Rectify};
use crate::kernels::linear;
use crate::op::PACKED;
use crate::{
    Backward, Branch, Gradients, Init, Kind, LinearOp, Map, Mode, Op, ParamSpec, Params, Result,
    reshaped,
};

/// Dense layer: `[…, inputs]` to `[…, outputs]`, weight `[outputs, inputs]`, with a bias or without.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    #[serde(default = "yes")]
    bias: bool,
    /// Whether it may read more axes than two: the last is not that of batch normalization's channels then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    any_axes: bool,
}

impl Linear {
    /// A dense layer of this size.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Linear {
            inputs,
            outputs,
            bias: true,
            any_axes: false,
        }
    }

    /// For inputs of any number of axes, as behind a product of matrices: batch normalization is not merged into it.
    pub fn on_any_axes(mut self) -> Self {
        self.any_axes = true;
        self
    }

    /// Without a bias.
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }
}

/// What a bias is unless told otherwise.
pub(super) fn yes() -> bool {
    true
}

/// `L(a; w) + b`.
pub(super) fn affine(op: &impl LinearOp, params: &Params, input: &Tensor) -> Result<Tensor> {
    let (weight, bias) = op.weights(params, &[input])?;
    match bias {
        Some(bias) => op.affine(input, &weight, &bias),
        None => op.apply(input, &weight),
    }
}

/// Weights `[outputs, …]` and a bias, if any, whose outputs are scaled and shifted: `w ← s w`, `b ← s b + t`.
pub(super) fn scaled(params: &Params, scale: &Tensor, shift: &Tensor) -> Result<Params> {
    let bias = match params.get("bias") {
        Some(bias) => ((bias * scale)? + shift)?,
        None => shift.clone(),
    };
    let weight = &params["weight"];
    let mut rows = vec![1; weight.rank()];
    rows[0] = weight.dim(0)?;
    let weight = weight.broadcast_mul(&scale.reshape(rows)?)?;
    Ok([("bias".to_owned(), bias), ("weight".to_owned(), weight)].into())
}

/// Weights `[outputs, …]` and a bias, if any, to whose outputs a constant is added: one number for each channel, which so many axes
/// follow.
pub(super) fn shifted(params: &Params, constant: &Tensor, behind: usize) -> Option<Result<Params>> {
    let weight = &params["weight"];
    let channels = [&weight.dims()[..1], &vec![1; behind]].concat();
    let dims = match constant.dims() {
        // The batch's.
        [1, dims @ ..] if behind > 0 && dims.len() > behind => dims,
        dims => dims,
    };
    (dims == channels).then(|| {
        let shift = constant.flatten_all()?;
        let bias = match params.get("bias") {
            Some(bias) => (bias + shift)?,
            None => shift,
        };
        let weight = weight.clone();
        Ok([("bias".to_owned(), bias), ("weight".to_owned(), weight)].into())
    })
}

/// All axes but the last as one.
fn rows(x: &Tensor) -> Result<Tensor> {
    Ok(match x.rank() {
        0..=2 => x.clone(),
        rank => x.flatten_to(rank - 2)?,
    })
}

/// The layer of this weight and bias, with negative values set to 0 if `relu`.
fn product(
    input: &Tensor,
    (weight, packed): (&Tensor, Option<&Tensor>),
    bias: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    let output = linear::forward_packed(&rows(input)?, (weight, packed), bias, relu)?;
    let mut dims = input.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = weight.dim(0)?;
    }
    reshaped(&output, &dims.into())
}

impl Op for Linear {
    fn name(&self) -> &str {
        "linear"
    }

    fn kind(&self) -> Kind {
        Kind::Linear
    }

    fn params(&self) -> Vec<ParamSpec> {
        let init = Init::FanIn(self.inputs);
        let mut specs = vec![
            ParamSpec {
                name: "weight",
                shape: Shape::from((self.outputs, self.inputs)),
                init,
                trained: true,
            },
            ParamSpec {
                name: "bias",
                shape: Shape::from(self.outputs),
                init,
                trained: true,
            },
        ];
        specs.truncate(if self.bias { 2 } else { 1 });
        specs
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.forward_then(params, inputs, mode, false)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let gradient = pass.gradient;
        let mut inputs = Vec::new();
        if pass.wants_inputs {
            inputs.push(self.transpose(
                gradient,
                &pass.params["weight"],
                pass.inputs[0].shape(),
            )?);
        }
        let mut params = Vec::new();
        if pass.wants_params {
            let gradient = rows(gradient)?;
            let of_weight = linear::weight_gradient(&rows(pass.inputs[0])?, &gradient)?;
            params.push(("weight", of_weight));
            if self.bias {
                params.push(("bias", gradient.sum(0)?));
            }
        }
        Ok(Gradients { inputs, params })
    }

    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Rectified(self.clone())))
    }

    /// Of few rows the weight is read as it is: where each input is one row, twice the memory would be for nothing.
    fn packed(&self, params: &Params) -> Result<Option<Tensor>> {
        match self.any_axes {
            true => linear::packed(&params["weight"]),
            false => Ok(None),
        }
    }

    fn scaled(
        &self,
        params: &Params,
        scale: &Tensor,
        shift: &Tensor,
    ) -> Option<Result<(Arc<dyn Op>, Params)>> {
        if self.any_axes {
            return None;
        }
        Some(scaled(params, scale, shift).map(|params| {
            let op: Arc<dyn Op> = Arc::new(Linear {
                bias: true,
                ..self.clone()
            });
            (op, params)
        }))
    }

    fn shifted(&self, params: &Params, constant: &Tensor) -> Option<Result<(Arc<dyn Op>, Params)>> {
        let with_bias = |params| {
            let op: Arc<dyn Op> = Arc::new(Linear {
                bias: true,
                ..self.clone()
            });
            (op, params)
        };
        Some(shifted(params, constant, 0)?.map(with_bias))
    }
}

impl Rectify for Linear {
    fn forward_then(
        &self,
        params: &Params,
        inputs: &[&Tensor],
        _: &mut Mode,
        relu: bool,
    ) -> Result<Tensor> {
        let weight = (&params["weight"], params.get(PACKED));
        product(inputs[0], weight, params.get("bias"), relu)
    }
}

impl LinearOp for Linear {
    fn weights(&self, params: &Params, _: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        Ok((params["weight"].clone(), params.get("bias").cloned()))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        product(input, (weight, None), None, false)
    }

    fn affine(&self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        product(input, (weight, None), Some(bias), false)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        reshaped(&linear::input_gradient(&rows(output)?, weight)?, input)
    }
}
