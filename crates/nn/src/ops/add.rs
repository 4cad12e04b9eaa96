use std::sync::Arc;

use candle_core::Tensor;

use super::rectified::{Rectified, Rectify};
use crate::kernels::pointwise::{self, zip};
use crate::kernels::relu;
use crate::{Kind, Mode, Op, Params, Result, Structure};

/// The sum of two branches of one shape.
#[derive(Clone, Debug)]
pub struct Add;

impl Add {
    /// The sum of another number of branches.
    pub fn of(branches: usize) -> impl Op + Clone {
        Sum { branches }
    }
}

/// The sum of so many branches.
#[derive(Clone, Debug)]
struct Sum {
    branches: usize,
}

impl Op for Sum {
    fn kind(&self) -> Kind {
        Kind::Sum
    }

    fn arity(&self) -> usize {
        self.branches
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.forward_then(params, inputs, mode, false)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Sum
    }

    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Rectified(self.clone())))
    }
}

impl Op for Add {
    fn kind(&self) -> Kind {
        Kind::Sum
    }

    fn arity(&self) -> usize {
        2
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        sum(inputs, false)
    }

    fn structure(&self) -> Structure<'_> {
        Structure::Sum
    }

    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        Sum { branches: 2 }.with_relu()
    }
}

impl Rectify for Sum {
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
        let own = !sum.track_op() && !next.track_op();
        sum = match (own, relu && last) {
            (true, true) => zip(&pointwise::SumRelu, &sum, next)?,
            (true, false) => zip(&pointwise::Sum, &sum, next)?,
            (false, true) => relu::forward(&(&sum + *next)?)?,
            (false, false) => (&sum + *next)?,
        };
    }
    Ok(sum)
}
