//! Values picked from places along axes: cut out, or gathered.

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::moving::{Moving, moving};
use super::places::{axis, problem, put_back, taken, whole};
use crate::kernels::strided::contiguous;
use crate::{Map, MovingOp, Result, RoutingOp};

/// What a move reads at each place of an axis.
type Places = (usize, Vec<u32>);

/// Values from places, along one axis after the other.
pub(super) fn picked(x: &Tensor, picks: &[Places]) -> Result<Tensor> {
    let mut x = x.clone();
    for (axis, places) in picks {
        x = match places.as_slice() {
            [] => x.narrow(*axis, 0, 0)?,
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
    Ok(contiguous(&x)?)
}

/// The transposed map of [`picked`].
fn unpicked(y: &Tensor, picks: &[Places], shape: &[usize]) -> Result<Tensor> {
    let mut y = y.clone();
    for (axis, places) in picks.iter().rev() {
        y = put_back(&y, *axis, places, shape[*axis])?;
    }
    Ok(y)
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
        Ok(match self.step {
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
        })
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

impl Moving for Slice {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let picks = self.picks(inputs[0].dims(), inputs)?;
        let nothing = picks.iter().find(|(_, places)| places.is_empty());
        // Of a shape nothing may be left; layers have nothing to make of nothing.
        match nothing.filter(|_| inputs[0].dtype().is_float()) {
            Some((axis, _)) => problem(format!(
                "nothing is left of axis {axis} of {:?}",
                inputs[0].dims()
            )),
            None => picked(inputs[0], &picks),
        }
    }

    fn map(&self) -> Map<'_> {
        match self.cuts {
            Some(_) => Map::Moved(self),
            None => Map::Winner(self),
        }
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

impl Moving for Chunk {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        picked(inputs[0], &self.picks(inputs[0].dims())?)
    }

    fn map(&self) -> Map<'_> {
        Map::Moved(self)
    }
}

/// What stands at places given by a second input, whole numbers, along an axis: `[a, n, b]` and `[i, j]` to `[a, i, j, b]`. Places
/// below 0 count from the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gather {
    /// The axis.
    pub axis: i64,
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

impl Moving for Gather {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let shape = inputs[0].dims();
        let (axis, places) = self.picks(shape, inputs[1])?;
        let given = Gather::shape(axis, shape, inputs[1].dims());
        Ok(taken(inputs[0], axis, &places)?.reshape(given)?)
    }

    fn map(&self) -> Map<'_> {
        Map::Winner(self)
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

impl Moving for GatherElements {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let (axis, places, reach) = self.places(inputs)?;
        Ok(GatherElements::reached(inputs[0], &reach)?.gather(&places, axis)?)
    }

    fn map(&self) -> Map<'_> {
        Map::Winner(self)
    }
}

moving! {
    Slice "slice" 1..=5;
    Chunk "chunk" 1..=1;
    Gather "gather" 2..=2;
    GatherElements "gather-elements" 2..=2;
}
