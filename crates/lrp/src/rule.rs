//! What a rule is made of.

use std::fmt::{self, Display};

use candle_core::Tensor;
use speechlens_nn::LinearOp;

use crate::Result;

/// The smallest denominator of a rule without an ε of its own.
pub const STABILIZER: f64 = 1e-6;

/// The ε of a denominator that cannot be left out: one of its own, or that of all.
pub(crate) fn stabilizing(epsilon: f64) -> f64 {
    match epsilon == 0.0 {
        true => STABILIZER,
        false => epsilon,
    }
}

/// What a term makes of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputMap {
    /// `a`
    Whole,
    /// `max(a, 0)`
    Positive,
    /// `min(a, 0)`
    Negative,
    /// The same number everywhere.
    Constant(f64),
    /// The lowest value that the input can have, from the composite's options.
    Low,
    /// The highest value that the input can have, from the composite's options.
    High,
}

impl InputMap {
    /// Whether an input of 0 is mapped to 0.
    fn keeps_zero(self) -> bool {
        matches!(
            self,
            InputMap::Whole | InputMap::Positive | InputMap::Negative
        )
    }

    pub(crate) fn of(self, input: &Tensor) -> Result<Tensor> {
        Ok(match self {
            InputMap::Whole => input.clone(),
            InputMap::Positive => input.relu()?,
            InputMap::Negative => input.neg()?.relu()?.neg()?,
            InputMap::Constant(value) => input.ones_like()?.affine(value, 0.0)?,
            InputMap::Low | InputMap::High => {
                return Err(candle_core::Error::Msg("a bound without a value".into()).into());
            }
        })
    }
}

/// What a term makes of the weights, and a share of the bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightMap {
    /// `w`
    Whole,
    /// `max(w, 0)`
    Positive,
    /// `min(w, 0)`
    Negative,
    /// `w + γ max(w, 0)`
    PlusPositive(f64),
    /// `w + γ min(w, 0)`
    PlusNegative(f64),
    /// `w²`
    Squared,
    /// 1
    One,
}

impl WeightMap {
    pub(crate) fn of(self, weight: &Tensor) -> Result<Tensor> {
        let negative = || weight.neg()?.relu()?.neg();
        Ok(match self {
            WeightMap::Whole => weight.clone(),
            WeightMap::Positive => weight.relu()?,
            WeightMap::Negative => negative()?,
            WeightMap::PlusPositive(gamma) => (weight + (weight.relu()? * gamma)?)?,
            WeightMap::PlusNegative(gamma) => (weight + (negative()? * gamma)?)?,
            WeightMap::Squared => weight.sqr()?,
            WeightMap::One => weight.ones_like()?,
        })
    }
}

impl WeightMap {
    /// How many times a weight what this and another map make of it are together, if that is the same for all.
    fn together_with(self, other: Self) -> Option<f64> {
        use WeightMap::{PlusNegative, PlusPositive};
        match (self, other) {
            (PlusPositive(a), PlusNegative(b)) | (PlusNegative(a), PlusPositive(b)) => {
                (a == b).then_some(2.0 + a)
            }
            _ => None,
        }
    }
}

/// The sign of a layer's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Above 0.
    Positive,
    /// Below 0.
    Negative,
}

/// `factor · input(a_j) · weight(w_jk)`: a product that takes part in the relevance of input j.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// Mostly 1, or −1.
    pub factor: f64,
    /// What it makes of the input.
    pub input: InputMap,
    /// What it makes of the weights.
    pub weight: WeightMap,
}

impl Term {
    /// `input(a_j) · weight(w_jk)`
    pub fn new(input: InputMap, weight: WeightMap) -> Self {
        Term {
            factor: 1.0,
            input,
            weight,
        }
    }

    /// `−input(a_j) · weight(w_jk)`
    pub fn minus(input: InputMap, weight: WeightMap) -> Self {
        Term {
            factor: -1.0,
            ..Term::new(input, weight)
        }
    }
}

/// Relevance shared out by some terms: `factor · Σ_terms term_jk / (z_k + ε s(z_k)) · R_k`, where `z_k` is the sum of the terms
/// over j and of the mapped bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// How much of the relevance it shares out.
    pub factor: f64,
    /// What it shares it out by.
    pub terms: Vec<Term>,
    /// What of the bias is in the denominator; none leaves it out.
    pub bias: Option<WeightMap>,
    /// ε.
    pub epsilon: f64,
    /// The outputs whose relevance it shares out, by the sign of what the layer gave; none takes all.
    pub only: Option<Sign>,
}

impl Share {
    /// All relevance by these terms, the bias left out, stabilized by [`STABILIZER`].
    pub fn new(terms: impl Into<Vec<Term>>) -> Self {
        Share {
            factor: 1.0,
            terms: terms.into(),
            bias: None,
            epsilon: STABILIZER,
            only: None,
        }
    }

    /// With this of the bias in the denominator.
    pub fn with_bias(self, bias: WeightMap) -> Self {
        Share {
            bias: Some(bias),
            ..self
        }
    }

    /// Times a factor.
    pub fn times(self, factor: f64) -> Self {
        Share { factor, ..self }
    }

    /// With this ε.
    pub fn stabilized_by(self, epsilon: f64) -> Self {
        Share { epsilon, ..self }
    }

    /// Of outputs of one sign alone.
    pub fn only(self, sign: Sign) -> Self {
        Share {
            only: Some(sign),
            ..self
        }
    }

    /// How many times what the layer gave `z` and that of another share, of outputs of the other sign, are together, if that can be
    /// said: one of them follows from the other then. Where it is used it is no smaller than what the layer gave.
    pub(crate) fn together_with(&self, other: &Share) -> Option<f64> {
        let (mine, others) = (self.only?, other.only?);
        let inputs: Vec<InputMap> = self.terms.iter().map(|term| term.input).collect();
        let is_whole = matches!(
            inputs.as_slice(),
            [InputMap::Whole] | [InputMap::Positive, InputMap::Negative]
        );
        let alike =
            |(a, b): (&Term, &Term)| a.input == b.input && (a.factor, b.factor) == (1.0, 1.0);
        let pairs = || self.terms.iter().zip(&other.terms);
        if mine == others
            || !is_whole
            || self.terms.len() != other.terms.len()
            || !pairs().all(alike)
        {
            return None;
        }
        let of_bias = match (self.bias, other.bias) {
            (None, None) => None,
            (Some(a), Some(b)) => Some(a.together_with(b)?),
            _ => return None,
        };
        let mut times = pairs()
            .map(|(a, b)| a.weight.together_with(b.weight))
            .chain(of_bias.map(Some));
        let first = times.next()??;
        times.all(|times| times == Some(first)).then_some(first)
    }

    /// Whether `z` is what the layer gave, with its bias or without.
    pub(crate) fn is_of_output(&self) -> bool {
        self.terms == [Term::new(InputMap::Whole, WeightMap::Whole)]
            && self.bias.is_none_or(|map| map == WeightMap::Whole)
    }
}

/// How a linear layer's relevance becomes its input's: the sum of some shares.
///
/// For each share the sweep computes `z` (or takes it from the trace, where every map is the identity), divides, runs the
/// layer's transposed map with each term's weights and multiplies by its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it is called, with its parameters.
    pub name: String,
    /// What is added up.
    pub shares: Vec<Share>,
    /// Whether it is defined only where no input is negative.
    pub needs_non_negative: bool,
    /// Whether of a product with a gate all goes to the other factor, and not half to each.
    pub to_signal: bool,
}

impl Rule {
    /// A rule for inputs of any sign.
    pub fn new(name: impl Into<String>, shares: impl Into<Vec<Share>>) -> Self {
        Rule {
            name: name.into(),
            shares: shares.into(),
            needs_non_negative: false,
            to_signal: false,
        }
    }

    /// The same, as a rule for inputs that are nowhere negative.
    pub fn for_non_negative(self) -> Self {
        Rule {
            needs_non_negative: true,
            ..self
        }
    }

    fn terms(&self) -> impl Iterator<Item = &Term> {
        self.shares.iter().flat_map(|share| &share.terms)
    }

    /// Whether it asks for the lowest and the highest value of the input.
    pub(crate) fn needs_bounds(&self) -> bool {
        self.terms()
            .any(|term| matches!(term.input, InputMap::Low | InputMap::High))
    }

    /// Whether it passes nothing on.
    pub(crate) fn detaches(&self) -> bool {
        self.shares.is_empty()
    }

    /// Whether it runs on a layer: one whose weights it maps must have some.
    pub(crate) fn runs_on(&self, layer: &dyn LinearOp) -> bool {
        let as_they_are = |term: &Term| term.weight == WeightMap::Whole;
        layer.has_mappable_weights() || self.terms().all(as_they_are)
    }

    /// Whether an input of 0 has no relevance.
    pub(crate) fn keeps_zero(&self) -> bool {
        self.terms().all(|term| term.input.keeps_zero())
    }

    /// Whether it reads what the layer gave.
    pub(crate) fn uses_output(&self) -> bool {
        let uses = |share: &Share| share.only.is_some() || share.is_of_output();
        self.shares.iter().any(uses)
    }

    /// The same with the bounds of the input.
    pub(crate) fn between(mut self, [low, high]: [f64; 2]) -> Self {
        for term in self.shares.iter_mut().flat_map(|share| &mut share.terms) {
            match term.input {
                InputMap::Low => term.input = InputMap::Constant(low),
                InputMap::High => term.input = InputMap::Constant(high),
                _ => {}
            }
        }
        self
    }

    /// The same without the bias.
    pub(crate) fn without_bias(mut self) -> Self {
        self.shares.iter_mut().for_each(|share| share.bias = None);
        self
    }

    /// The same for an input that is nowhere negative: such an input is its positive part, and its negative part is 0.
    pub(crate) fn on_non_negative(mut self) -> Self {
        for share in &mut self.shares {
            share.terms.retain(|term| term.input != InputMap::Negative);
            for term in &mut share.terms {
                if term.input == InputMap::Positive {
                    term.input = InputMap::Whole;
                }
            }
        }
        self.shares.retain(|share| !share.terms.is_empty());
        self
    }

    /// The same where outputs that are not positive have no relevance.
    pub(crate) fn of_positive_outputs(mut self) -> Self {
        let keep = |share: &Share| share.only != Some(Sign::Negative);
        self.shares.retain(keep);
        self.shares.iter_mut().for_each(|share| share.only = None);
        self
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
