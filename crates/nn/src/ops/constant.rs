use std::ops::RangeInclusive;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Branch, Init, Kind, Mode, Op, ParamSpec, Params, Result};

/// A value that stands with the weights and is never trained: a mask, a table. Relevance does not go to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// Its shape; it has no batch.
    pub shape: Vec<usize>,
}

impl Op for Constant {
    fn name(&self) -> &str {
        "constant"
    }

    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn arity(&self) -> RangeInclusive<usize> {
        0..=0
    }

    fn params(&self) -> Vec<ParamSpec> {
        vec![ParamSpec {
            name: "value",
            shape: Shape::from(self.shape.as_slice()),
            init: Init::Constant(0.0),
            trained: false,
        }]
    }

    fn forward(&self, params: &Params, _: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(params["value"].clone())
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Vec::new()
    }
}
