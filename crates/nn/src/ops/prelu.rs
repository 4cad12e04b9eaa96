use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use crate::kernels::elementwise::by_sign;
use crate::kernels::sums::sum_by_channel;
use crate::{
    Backward, Branch, Claims, Gradients, Init, Kind, Map, Mode, Op, ParamSpec, Params, Result,
};

/// `x` above 0 and `w · x` elsewhere, with a trained `w` for all channels of `[N, C, …]` or one for each (He et al. 2015).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PRelu {
    /// 1 or C.
    pub parameters: usize,
}

/// `w` as it is multiplied with `[N, C, …]`.
fn slopes(params: &Params, input: &Tensor) -> Result<Tensor> {
    if input.rank() < 2 {
        let problem = format!(
            "a trained slope reads [N, C, …], and not {:?}",
            input.dims()
        );
        return Err(candle_core::Error::Msg(problem).into());
    }
    let mut column = vec![1; input.rank() - 1];
    column[0] = params["weight"].elem_count();
    Ok(params["weight"].reshape(column)?)
}

impl Op for PRelu {
    fn name(&self) -> &str {
        "prelu"
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn params(&self) -> Vec<ParamSpec> {
        vec![ParamSpec {
            name: "weight",
            shape: Shape::from(self.parameters),
            init: Init::Constant(0.25),
            trained: true,
        }]
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let x = inputs[0];
        by_sign(x, x, &x.broadcast_mul(&slopes(params, x)?)?)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE.keeping_zero()
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let (x, gradient) = (pass.inputs[0], pass.gradient);
        let mut inputs = Vec::new();
        if pass.wants_inputs {
            let below = gradient.broadcast_mul(&slopes(pass.params, x)?)?;
            inputs.push(by_sign(x, gradient, &below)?);
        }
        let mut params = Vec::new();
        if pass.wants_params {
            let below = by_sign(x, &x.zeros_like()?, &(x * gradient)?)?;
            let mut of_weight = sum_by_channel(&below)?;
            if self.parameters == 1 {
                of_weight = of_weight.sum_keepdim(0)?;
            }
            params.push(("weight", of_weight));
        }
        Ok(Gradients { inputs, params })
    }
}
