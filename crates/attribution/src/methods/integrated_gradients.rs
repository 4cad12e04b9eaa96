use std::num::NonZeroUsize;

use candle_core::{DType, Tensor};
use gauss_quad::GaussLegendre;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use speechlens_nn::Graph;

use super::gradient::of_target;
use super::{Settings, Subject};
use crate::{Attribute, Attribution, Details, Error, Method, Passes, Reference, Result, Target};

pub(super) const NAME: &str = "integrated-gradients";

/// The gradient's integral along the straight line from the reference to the input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntegratedGradients {
    /// Nodes of the Gauss–Legendre quadrature.
    pub steps: usize,
    /// Where the path starts.
    pub reference: Reference,
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        IntegratedGradients {
            steps: 50,
            reference: Reference::default(),
        }
    }
}

impl Settings for IntegratedGradients {
    fn suited_to(self, subject: &Subject) -> Self {
        IntegratedGradients {
            reference: subject.reference.clone(),
            ..self
        }
    }
}

impl Method for IntegratedGradients {
    fn name(&self) -> &'static str {
        NAME
    }

    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        let steps = NonZeroUsize::new(self.steps)
            .ok_or_else(|| Error::Setting("integrated gradients need at least one step".into()))?;
        Ok(Box::new(Path {
            graph: graph.clone(),
            reference: self.reference.clone(),
            quadrature: GaussLegendre::new(steps),
        }))
    }

    fn reference(&self) -> Option<f64> {
        self.reference.value()
    }

    fn shares_score(&self) -> bool {
        true
    }

    fn settings(&self) -> Value {
        json!(self)
    }
}

struct Path {
    graph: Graph,
    reference: Reference,
    quadrature: GaussLegendre,
}

/// The targets' logits of a batch.
fn scores(logits: &Tensor, targets: &[u32]) -> Result<Vec<f64>> {
    let targets = Tensor::from_slice(targets, (targets.len(), 1), logits.device())?;
    let of_targets = logits.gather(&targets, 1)?.squeeze(1)?;
    Ok(of_targets.to_dtype(DType::F64)?.to_vec1()?)
}

impl Attribute for Path {
    fn explain(
        &self,
        input: &Tensor,
        target: Target,
        _: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let (logits, targets) = target.answered(&self.graph, input)?;
        let reference = self.reference.like(input)?;
        let path = (input - &reference)?;
        let mut integral = input.zeros_like()?;
        let mut done = targets.len();
        progress(done);
        // The rule is one for −1 to 1.
        for (node, weight) in self.quadrature.iter() {
            let at = (&reference + path.affine(0.5 * (node + 1.0), 0.0)?)?;
            let (.., gradient) = of_target(&self.graph, &at, Target::Of(&targets))?;
            integral = (integral + gradient.affine(0.5 * weight, 0.0)?)?;
            done += 2 * targets.len();
            progress(done);
        }
        let relevance = (path * integral)?;
        let sums = relevance.flatten_from(1)?.to_dtype(DType::F64)?.sum(1)?;
        let at_reference = scores(&self.graph.forward(&reference)?, &targets)?;
        progress(self.passes().total() * targets.len());
        let gaps = scores(&logits, &targets)?.into_iter().zip(at_reference);
        let gaps = gaps.zip(sums.to_vec1::<f64>()?);
        Ok(Attribution {
            completeness_gap: Some(gaps.map(|((x, r), sum)| x - r - sum).collect()),
            ..Attribution::new(relevance, logits, targets)
        })
    }

    fn passes(&self) -> Passes {
        let steps = self.quadrature.degree();
        Passes {
            forward: steps + 2,
            backward: steps,
        }
    }
}
