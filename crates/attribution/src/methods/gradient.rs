use candle_core::Tensor;
use speechlens_nn::Graph;
use speechlens_nn::loss::one_hot;

use crate::{Attribute, Attribution, Details, Method, Passes, Result, Target};

pub(super) const NAME: &str = "gradient";

/// The gradient of the target's logit.
#[derive(Clone, Copy, Debug)]
pub struct Gradient;

impl Method for Gradient {
    fn name(&self) -> &'static str {
        NAME
    }

    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        Ok(Box::new(OneGradient::new(graph, |_, gradient| {
            Ok(gradient)
        })))
    }
}

/// The logits `[N, classes]`, the targets, and the gradient of each input's target logit by the input.
pub(super) fn of_target(
    graph: &Graph,
    input: &Tensor,
    target: Target,
) -> Result<(Tensor, Vec<u32>, Tensor)> {
    target.check(input)?;
    let mut targets = Vec::new();
    let (logits, gradient) = graph.input_gradient(input, |logits| {
        targets = target.classes(logits)?;
        one_hot(&targets, logits.dim(1)?, logits.dtype(), logits.device())
    })?;
    Ok((logits, targets, gradient))
}

/// What is made of an input and the gradient there.
type Form = Box<dyn Fn(&Tensor, Tensor) -> Result<Tensor> + Send + Sync>;

/// A method that takes one gradient.
pub(super) struct OneGradient {
    graph: Graph,
    form: Form,
}

impl OneGradient {
    pub fn new(
        graph: &Graph,
        form: impl Fn(&Tensor, Tensor) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        OneGradient {
            graph: graph.clone(),
            form: Box::new(form),
        }
    }
}

impl Attribute for OneGradient {
    fn explain(
        &self,
        input: &Tensor,
        target: Target,
        _: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let (logits, targets, gradient) = of_target(&self.graph, input, target)?;
        progress(self.passes().total() * targets.len());
        Ok(Attribution::new(
            (self.form)(input, gradient)?,
            logits,
            targets,
        ))
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 1,
            backward: 1,
        }
    }
}
