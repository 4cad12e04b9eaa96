use std::ops::RangeInclusive;
use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::rectified::{Rectified, Rectify};
use crate::kernels::pointwise::{self, zip_repeated};
use crate::kernels::relu;
use crate::{Branch, Claims, Kind, Map, Mode, Op, Params, Result};

/// The sum of branches, of one shape or with axes that are repeated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Add;

impl Op for Add {
    fn name(&self) -> &str {
        "add"
    }

    fn kind(&self) -> Kind {
        Kind::Sum
    }

    fn arity(&self) -> RangeInclusive<usize> {
        1..=usize::MAX
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        sum(inputs, false)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, inputs: usize) -> Vec<Branch<'_>> {
        Branch::each(inputs, || Map::Term(1.0))
    }

    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Rectified(Add)))
    }
}

impl Rectify for Add {
    fn forward_then(
        &self,
        _: &Params,
        inputs: &[&Tensor],
        _: &mut Mode,
        relu: bool,
    ) -> Result<Tensor> {
        sum(inputs, relu)
    }
}

/// The sum, with negative values set to 0 if `relu`.
fn sum(inputs: &[&Tensor], relu: bool) -> Result<Tensor> {
    let (first, rest) = match inputs {
        [] => return Err(candle_core::Error::Msg("a sum of no branches".into()).into()),
        [only] if relu => return relu::forward(only),
        [first, rest @ ..] => (*first, rest),
    };
    let mut sum = first.clone();
    for (place, next) in rest.iter().enumerate() {
        let last = place + 1 == rest.len();
        sum = match (pointwise::is_own(&sum, next), relu && last) {
            (true, true) => zip_repeated(&pointwise::SumRelu, &sum, next)?,
            (true, false) => zip_repeated(&pointwise::Sum, &sum, next)?,
            (false, true) => relu::forward(&sum.broadcast_add(next)?)?,
            (false, false) => sum.broadcast_add(next)?,
        };
    }
    Ok(sum)
}
