//! Functions of every value, of any shape: a struct each, with its value and its slope.

use std::fmt::Debug;

use candle_core::{DType, Tensor};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::places::constant;
use crate::kernels::elementwise::{by_sign, map, map_pairs};
use crate::kernels::functions;
use crate::{Backward, Branch, Claims, Gradients, Kind, Map, Mode, Op, Params, Result};

/// A function of one number. Where it has no slope, or an infinite one, the slope is 0: gradients stay numbers.
pub trait Function: Serialize + DeserializeOwned + Debug + Send + Sync + 'static {
    /// What files call it.
    const NAME: &'static str;

    /// The values.
    fn values(&self, x: &Tensor) -> Result<Tensor>;

    /// The slopes where the values are `y`.
    fn slopes(&self, x: &Tensor, y: &Tensor) -> Result<Tensor>;

    /// What can be proved of the values.
    fn claims(&self) -> Claims {
        Claims::default()
    }
}

/// The op that is a [`Function`] of every value: relevance passes as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Elementwise<F: Function>(pub F);

impl<F: Function> Op for Elementwise<F> {
    fn name(&self) -> &str {
        F::NAME
    }

    fn kind(&self) -> Kind {
        Kind::Activation
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let x = inputs[0];
        match x.dtype().is_float() {
            true => map(x, |x| self.0.values(x)),
            // Of whole numbers a whole number.
            false => Ok(self
                .0
                .values(&x.to_dtype(DType::F64)?)?
                .to_dtype(x.dtype())?),
        }
    }

    fn claims(&self) -> Claims {
        self.0.claims()
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Each)
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let slopes = map_pairs(pass.inputs[0], pass.output, |x, y| self.0.slopes(x, y))?;
        let of_input = map_pairs(&slopes, pass.gradient, |slope, gradient| {
            Ok((slope * gradient)?)
        })?;
        Ok(Gradients {
            inputs: vec![of_input],
            params: Vec::new(),
        })
    }
}

/// The same value everywhere.
fn all(like: &Tensor, value: f64) -> Result<Tensor> {
    constant(value, like.shape(), like)
}

/// `slopes`, and 0 where `x` is 0.
fn but_at_zero(x: &Tensor, slopes: &Tensor) -> Result<Tensor> {
    Ok(x.ne(0.0)?.where_cond(slopes, &x.zeros_like()?)?)
}

/// 1 between two bounds, and 0 elsewhere; at a bound that is not counted 0.
fn between(x: &Tensor, low: Option<f64>, high: Option<f64>) -> Result<Tensor> {
    let mut inside = all(x, 1.0)?;
    if let Some(low) = low {
        inside = (inside * x.ge(low)?.to_dtype(x.dtype())?)?;
    }
    if let Some(high) = high {
        inside = (inside * x.le(high)?.to_dtype(x.dtype())?)?;
    }
    Ok(inside)
}

/// A function by our own for f32, or else by candle's.
fn own_or(
    x: &Tensor,
    own: impl Fn(f32) -> f32 + Copy + Send + Sync,
    candles: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    Ok(match functions::each(x, own) {
        Some(values) => values?,
        None => candles(x)?,
    })
}

/// `eˣ`.
fn exp(x: &Tensor) -> Result<Tensor> {
    own_or(x, functions::exp, Tensor::exp)
}

/// The error function.
fn erf(x: &Tensor) -> Result<Tensor> {
    own_or(x, functions::erf, Tensor::erf)
}

/// The hyperbolic tangent.
pub(super) fn tanh(x: &Tensor) -> Result<Tensor> {
    own_or(x, functions::tanh, Tensor::tanh)
}

/// `1 / (1 + e⁻ˣ)`.
pub(super) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    own_or(x, functions::sigmoid, |x| (x.neg()?.exp()? + 1.0)?.recip())
}

/// `ln (1 + eˣ)`, which no x overflows.
fn softplus(x: &Tensor) -> Result<Tensor> {
    let small = (x.abs()?.neg()?.exp()? + 1.0)?.log()?;
    Ok((x.relu()? + small)?)
}

/// Functions without parameters.
macro_rules! functions {
    ($($(#[$doc:meta])* $kind:ident $name:literal $claims:expr, |$x:ident| $values:expr, |$u:ident, $y:ident| $slopes:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
        pub struct $kind;

        impl Function for $kind {
            const NAME: &'static str = $name;

            fn values(&self, $x: &Tensor) -> Result<Tensor> {
                Ok($values)
            }

            fn slopes(&self, $u: &Tensor, $y: &Tensor) -> Result<Tensor> {
                Ok($slopes)
            }

            fn claims(&self) -> Claims {
                $claims
            }
        }
    )*};
}

const NOTHING: Claims = Claims {
    non_negative: false,
    keeps_non_negative: false,
    within_one: false,
    keeps_zero: false,
};
const NEVER_BELOW: Claims = Claims::NON_NEGATIVE;
const KEEPS: Claims = Claims::KEEPS_NON_NEGATIVE;
/// Of functions that are a factor of `x`.
const FACTOR: Claims = NOTHING.keeping_zero();
const KEEPING_FACTOR: Claims = KEEPS.keeping_zero();

functions! {
    /// `|x|`.
    Abs "abs" NEVER_BELOW.keeping_zero(), |x| x.abs()?, |x, _y| x.sign()?;
    /// The next whole number above.
    Ceil "ceil" KEEPS, |x| x.ceil()?, |x, _y| x.zeros_like()?;
    /// The cosine.
    Cos "cos" NOTHING, |x| x.cos()?, |x, _y| x.sin()?.neg()?;
    /// The error function.
    Erf "erf" KEEPING_FACTOR, |x| erf(x)?, |x, _y| (x.sqr()?.neg()?.exp()? * std::f64::consts::FRAC_2_SQRT_PI)?;
    /// `eˣ`.
    Exp "exp" NEVER_BELOW, |x| exp(x)?, |_x, y| y.clone();
    /// The next whole number below.
    Floor "floor" KEEPS, |x| x.floor()?, |x, _y| x.zeros_like()?;
    /// `x` times `max(0, min(1, x/6 + 1/2))` (Howard et al. 2019).
    HardSwish "hard-swish" KEEPING_FACTOR, |x| (x * x.affine(1.0 / 6.0, 0.5)?.clamp(0.0, 1.0)?)?,
        |x, _y| (x.affine(1.0 / 3.0, 0.5)? * between(x, Some(-3.0), Some(3.0))?)?.add(&x.gt(3.0)?.to_dtype(x.dtype())?)?;
    /// The natural logarithm.
    Log "log" NOTHING, |x| x.log()?, |x, _y| but_at_zero(x, &x.recip()?)?;
    /// `x tanh(ln(1 + eˣ))` (Misra 2020).
    Mish "mish" KEEPING_FACTOR, |x| (x * tanh(&softplus(x)?)?)?, |x, _y| {
        let tanh = tanh(&softplus(x)?)?;
        (&tanh + (x * sigmoid(x)? * (1.0 - tanh.sqr()?)?)?)?
    };
    /// `−x`.
    Neg "neg" FACTOR, |x| x.neg()?, |x, _y| all(x, -1.0)?;
    /// `1 / x`.
    Reciprocal "reciprocal" KEEPS, |x| x.recip()?, |x, y| but_at_zero(x, &y.sqr()?.neg()?)?;
    /// The nearest whole number, the even one of two.
    Round "round" KEEPS, |x| half_to_even(x)?, |x, _y| x.zeros_like()?;
    /// 1, 0 or −1.
    Sign "sign" KEEPS, |x| x.sign()?, |x, _y| x.zeros_like()?;
    /// The sine.
    Sin "sin" FACTOR, |x| x.sin()?, |x, _y| x.cos()?;
    /// `ln(1 + eˣ)`.
    Softplus "softplus" NEVER_BELOW, |x| softplus(x)?, |x, _y| sigmoid(x)?;
    /// `x / (1 + |x|)`.
    Softsign "softsign" KEEPING_FACTOR, |x| (x / (x.abs()? + 1.0)?)?, |x, _y| (x.abs()? + 1.0)?.sqr()?.recip()?;
    /// The square root.
    Sqrt "sqrt" NEVER_BELOW, |x| x.sqrt()?, |x, y| but_at_zero(x, &(y.recip()? * 0.5)?)?;
}

/// Rounded as ONNX has it: halves go to the even neighbour.
pub(super) fn half_to_even(x: &Tensor) -> Result<Tensor> {
    let half = x.affine(0.5, 0.0)?;
    let is_half = ((x - x.floor()?)?).eq(0.5)?;
    Ok(is_half.where_cond(&half.round()?.affine(2.0, 0.0)?, &x.round()?)?)
}

/// `x` above 0, and `α (eˣ − 1)` elsewhere (Clevert et al. 2016).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elu {
    /// What it goes to below, without its sign.
    pub alpha: f64,
}

impl Function for Elu {
    const NAME: &'static str = "elu";

    fn values(&self, x: &Tensor) -> Result<Tensor> {
        by_sign(x, x, &x.elu(self.alpha)?)
    }

    fn slopes(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        by_sign(x, &all(x, 1.0)?, &(y + self.alpha)?)
    }

    fn claims(&self) -> Claims {
        KEEPING_FACTOR
    }
}

/// `γ x` above 0, and `γ α (eˣ − 1)` elsewhere (Klambauer et al. 2017).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selu {
    /// α.
    pub alpha: f64,
    /// γ.
    pub gamma: f64,
}

impl Function for Selu {
    const NAME: &'static str = "selu";

    fn values(&self, x: &Tensor) -> Result<Tensor> {
        Ok((Elu { alpha: self.alpha }.values(x)? * self.gamma)?)
    }

    fn slopes(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        by_sign(x, &all(x, self.gamma)?, &(y + self.alpha * self.gamma)?)
    }

    fn claims(&self) -> Claims {
        match self.gamma >= 0.0 {
            true => KEEPING_FACTOR,
            false => FACTOR,
        }
    }
}

/// `max(0, x) + min(0, α (exp(x/α) − 1))` (Barron 2017).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Celu {
    /// α.
    pub alpha: f64,
}

impl Function for Celu {
    const NAME: &'static str = "celu";

    fn values(&self, x: &Tensor) -> Result<Tensor> {
        by_sign(x, x, &(x / self.alpha)?.elu(self.alpha)?)
    }

    fn slopes(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        by_sign(x, &all(x, 1.0)?, &(y / self.alpha)?.affine(1.0, 1.0)?)
    }

    fn claims(&self) -> Claims {
        KEEPING_FACTOR
    }
}

/// `max(0, min(1, α x + β))`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardSigmoid {
    /// α.
    pub alpha: f64,
    /// β.
    pub beta: f64,
}

impl Function for HardSigmoid {
    const NAME: &'static str = "hard-sigmoid";

    fn values(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.affine(self.alpha, self.beta)?.clamp(0.0, 1.0)?)
    }

    fn slopes(&self, _: &Tensor, y: &Tensor) -> Result<Tensor> {
        let inside = (y.gt(0.0)? * y.lt(1.0)?)?;
        Ok((inside.to_dtype(y.dtype())? * self.alpha)?)
    }

    fn claims(&self) -> Claims {
        Claims::WITHIN_ONE
    }
}

/// `x Φ(x)` with the normal distribution's Φ, or the approximation `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))` (Hendrycks & Gimpel 2016).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gelu {
    /// Whether it is the approximation.
    #[serde(default)]
    pub tanh: bool,
    /// What x is multiplied by under erf: 1/√2, as far as a file's numbers reach.
    #[serde(default = "Gelu::root")]
    pub root: f64,
}

impl Gelu {
    /// Of exact constants.
    pub fn new(tanh: bool) -> Self {
        let root = Gelu::root();
        Gelu { tanh, root }
    }

    fn root() -> f64 {
        std::f64::consts::FRAC_1_SQRT_2
    }
}

/// √(2/π).
const SCALE: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
const CUBIC: f64 = 0.044715;

impl Function for Gelu {
    const NAME: &'static str = "gelu";

    fn values(&self, x: &Tensor) -> Result<Tensor> {
        let (root, cubic, scale) = (self.root as f32, CUBIC as f32, SCALE as f32);
        let inner = |x: f32| (x + x * x * x * cubic) * scale;
        let own = match self.tanh {
            true => functions::each(x, move |x| x * (0.5 * functions::tanh(inner(x)) + 0.5)),
            false => functions::each(x, move |x| x * (0.5 * functions::erf(x * root) + 0.5)),
        };
        if let Some(values) = own {
            return Ok(values?);
        }
        let gate = match self.tanh {
            true => ((x + (x.powf(3.0)? * CUBIC)?)? * SCALE)?.tanh()?,
            false => (x * self.root)?.erf()?,
        };
        Ok((x * gate.affine(0.5, 0.5)?)?)
    }

    fn slopes(&self, x: &Tensor, _: &Tensor) -> Result<Tensor> {
        if self.tanh {
            let tanh = ((x + (x.powf(3.0)? * CUBIC)?)? * SCALE)?.tanh()?;
            let inner = x.sqr()?.affine(3.0 * CUBIC * SCALE, SCALE)?;
            let bend = (x * 0.5)? * (1.0 - tanh.sqr()?)? * inner;
            return Ok((tanh.affine(0.5, 0.5)? + bend?)?);
        }
        let gate = (x * self.root)?.erf()?.affine(0.5, 0.5)?;
        let peak = self.root * std::f64::consts::FRAC_2_SQRT_PI / 2.0;
        let density = (x.sqr()? * -self.root.powi(2))?.exp()?.affine(peak, 0.0)?;
        Ok((gate + (x * density)?)?)
    }

    fn claims(&self) -> Claims {
        KEEPING_FACTOR
    }
}

/// No less and no more than these.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// No value is below it.
    #[serde(default)]
    pub low: Option<f64>,
    /// No value is above it.
    #[serde(default)]
    pub high: Option<f64>,
}

impl Function for Clip {
    const NAME: &'static str = "clip";

    fn values(&self, x: &Tensor) -> Result<Tensor> {
        let x = match self.low {
            Some(low) => x.maximum(low)?,
            None => x.clone(),
        };
        Ok(match self.high {
            Some(high) => x.minimum(high)?,
            None => x,
        })
    }

    /// At a bound 1, as PyTorch has it.
    fn slopes(&self, x: &Tensor, _: &Tensor) -> Result<Tensor> {
        between(x, self.low, self.high)
    }

    fn claims(&self) -> Claims {
        let keeps = self.high.is_none_or(|high| high >= 0.0);
        let non_negative = keeps && self.low.is_some_and(|low| low >= 0.0);
        Claims {
            non_negative,
            keeps_non_negative: keeps,
            within_one: non_negative && self.high.is_some_and(|high| high <= 1.0),
            keeps_zero: keeps && self.low.is_none_or(|low| low <= 0.0),
        }
    }
}

/// `xᵖ`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// p.
    pub exponent: f64,
}

impl Power {
    fn of(x: &Tensor, exponent: f64) -> Result<Tensor> {
        Ok(match exponent {
            0.5 => x.sqrt()?,
            1.0 => x.clone(),
            2.0 => x.sqr()?,
            _ => x.powf(exponent)?,
        })
    }
}

impl Function for Power {
    const NAME: &'static str = "power";

    fn values(&self, x: &Tensor) -> Result<Tensor> {
        Power::of(x, self.exponent)
    }

    fn slopes(&self, x: &Tensor, _: &Tensor) -> Result<Tensor> {
        let slopes = (Power::of(x, self.exponent - 1.0)? * self.exponent)?;
        match self.exponent < 1.0 {
            true => but_at_zero(x, &slopes),
            false => Ok(slopes),
        }
    }

    fn claims(&self) -> Claims {
        Claims {
            non_negative: self.exponent.rem_euclid(2.0) == 0.0,
            keeps_zero: self.exponent >= 1.0,
            ..KEEPS
        }
    }
}

/// Numbers of another kind. What comes of whole numbers has no slope, and what becomes whole numbers takes no relevance.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cast {
    /// What becomes of them.
    pub to: Number,
}

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Number {
    /// The network's own.
    Real,
    /// Whole, 64 bits.
    Whole,
    /// 0 or 1.
    Truth,
}

impl Op for Cast {
    fn name(&self) -> &str {
        "cast"
    }

    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let x = inputs[0];
        Ok(match self.to {
            Number::Real if x.dtype().is_float() => x.clone(),
            Number::Real => x.to_dtype(DType::F32)?,
            Number::Whole => x.to_dtype(DType::I64)?,
            Number::Truth => x.ne(&x.zeros_like()?)?,
        })
    }

    fn claims(&self) -> Claims {
        KEEPING_FACTOR
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        match self.to {
            Number::Real => Branch::only(Map::Each),
            _ => Vec::new(),
        }
    }

    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let x = pass.inputs[0];
        let of_input = match x.dtype() == pass.gradient.dtype() {
            true => pass.gradient.clone(),
            false => x.zeros_like()?,
        };
        Ok(Gradients {
            inputs: vec![of_input],
            params: Vec::new(),
        })
    }
}
