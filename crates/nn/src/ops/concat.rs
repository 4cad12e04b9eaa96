use std::ops::RangeInclusive;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Kind, Mode, Op, Params, Result, Structure};

/// Branches behind each other along the second axis: `[N, a, …]`, `[N, b, …]`, … to `[N, a + b + …, …]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Concat;

impl Op for Concat {
    fn name(&self) -> &str {
        "concat"
    }

    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn arity(&self) -> RangeInclusive<usize> {
        1..=usize::MAX
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(Tensor::cat(inputs, 1)?)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Concat
    }
}
