use super::Named;
use crate::{InputMap, Rule, Share, Term, WeightMap};

pub(super) const NAMES: &[Named] = &[
    Named {
        name: "alpha-beta",
        takes: &["alpha", "beta"],
        make: |given| {
            let (alpha, beta) = (given.get("alpha")?, given.get("beta")?);
            if (alpha - beta - 1.0).abs() > 1e-9 || beta < 0.0 {
                return Err(format!(
                    "`alpha` − `beta` must be 1 and `beta` at least 0, not {alpha} and {beta}"
                ));
            }
            Ok(Rule::alpha_beta(alpha, beta))
        },
    },
    Named {
        name: "z-plus",
        takes: &[],
        make: |_| Ok(Rule::z_plus()),
    },
];

impl Rule {
    /// `α (a_j w_jk)⁺/(z_k)⁺ · R_k − β (a_j w_jk)⁻/(z_k)⁻ · R_k` (Bach et al. 2015, Eq. 60), α − β = 1.
    pub fn alpha_beta(alpha: f64, beta: f64) -> Self {
        let share = |of_positive, of_negative| {
            let terms = [
                Term::new(InputMap::Positive, of_positive),
                Term::new(InputMap::Negative, of_negative),
            ];
            Share::new(terms).with_bias(of_positive)
        };
        let mut shares = vec![share(WeightMap::Positive, WeightMap::Negative).times(alpha)];
        if beta != 0.0 {
            shares.push(share(WeightMap::Negative, WeightMap::Positive).times(-beta));
        }
        Rule::new(format!("alpha-beta (α = {alpha}, β = {beta})"), shares)
    }

    /// αβ with α = 1 and β = 0: what raises an output takes all (Montavon et al. 2017, "Explaining nonlinear classification
    /// decisions with deep Taylor decomposition", the z⁺-rule, here with inputs of either sign).
    pub fn z_plus() -> Self {
        Rule {
            name: "z-plus".into(),
            ..Rule::alpha_beta(1.0, 0.0)
        }
    }
}
