use candle_core::Tensor;

use crate::{Kind, Mode, Op, Params, Result, Structure};

/// The sum of two branches of one shape.
#[derive(Clone, Debug)]
pub struct Add;

impl Op for Add {
    fn kind(&self) -> Kind {
        Kind::Sum
    }

    fn arity(&self) -> usize {
        2
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok((inputs[0] + inputs[1])?)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Sum
    }
}
