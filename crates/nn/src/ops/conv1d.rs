use std::sync::Arc;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::Conv2d;
use super::conv2d::one;
use super::linear::{scaled, shifted, yes};
use super::rectified::{Rectified, Rectify};
use crate::{
    Backward, Branch, Gradients, Kind, LinearOp, Map, Mode, Op, ParamSpec, Params, Result,
};

/// Convolution over time: `[N, C, T]` to `[N, outputs, T']`, weight `[outputs, C/groups, k]`, with a bias or without. It is a
/// [`Conv2d`] on images of height 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conv1d {
    inputs: usize,
    outputs: usize,
    kernel: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default)]
    padding: usize,
    #[serde(default = "one")]
    dilation: usize,
    #[serde(default = "one")]
    groups: usize,
    #[serde(default = "yes")]
    bias: bool,
}

impl Conv1d {
    /// Stride and dilation 1, no padding, one group.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Conv1d {
            inputs,
            outputs,
            kernel,
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
        }
    }

    /// Steps between windows.
    pub fn stride(self, stride: usize) -> Self {
        Conv1d { stride, ..self }
    }

    /// Zeros before and after the input.
    pub fn padding(self, padding: usize) -> Self {
        Conv1d { padding, ..self }
    }

    /// Steps between the values of a window.
    pub fn dilation(self, dilation: usize) -> Self {
        Conv1d { dilation, ..self }
    }

    /// Parts of equal size into which the channels of input and output fall, each read by its own part alone.
    pub fn groups(self, groups: usize) -> Self {
        Conv1d { groups, ..self }
    }

    /// Without a bias.
    pub fn without_bias(self) -> Self {
        Conv1d {
            bias: false,
            ..self
        }
    }

    /// The convolution of images.
    fn images(&self) -> Conv2d {
        let images = Conv2d::new(self.inputs, self.outputs, (1, self.kernel))
            .stride((1, self.stride))
            .padding((0, self.padding))
            .dilation((1, self.dilation))
            .groups(self.groups);
        match self.bias {
            true => images,
            false => images.without_bias(),
        }
    }
}

/// `[N, C, T]` as `[N, C, 1, T]`, of activations and of weights.
pub(super) fn with_height(tensor: &Tensor) -> Result<Tensor> {
    tensor.dims3()?;
    Ok(tensor.unsqueeze(2)?)
}

/// The parameters of the convolution of images.
fn of_images(params: &Params) -> Result<Params> {
    let mut params = params.clone();
    if let Some(weight) = params.get_mut("weight") {
        *weight = with_height(weight)?;
    }
    Ok(params)
}

impl Op for Conv1d {
    fn name(&self) -> &str {
        "conv1d"
    }

    fn kind(&self) -> Kind {
        Kind::Conv
    }

    fn params(&self) -> Vec<ParamSpec> {
        let mut specs = self.images().params();
        for spec in &mut specs {
            if let [outputs, inputs, _, kernel] = *spec.shape.dims() {
                spec.shape = Shape::from((outputs, inputs, kernel));
            }
        }
        specs
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.forward_then(params, inputs, mode, false)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let mut found = self.images().backward(&Backward {
            params: &of_images(pass.params)?,
            inputs: &[&with_height(pass.inputs[0])?],
            gradient: &with_height(pass.gradient)?,
            ..*pass
        })?;
        for input in &mut found.inputs {
            *input = input.squeeze(2)?;
        }
        for (name, gradient) in &mut found.params {
            if *name == "weight" {
                *gradient = gradient.squeeze(2)?;
            }
        }
        Ok(found)
    }

    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Rectified(self.clone())))
    }

    fn packed(&self, params: &Params) -> Result<Option<Tensor>> {
        self.images().packed(&of_images(params)?)
    }

    fn scaled(
        &self,
        params: &Params,
        scale: &Tensor,
        shift: &Tensor,
    ) -> Option<Result<(Arc<dyn Op>, Params)>> {
        Some(scaled(params, scale, shift).map(|params| {
            let op: Arc<dyn Op> = Arc::new(Conv1d {
                bias: true,
                ..self.clone()
            });
            (op, params)
        }))
    }

    fn shifted(&self, params: &Params, constant: &Tensor) -> Option<Result<(Arc<dyn Op>, Params)>> {
        let with_bias = |params| {
            let op: Arc<dyn Op> = Arc::new(Conv1d {
                bias: true,
                ..self.clone()
            });
            (op, params)
        };
        Some(shifted(params, constant, 1)?.map(with_bias))
    }
}

impl Rectify for Conv1d {
    fn forward_then(
        &self,
        params: &Params,
        inputs: &[&Tensor],
        mode: &mut Mode,
        relu: bool,
    ) -> Result<Tensor> {
        let (params, input) = (of_images(params)?, with_height(inputs[0])?);
        let output = self.images().forward_then(&params, &[&input], mode, relu)?;
        Ok(output.squeeze(2)?)
    }
}

impl LinearOp for Conv1d {
    fn weights(&self, params: &Params, _: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let bias = params.get("bias").map(|bias| bias.unsqueeze(1));
        Ok((params["weight"].clone(), bias.transpose()?))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let output = self
            .images()
            .apply(&with_height(input)?, &with_height(weight)?)?;
        Ok(output.squeeze(2)?)
    }

    fn affine(&self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (input, weight) = (with_height(input)?, with_height(weight)?);
        Ok(self.images().affine(&input, &weight, bias)?.squeeze(2)?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        let (n, c, t) = input.dims3()?;
        let (output, weight) = (with_height(output)?, with_height(weight)?);
        let input = Shape::from((n, c, 1, t));
        Ok(self
            .images()
            .transpose(&output, &weight, &input)?
            .squeeze(2)?)
    }
}
