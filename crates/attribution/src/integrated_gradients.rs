use candle_core::{DType, Tensor};
use gauss_quad::GaussLegendre;
use speechlens_nn::Graph;

use crate::gradient::{check, of_target};
use crate::{Attribute, Attribution, Passes, Reference, Result};

/// The gradient's integral along the straight line from the reference to the input, by Gauss–Legendre quadrature.
pub(crate) struct IntegratedGradients {
    pub graph: Graph,
    pub reference: Reference,
    pub quadrature: GaussLegendre,
}

/// The targets' logits of a batch.
fn scores(graph: &Graph, input: &Tensor, targets: &[u32]) -> Result<Vec<f64>> {
    let logits = graph.forward(input)?;
    let targets = Tensor::from_slice(targets, (targets.len(), 1), input.device())?;
    let of_targets = logits.gather(&targets, 1)?.squeeze(1)?;
    Ok(of_targets.to_dtype(DType::F64)?.to_vec1()?)
}

impl Attribute for IntegratedGradients {
    fn attribute(
        &self,
        input: &Tensor,
        targets: &[u32],
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        check(input, targets)?;
        let reference = self.reference.like(input)?;
        let path = (input - &reference)?;
        let mut integral = input.zeros_like()?;
        let mut done = 0;
        // The rule is one for −1 to 1.
        for (node, weight) in self.quadrature.iter() {
            let at = (&reference + path.affine(0.5 * (node + 1.0), 0.0)?)?;
            let (_, gradient) = of_target(&self.graph, &at, targets)?;
            integral = (integral + gradient.affine(0.5 * weight, 0.0)?)?;
            done += 2 * targets.len();
            progress(done);
        }
        let relevance = (path * integral)?;
        let sums = relevance.flatten_from(1)?.to_dtype(DType::F64)?.sum(1)?;
        let [at_input, at_reference] =
            [input, &reference].map(|point| scores(&self.graph, point, targets));
        progress(self.passes().total() * targets.len());
        let gaps = at_input?.into_iter().zip(at_reference?);
        let gaps = gaps.zip(sums.to_vec1::<f64>()?);
        Ok(Attribution {
            completeness_gap: Some(gaps.map(|((x, r), sum)| x - r - sum).collect()),
            relevance,
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
