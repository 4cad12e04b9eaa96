//! Whole numbers by which shapes are computed. Relevance does not go through them.

use std::ops::RangeInclusive;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{check_size, problem, together, whole};
use crate::{Branch, Claims, Kind, Mode, Op, Params, Result};

/// The lengths of the axes of what it reads, from one to another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapeOf {
    /// The first axis; below 0 from the end.
    #[serde(default)]
    pub start: i64,
    /// The axis behind the last; none for all.
    #[serde(default)]
    pub end: Option<i64>,
}

/// One value everywhere, in the shape that it reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filled {
    /// The value.
    pub value: f64,
    /// Whether it is a whole number.
    #[serde(default)]
    pub whole: bool,
}

/// Numbers from a start to a limit, which is not among them, by a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Range;

/// The quotient of whole numbers, without a rest, rounded towards 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WholeQuotient;

/// What is left of a quotient of whole numbers, with the sign of the divisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WholeRemainder;

/// The product of whole numbers, all of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeProduct {
    /// How many axes of length 1 are left.
    #[serde(default)]
    pub rank: usize,
}

/// The place of the largest value along an axis, the first of several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgMax {
    /// The axis, counted from the end if negative.
    pub axis: i64,
    /// Whether it stays, with length 1.
    #[serde(default)]
    pub keep: bool,
}

/// The places of so many of the largest values along an axis, the largest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopPlaces {
    /// The axis, counted from the end if negative.
    pub axis: i64,
    /// How many.
    pub count: usize,
    /// Whether it is the smallest values.
    #[serde(default)]
    pub smallest: bool,
}

/// So many values a range has at most: a file of a few bytes could else ask for any memory.
const LARGEST: usize = 1 << 24;

macro_rules! ops {
    ($($op:ident $name:literal $arity:expr, $reads_shape:literal, |$this:ident, $inputs:ident| $forward:expr;)*) => {$(
        impl Op for $op {
            fn name(&self) -> &str {
                $name
            }

            fn kind(&self) -> Kind {
                Kind::Input
            }

            fn arity(&self) -> RangeInclusive<usize> {
                $arity
            }

            fn forward(&self, _: &Params, $inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
                let $this = self;
                let _ = $this;
                $forward
            }

            fn reads_shape(&self) -> bool {
                $reads_shape
            }

            fn claims(&self) -> Claims {
                Claims::default()
            }

            fn branches(&self, _: usize) -> Vec<Branch<'_>> {
                Vec::new()
            }
        }
    )*};
}

/// A number at a place of the inputs.
fn scalar(inputs: &[&Tensor], place: usize) -> Result<f64> {
    match inputs[place].elem_count() {
        1 => Ok(inputs[place]
            .flatten_all()?
            .to_dtype(DType::F64)?
            .to_vec1()?[0]),
        count => problem(format!("a range is of numbers, not of {count} values")),
    }
}

/// A whole number of every pair; none of a division by 0.
fn of_pairs(inputs: &[&Tensor], of: impl Fn(i64, i64) -> Option<i64>) -> Result<Tensor> {
    let all = together(inputs)?;
    let (a, b) = (whole(&all[0])?, whole(&all[1])?);
    let found: Option<Vec<i64>> = a.iter().zip(&b).map(|(a, b)| of(*a, *b)).collect();
    match found {
        Some(found) => Ok(Tensor::from_vec(found, all[0].shape(), all[0].device())?),
        None => problem("a division of whole numbers by 0".into()),
    }
}

ops! {
    ShapeOf "shape" 1..=1, true, |this, inputs| {
        let rank = inputs[0].rank() as i64;
        let place = |place: i64| (if place < 0 { place + rank } else { place }).clamp(0, rank) as usize;
        let (start, end) = (place(this.start), this.end.map_or(rank as usize, place));
        let dims = inputs[0].dims();
        let lengths: Vec<i64> = dims[start..end.max(start)].iter().map(|n| *n as i64).collect();
        Ok(Tensor::from_vec(lengths, end.max(start) - start, inputs[0].device())?)
    };
    Filled "filled" 1..=1, false, |this, inputs| {
        let dims: Vec<usize> = whole(inputs[0])?.into_iter().map(|n| n.max(0) as usize).collect();
        check_size(&dims)?;
        let device = inputs[0].device();
        Ok(match this.whole {
            true => Tensor::full(this.value as i64, dims, device)?,
            false => Tensor::full(this.value as f32, dims, device)?,
        })
    };
    Range "range" 3..=3, false, |this, inputs| {
        let [start, limit, step] = [scalar(inputs, 0)?, scalar(inputs, 1)?, scalar(inputs, 2)?];
        let count = ((limit - start) / step).ceil().max(0.0);
        if !count.is_finite() || count > LARGEST as f64 {
            return problem(format!("a range from {start} to {limit} by {step}"));
        }
        let values = (0..count as u64).map(|n| start + n as f64 * step);
        let values = Tensor::from_vec(values.collect::<Vec<f64>>(), count as usize, inputs[0].device())?;
        Ok(values.to_dtype(inputs[0].dtype())?)
    };
    WholeQuotient "whole-quotient" 2..=2, false, |this, inputs| of_pairs(inputs, i64::checked_div);
    WholeRemainder "whole-remainder" 2..=2, false, |this, inputs| of_pairs(inputs, |a, b| {
        let left = a.checked_rem(b)?;
        Some(if left != 0 && (left < 0) != (b < 0) { left + b } else { left })
    });
    WholeProduct "whole-product" 1..=1, false, |this, inputs| {
        if inputs[0].dtype().is_float() || inputs[0].rank() > 1 {
            return problem("a product along axes is of whole numbers in a row, as of a shape".into());
        }
        let product = whole(inputs[0])?.into_iter().try_fold(1i64, i64::checked_mul);
        match product {
            Some(product) => Ok(Tensor::full(product, vec![1; this.rank], inputs[0].device())?),
            None => problem("a product of whole numbers is too large".into()),
        }
    };
    ArgMax "argmax" 1..=1, false, |this, inputs| {
        let axis = super::places::axis(this.axis, inputs[0].rank())?;
        let places = match this.keep {
            true => inputs[0].argmax_keepdim(axis)?,
            false => inputs[0].argmax(axis)?,
        };
        Ok(places.to_dtype(DType::I64)?)
    };
    TopPlaces "top-places" 1..=1, false, |this, inputs| {
        let axis = super::places::axis(this.axis, inputs[0].rank())?;
        let last = inputs[0].rank() - 1;
        let along = inputs[0].transpose(axis, last)?.contiguous()?;
        if this.count > along.dim(last)? {
            return problem(format!("there are no {} largest of {}", this.count, along.dim(last)?));
        }
        let places = along.arg_sort_last_dim(this.smallest)?.narrow(last, 0, this.count)?;
        Ok(places.transpose(axis, last)?.contiguous()?.to_dtype(DType::I64)?)
    };
}
