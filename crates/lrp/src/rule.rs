use candle_core::{Tensor, WithDType};
use speechlens_nn::kernels::pointwise::{Zip, zip};

use crate::Result;

/// The smallest denominator of a rule without an ε of its own.
pub(crate) const STABILIZER: f64 = 1e-6;

/// A part of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All of it.
    Whole,
    /// `max(x, 0)`.
    Positive,
    /// `min(x, 0)`.
    Negative,
}

impl Part {
    pub(crate) fn of(self, tensor: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Part::Whole => tensor.clone(),
            Part::Positive => tensor.relu()?,
            Part::Negative => tensor.neg()?.relu()?.neg()?,
        })
    }
}

/// `input(a_j) · weight(w_jk)`: a product that takes part in the relevance of input j.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// The part of the input.
    pub input: Part,
    /// The part of the weights.
    pub weight: Part,
}

/// Relevance shared out by some terms: `factor · Σ_terms input(a_j) weight(w_jk) / (z_k + ε s(z_k)) · R_k`, where `z_k` is the
/// sum of the terms over j and of the bias's part.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// How much of the relevance it shares out.
    pub factor: f64,
    /// What it shares it out by.
    pub terms: Vec<Term>,
    /// The part of the bias in the denominator.
    pub bias: Part,
    /// ε.
    pub epsilon: f64,
}

impl Share {
    /// Whether `z` is what the layer gave.
    pub(crate) fn is_of_output(&self) -> bool {
        let whole = |term: &Term| term.input == Part::Whole && term.weight == Part::Whole;
        matches!(self.terms.as_slice(), [term] if whole(term)) && self.bias == Part::Whole
    }
}

/// How a linear layer's relevance becomes its input's: the sum of some shares.
///
/// For each share the sweep computes `z` (or takes it from the trace, where every map is the identity), divides, runs the
/// layer's transposed map with each term's weights and multiplies by its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What is added up.
    pub shares: Vec<Share>,
}

impl Rule {
    /// `a_j w_jk / (z_k + ε s(z_k)) · R_k` (Bach et al. 2015, Eq. 58).
    pub fn epsilon(epsilon: f64) -> Self {
        let terms = vec![Term {
            input: Part::Whole,
            weight: Part::Whole,
        }];
        Rule {
            shares: vec![Share {
                factor: 1.0,
                terms,
                bias: Part::Whole,
                epsilon,
            }],
        }
    }

    /// The same for an input that is nowhere negative: such an input is its positive part, and its negative part is 0.
    pub(crate) fn on_non_negative(&self) -> Rule {
        let term = |term: &Term| match term.input {
            Part::Negative => None,
            Part::Positive | Part::Whole => Some(Term {
                input: Part::Whole,
                ..*term
            }),
        };
        let share = |share: &Share| Share {
            terms: share.terms.iter().filter_map(term).collect(),
            ..share.clone()
        };
        let shares = self.shares.iter().map(share);
        Rule {
            shares: shares.filter(|share| !share.terms.is_empty()).collect(),
        }
    }

    /// Whether a denominator is what the layer gave.
    pub(crate) fn uses_output(&self) -> bool {
        self.shares.iter().any(Share::is_of_output)
    }

    /// LRP-0: ε = 1e-6, a stabilizer only.
    pub fn zero() -> Self {
        Rule::epsilon(STABILIZER)
    }

    /// `α (a_j w_jk)⁺/(z_k)⁺ · R_k − β (a_j w_jk)⁻/(z_k)⁻ · R_k` (Bach et al. 2015, Eq. 60), α − β = 1.
    pub fn alpha_beta(alpha: f64, beta: f64) -> Self {
        let share = |factor, weights: [Part; 2], bias| Share {
            factor,
            terms: vec![
                Term {
                    input: Part::Positive,
                    weight: weights[0],
                },
                Term {
                    input: Part::Negative,
                    weight: weights[1],
                },
            ],
            bias,
            epsilon: STABILIZER,
        };
        let mut shares = vec![share(
            alpha,
            [Part::Positive, Part::Negative],
            Part::Positive,
        )];
        if beta != 0.0 {
            shares.push(share(
                -beta,
                [Part::Negative, Part::Positive],
                Part::Negative,
            ));
        }
        Rule { shares }
    }
}

/// `factor · relevance / (z + ε s(z))` with s(0) = +1.
pub(crate) fn divide(relevance: &Tensor, z: &Tensor, epsilon: f64, factor: f64) -> Result<Tensor> {
    if relevance.device().is_cpu() {
        return Ok(zip(&Quotient { epsilon, factor }, z, relevance)?);
    }
    let sign = z
        .ge(0.0)?
        .to_dtype(z.dtype())?
        .affine(2.0 * epsilon, -epsilon)?;
    Ok(((relevance * factor)? / (z + sign)?)?)
}

struct Quotient {
    epsilon: f64,
    factor: f64,
}

impl Zip for Quotient {
    fn name(&self) -> &'static str {
        "a relevance's quotient"
    }

    fn of<T: WithDType>(&self, z: T, relevance: T) -> T {
        let (epsilon, factor) = (T::from_f64(self.epsilon), T::from_f64(self.factor));
        factor * relevance
            / if z >= T::zero() {
                z + epsilon
            } else {
                z - epsilon
            }
    }
}
