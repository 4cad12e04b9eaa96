use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::moving::{Moving, moving};
use super::places::{axes, problem, whole};
use crate::{InOrder, Map, Result};

/// Values in the same order, in another shape: that of the attribute, or of a second input. −1 stands for what is left, and 0 for
/// the length that the axis of the same place has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The shape, with the batch; none if it is an input.
    #[serde(default)]
    pub shape: Option<Vec<i64>>,
    /// Whether 0 is a length of 0.
    #[serde(default)]
    pub allow_zero: bool,
}

/// Without axes of length 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Squeeze {
    /// Which, counted from the end if negative; all of length 1 if none is named.
    #[serde(default)]
    pub axes: Vec<i64>,
}

/// With axes of length 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsqueeze {
    /// Where they are in what is given, counted from the end if negative.
    pub axes: Vec<i64>,
}

/// All axes before one, and all from it on, as one each: `[a, b, c]` to `[a, b c]` for axis 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlattenAt {
    /// The first axis of the second part, counted from the end if negative.
    pub axis: i64,
}

impl Reshape {
    /// The shape of what is given.
    fn shape(&self, inputs: &[&Tensor]) -> Result<Vec<usize>> {
        let shape = match (&self.shape, inputs) {
            (Some(shape), _) => shape.clone(),
            (None, [_, shape]) => whole(shape)?,
            (None, _) => return problem("no shape is given".into()),
        };
        let from = inputs[0].dims();
        let mut rest = None;
        let mut dims = Vec::with_capacity(shape.len());
        for (axis, length) in shape.iter().enumerate() {
            dims.push(match (length, from.get(axis)) {
                (-1, _) if rest.is_none() => {
                    rest = Some(axis);
                    1
                }
                (0, Some(own)) if !self.allow_zero => *own,
                (length, _) => match usize::try_from(*length) {
                    Ok(length) if length != 0 || self.allow_zero => length,
                    _ => return problem(format!("{shape:?} is no shape for values of {from:?}")),
                },
            });
        }
        let values = inputs[0].elem_count();
        let known = dims.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        match (rest, known) {
            (Some(axis), Some(known)) if known > 0 && values.is_multiple_of(known) => {
                dims[axis] = values / known;
            }
            (None, Some(known)) if known == values => {}
            _ => {
                return problem(format!(
                    "values of {from:?} cannot take the shape {shape:?}"
                ));
            }
        }
        Ok(dims)
    }
}

impl Squeeze {
    /// The shape of what is given.
    fn shape(&self, inputs: &[&Tensor]) -> Result<Vec<usize>> {
        let dims = inputs[0].dims();
        let gone = match self.axes.as_slice() {
            [] => (0..dims.len()).filter(|axis| dims[*axis] == 1).collect(),
            given => axes(given, dims.len())?,
        };
        if let Some(axis) = gone.iter().find(|axis| dims[**axis] != 1) {
            return problem(format!("axis {axis} of {dims:?} is not of length 1"));
        }
        let left = (0..dims.len()).filter(|axis| !gone.contains(axis));
        Ok(left.map(|axis| dims[axis]).collect())
    }
}

impl Unsqueeze {
    /// The shape of what is given.
    fn shape(&self, inputs: &[&Tensor]) -> Result<Vec<usize>> {
        let mut dims = inputs[0].dims().to_vec();
        for axis in axes(&self.axes, dims.len() + self.axes.len())? {
            dims.insert(axis.min(dims.len()), 1);
        }
        Ok(dims)
    }
}

impl FlattenAt {
    /// The shape of what is given.
    fn shape(&self, inputs: &[&Tensor]) -> Result<Vec<usize>> {
        let dims = inputs[0].dims();
        let rank = dims.len() as i64;
        let axis = if self.axis < 0 {
            self.axis + rank
        } else {
            self.axis
        };
        match usize::try_from(axis) {
            Ok(axis) if axis <= dims.len() => {
                let (first, second) = dims.split_at(axis);
                Ok(vec![first.iter().product(), second.iter().product()])
            }
            _ => problem(format!("there is no axis {axis} of {dims:?}")),
        }
    }
}

macro_rules! in_another_shape {
    ($($op:ident)*) => {$(
        impl Moving for $op {
            fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
                Ok(inputs[0].reshape(self.shape(inputs)?)?)
            }

            fn map(&self) -> Map<'_> {
                Map::Moved(&InOrder)
            }
        }
    )*};
}

in_another_shape!(Reshape Squeeze Unsqueeze FlattenAt);

moving! {
    Reshape "reshape" 1..=2;
    Squeeze "squeeze" 1..=1;
    Unsqueeze "unsqueeze" 1..=1;
    FlattenAt "flatten-at" 1..=1;
}
