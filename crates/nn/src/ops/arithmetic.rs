//! Two values and more, place by place, of one shape or with axes that are repeated: differences, the larger, the smaller, one or
//! the other, and what holds of them.

use std::ops::RangeInclusive;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{gathered, problem, together};
use crate::kernels::pointwise::repeated_difference;
use crate::{Branch, Claims, Kind, Map, Mode, Op, Params, Result, RoutingOp};

/// The first less the second: a sum, to which relevance goes in proportion.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sub;

/// The largest. On a tie the first wins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Max;

/// The smallest. On a tie the first wins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Min;

/// The second where the first is not 0, and the third elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Where;

impl Op for Sub {
    fn name(&self) -> &str {
        "sub"
    }

    fn kind(&self) -> Kind {
        Kind::Sum
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        Ok(repeated_difference(inputs[0], inputs[1])?)
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        let term = |input, factor| Branch {
            input,
            share: 1.0,
            map: Map::Term(factor),
        };
        vec![term(0, 1.0), term(1, -1.0)]
    }
}

/// Ops that give at every place what one of the inputs has there.
trait OneOf: Op {
    /// Which of the inputs it is, for inputs of one shape: for each of those with a branch, 1 where it is that one.
    fn chosen(&self, inputs: &[Tensor]) -> Result<Vec<(usize, Tensor)>>;
}

/// For the first of the largest (smallest), of those that are compared by `beats`.
fn first_winner(
    inputs: &[Tensor],
    beats: fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> Result<Vec<(usize, Tensor)>> {
    let mut best = inputs[0].clone();
    let mut winner = best.zeros_like()?.to_dtype(DType::U32)?;
    for (place, next) in inputs.iter().enumerate().skip(1) {
        let better = beats(next, &best)?;
        best = better.where_cond(next, &best)?;
        let here = (winner.zeros_like()? + place as f64)?;
        winner = better.where_cond(&here, &winner)?;
    }
    (0..inputs.len())
        .map(|place| Ok((place, winner.eq(place as f64)?)))
        .collect()
}

impl OneOf for Max {
    fn chosen(&self, inputs: &[Tensor]) -> Result<Vec<(usize, Tensor)>> {
        first_winner(inputs, |next, best| next.gt(best))
    }
}

impl OneOf for Min {
    fn chosen(&self, inputs: &[Tensor]) -> Result<Vec<(usize, Tensor)>> {
        first_winner(inputs, |next, best| next.lt(best))
    }
}

impl OneOf for Where {
    fn chosen(&self, inputs: &[Tensor]) -> Result<Vec<(usize, Tensor)>> {
        let (yes, no) = (inputs[0].ne(0.0)?, inputs[0].eq(0.0)?);
        Ok(vec![(1, yes), (2, no)])
    }
}

/// Each of them moves what arrives to where it was taken from.
macro_rules! one_of {
    ($($op:ident $name:literal $arity:expr, $branches:expr, |$inputs:ident| $forward:expr;)*) => {$(
        impl Op for $op {
            fn name(&self) -> &str {
                $name
            }

            fn kind(&self) -> Kind {
                Kind::Choice
            }

            fn arity(&self) -> RangeInclusive<usize> {
                $arity
            }

            fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
                let $inputs = together(inputs)?;
                $forward
            }

            fn claims(&self) -> Claims {
                Claims::KEEPS_NON_NEGATIVE
            }

            fn branches(&self, inputs: usize) -> Vec<Branch<'_>> {
                let branches: Vec<usize> = ($branches)(inputs);
                let branch = |input| Branch {
                    input,
                    share: 1.0,
                    map: Map::Winner(self),
                };
                branches.into_iter().map(branch).collect()
            }
        }

        impl RoutingOp for $op {
            fn route(&self, inputs: &[&Tensor], place: usize, output: &Tensor) -> Result<Tensor> {
                let all = self.chosen(&together(inputs)?)?;
                let Some((_, here)) = all.into_iter().find(|(input, _)| *input == place) else {
                    return Ok(inputs[place].zeros_like()?);
                };
                let taken = here.where_cond(output, &output.zeros_like()?)?;
                gathered(&taken, inputs[place].shape())
            }
        }
    )*};
}

one_of! {
    Max "max" 1..=usize::MAX, |inputs| (0..inputs).collect(), |inputs| {
        let mut best = inputs[0].clone();
        for next in &inputs[1..] {
            best = best.maximum(next)?;
        }
        Ok(best)
    };
    Min "min" 1..=usize::MAX, |inputs| (0..inputs).collect(), |inputs| {
        let mut best = inputs[0].clone();
        for next in &inputs[1..] {
            best = best.minimum(next)?;
        }
        Ok(best)
    };
    Where "where" 3..=3, |_| vec![1, 2], |inputs| {
        match inputs.as_slice() {
            [condition, yes, no] => Ok(condition.ne(0.0)?.where_cond(yes, no)?),
            _ => problem("takes a condition and two values".into()),
        }
    };
}

/// What holds of two values, or of one: 1 or 0. Relevance does not go through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// What.
    pub what: Relation,
}

/// What may hold of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// They are the same.
    Equal,
    /// The first is larger.
    Greater,
    /// The first is not smaller.
    GreaterOrEqual,
    /// The first is smaller.
    Less,
    /// The first is not larger.
    LessOrEqual,
    /// Neither is 0.
    And,
    /// One is not 0, or both.
    Or,
    /// One is not 0, and the other is.
    Xor,
    /// It is 0.
    Not,
}

impl Op for Holds {
    fn name(&self) -> &str {
        "holds"
    }

    fn kind(&self) -> Kind {
        Kind::Choice
    }

    fn arity(&self) -> RangeInclusive<usize> {
        match self.what {
            Relation::Not => 1..=1,
            _ => 2..=2,
        }
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let inputs = together(inputs)?;
        let (a, b) = (&inputs[0], inputs.last().unwrap_or(&inputs[0]));
        let true_of = |x: &Tensor| x.ne(0.0);
        Ok(match self.what {
            Relation::Equal => a.eq(b)?,
            Relation::Greater => a.gt(b)?,
            Relation::GreaterOrEqual => a.ge(b)?,
            Relation::Less => a.lt(b)?,
            Relation::LessOrEqual => a.le(b)?,
            Relation::And => (true_of(a)? * true_of(b)?)?,
            Relation::Or => (true_of(a)? + true_of(b)?)?.ne(0u8)?,
            Relation::Xor => true_of(a)?.ne(&true_of(b)?)?,
            Relation::Not => a.eq(0.0)?,
        })
    }

    fn claims(&self) -> Claims {
        Claims::NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Vec::new()
    }
}
