use candle_core::Tensor;

use crate::{Kind, Mode, Op, Params, Result, Structure};

/// Two branches behind each other, `[N, a]` and `[N, b]` to `[N, a + b]`.
#[derive(Clone, Debug)]
pub struct Concat;

impl Op for Concat {
    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn arity(&self) -> usize {
        2
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(Tensor::cat(inputs, 1)?)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Concat
    }
}
