use super::Named;
use crate::{InputMap, Rule, Share, Term, WeightMap};

pub(super) const NAMES: &[Named] = &[Named {
    name: "flat",
    takes: &[],
    make: |_| Ok(Rule::flat()),
}];

impl Rule {
    /// `1/n · R_k` for each of the n inputs of an output, whatever input and weights (Lapuschkin et al. 2019, "Unmasking
    /// Clever Hans predictors", supplement). The bias has no part.
    pub fn flat() -> Self {
        let terms = [Term::new(InputMap::Constant(1.0), WeightMap::One)];
        Rule::new("flat", [Share::new(terms)])
    }
}
