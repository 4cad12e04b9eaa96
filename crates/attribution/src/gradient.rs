use candle_core::Tensor;
use speechlens_nn::Graph;
use speechlens_nn::loss::one_hot;

use crate::{Attribute, Attribution, Error, Passes, Reference, Result};

/// The logits `[N, classes]`, and the gradient of each input's target logit by the input.
pub(crate) fn of_target(
    graph: &Graph,
    input: &Tensor,
    targets: &[u32],
) -> Result<(Tensor, Tensor)> {
    check(input, targets)?;
    Ok(graph.input_gradient(input, |logits| {
        one_hot(targets, logits.dim(1)?, logits.dtype(), logits.device())
    })?)
}

/// Fails unless there is one target an input.
pub(crate) fn check(input: &Tensor, targets: &[u32]) -> Result<()> {
    let inputs = input.dim(0)?;
    if inputs != targets.len() {
        let targets = targets.len();
        return Err(Error::Setting(format!(
            "there are {targets} targets for {inputs} inputs"
        )));
    }
    Ok(())
}

/// What is made of the gradient.
pub(crate) enum Form {
    Signed,
    Absolute,
    TimesInput(Reference),
}

/// Methods that take one gradient.
pub(crate) struct Gradient {
    pub graph: Graph,
    pub form: Form,
}

impl Attribute for Gradient {
    fn attribute(
        &self,
        input: &Tensor,
        targets: &[u32],
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let (_, gradient) = of_target(&self.graph, input, targets)?;
        progress(self.passes().total() * targets.len());
        Ok(Attribution::of(match &self.form {
            Form::Signed => gradient,
            Form::Absolute => gradient.abs()?,
            Form::TimesInput(reference) => ((input - reference.like(input)?)? * gradient)?,
        }))
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 1,
            backward: 1,
        }
    }
}
