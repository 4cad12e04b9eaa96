use super::Named;
use crate::{InputMap, Rule, Share, Sign, Term, WeightMap};

pub(super) const NAMES: &[Named] = &[
    Named {
        name: "gamma",
        takes: &["gamma"],
        make: |given| Ok(Rule::gamma(given.get_above_0("gamma")?)),
    },
    Named {
        name: "gamma-generalized",
        takes: &["gamma"],
        make: |given| Ok(Rule::gamma_generalized(given.get_above_0("gamma")?)),
    },
];

impl Rule {
    /// `a_j (w_jk + γ w⁺_jk) / Σ_j a_j (w_jk + γ w⁺_jk) · R_k`, the bias mapped likewise, for inputs that are nowhere negative
    /// (Montavon et al. 2019, "Layer-wise relevance propagation: an overview", section 10.2).
    pub fn gamma(gamma: f64) -> Self {
        let map = WeightMap::PlusPositive(gamma);
        let share = Share::new([Term::new(InputMap::Whole, map)]).with_bias(map);
        Rule::new(format!("gamma (γ = {gamma})"), [share]).for_non_negative()
    }

    /// γ for inputs of any sign (Andéol et al. 2021, "Learning domain invariant representations by joint Wasserstein
    /// distance minimization"): what raises an output is favoured where it is positive, what lowers it where it is
    /// negative.
    ///
    /// `(a⁺_j (w_jk + γ w⁺_jk) + a⁻_j (w_jk + γ w⁻_jk)) / Σ_j(…) · R_k` for `z_k > 0`, with `b_k + γ b⁺_k` in the denominator;
    /// for `z_k < 0` with `w⁺` and `w⁻`, and `b⁺` and `b⁻`, exchanged.
    pub fn gamma_generalized(gamma: f64) -> Self {
        let (up, down) = (
            WeightMap::PlusPositive(gamma),
            WeightMap::PlusNegative(gamma),
        );
        let share = |sign, of_positive, of_negative| {
            let terms = [
                Term::new(InputMap::Positive, of_positive),
                Term::new(InputMap::Negative, of_negative),
            ];
            Share::new(terms).with_bias(of_positive).only(sign)
        };
        let shares = [
            share(Sign::Positive, up, down),
            share(Sign::Negative, down, up),
        ];
        Rule::new(format!("gamma-generalized (γ = {gamma})"), shares)
    }
}
