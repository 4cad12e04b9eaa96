use candle_core::Tensor;

use super::conv1d::with_height;
use crate::kernels::max_pool2d::{self, Window};
use crate::{Kind, Mode, Op, Pair, Params, Result, RoutingOp, Structure};

/// Max pooling over windows that may overlap: `[N, C, H, W]` to `[N, C, H', W']`. On a tie the first in scan order wins.
#[derive(Clone, Debug)]
pub struct MaxPool2d {
    /// The window's side.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
}

/// Max pooling over time, with windows that may overlap: `[N, C, T]` to `[N, C, T']`. On a tie the first wins.
#[derive(Clone, Debug)]
pub struct MaxPool1d {
    /// The window's length.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
}

impl MaxPool2d {
    /// The same with −∞ around the input, on both sides of each axis: at most half a window.
    pub fn padding(self, padding: impl Into<Pair>) -> impl Op + Clone {
        self.padded(padding.into())
    }

    fn padded(&self, padding: Pair) -> MaxPool {
        MaxPool {
            window: Window {
                kernel: self.kernel.into(),
                stride: self.stride.into(),
                padding,
            },
            over_time: false,
        }
    }
}

impl MaxPool1d {
    /// The same with −∞ before and after the input: at most half a window.
    pub fn padding(self, padding: usize) -> impl Op + Clone {
        self.padded(padding)
    }

    fn padded(&self, padding: usize) -> MaxPool {
        MaxPool {
            window: Window {
                kernel: (1, self.kernel).into(),
                stride: (1, self.stride).into(),
                padding: (0, padding).into(),
            },
            over_time: true,
        }
    }
}

/// Either of them, padded.
#[derive(Clone, Debug)]
struct MaxPool {
    window: Window,
    /// Whether it reads `[N, C, T]`, as images of height 1.
    over_time: bool,
}

impl Op for MaxPool {
    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        if !self.over_time {
            return max_pool2d::forward(inputs[0], self.window);
        }
        Ok(max_pool2d::forward(&with_height(inputs[0])?, self.window)?.squeeze(2)?)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Routing(self)
    }
}

impl RoutingOp for MaxPool {
    fn route(&self, input: &Tensor, output: &Tensor) -> Result<Tensor> {
        if !self.over_time {
            return max_pool2d::route(input, output, self.window);
        }
        let (input, output) = (with_height(input)?, with_height(output)?);
        Ok(max_pool2d::route(&input, &output, self.window)?.squeeze(2)?)
    }
}

impl Op for MaxPool2d {
    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.padded(0.into()).forward(params, inputs, mode)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Routing(self)
    }
}

impl RoutingOp for MaxPool2d {
    fn route(&self, input: &Tensor, output: &Tensor) -> Result<Tensor> {
        self.padded(0.into()).route(input, output)
    }
}

impl Op for MaxPool1d {
    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.padded(0).forward(params, inputs, mode)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Routing(self)
    }
}

impl RoutingOp for MaxPool1d {
    fn route(&self, input: &Tensor, output: &Tensor) -> Result<Tensor> {
        self.padded(0).route(input, output)
    }
}
