use super::Named;
use crate::{InputMap, Rule, Share, Term, WeightMap};

pub(super) const NAMES: &[Named] = &[Named {
    name: "z-box",
    takes: &[],
    make: |_| Ok(Rule::z_box()),
}];

impl Rule {
    /// z^B, for inputs in [l, h]: `(a_j w_jk − l_j w⁺_jk − h_j w⁻_jk) / Σ_j(…) · R_k` (Montavon et al. 2017, the z^B-rule). The
    /// bounds are those of the composite's options. The bias has no part: b − b⁺ − b⁻ = 0.
    pub fn z_box() -> Self {
        let terms = [
            Term::new(InputMap::Whole, WeightMap::Whole),
            Term::minus(InputMap::Low, WeightMap::Positive),
            Term::minus(InputMap::High, WeightMap::Negative),
        ];
        Rule::new("z-box", [Share::new(terms)])
    }
}
