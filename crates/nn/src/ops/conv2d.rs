use std::sync::Arc;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::linear::{scaled, shifted, yes};
use super::rectified::{Rectified, Rectify};
use crate::kernels::conv2d::{self, Geometry};
use crate::kernels::sums::sum_by_channel;
use crate::op::PACKED;
use crate::{
    Backward, Branch, Gradients, Init, Kind, LinearOp, Map, Mode, Op, Pair, ParamSpec, Params,
    Result,
};

/// 2-D convolution: `[N, C, H, W]` to `[N, outputs, H', W']`, weight `[outputs, C/groups, kh, kw]`, with a bias or without. Sizes are
/// one number for both axes, or one for the height and one for the width:
///
/// ```
/// use speechlens_nn::ops::Conv2d;
///
/// Conv2d::new(1, 16, 3).padding(1);
/// Conv2d::new(16, 16, (5, 3)).stride((2, 1)).padding((2, 1)).groups(16).without_bias();
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conv2d {
    inputs: usize,
    outputs: usize,
    kernel: Pair,
    #[serde(default = "one")]
    stride: Pair,
    #[serde(default = "none")]
    padding: Pair,
    #[serde(default = "one")]
    dilation: Pair,
    #[serde(default = "one")]
    groups: usize,
    #[serde(default = "yes")]
    bias: bool,
}

/// What strides, dilations and groups are unless told otherwise.
pub(super) fn one<S: From<usize>>() -> S {
    1.into()
}

/// What padding is unless told otherwise.
pub(super) fn none<S: From<usize>>() -> S {
    0.into()
}

impl Conv2d {
    /// Stride and dilation 1, no padding, one group.
    pub fn new(inputs: usize, outputs: usize, kernel: impl Into<Pair>) -> Self {
        Conv2d {
            inputs,
            outputs,
            kernel: kernel.into(),
            stride: one(),
            padding: none(),
            dilation: one(),
            groups: 1,
            bias: true,
        }
    }

    /// Steps between windows.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Zeros around the input, on both sides of each axis.
    pub fn padding(mut self, padding: impl Into<Pair>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Steps between the values of a window.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// Parts of equal size into which the channels of input and output fall, each read by its own part alone.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Without a bias.
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }

    /// With a bias.
    pub(super) fn with_bias(mut self) -> Self {
        self.bias = true;
        self
    }
}

impl Op for Conv2d {
    fn name(&self) -> &str {
        "conv2d"
    }

    fn kind(&self) -> Kind {
        Kind::Conv
    }

    fn params(&self) -> Vec<ParamSpec> {
        let Pair { height, width } = self.kernel;
        // That no groups are an error, the first forward pass says.
        let inputs = self.inputs / self.groups.max(1);
        let init = Init::FanIn(inputs.saturating_mul(height).saturating_mul(width));
        let weight = Shape::from((self.outputs, inputs, height, width));
        let mut specs = vec![
            ParamSpec {
                name: "weight",
                shape: weight,
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
        let (input, weight, gradient) = (pass.inputs[0], &pass.params["weight"], pass.gradient);
        let mut inputs = Vec::new();
        if pass.wants_inputs {
            inputs.push(self.transpose(gradient, weight, input.shape())?);
        }
        let mut params = Vec::new();
        if pass.wants_params {
            let of_weight = conv2d::weight_gradient(input, gradient, self.kernel, self.geometry())?;
            params.push(("weight", of_weight));
            if self.bias {
                params.push(("bias", sum_by_channel(gradient)?));
            }
        }
        Ok(Gradients { inputs, params })
    }

    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Rectified(self.clone())))
    }

    fn packed(&self, params: &Params) -> Result<Option<Tensor>> {
        conv2d::packed(&params["weight"], self.geometry())
    }

    fn scaled(
        &self,
        params: &Params,
        scale: &Tensor,
        shift: &Tensor,
    ) -> Option<Result<(Arc<dyn Op>, Params)>> {
        Some(scaled(params, scale, shift).map(|params| {
            let op: Arc<dyn Op> = Arc::new(self.clone().with_bias());
            (op, params)
        }))
    }

    fn shifted(&self, params: &Params, constant: &Tensor) -> Option<Result<(Arc<dyn Op>, Params)>> {
        let with_bias = |params| {
            let op: Arc<dyn Op> = Arc::new(self.clone().with_bias());
            (op, params)
        };
        Some(shifted(params, constant, 2)?.map(with_bias))
    }
}

impl Rectify for Conv2d {
    fn forward_then(
        &self,
        params: &Params,
        inputs: &[&Tensor],
        _: &mut Mode,
        relu: bool,
    ) -> Result<Tensor> {
        conv2d::forward_packed(
            inputs[0],
            (&params["weight"], params.get(PACKED)),
            params.get("bias"),
            relu,
            self.geometry(),
        )
    }
}

impl LinearOp for Conv2d {
    fn weights(&self, params: &Params, _: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let bias = params
            .get("bias")
            .map(|bias| bias.reshape((self.outputs, 1, 1)));
        Ok((params["weight"].clone(), bias.transpose()?))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        conv2d::forward(input, weight, None, false, self.geometry())
    }

    fn affine(&self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        conv2d::forward(
            input,
            weight,
            Some(&bias.flatten_all()?),
            false,
            self.geometry(),
        )
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        conv2d::input_gradient(output, weight, input, self.geometry())
    }
}
