use super::Named;
use crate::rule::STABILIZER;
use crate::{InputMap, Rule, Share, Term, WeightMap};

pub(super) const NAMES: &[Named] = &[
    Named {
        name: "epsilon",
        takes: &["epsilon"],
        make: |given| Ok(Rule::epsilon(given.get_not_below_0("epsilon")?)),
    },
    Named {
        name: "lrp-0",
        takes: &[],
        make: |_| Ok(Rule::zero()),
    },
];

impl Rule {
    /// `a_j w_jk / (z_k + ε s(z_k)) · R_k` (Bach et al. 2015, Eq. 58). With ε = 0 it is the limit ε → 0: in a run
    /// of such layers the sweep divides by nothing and carries the modified gradient `R / a` (Ancona et al. 2018, Proposition 1). Where
    /// relevance comes to a run from other rules it is divided once, stabilized by [`STABILIZER`].
    pub fn epsilon(epsilon: f64) -> Self {
        let share = Share::new([Term::new(InputMap::Whole, WeightMap::Whole)])
            .with_bias(WeightMap::Whole)
            .stabilized_by(epsilon);
        Rule::new(format!("epsilon (ε = {epsilon})"), [share])
    }

    /// LRP-0: ε = 1e-6, a stabilizer only.
    pub fn zero() -> Self {
        Rule {
            name: "lrp-0".into(),
            ..Rule::epsilon(STABILIZER)
        }
    }
}
