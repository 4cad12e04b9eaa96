use std::ops::RangeInclusive;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::conv2d::{none, one};
use super::linear::yes;
use crate::kernels::conv2d::{self, Geometry};
use crate::kernels::sums::sum_by_channel;
use crate::{
    Backward, Branch, Gradients, Init, Kind, LinearOp, Map, Mode, Op, Pair, ParamSpec, Params,
    Result,
};

/// The transposed map of a convolution, PyTorch's `nn.ConvTranspose2d` and, of inputs `[N, C, T]`, `nn.ConvTranspose1d`: `[N, C, H, W]`
/// to `[N, outputs, H', W']`, weight `[C, outputs/groups, kh, kw]`, with a bias or without.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose {
    /// Channels that are read.
    pub inputs: usize,
    /// Channels that are given.
    pub outputs: usize,
    /// The window's size.
    pub kernel: Pair,
    /// Steps between windows.
    #[serde(default = "one")]
    pub stride: Pair,
    /// Values cut from both ends of each axis.
    #[serde(default = "none")]
    pub padding: Pair,
    /// Values more at the end of each axis.
    #[serde(default = "none")]
    pub output_padding: Pair,
    /// Steps between the values of a window.
    #[serde(default = "one")]
    pub dilation: Pair,
    /// Parts into which the channels fall.
    #[serde(default = "one")]
    pub groups: usize,
    /// Whether there is a bias.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Whether it is over time alone, `[N, C, T]`, with sizes of height 1.
    #[serde(default)]
    pub over_time: bool,
}

impl ConvTranspose {
    fn geometry(&self) -> Geometry {
        Geometry {
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }

    /// With an axis of height 1, if it is over time.
    fn image(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self.over_time {
            true => x.unsqueeze(2)?,
            false => x.clone(),
        })
    }

    fn of_image(&self, x: Tensor) -> Result<Tensor> {
        Ok(match self.over_time {
            true => x.squeeze(2)?,
            false => x,
        })
    }

    /// The shape of what is given for an image.
    fn given(&self, image: &Tensor) -> Result<Shape> {
        let (batch, _, height, width) = image.dims4()?;
        let length = |input: usize, of: fn(Pair) -> usize| {
            let [kernel, stride, padding, more, dilation] = [
                self.kernel,
                self.stride,
                self.padding,
                self.output_padding,
                self.dilation,
            ]
            .map(of);
            let whole = input.saturating_sub(1).saturating_mul(stride)
                + kernel.saturating_sub(1).saturating_mul(dilation)
                + 1
                + more;
            match whole.checked_sub(2 * padding) {
                Some(length) if length > 0 => Ok(length),
                _ => super::places::problem(format!("padding {padding} leaves nothing of {whole}")),
            }
        };
        Ok(Shape::from((
            batch,
            self.outputs,
            length(height, |pair| pair.height)?,
            length(width, |pair| pair.width)?,
        )))
    }
}

impl Op for ConvTranspose {
    fn name(&self) -> &str {
        "conv-transpose"
    }

    fn kind(&self) -> Kind {
        Kind::Conv
    }

    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }

    fn params(&self) -> Vec<ParamSpec> {
        let Pair { height, width } = self.kernel;
        let outputs = self.outputs / self.groups.max(1);
        let init = Init::FanIn(outputs.saturating_mul(height).saturating_mul(width));
        let spec = |name, shape| ParamSpec {
            name,
            shape,
            init,
            trained: true,
        };
        let weight = spec("weight", Shape::from((self.inputs, outputs, height, width)));
        match self.bias {
            true => vec![weight, spec("bias", Shape::from(self.outputs))],
            false => vec![weight],
        }
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        super::linear::affine(self, params, inputs[0])
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
            let (gradient, input) = (self.image(gradient)?, self.image(input)?);
            let of_weight =
                conv2d::weight_gradient(&gradient, &input, self.kernel, self.geometry())?;
            params.push(("weight", of_weight));
            if self.bias {
                params.push(("bias", sum_by_channel(&gradient)?));
            }
        }
        Ok(Gradients { inputs, params })
    }
}

impl LinearOp for ConvTranspose {
    fn weights(&self, params: &Params, _: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let column: &[usize] = match self.over_time {
            true => &[self.outputs, 1],
            false => &[self.outputs, 1, 1],
        };
        let bias = params.get("bias").map(|bias| bias.reshape(column));
        Ok((params["weight"].clone(), bias.transpose()?))
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let image = self.image(input)?;
        let given = self.given(&image)?;
        self.of_image(conv2d::input_gradient(
            &image,
            weight,
            &given,
            self.geometry(),
        )?)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        let image = self.image(output)?;
        self.of_image(conv2d::forward(
            &image,
            weight,
            None,
            false,
            self.geometry(),
        )?)
    }
}
