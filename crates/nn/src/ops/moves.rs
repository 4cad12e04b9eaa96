//! Values in another order, several times, or on one side of a diagonal alone.

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::moving::{Moving, moving};
use super::places::{check_size, common, gathered, problem, whole};
use crate::kernels::layout::inverse;
use crate::kernels::strided::contiguous;
use crate::{Map, MovingOp, Result};

/// The axes in another order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transpose {
    /// For each axis of what is given, the axis of what is read; none for the reverse order.
    #[serde(default)]
    pub axes: Option<Vec<usize>>,
}

/// Repeated along axes of length 1, and new ones before the first, to the shape that is the second input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expand;

/// Several times behind itself along each axis, as often as the second input says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tile;

/// What stands on one side of a diagonal of the last two axes, and on it; 0 elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triangle {
    /// Whether it is the side of the later columns.
    pub upper: bool,
    /// How many columns the diagonal lies behind the first one.
    #[serde(default)]
    pub diagonal: i64,
}

impl Triangle {
    fn kept(&self, x: &Tensor) -> Result<Tensor> {
        let [.., rows, columns] = *x.dims() else {
            return problem(format!("{:?} has no last two axes", x.dims()));
        };
        let is_kept = |place: usize| {
            let past = (place % columns) as i64 - (place / columns) as i64;
            let past = past.saturating_sub(self.diagonal);
            past == 0 || (past > 0) == self.upper
        };
        let kept: Vec<u8> = (0..rows * columns)
            .map(|place| is_kept(place).into())
            .collect();
        let kept = Tensor::from_vec(kept, (rows, columns), x.device())?;
        Ok(kept
            .broadcast_as(x.shape())?
            .where_cond(x, &x.zeros_like()?)?)
    }
}

impl MovingOp for Triangle {
    fn back(&self, output: &Tensor, _: &[&Shape], _: usize) -> Result<Tensor> {
        self.kept(output)
    }

    fn adds_values(&self) -> bool {
        true
    }
}

impl Moving for Triangle {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        self.kept(inputs[0])
    }

    fn map(&self) -> Map<'_> {
        Map::Moved(self)
    }
}

impl Transpose {
    fn order(&self, rank: usize) -> Result<Vec<usize>> {
        let order = match &self.axes {
            Some(axes) => axes.clone(),
            None => (0..rank).rev().collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        match sorted.into_iter().eq(0..rank) {
            true => Ok(order),
            false => problem(format!("{order:?} is no order of {rank} axes")),
        }
    }
}

impl MovingOp for Transpose {
    fn back(&self, output: &Tensor, _: &[&Shape], _: usize) -> Result<Tensor> {
        let order = self.order(output.rank())?;
        Ok(contiguous(&output.permute(inverse(&order))?)?)
    }
}

impl Moving for Transpose {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let order = self.order(inputs[0].rank())?;
        Ok(contiguous(&inputs[0].permute(order)?)?)
    }

    fn map(&self) -> Map<'_> {
        Map::Moved(self)
    }
}

impl MovingOp for Expand {
    fn back(&self, output: &Tensor, inputs: &[&Shape], _: usize) -> Result<Tensor> {
        gathered(output, inputs[0])
    }
}

impl MovingOp for Tile {
    fn back(&self, output: &Tensor, inputs: &[&Shape], _: usize) -> Result<Tensor> {
        let mut y = output.clone();
        for (axis, length) in inputs[0].dims().iter().enumerate() {
            let times = y.dim(axis)? / length.max(&1);
            if times > 1 {
                let mut split = y.dims().to_vec();
                split.splice(axis..=axis, [times, *length]);
                y = y.reshape(split)?.sum(axis)?;
            }
        }
        Ok(y)
    }
}

impl Moving for Expand {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let to = whole(inputs[1])?.into_iter().map(|n| n.max(0) as usize);
        let to = common(inputs[0].dims(), &to.collect::<Vec<_>>())?;
        check_size(&to)?;
        Ok(contiguous(&inputs[0].broadcast_as(to)?)?)
    }

    fn map(&self) -> Map<'_> {
        Map::Moved(self)
    }
}

impl Moving for Tile {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let times = whole(inputs[1])?
            .into_iter()
            .map(|n| n.clamp(0, MOST) as usize);
        let times: Vec<usize> = times.collect();
        let dims = inputs[0].dims();
        if times.len() != dims.len() || times.contains(&0) {
            return problem(format!(
                "{times:?} is not how often each axis of {dims:?} is repeated"
            ));
        }
        let lengths = times
            .iter()
            .zip(dims)
            .map(|(times, n)| times.saturating_mul(*n));
        check_size(&lengths.collect::<Vec<_>>())?;
        Ok(inputs[0].repeat(times)?)
    }

    fn map(&self) -> Map<'_> {
        Map::Moved(self)
    }
}

/// So often an axis is repeated at most.
const MOST: i64 = 1 << 32;

moving! {
    Transpose "transpose" 1..=1;
    Expand "expand" 2..=2;
    Tile "tile" 2..=2;
    Triangle "triangle" 1..=1;
}
