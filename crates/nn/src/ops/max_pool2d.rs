use candle_core::Tensor;

use crate::kernels::max_pool2d;
use crate::{Kind, Mode, Op, Params, Result, RoutingOp, Structure};

/// Max pooling over windows that may overlap: `[N, C, H, W]` to `[N, C, H', W']`. On a tie the first in scan order wins.
#[derive(Clone, Debug)]
pub struct MaxPool2d {
    /// The window's side.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
}

impl Op for MaxPool2d {
    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        max_pool2d::forward(inputs[0], self.kernel, self.stride)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Routing(self)
    }
}

impl RoutingOp for MaxPool2d {
    fn route(&self, input: &Tensor, output: &Tensor) -> Result<Tensor> {
        max_pool2d::route(input, output, self.kernel, self.stride)
    }
}
