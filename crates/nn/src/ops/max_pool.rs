use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::conv1d::with_height;
use super::conv2d::none;
use crate::kernels::max_pool2d::{self, Window};
use crate::{Branch, Claims, Kind, Map, Mode, Op, Pair, Params, Result, RoutingOp};

/// Max pooling over windows that may overlap: `[N, C, H, W]` to `[N, C, H', W']`. On a tie the first in scan order wins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaxPool2d {
    kernel: Pair,
    stride: Pair,
    #[serde(default = "none")]
    padding: Pair,
}

/// Max pooling over time, with windows that may overlap: `[N, C, T]` to `[N, C, T']`. On a tie the first wins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaxPool1d {
    kernel: usize,
    stride: usize,
    #[serde(default)]
    padding: usize,
}

impl MaxPool2d {
    /// Windows of this size, and the steps between them.
    pub fn new(kernel: impl Into<Pair>, stride: impl Into<Pair>) -> Self {
        MaxPool2d {
            kernel: kernel.into(),
            stride: stride.into(),
            padding: none(),
        }
    }

    /// The same with −∞ around the input, on both sides of each axis: at most half a window.
    pub fn padding(self, padding: impl Into<Pair>) -> Self {
        let padding = padding.into();
        MaxPool2d { padding, ..self }
    }

    fn window(&self) -> Window {
        Window {
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        }
    }
}

impl MaxPool1d {
    /// Windows of this length, and the steps between them.
    pub fn new(kernel: usize, stride: usize) -> Self {
        MaxPool1d {
            kernel,
            stride,
            padding: 0,
        }
    }

    /// The same with −∞ before and after the input: at most half a window.
    pub fn padding(self, padding: usize) -> Self {
        MaxPool1d { padding, ..self }
    }

    /// The window on images of height 1.
    fn window(&self) -> Window {
        Window {
            kernel: (1, self.kernel).into(),
            stride: (1, self.stride).into(),
            padding: (0, self.padding).into(),
        }
    }
}

impl Op for MaxPool2d {
    fn name(&self) -> &str {
        "max-pool2d"
    }

    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        max_pool2d::forward(inputs[0], self.window())
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Winner(self))
    }
}

impl RoutingOp for MaxPool2d {
    fn route(&self, inputs: &[&Tensor], _: usize, output: &Tensor) -> Result<Tensor> {
        max_pool2d::route(inputs[0], output, self.window())
    }
}

impl Op for MaxPool1d {
    fn name(&self) -> &str {
        "max-pool1d"
    }

    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(max_pool2d::forward(&with_height(inputs[0])?, self.window())?.squeeze(2)?)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Winner(self))
    }
}

impl RoutingOp for MaxPool1d {
    fn route(&self, inputs: &[&Tensor], _: usize, output: &Tensor) -> Result<Tensor> {
        let (input, output) = (with_height(inputs[0])?, with_height(output)?);
        Ok(max_pool2d::route(&input, &output, self.window())?.squeeze(2)?)
    }
}
