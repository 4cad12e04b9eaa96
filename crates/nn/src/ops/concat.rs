use candle_core::Tensor;

use crate::{Kind, Mode, Op, Params, Result, Structure};

/// Two branches behind each other along the second axis, `[N, a, …]` and `[N, b, …]` to `[N, a + b, …]`.
#[derive(Clone, Debug)]
pub struct Concat;

impl Concat {
    /// Another number of branches.
    pub fn of(branches: usize) -> impl Op + Clone {
        Branches(branches)
    }
}

/// So many branches behind each other.
#[derive(Clone, Debug)]
struct Branches(usize);

impl Op for Branches {
    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn arity(&self) -> usize {
        self.0
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(Tensor::cat(inputs, 1)?)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Concat
    }
}

impl Op for Concat {
    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn arity(&self) -> usize {
        2
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        Branches(2).forward(params, inputs, mode)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Concat
    }
}
