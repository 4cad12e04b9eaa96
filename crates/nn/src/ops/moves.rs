//! Values at other places, along any axes: transposed, cut out, padded, picked, repeated.

use std::ops::RangeInclusive;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{
    axis, check_size, common, constant, gathered, problem, put_back, taken, whole,
};
use crate::{Branch, Claims, Kind, Map, Mode, MovingOp, Op, Params, Result, RoutingOp};

/// The axes in another order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transpose {
    /// For each axis of what is given, the axis of what is read; none for the reverse order.
    #[serde(default)]
    pub axes: Option<Vec<usize>>,
}

/// A part along some axes. Starts and ends below 0 count from the end, and what reaches over an end is cut there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// What is cut; none if starts, ends, axes and steps are inputs.
    #[serde(default)]
    pub cuts: Option<Vec<Cut>>,
}

/// A part of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The axis.
    pub axis: i64,
    /// The first place.
    pub start: i64,
    /// The place behind the last; none for all.
    #[serde(default)]
    pub end: Option<i64>,
    /// From place to place; backwards if negative.
    #[serde(default = "one")]
    pub step: i64,
}

fn one() -> i64 {
    1
}

/// What stands at places given by a second input, whole numbers, along an axis: `[a, n, b]` and `[i, j]` to `[a, i, j, b]`. Places
/// below 0 count from the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gather {
    /// The axis.
    pub axis: i64,
}

/// Repeated along axes of length 1, and new ones before the first, to the shape that is the second input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expand;

/// Several times behind itself along each axis, as often as the second input says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tile;

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
        let mut back = vec![0; order.len()];
        for (place, axis) in order.iter().enumerate() {
            back[*axis] = place;
        }
        Ok(output.permute(back)?.contiguous()?)
    }
}

/// One of several parts of an axis, equally long but for the last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// The axis, counted from the end if negative.
    pub axis: i64,
    /// Which part, counted from 0.
    pub part: usize,
    /// How many there are.
    pub parts: usize,
}

impl Chunk {
    fn picks(&self, shape: &[usize]) -> Result<Vec<Places>> {
        let axis = axis(self.axis, shape.len())?;
        let size = shape[axis].div_ceil(self.parts.max(1));
        let start = size.saturating_mul(self.part).min(shape[axis]);
        let end = start.saturating_add(size).min(shape[axis]);
        let places: Vec<u32> = (start..end).map(|place| place as u32).collect();
        match places.is_empty() {
            true => problem(format!(
                "an axis of {} has no part {} of {}",
                shape[axis], self.part, self.parts
            )),
            false => Ok(vec![(axis, places)]),
        }
    }
}

impl MovingOp for Chunk {
    fn back(&self, output: &Tensor, inputs: &[&Shape], _: usize) -> Result<Tensor> {
        let shape = inputs[0].dims();
        unpicked(output, &self.picks(shape)?, shape)
    }
}

/// What stands at places along an axis that differ from value to value, whole numbers of the output's shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatherElements {
    /// The axis, counted from the end if negative.
    pub axis: i64,
}

impl GatherElements {
    /// The axis, the places, and how much of the other axes they reach, of an input of this shape.
    fn places(&self, inputs: &[&Tensor]) -> Result<(usize, Tensor, Vec<usize>)> {
        let axis = axis(self.axis, inputs[0].rank())?;
        let n = inputs[0].dims()[axis] as i64;
        let place = |place: i64| match u32::try_from(if place < 0 {
            place.saturating_add(n)
        } else {
            place
        }) {
            Ok(place) if i64::from(place) < n => Ok(place),
            _ => problem(format!("there is no place {place} of {n}")),
        };
        let places: Vec<u32> = whole(inputs[1])?
            .into_iter()
            .map(place)
            .collect::<Result<_>>()?;
        let mut reach = inputs[1].dims().to_vec();
        let fits = reach.len() == inputs[0].rank()
            && (0..reach.len())
                .all(|other| other == axis || reach[other] <= inputs[0].dims()[other]);
        if !fits {
            return problem(format!(
                "places of {reach:?} do not fit {:?}",
                inputs[0].dims()
            ));
        }
        reach[axis] = inputs[0].dims()[axis];
        let places = Tensor::from_vec(places, inputs[1].shape(), inputs[0].device())?;
        Ok((axis, places, reach))
    }

    /// The part of each axis that is reached.
    fn reached(x: &Tensor, reach: &[usize]) -> Result<Tensor> {
        let mut x = x.clone();
        for (axis, length) in reach.iter().enumerate() {
            x = x.narrow(axis, 0, *length)?;
        }
        Ok(x.contiguous()?)
    }
}

impl RoutingOp for GatherElements {
    fn route(&self, inputs: &[&Tensor], _: usize, output: &Tensor) -> Result<Tensor> {
        let (axis, places, reach) = self.places(inputs)?;
        let zeros = Tensor::zeros(reach.as_slice(), output.dtype(), output.device())?;
        let mut back = zeros.scatter_add(&places, &output.contiguous()?, axis)?;
        for (axis, length) in inputs[0].dims().iter().enumerate() {
            back = back.pad_with_zeros(axis, 0, length - reach[axis])?;
        }
        Ok(back)
    }
}

/// What a move reads at each place of an axis.
type Places = (usize, Vec<u32>);

/// Values from places, along one axis after the other.
fn picked(x: &Tensor, picks: &[Places]) -> Result<Tensor> {
    let mut x = x.clone();
    for (axis, places) in picks {
        x = match places.as_slice() {
            // One after the other: a view, and no picking.
            [first, .., last]
                if (*last as usize) == *first as usize + places.len() - 1
                    && places.is_sorted_by(|a, b| a + 1 == *b) =>
            {
                x.narrow(*axis, *first as usize, places.len())?
            }
            places => taken(&x, *axis, places)?,
        };
    }
    Ok(x.contiguous()?)
}

/// The transposed map of [`picked`].
fn unpicked(y: &Tensor, picks: &[Places], shape: &[usize]) -> Result<Tensor> {
    let mut y = y.clone();
    for (axis, places) in picks.iter().rev() {
        y = put_back(&y, *axis, places, shape[*axis])?;
    }
    Ok(y)
}

impl Cut {
    /// The places of an axis of this length, as ONNX's Slice has them.
    fn places(&self, length: usize) -> Result<Vec<u32>> {
        let n = length as i64;
        let from_end = |place: i64| {
            if place < 0 {
                place.saturating_add(n)
            } else {
                place
            }
        };
        let places: Vec<u32> = match self.step {
            0 => return problem("a step is 0".into()),
            step if step > 0 => {
                let start = from_end(self.start).clamp(0, n);
                let end = self.end.map_or(n, |end| from_end(end).clamp(0, n));
                (start..end)
                    .step_by(step as usize)
                    .map(|p| p as u32)
                    .collect()
            }
            step => {
                let start = from_end(self.start).clamp(-1, n - 1);
                let end = self.end.map_or(-1, |end| from_end(end).clamp(-1, n - 1));
                let back = step.unsigned_abs() as usize;
                (end + 1..=start)
                    .rev()
                    .step_by(back)
                    .map(|p| p as u32)
                    .collect()
            }
        };
        match places.is_empty() {
            true => problem(format!(
                "nothing is left of an axis of {length} by {self:?}"
            )),
            false => Ok(places),
        }
    }
}

impl Slice {
    /// The places along each axis that is cut, of an input of this shape.
    fn picks(&self, shape: &[usize], inputs: &[&Tensor]) -> Result<Vec<Places>> {
        let cuts = match &self.cuts {
            Some(cuts) => cuts.clone(),
            None => {
                let list = |place: usize| inputs.get(place).map(|x| whole(x)).transpose();
                let (Some(starts), Some(ends)) = (list(1)?, list(2)?) else {
                    return problem("no starts and ends are given".into());
                };
                Cut::all(&starts, &ends, list(3)?.as_deref(), list(4)?.as_deref())?
            }
        };
        let pick = |cut: &Cut| {
            let axis = axis(cut.axis, shape.len())?;
            Ok((axis, cut.places(shape[axis])?))
        };
        cuts.iter().map(pick).collect()
    }
}

impl Cut {
    /// Of lists of starts, ends, axes (else the first ones) and steps (else 1).
    ///
    /// # Errors
    /// If they are not equally long.
    pub fn all(
        starts: &[i64],
        ends: &[i64],
        axes: Option<&[i64]>,
        steps: Option<&[i64]>,
    ) -> Result<Vec<Cut>> {
        let count = starts.len();
        let lengths = [
            Some(ends.len()),
            axes.map(<[i64]>::len),
            steps.map(<[i64]>::len),
        ];
        if lengths.iter().flatten().any(|length| *length != count) {
            return problem("starts, ends, axes and steps are not equally many".into());
        }
        let cut = |place: usize| {
            let step = steps.map_or(1, |steps| steps[place]);
            // What reaches over the end, from either side, is all.
            let is_open = match step > 0 {
                true => ends[place] >= i64::from(i32::MAX),
                false => ends[place] <= i64::from(i32::MIN),
            };
            Cut {
                axis: axes.map_or(place as i64, |axes| axes[place]),
                start: starts[place].clamp(i64::from(i32::MIN), i64::from(i32::MAX)),
                end: (!is_open).then_some(ends[place]),
                step,
            }
        };
        Ok((0..count).map(cut).collect())
    }
}

impl Gather {
    fn picks(&self, shape: &[usize], places: &Tensor) -> Result<Places> {
        let axis = axis(self.axis, shape.len())?;
        let n = shape[axis] as i64;
        let place = |place: i64| match u32::try_from(if place < 0 { place + n } else { place }) {
            Ok(place) if i64::from(place) < n => Ok(place),
            _ => problem(format!("there is no place {place} of {n}")),
        };
        let places = whole(places)?.into_iter().map(place);
        Ok((axis, places.collect::<Result<_>>()?))
    }

    /// The shape of what is given.
    fn shape(axis: usize, shape: &[usize], places: &[usize]) -> Vec<usize> {
        [&shape[..axis], places, &shape[axis + 1..]].concat()
    }
}

impl RoutingOp for Gather {
    fn route(&self, inputs: &[&Tensor], _: usize, output: &Tensor) -> Result<Tensor> {
        let shape = inputs[0].dims();
        let (axis, places) = self.picks(shape, inputs[1])?;
        let in_a_row = Gather::shape(axis, shape, &[places.len()]);
        put_back(&output.reshape(in_a_row)?, axis, &places, shape[axis])
    }
}

impl RoutingOp for Slice {
    fn route(&self, inputs: &[&Tensor], _: usize, output: &Tensor) -> Result<Tensor> {
        let shape = inputs[0].dims();
        unpicked(output, &self.picks(shape, inputs)?, shape)
    }
}

impl MovingOp for Slice {
    fn back(&self, output: &Tensor, inputs: &[&Shape], _: usize) -> Result<Tensor> {
        let shape = inputs[0].dims();
        unpicked(output, &self.picks(shape, &[])?, shape)
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
}

impl Padding {
    /// The value from outside, if it is from there.
    fn value(self) -> f64 {
        match self {
            Padding::Value(value) => value,
            Padding::Lowest => f64::NEG_INFINITY,
            Padding::Reflect | Padding::Edge => 0.0,
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
    /// For each place of the padded axis the one that it is read from; none where it is a value from outside.
    fn places(&self, axis: usize, length: usize) -> Result<Vec<Option<u32>>> {
        let n = length as i64;
        let (before, after) = (self.before[axis], self.after[axis]);
        let total = before.saturating_add(n).saturating_add(after);
        if before.unsigned_abs().max(after.unsigned_abs()) > 1 << 40 {
            return problem(format!(
                "an axis of {length} cannot be padded by {before} and {after}"
            ));
        }
        let reaches = match self.with {
            Padding::Reflect => before.max(after) < n,
            Padding::Edge => n > 0,
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
            },
        };
        Ok((-before..n + after).map(place).collect())
    }

    /// The axes that are padded, with their places, of an input of this shape.
    fn all_places(&self, shape: &[usize]) -> Result<Vec<(usize, Vec<Option<u32>>)>> {
        if self.before.len() != shape.len() || self.after.len() != shape.len() {
            return problem(format!(
                "padding of {} axes for {shape:?}",
                self.before.len()
            ));
        }
        let padded = |axis: &usize| (self.before[*axis], self.after[*axis]) != (0, 0);
        let axes = (0..shape.len()).filter(padded);
        axes.map(|axis| Ok((axis, self.places(axis, shape[axis])?)))
            .collect()
    }
}

impl Op for Pad {
    fn name(&self) -> &str {
        "pad"
    }

    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let mut x = inputs[0].clone();
        for (axis, places) in self.all_places(x.dims())? {
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

    fn claims(&self) -> Claims {
        Claims {
            keeps_non_negative: self.with.value() >= 0.0,
            ..Claims::default()
        }
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Moved(self))
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
        matches!(self.with, Padding::Value(_) | Padding::Lowest)
    }
}

macro_rules! moves {
    ($($op:ident $name:literal $arity:expr, |$this:ident, $inputs:ident| $forward:expr, $map:expr;)*) => {$(
        impl Op for $op {
            fn name(&self) -> &str {
                $name
            }

            fn kind(&self) -> Kind {
                Kind::Reshape
            }

            fn keeps_batch(&self) -> bool {
                false
            }

            fn arity(&self) -> RangeInclusive<usize> {
                $arity
            }

            fn forward(&self, _: &Params, $inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
                let $this = self;
                let _ = $this;
                $forward
            }

            fn claims(&self) -> Claims {
                Claims::KEEPS_NON_NEGATIVE
            }

            fn branches(&self, _: usize) -> Vec<Branch<'_>> {
                let $this = self;
                Branch::only($map)
            }
        }
    )*};
}

moves! {
    Transpose "transpose" 1..=1, |this, inputs| {
        let order = this.order(inputs[0].rank())?;
        Ok(inputs[0].permute(order)?.contiguous()?)
    }, Map::Moved(this);
    Slice "slice" 1..=5, |this, inputs| {
        picked(inputs[0], &this.picks(inputs[0].dims(), inputs)?)
    }, match this.cuts {
        Some(_) => Map::Moved(this),
        None => Map::Winner(this),
    };
    Gather "gather" 2..=2, |this, inputs| {
        let shape = inputs[0].dims();
        let (axis, places) = this.picks(shape, inputs[1])?;
        let given = Gather::shape(axis, shape, inputs[1].dims());
        Ok(taken(inputs[0], axis, &places)?.reshape(given)?)
    }, Map::Winner(this);
    Chunk "chunk" 1..=1, |this, inputs| {
        picked(inputs[0], &this.picks(inputs[0].dims())?)
    }, Map::Moved(this);
    GatherElements "gather-elements" 2..=2, |this, inputs| {
        let (axis, places, reach) = this.places(inputs)?;
        Ok(GatherElements::reached(inputs[0], &reach)?.gather(&places, axis)?)
    }, Map::Winner(this);
    Expand "expand" 2..=2, |this, inputs| {
        let to: Vec<usize> = whole(inputs[1])?.into_iter().map(|n| n.max(0) as usize).collect();
        let to = common(inputs[0].dims(), &to)?;
        check_size(&to)?;
        Ok(inputs[0].broadcast_as(to)?.contiguous()?)
    }, Map::Moved(this);
    Tile "tile" 2..=2, |this, inputs| {
        let times: Vec<usize> = whole(inputs[1])?.into_iter().map(|n| n.clamp(0, 1 << 20) as usize).collect();
        match times.len() == inputs[0].rank() && !times.contains(&0) {
            true => {
                let long = times.iter().zip(inputs[0].dims()).map(|(times, n)| times * n);
                check_size(&long.collect::<Vec<_>>())?;
                Ok(inputs[0].repeat(times)?)
            }
            false => problem(format!("{times:?} is not how often each axis of {:?} is repeated", inputs[0].dims())),
        }
    }, Map::Moved(this);
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
        })
    }
}

impl Op for WindowPad {
    fn name(&self) -> &str {
        "window-pad"
    }

    fn kind(&self) -> Kind {
        Kind::Reshape
    }

    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor> {
        self.pad(inputs[0].dims())?.forward(params, inputs, mode)
    }

    fn claims(&self) -> Claims {
        Claims {
            keeps_non_negative: self.with.value() >= 0.0,
            ..Claims::default()
        }
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Moved(self))
    }
}

impl MovingOp for WindowPad {
    fn back(&self, output: &Tensor, inputs: &[&Shape], place: usize) -> Result<Tensor> {
        self.pad(inputs[0].dims())?.back(output, inputs, place)
    }

    fn adds_values(&self) -> bool {
        true
    }
}
