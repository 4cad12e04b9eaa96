//! Values around what is read.

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::moving::{Moving, moving};
use super::picks::picked;
use super::places::{check_size, constant, each_axis, problem, put_back};
use crate::{Claims, Map, MovingOp, Result};

/// What is added around an input: before and after it along each axis; below 0 it is cut.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Before the first value of each axis.
    pub before: Vec<i64>,
    /// Behind the last one.
    pub after: Vec<i64>,
    /// What is added.
    #[serde(default)]
    pub with: Padding,
    /// The axes, counted from the end if negative; all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<i64>,
}

/// What an input is padded with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// A value.
    Value(f64),
    /// A number below all others.
    Lowest,
    /// The values before the edge, mirrored in it.
    Reflect,
    /// The value at the edge.
    Edge,
    /// The values at the other end, as if the axis were a ring.
    Wrap,
}

impl Padding {
    /// The value from outside, if it is from there.
    fn value(self) -> f64 {
        match self {
            Padding::Value(value) => value,
            Padding::Lowest => f64::NEG_INFINITY,
            Padding::Reflect | Padding::Edge | Padding::Wrap => 0.0,
        }
    }

    fn is_from_outside(self) -> bool {
        matches!(self, Padding::Value(_) | Padding::Lowest)
    }

    /// What can be proved of a padded input.
    fn keeps(self) -> Claims {
        Claims {
            keeps_non_negative: self.value() >= 0.0,
            ..Claims::default()
        }
    }
}

impl Default for Padding {
    fn default() -> Self {
        Padding::Value(0.0)
    }
}

/// No size of a window is larger: sizes that are multiplied stay numbers.
const LARGEST: usize = 1 << 20;

/// So many times its length an axis grows at most: a file of a few bytes could else ask for any memory.
const GROWTH: i64 = 1 << 16;

impl Pad {
    /// For each place of an axis that is padded so the one that it is read from; none where it is a value from outside.
    fn places(&self, before: i64, after: i64, length: usize) -> Result<Vec<Option<u32>>> {
        let n = length as i64;
        let total = before.saturating_add(n).saturating_add(after);
        if before.unsigned_abs().max(after.unsigned_abs()) > 1 << 40 {
            return problem(format!(
                "an axis of {length} cannot be padded by {before} and {after}"
            ));
        }
        let reaches = match self.with {
            Padding::Reflect => before.max(after) < n,
            Padding::Edge => n > 0,
            Padding::Wrap => before.max(after) <= n,
            _ => true,
        };
        if total <= 0 || total > (n + 1) * GROWTH || !reaches {
            return problem(format!(
                "an axis of {length} cannot be padded by {before} and {after}"
            ));
        }
        let place = |place: i64| match (0..n).contains(&place) {
            true => Some(place as u32),
            false => match self.with {
                Padding::Value(_) | Padding::Lowest => None,
                Padding::Reflect if place < 0 => Some(-place as u32),
                Padding::Reflect => Some((2 * (n - 1) - place) as u32),
                Padding::Edge => Some(place.clamp(0, n - 1) as u32),
                Padding::Wrap => Some(place.rem_euclid(n) as u32),
            },
        };
        Ok((-before..n + after).map(place).collect())
    }

    /// The axes that are padded, with their places, of an input of this shape.
    fn all_places(&self, shape: &[usize]) -> Result<Vec<(usize, Vec<Option<u32>>)>> {
        let axes = match self.axes.as_slice() {
            [] => (0..shape.len()).collect(),
            named => each_axis(named, shape.len())?,
        };
        if self.before.len() != axes.len() || self.after.len() != axes.len() {
            return problem(format!(
                "padding of {} axes for {shape:?}",
                self.before.len()
            ));
        }
        let amounts = self.before.iter().zip(&self.after);
        let padded = axes.into_iter().zip(amounts);
        let padded = padded.filter(|(_, amounts)| *amounts != (&0, &0));
        let places = padded
            .map(|(axis, (before, after))| Ok((axis, self.places(*before, *after, shape[axis])?)));
        places.collect()
    }
}

impl Moving for Pad {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let mut x = inputs[0].clone();
        let padded = self.all_places(x.dims())?;
        let mut dims = x.dims().to_vec();
        padded
            .iter()
            .for_each(|(axis, places)| dims[*axis] = places.len());
        check_size(&dims)?;
        for (axis, places) in padded {
            let inside: Vec<u32> = places.iter().flatten().copied().collect();
            let outside = |count: usize| -> Result<Option<Tensor>> {
                let mut dims = x.dims().to_vec();
                dims[axis] = count;
                let value = || constant(self.with.value(), dims, &x);
                (count > 0).then(value).transpose()
            };
            let first = places
                .iter()
                .position(Option::is_some)
                .unwrap_or(places.len());
            let parts = [
                outside(first)?,
                match inside.is_empty() {
                    true => None,
                    false => Some(picked(&x, &[(axis, inside.clone())])?),
                },
                outside(places.len() - first - inside.len())?,
            ];
            let parts: Vec<Tensor> = parts.into_iter().flatten().collect();
            x = Tensor::cat(&parts, axis)?;
        }
        Ok(x)
    }

    fn map(&self) -> Map<'_> {
        Map::Moved(self)
    }

    fn keeps(&self) -> Claims {
        self.with.keeps()
    }
}

impl MovingOp for Pad {
    fn back(&self, output: &Tensor, inputs: &[&Shape], _: usize) -> Result<Tensor> {
        let shape = inputs[0].dims();
        let mut y = output.clone();
        for (axis, places) in self.all_places(shape)?.into_iter().rev() {
            let from = (0u32..).zip(&places).filter(|(_, to)| to.is_some());
            let from: Vec<u32> = from.map(|(from, _)| from).collect();
            let to: Vec<u32> = places.into_iter().flatten().collect();
            y = put_back(&picked(&y, &[(axis, from)])?, axis, &to, shape[axis])?;
        }
        Ok(y)
    }

    fn adds_values(&self) -> bool {
        self.with.is_from_outside()
    }
}

/// Padding of the axes behind the channels that depends on their lengths: as windows need it to lie on what is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowPad {
    /// The windows' lengths.
    pub kernel: Vec<usize>,
    /// Steps between them.
    pub stride: Vec<usize>,
    /// Steps between the values of one.
    pub dilation: Vec<usize>,
    /// Before the first value, whatever the length is.
    pub before: Vec<usize>,
    /// Behind the last one, likewise.
    pub after: Vec<usize>,
    /// What depends on the length.
    #[serde(default)]
    pub fit: Option<Fit>,
    /// What is added.
    #[serde(default)]
    pub with: Padding,
}

/// How many windows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// One at every step: the length over the stride, rounded up. Padding that cannot be shared out evenly is one more behind
    /// (upper) or before.
    Same {
        /// Whether it is behind.
        upper: bool,
    },
    /// A last one may reach over the end; it starts before it.
    Ceil,
}

impl WindowPad {
    /// The padding of an axis of this length, before it and behind.
    pub(super) fn amounts(&self, axis: usize, length: usize) -> Result<(usize, usize)> {
        let lists = [
            &self.kernel,
            &self.stride,
            &self.dilation,
            &self.before,
            &self.after,
        ];
        let [
            Some(kernel),
            Some(stride),
            Some(dilation),
            Some(before),
            Some(after),
        ] = lists.map(|list| list.get(axis).copied())
        else {
            return problem(format!(
                "windows over {} axes have not all sizes",
                self.kernel.len()
            ));
        };
        if kernel == 0 || stride == 0 || dilation == 0 {
            return problem("a window is empty, or does not move".into());
        }
        if [kernel, stride, dilation, before, after].into_iter().max() > Some(LARGEST) {
            return problem(format!(
                "a window, or its padding, is larger than {LARGEST}"
            ));
        }
        let extent = (kernel - 1) * dilation + 1;
        Ok(match self.fit {
            None => (before, after),
            Some(Fit::Same { upper }) => {
                let steps = length.div_ceil(stride).saturating_sub(1);
                let total = (steps * stride + extent).saturating_sub(length);
                match upper {
                    true => (total / 2, total - total / 2),
                    false => (total - total / 2, total / 2),
                }
            }
            Some(Fit::Ceil) => {
                let padded = before + length + after;
                let steps = padded.saturating_sub(extent).div_ceil(stride);
                // One that would start behind the input is none.
                let steps = steps - usize::from(steps * stride >= length + before && steps > 0);
                let over = (steps * stride + extent).saturating_sub(padded);
                (before, after + over)
            }
        })
    }

    /// The padding of an input of this shape.
    fn pad(&self, shape: &[usize]) -> Result<Pad> {
        let Some(outer) = shape.len().checked_sub(self.kernel.len()) else {
            return problem(format!(
                "windows over {} axes do not fit {shape:?}",
                self.kernel.len()
            ));
        };
        let (mut before, mut after) = (vec![0; outer], vec![0; outer]);
        for (axis, length) in shape[outer..].iter().enumerate() {
            let (first, last) = self.amounts(axis, *length)?;
            before.push(first as i64);
            after.push(last as i64);
        }
        Ok(Pad {
            before,
            after,
            with: self.with,
            axes: Vec::new(),
        })
    }
}

impl Moving for WindowPad {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        self.pad(inputs[0].dims())?.moved(inputs)
    }

    fn map(&self) -> Map<'_> {
        Map::Moved(self)
    }

    fn keeps(&self) -> Claims {
        self.with.keeps()
    }
}

impl MovingOp for WindowPad {
    fn back(&self, output: &Tensor, inputs: &[&Shape], place: usize) -> Result<Tensor> {
        self.pad(inputs[0].dims())?.back(output, inputs, place)
    }

    fn adds_values(&self) -> bool {
        self.with.is_from_outside()
    }
}

moving! {
    Pad "pad" 1..=1;
    WindowPad "window-pad" 1..=1;
}
