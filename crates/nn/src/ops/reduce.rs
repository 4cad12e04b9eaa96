//! Sums, means, and the largest and smallest along axes.

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{constant, named};
use crate::kernels::pointwise::repeated_product;
use crate::kernels::strided::contiguous;
use crate::kernels::sums::sum_along;
use crate::{Branch, Claims, Kind, LinearOp, Map, Mode, Op, Params, Result, RoutingOp};

/// Along which axes values are drawn together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Along {
    /// The axes, counted from the end if negative.
    #[serde(default)]
    pub axes: Vec<i64>,
    /// If none is named, how many first ones are left out.
    #[serde(default)]
    pub first: usize,
    /// Whether they stay, with length 1.
    #[serde(default)]
    pub keep: bool,
}

impl Along {
    /// The axes of a tensor of so many.
    fn of(&self, rank: usize) -> Result<Vec<usize>> {
        named(&self.axes, self.first, rank)
    }

    /// How many values are drawn together.
    fn count(&self, dims: &[usize]) -> Result<usize> {
        Ok(self
            .of(dims.len())?
            .iter()
            .map(|axis| dims[*axis])
            .product())
    }

    /// Without the axes, or with them at length 1, of a tensor that has them at length 1.
    fn shaped(&self, kept: Tensor) -> Result<Tensor> {
        if self.keep {
            return Ok(kept);
        }
        let gone = self.of(kept.rank())?;
        let left = (0..kept.rank()).filter(|axis| !gone.contains(axis));
        let left: Vec<usize> = left.map(|axis| kept.dims()[axis]).collect();
        Ok(kept.reshape(left)?)
    }

    /// What was drawn together from this shape, with the axes at length 1.
    fn kept(&self, drawn: &Tensor, from: &[usize]) -> Result<Tensor> {
        let mut dims = from.to_vec();
        for axis in self.of(from.len())? {
            dims[axis] = 1;
        }
        Ok(drawn.reshape(dims)?)
    }
}

/// The sum along axes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReduceSum(pub Along);

/// The mean along axes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReduceMean(pub Along);

/// The largest along axes. On a tie the first wins, the last axis running fastest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReduceMax(pub Along);

/// The smallest along axes, likewise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReduceMin(pub Along);

impl ReduceSum {
    fn factor(&self, _: &[usize]) -> Result<f64> {
        Ok(1.0)
    }
}

impl ReduceMean {
    fn factor(&self, dims: &[usize]) -> Result<f64> {
        Ok(1.0 / self.0.count(dims)?.max(1) as f64)
    }
}

/// Their `weight` is a single factor, which stands for all of the (equal) weights where a rule maps them.
macro_rules! sums {
    ($($op:ident)*) => {$(
        impl LinearOp for $op {
            fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
                let factor = self.factor(inputs[0].dims())?;
                Ok((constant(factor, 1, inputs[0])?, None))
            }

            fn has_fixed_weights(&self) -> bool {
                false
            }

            fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
                let sum = sum_along(input, &self.0.of(input.rank())?)?;
                self.0.shaped(repeated_product(&sum, weight)?)
            }

            fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
                let kept = self.0.kept(output, input.dims())?;
                let scaled = repeated_product(&kept, weight)?;
                Ok(contiguous(&scaled.broadcast_as(input)?)?)
            }
        }
    )*};
}

sums!(ReduceSum ReduceMean);

/// Which of the values drawn together is the one: 1 there, 0 elsewhere.
fn winner(along: &Along, input: &Tensor, smallest: bool) -> Result<Tensor> {
    let rank = input.rank();
    let drawn = along.of(rank)?;
    let left: Vec<usize> = (0..rank).filter(|axis| !drawn.contains(axis)).collect();
    // The axes drawn together behind the others, as one.
    let order: Vec<usize> = left.iter().chain(&drawn).copied().collect();
    let rows: usize = left.iter().map(|axis| input.dims()[*axis]).product();
    let in_order = input.permute(order.as_slice())?.contiguous()?;
    let flat = in_order.reshape((rows, input.elem_count() / rows.max(1)))?;
    let places = match smallest {
        true => flat.argmin_keepdim(1)?,
        false => flat.argmax_keepdim(1)?,
    };
    let all = Tensor::arange(0u32, flat.dim(1)? as u32, input.device())?;
    let here = all.unsqueeze(0)?.broadcast_eq(&places)?;
    let mut back = vec![0; rank];
    order
        .iter()
        .enumerate()
        .for_each(|(place, axis)| back[*axis] = place);
    Ok(here
        .reshape(in_order.shape())?
        .permute(back)?
        .contiguous()?)
}

/// Draws what is left along one axis after the other.
fn extreme(
    along: &Along,
    input: &Tensor,
    of: impl Fn(&Tensor, usize) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    let mut kept = input.clone();
    for axis in along.of(input.rank())? {
        kept = of(&kept, axis)?;
    }
    along.shaped(kept)
}

macro_rules! reductions {
    ($($op:ident $name:literal $claims:expr, |$this:ident, $input:ident| $forward:expr, $map:expr;)*) => {$(
        impl Op for $op {
            fn name(&self) -> &str {
                $name
            }

            fn kind(&self) -> Kind {
                Kind::Pool
            }

            fn keeps_batch(&self) -> bool {
                false
            }

            fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
                let ($this, $input) = (self, inputs[0]);
                $forward
            }

            fn claims(&self) -> Claims {
                $claims
            }

            fn branches(&self, _: usize) -> Vec<Branch<'_>> {
                let $this = self;
                Branch::only($map)
            }
        }
    )*};
}

reductions! {
    ReduceSum "reduce-sum" Claims::KEEPS_NON_NEGATIVE, |this, input| this.0.shaped(sum_along(input, &this.0.of(input.rank())?)?), Map::Layer(this);
    ReduceMean "reduce-mean" Claims::KEEPS_NON_NEGATIVE, |this, input| {
        let sum = sum_along(input, &this.0.of(input.rank())?)?;
        this.0.shaped((sum * this.factor(input.dims())?)?)
    }, Map::Layer(this);
    ReduceMax "reduce-max" Claims::KEEPS_NON_NEGATIVE, |this, input| extreme(&this.0, input, Tensor::max_keepdim), Map::Winner(this);
    ReduceMin "reduce-min" Claims::KEEPS_NON_NEGATIVE, |this, input| extreme(&this.0, input, Tensor::min_keepdim), Map::Winner(this);
}

macro_rules! winners {
    ($($op:ident $smallest:literal;)*) => {$(
        impl RoutingOp for $op {
            fn route(&self, inputs: &[&Tensor], _: usize, output: &Tensor) -> Result<Tensor> {
                let input = inputs[0];
                let kept = self.0.kept(output, input.dims())?.broadcast_as(input.shape())?;
                let here = winner(&self.0, input, $smallest)?;
                Ok(here.where_cond(&kept.contiguous()?, &input.zeros_like()?)?)
            }
        }
    )*};
}

winners! {
    ReduceMax false;
    ReduceMin true;
}
