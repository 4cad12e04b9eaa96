use candle_core::Tensor;
use speechlens_lrp::Lrp;

use crate::{Attribute, Attribution, Passes, Result};

impl Attribute for Lrp {
    fn attribute(
        &self,
        input: &Tensor,
        targets: &[u32],
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let explanation = self.explain(input, targets)?;
        progress(self.passes().total() * targets.len());
        Ok(Attribution::of(explanation.relevance))
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 1,
            backward: 1,
        }
    }
}
