use candle_core::Tensor;
use speechlens_nn::Graph;

use super::gradient::OneGradient;
use crate::{Attribute, Attribution, Details, Method, Passes, Result, Target};

pub(super) const NAME: &str = "sensitivity";

/// The gradient's absolute value.
#[derive(Clone, Copy, Debug)]
pub struct Sensitivity;

impl Method for Sensitivity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        Ok(Box::new(Absolute(OneGradient::new(
            graph,
            |_, gradient| Ok(gradient),
        ))))
    }
}

/// A gradient without its sign.
struct Absolute(OneGradient);

impl Absolute {
    fn of(mut found: Attribution) -> Result<Attribution> {
        found.relevance = found.relevance.abs()?;
        Ok(found)
    }
}

impl Attribute for Absolute {
    fn explain(
        &self,
        input: &Tensor,
        target: Target,
        details: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        Absolute::of(self.0.explain(input, target, details, progress)?)
    }

    /// The difference of two absolute values is not the absolute value of the difference.
    fn contrast(
        &self,
        input: &Tensor,
        pair: [&[u32]; 2],
        details: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        Absolute::of(self.0.contrast(input, pair, details, progress)?)
    }

    fn passes(&self) -> Passes {
        self.0.passes()
    }
}
