use super::Named;
use crate::{InputMap, Rule, Share, Term, WeightMap};

pub(super) const NAMES: &[Named] = &[Named {
    name: "w-square",
    takes: &[],
    make: |_| Ok(Rule::w_square()),
}];

impl Rule {
    /// `w_jk² / (Σ_j w_jk² + b_k²) · R_k`, whatever the input (Montavon et al. 2017, the w²-rule; the bias's share as in zennit,
    /// unless biases are left out).
    pub fn w_square() -> Self {
        let terms = [Term::new(InputMap::Constant(1.0), WeightMap::Squared)];
        Rule::new(
            "w-square",
            [Share::new(terms).with_bias(WeightMap::Squared)],
        )
    }
}
