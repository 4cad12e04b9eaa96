use std::ops::RangeInclusive;

use candle_core::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::places::problem;
use crate::{Branch, Claims, Kind, LinearOp, Map, Mode, Op, Params, Result};

/// The sum of products of two values along axes that are named by letters: `bhid,bhjd->bhij`. Relevance goes to each by half, as
/// through a matrix product.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Letters", into = "Letters")]
pub struct Einsum {
    first: Factor,
    second: Factor,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letters {
    /// The letters of the axes of the first and the second, and of what is given.
    axes: [String; 3],
}

/// The map of one factor; the other one is the weight.
#[derive(Clone, Debug)]
struct Factor {
    place: usize,
    axes: [String; 3],
}

impl From<Letters> for Einsum {
    fn from(Letters { axes }: Letters) -> Self {
        let factor = |place| Factor {
            place,
            axes: axes.clone(),
        };
        Einsum {
            first: factor(0),
            second: factor(1),
        }
    }
}

impl From<Einsum> for Letters {
    fn from(einsum: Einsum) -> Self {
        Letters {
            axes: einsum.first.axes,
        }
    }
}

impl Einsum {
    /// Of an equation as NumPy writes it.
    ///
    /// # Errors
    /// If it is not of two values, has dots, a letter twice in one of them, or a letter of one alone that is not given.
    pub fn parse(equation: &str) -> Result<Self, String> {
        let text: String = equation.split_whitespace().collect();
        let wrong = || {
            format!(
                "the equation `{equation}` is not supported: two values, a letter for each axis, none of one alone that is summed"
            )
        };
        let (read, given) = text.split_once("->").ok_or_else(wrong)?;
        let (first, second) = read.split_once(',').ok_or_else(wrong)?;
        let axes = [first, second, given].map(str::to_owned);
        let is_told = |letters: &String| {
            let all = letters.chars();
            all.enumerate()
                .all(|(n, letter)| letter.is_ascii_alphabetic() && letters.find(letter) == Some(n))
        };
        let [a, b, c] = &axes;
        let is_used =
            |one: &String, other: &String| one.chars().all(|l| other.contains(l) || c.contains(l));
        let is_there = c.chars().all(|l| a.contains(l) || b.contains(l));
        match axes.iter().all(is_told) && is_used(a, b) && is_used(b, a) && is_there {
            true => Ok(Letters { axes }.into()),
            false => Err(wrong()),
        }
    }
}

/// The sum of products of two tensors whose axes have these letters, with the axes that are asked for.
fn sum(a: (&str, &Tensor), b: (&str, &Tensor), given: &str) -> Result<Tensor> {
    if a.0.len() != a.1.rank() || b.0.len() != b.1.rank() {
        return problem(format!(
            "`{},{}` does not fit {:?} and {:?}",
            a.0,
            b.0,
            a.1.dims(),
            b.1.dims()
        ));
    }
    let of = |keep: &dyn Fn(char) -> bool, letters: &str| -> Vec<char> {
        letters.chars().filter(|letter| keep(*letter)).collect()
    };
    let batch = of(&|l| b.0.contains(l) && given.contains(l), a.0);
    let left = of(&|l| !b.0.contains(l), a.0);
    let right = of(&|l| !a.0.contains(l), b.0);
    let inner = of(&|l| b.0.contains(l) && !given.contains(l), a.0);
    let ordered =
        |(letters, x): (&str, &Tensor), parts: [&[char]; 3]| -> Result<(Tensor, Vec<usize>)> {
            let order: Vec<usize> = parts
                .concat()
                .iter()
                .filter_map(|l| letters.find(*l))
                .collect();
            let dims: Vec<usize> = order.iter().map(|axis| x.dims()[*axis]).collect();
            let mut ends = dims.as_slice();
            let mut sizes = [1; 3];
            for (size, part) in sizes.iter_mut().zip(parts) {
                let (here, rest) = ends.split_at(part.len());
                *size = here.iter().product();
                ends = rest;
            }
            Ok((x.permute(order)?.contiguous()?.reshape(&sizes[..])?, dims))
        };
    let (first, dims_a) = ordered(a, [&batch, &left, &inner])?;
    let (second, dims_b) = ordered(b, [&batch, &inner, &right])?;
    let product = first.matmul(&second)?;
    let dims = [
        &dims_a[..batch.len() + left.len()],
        &dims_b[batch.len() + inner.len()..],
    ];
    let letters: Vec<char> = [batch, left, right].concat();
    let order: Vec<usize> = given
        .chars()
        .filter_map(|l| letters.iter().position(|other| *other == l))
        .collect();
    Ok(product
        .reshape(dims.concat())?
        .permute(order)?
        .contiguous()?)
}

impl Op for Einsum {
    fn name(&self) -> &str {
        "einsum"
    }

    fn kind(&self) -> Kind {
        Kind::Product
    }

    fn keeps_batch(&self) -> bool {
        false
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        let [a, b, given] = &self.first.axes;
        sum((a, inputs[0]), (b, inputs[1]), given)
    }

    fn claims(&self) -> Claims {
        Claims::KEEPS_NON_NEGATIVE
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        [&self.first, &self.second]
            .map(|factor| Branch {
                input: factor.place,
                share: 0.5,
                map: Map::Layer(factor),
            })
            .into()
    }
}

impl LinearOp for Factor {
    fn weights(&self, _: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)> {
        Ok((inputs[1 - self.place].clone(), None))
    }

    fn has_fixed_weights(&self) -> bool {
        false
    }

    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let [_, _, given] = &self.axes;
        let [own, other] = [&self.axes[self.place], &self.axes[1 - self.place]];
        sum((own, input), (other, weight), given)
    }

    fn transpose(&self, output: &Tensor, weight: &Tensor, _: &Shape) -> Result<Tensor> {
        let [_, _, given] = &self.axes;
        let [own, other] = [&self.axes[self.place], &self.axes[1 - self.place]];
        sum((given, output), (other, weight), own)
    }
}
