use std::ops::RangeInclusive;

use candle_core::{D, Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{common, gathered, problem};
use crate::kernels::matmul;
use crate::kernels::strided::contiguous;
use crate::{Branch, Claims, Kind, LinearOp, Map, Mode, Op, Params, Result};

/// The matrix product of two values, `[…, a, b]` and `[…, b, c]` to `[…, a, c]`, the axes before the last two of one length or
/// repeated: attention. Relevance goes to each by half, through the map that is linear in it with the other held (Achtibat et
/// al. 2024, "AttnLRP", Eq. 15).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MatMul;

/// The map of one factor, by its place; the other one is the weight.
struct Factor(usize);

/// The product, with the axes before the last two repeated where they must be.
fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (Some(before_a), Some(before_b)) = (a.rank().checked_sub(2), b.rank().checked_sub(2))
    else {
        return problem(format!("{:?} and {:?} are no matrices", a.dims(), b.dims()));
    };
    let before = common(&a.dims()[..before_a], &b.dims()[..before_b])?;
    let whole = |x: &Tensor| -> Result<Tensor> {
        let dims = [before.as_slice(), &x.dims()[x.rank() - 2..]].concat();
        Ok(match x.dims() == dims {
            true => contiguous(x)?,
            false => contiguous(&x.broadcast_as(dims)?)?,
        })
    };
    Ok(matmul::forward(&whole(a)?, &whole(b)?)?)
}

fn transposed(x: &Tensor) -> Result<Tensor> {
    Ok(x.transpose(D::Minus1, D::Minus2)?)
}

impl Op for MatMul {
    fn name(&self) -> &str {
        "matmul"
    }

    fn kind(&self) -> Kind {
        Kind::Product
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        product(inputs[0], inputs[1])
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        let half = |input, factor| Branch {
            input,
            share: 0.5,
            map: Map::Layer(factor),
        };
        vec![half(0, &Factor(0)), half(1, &Factor(1))]
    }
}

impl LinearOp for Factor {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        Ok((inputs[1 - self.0].clone(), None))
    }

    fn has_fixed_weights(&self) -> bool {
        false
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        match self.0 {
            0 => product(input, weight),
            _ => product(weight, input),
        }
    }

    /// What was repeated is added up.
    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        let weight = transposed(weight)?;
        let back = match self.0 {
            0 => product(output, &weight)?,
            _ => product(&weight, output)?,
        };
        gathered(&back, input)
    }
}
