use std::ops::RangeInclusive;

use candle_core::Tensor;
use serde::Serialize;

use crate::kernels::relu;
use crate::{Backward, Branch, Claims, Gradients, Kind, Mode, Op, ParamSpec, Params, Result};

/// An op that can set negative values to 0 while it writes them.
pub(super) trait Rectify: Op {
    /// [`Op::forward`], and then `max(x, 0)` if `relu`.
    fn forward_then(
        &self,
        params: &Params,
        inputs: &[&Tensor],
        mode: &mut Mode,
        relu: bool,
    ) -> Result<Tensor>;
}

/// An op with the ReLU that reads it, in one pass over memory. To [`crate::Graph::forward`] and to training alone: nobody
/// explains it.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Rectified<O>(pub O);

impl<O: Rectify + Serialize> Op for Rectified<O> {
    /// No registry knows it: it is in no file.
    fn name(&self) -> &str {
        "rectified"
    }

    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn arity(&self) -> RangeInclusive<usize> {
        self.0.arity()
    }

    fn params(&self) -> Vec<ParamSpec> {
        self.0.params()
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.0.forward_then(params, inputs, mode, true)
    }

    fn packed(&self, params: &Params) -> Result<Option<Tensor>> {
        self.0.packed(params)
    }

    fn claims(&self) -> Claims {
        Claims::NON_NEGATIVE
    }

    fn branches(&self, inputs: usize) -> Vec<Branch<'_>> {
        self.0.branches(inputs)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let gradient = &relu::gradient(pass.output, pass.gradient)?;
        self.0.backward(&Backward { gradient, ..*pass })
    }
}
