//! Values at places that a table of whole numbers names, taken from there or put there.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::moving::{Moving, moving};
use super::places::{axis, check_size, problem, put_back, taken, whole};
use crate::{Branch, Claims, Kind, Map, Mode, Op, Params, Result, RoutingOp};

/// What stands at the places that rows of the second input name, by a number for each of the first axes: `[b…, n…, m…]` and `[b…, i…, k]`
/// to `[b…, i…, m…]`, of k axes n.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatherNd {
    /// How many first axes both have.
    #[serde(default)]
    pub batch: usize,
}

/// The first input with the third one's values at the places that the second names: by rows of a number for each of the first axes, or,
/// along an axis, by a number for each value. Of several for one place the last stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scatter {
    /// The axis, counted from the end if negative.
    #[serde(default)]
    pub axis: Option<i64>,
}

/// A place along an axis of this length.
fn within(place: i64, length: usize) -> Result<usize> {
    let n = length as i64;
    let from_start = if place < 0 {
        place.saturating_add(n)
    } else {
        place
    };
    match usize::try_from(from_start) {
        Ok(place) if place < length => Ok(place),
        _ => problem(format!("there is no place {place} of {length}")),
    }
}

/// Parts of a tensor that are read or written as one, in the order of memory.
struct Blocks {
    /// How many there are.
    count: usize,
    /// The places that are named.
    places: Vec<u32>,
}

impl Blocks {
    fn new(count: usize, places: Vec<u32>) -> Result<Self> {
        match u32::try_from(count) {
            Ok(_) => Ok(Blocks { count, places }),
            Err(_) => problem(format!("{count} places are too many to be named")),
        }
    }

    /// By rows of numbers; of a tensor of this shape.
    fn by_rows(shape: &[usize], table: &Tensor, batch: usize) -> Result<(Self, Vec<usize>)> {
        let dims = table.dims();
        let fits = match dims.split_last() {
            Some((width, before)) => {
                batch + width <= shape.len()
                    && batch <= before.len()
                    && shape[..batch] == before[..batch]
            }
            None => false,
        };
        if !fits {
            return problem(format!("places of {dims:?} do not fit {shape:?}"));
        }
        let width = dims[dims.len() - 1];
        let (named, rest) = shape[batch..].split_at(width);
        let given = [&dims[..dims.len() - 1], rest].concat();
        // A table of no numbers may have any number of rows.
        check_size(&given)?;
        let inner: usize = named.iter().product();
        let rows: usize = dims[batch..dims.len() - 1].iter().product();
        let batches: usize = shape[..batch].iter().product();
        let numbers = whole(table)?;
        let mut places = Vec::with_capacity(rows * batches);
        for row in 0..rows * batches {
            let mut place = row / rows.max(1);
            for (number, length) in numbers[row * width..].iter().zip(named) {
                place = place * length + within(*number, *length)?;
            }
            places.push(place as u32);
        }
        Ok((Blocks::new(batches * inner, places)?, given))
    }

    /// By a number for each value, along an axis.
    fn by_values(shape: &[usize], table: &Tensor, along: i64) -> Result<Self> {
        let (dims, along) = (table.dims(), axis(along, shape.len())?);
        let reaches = |(place, n): (usize, &usize)| place == along || *n <= shape[place];
        if dims.len() != shape.len() || !dims.iter().enumerate().all(reaches) {
            return problem(format!("places of {dims:?} do not fit {shape:?}"));
        }
        let numbers = whole(table)?;
        let mut places = Vec::with_capacity(numbers.len());
        for (flat, number) in numbers.iter().enumerate() {
            let (mut rest, mut stride, mut place) = (flat, 1, 0);
            for other in (0..dims.len()).rev() {
                let own = match other == along {
                    true => within(*number, shape[other])?,
                    false => rest % dims[other],
                };
                place += own * stride;
                stride *= shape[other];
                rest /= dims[other];
            }
            places.push(place as u32);
        }
        Blocks::new(shape.iter().product(), places)
    }

    /// As rows of a block each.
    fn rows(&self, x: &Tensor, count: usize) -> Result<Tensor> {
        Ok(x.contiguous()?
            .reshape((count, x.elem_count() / count.max(1)))?)
    }
}

impl RoutingOp for GatherNd {
    fn route(&self, inputs: &[&Tensor], _: usize, output: &Tensor) -> Result<Tensor> {
        let (blocks, _) = Blocks::by_rows(inputs[0].dims(), inputs[1], self.batch)?;
        let rows = blocks.rows(output, blocks.places.len())?;
        let back = put_back(&rows, 0, &blocks.places, blocks.count)?;
        Ok(back.reshape(inputs[0].shape())?)
    }
}

impl Moving for GatherNd {
    fn moved(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let (blocks, given) = Blocks::by_rows(inputs[0].dims(), inputs[1], self.batch)?;
        let rows = blocks.rows(inputs[0], blocks.count)?;
        Ok(taken(&rows, 0, &blocks.places)?.reshape(given)?)
    }

    fn map(&self) -> Map<'_> {
        Map::Winner(self)
    }
}

/// Where something is put: which block gets which row of what is put, and which blocks get something.
struct Written {
    blocks: Blocks,
    rows: Vec<u32>,
    /// `[blocks, 1]`
    is_written: Tensor,
}

impl Scatter {
    fn written(&self, inputs: &[&Tensor]) -> Result<Written> {
        let shape = inputs[0].dims();
        let (blocks, given) = match self.axis {
            None => Blocks::by_rows(shape, inputs[1], 0)?,
            Some(axis) => (
                Blocks::by_values(shape, inputs[1], axis)?,
                inputs[1].dims().to_vec(),
            ),
        };
        if inputs[2].dims() != given {
            return problem(format!(
                "values of {:?} for places of {given:?}",
                inputs[2].dims()
            ));
        }
        let last: BTreeMap<u32, u32> = blocks.places.iter().copied().zip(0..).collect();
        let mut is_written = vec![0u8; blocks.count];
        last.keys()
            .for_each(|place| is_written[*place as usize] = 1);
        Ok(Written {
            is_written: Tensor::from_vec(is_written, (blocks.count, 1), inputs[0].device())?,
            blocks: Blocks::new(blocks.count, last.keys().copied().collect())?,
            rows: last.into_values().collect(),
        })
    }
}

impl Op for Scatter {
    fn name(&self) -> &str {
        "scatter"
    }

    fn kind(&self) -> Kind {
        Kind::Choice
    }

    fn arity(&self) -> RangeInclusive<usize> {
        3..=3
    }

    fn keeps_batch(&self) -> bool {
        false
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let Written {
            blocks,
            rows,
            is_written,
        } = self.written(inputs)?;
        let kept = blocks.rows(inputs[0], blocks.count)?;
        let width = kept.dim(1)?;
        let values = inputs[2].contiguous()?;
        let values = values.reshape((values.elem_count() / width.max(1), width))?;
        let put = put_back(&taken(&values, 0, &rows)?, 0, &blocks.places, blocks.count)?;
        let chosen = is_written
            .broadcast_as(kept.shape())?
            .where_cond(&put, &kept)?;
        Ok(chosen.reshape(inputs[0].shape())?)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        let to = |input| Branch {
            input,
            share: 1.0,
            map: Map::Winner(self),
        };
        vec![to(0), to(2)]
    }
}

impl RoutingOp for Scatter {
    fn route(&self, inputs: &[&Tensor], place: usize, output: &Tensor) -> Result<Tensor> {
        let Written {
            blocks,
            rows,
            is_written,
        } = self.written(inputs)?;
        let all = blocks.rows(output, blocks.count)?;
        let back = match place {
            0 => {
                let is_written = is_written.broadcast_as(all.shape())?;
                is_written.where_cond(&all.zeros_like()?, &all)?
            }
            _ => {
                let count = inputs[2].elem_count() / all.dim(1)?.max(1);
                put_back(&taken(&all, 0, &blocks.places)?, 0, &rows, count)?
            }
        };
        Ok(back.reshape(inputs[place].shape())?)
    }
}

moving! {
    GatherNd "gather-nd" 2..=2;
}
