use std::ops::RangeInclusive;

use candle_core::{Device, Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::{problem, put_back, taken, whole};
use crate::{Branch, Claims, Kind, LinearOp, Map, Mode, Op, Params, Result};

/// Values between those that are there, along any axes, as ONNX's Resize (version 13) has them: the nearest one, or on the straight
/// line between two.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// How many times as long each axis becomes; none if lengths are said.
    #[serde(default)]
    pub scales: Option<Vec<f64>>,
    /// How long each axis becomes; none if it is an input, or scales are said.
    #[serde(default)]
    pub sizes: Option<Vec<i64>>,
    /// Where the places lie.
    pub coordinates: Coordinates,
    /// Which of the values near a place; none for the straight line.
    #[serde(default)]
    pub nearest: Option<Nearest>,
}

/// Where the k-th of n places lies between those that are there, `s` times fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coordinates {
    /// `(k + 1/2)/s − 1/2`.
    HalfPixel,
    /// The same, and 0 if there is one place.
    PytorchHalfPixel,
    /// `k/s`.
    Asymmetric,
    /// The first on the first, and the last on the last.
    AlignCorners,
}

/// Which of two values is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nearest {
    /// The nearer one; of two that are as near the first.
    RoundPreferFloor,
    /// The nearer one; of two that are as near the second.
    RoundPreferCeil,
    /// The first.
    Floor,
    /// The second.
    Ceil,
}

/// So many times an axis grows at most: a file of a few bytes could else ask for any memory.
const GROWTH: usize = 1 << 12;

/// Places between values.
#[derive(Default)]
struct Between {
    first: Vec<u32>,
    second: Vec<u32>,
    share: Vec<f64>,
}

impl Resize {
    /// For each axis its length, and how many times as long that is.
    fn lengths(&self, shape: &[usize], given: Option<&Tensor>) -> Result<Vec<(usize, f64)>> {
        let sizes = match (&self.sizes, given) {
            (Some(sizes), _) => Some(sizes.clone()),
            (None, Some(sizes)) => Some(whole(sizes)?),
            (None, None) => None,
        };
        let length = |(axis, n): (usize, &usize)| {
            let (length, scale) = match (&self.scales, &sizes) {
                (Some(scales), _) => {
                    let scale = scales.get(axis).copied().unwrap_or(f64::NAN);
                    (f64::from((*n as f32 * scale as f32).floor()), scale)
                }
                (None, Some(sizes)) => {
                    let length = sizes.get(axis).map_or(f64::NAN, |n| *n as f64);
                    (length, length / *n as f64)
                }
                (None, None) => (f64::NAN, f64::NAN),
            };
            match length >= 1.0 && length <= (n * GROWTH) as f64 {
                true => Ok((length as usize, scale)),
                false => problem(format!(
                    "axis {axis} of {shape:?} cannot become {length} long"
                )),
            }
        };
        shape.iter().enumerate().map(length).collect()
    }

    /// For each new place the values that it lies between, and the second one's share; none if nothing changes.
    fn between(&self, n: usize, (length, scale): (usize, f64)) -> Option<Between> {
        if length == n && scale == 1.0 {
            return None;
        }
        let last = (n - 1) as f64;
        let place = |k: usize| {
            let place = k as f64;
            let x = match self.coordinates {
                Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if length == 1 => 0.0,
                Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => {
                    (place + 0.5) / scale - 0.5
                }
                Coordinates::Asymmetric => place / scale,
                Coordinates::AlignCorners => place * last / (length - 1) as f64,
            };
            let x = match self.nearest {
                Some(Nearest::RoundPreferFloor) => (x - 0.5).ceil(),
                Some(Nearest::RoundPreferCeil) => (x + 0.5).floor(),
                Some(Nearest::Floor) => x.floor(),
                Some(Nearest::Ceil) => x.ceil(),
                None => x,
            };
            let x = x.clamp(0.0, last);
            (
                x.floor() as u32,
                (x.floor() + 1.0).min(last) as u32,
                x - x.floor(),
            )
        };
        let places = (0..length).map(place);
        let mut between = Between::default();
        for (first, second, share) in places {
            between.first.push(first);
            between.second.push(second);
            between.share.push(share);
        }
        Some(between)
    }

    /// Of an input of this shape, or back to it by the transposed map.
    fn resized(
        &self,
        x: &Tensor,
        shape: &[usize],
        lengths: &[(usize, f64)],
        back: bool,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for (axis, (n, length)) in shape.iter().zip(lengths).enumerate() {
            let Some(Between {
                first,
                second,
                share,
            }) = self.between(*n, *length)
            else {
                continue;
            };
            let mut column = vec![1; x.rank()];
            column[axis] = share.len();
            let share = Tensor::from_vec(share, column, &Device::Cpu)?;
            let share = share.to_dtype(x.dtype())?.to_device(x.device())?;
            let rest = share.affine(-1.0, 1.0)?;
            let is_between = self.nearest.is_none();
            x = match (back, is_between) {
                (false, false) => taken(&x, axis, &first)?,
                (true, false) => put_back(&x, axis, &first, *n)?,
                (false, true) => {
                    let first = taken(&x, axis, &first)?.broadcast_mul(&rest)?;
                    (first + taken(&x, axis, &second)?.broadcast_mul(&share)?)?
                }
                (true, true) => {
                    let of_first = put_back(&x.broadcast_mul(&rest)?, axis, &first, *n)?;
                    (of_first + put_back(&x.broadcast_mul(&share)?, axis, &second, *n)?)?
                }
            };
        }
        Ok(x)
    }
}

impl Op for Resize {
    fn name(&self) -> &str {
        "resize"
    }

    fn kind(&self) -> Kind {
        Kind::Pool
    }

    fn arity(&self) -> RangeInclusive<usize> {
        1..=2
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let shape = inputs[0].dims();
        let lengths = self.lengths(shape, inputs.get(1).copied())?;
        self.resized(inputs[0], shape, &lengths, false)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Branch::only(Map::Layer(self))
    }
}

/// Its `weight` is the list of the scales: those of a map whose lengths are an input are known then.
impl LinearOp for Resize {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        let lengths = self.lengths(inputs[0].dims(), inputs.get(1).copied())?;
        let scales: Vec<f64> = lengths
            .into_iter()
            .flat_map(|(n, scale)| [n as f64, scale])
            .collect();
        Ok((Tensor::new(scales, &Device::Cpu)?, None))
    }

    fn has_mappable_weights(&self) -> bool {
        false
    }

    fn has_fixed_weights(&self) -> bool {
        false
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.resized(input, input.dims(), &lengths(weight)?, false)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor> {
        self.resized(output, input.dims(), &lengths(weight)?, true)
    }
}

fn lengths(weight: &Tensor) -> Result<Vec<(usize, f64)>> {
    let (pairs, all) = (weight.to_vec1::<f64>()?, weight.elem_count() / 2);
    Ok((0..all)
        .map(|axis| (pairs[2 * axis] as usize, pairs[2 * axis + 1]))
        .collect())
}
