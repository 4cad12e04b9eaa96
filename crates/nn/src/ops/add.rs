use std::sync::Arc;

use candle_core::Tensor;

use super::rectified::{Rectified, Rectify};
use crate::kernels::pointwise::{Sum, SumRelu, zip};
use crate::kernels::relu;
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

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.forward_then(params, inputs, mode, false)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Sum
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
        let (a, b) = (inputs[0], inputs[1]);
        let own = a.device().is_cpu() && !a.track_op() && !b.track_op();
        Ok(match (own, relu) {
            (true, true) => zip(&SumRelu, a, b)?,
            (true, false) => zip(&Sum, a, b)?,
            (false, true) => relu::forward(&(a + b)?)?,
            (false, false) => (a + b)?,
        })
    }
}
