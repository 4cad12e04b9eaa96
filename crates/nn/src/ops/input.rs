use std::ops::RangeInclusive;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Branch, Error, Kind, Mode, Op, Params, Result};

/// What is given to the network from outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its shape, the batch included; none where an axis may be of any length.
    pub shape: Vec<Option<usize>>,
    /// Whether it is a state, which is zeros where nothing is given. Its axes have lengths.
    #[serde(default)]
    pub state: bool,
}

/// So many values a state has at most that is not given: a file of a few bytes could else ask for any memory.
const LARGEST_STATE: usize = 1 << 26;

impl Op for Input {
    fn name(&self) -> &str {
        "input"
    }

    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn arity(&self) -> RangeInclusive<usize> {
        0..=0
    }

    /// What was given stands in place of what it reads.
    fn forward(&self, _: &Params, inputs: &[&Tensor], _: &mut Mode) -> Result<Tensor> {
        match inputs {
            [given] => self.accept("input", given),
            _ => self.absent("input", &[]),
        }
    }

    fn branches(&self, _: usize) -> Vec<Branch<'_>> {
        Vec::new()
    }

    fn as_input(&self) -> Option<&Input> {
        Some(self)
    }
}

impl Input {
    /// What was given for it, if it may be.
    pub(crate) fn accept(&self, name: &str, value: &Tensor) -> Result<Tensor> {
        let dims = value.dims();
        let fits = dims.len() == self.shape.len()
            && std::iter::zip(dims, &self.shape)
                .all(|(own, length)| length.is_none_or(|n| n == *own));
        match fits {
            true => Ok(value.clone()),
            false => Err(Error::InputShape {
                name: name.to_owned(),
                expected: self.shape.clone(),
                got: dims.to_vec(),
            }),
        }
    }

    /// What stands for it where nothing was given, of the number type and on the device of what was.
    pub(crate) fn absent(&self, name: &str, given: &[(&str, &Tensor)]) -> Result<Tensor> {
        let shape: Option<Vec<usize>> = self.shape.iter().copied().collect();
        match (self.state, shape, given) {
            (true, Some(shape), [(_, like), ..]) => {
                let values = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
                if values.is_none_or(|values| values > LARGEST_STATE) {
                    return Err(Error::Graph {
                        node: name.to_owned(),
                        problem: format!(
                            "is a state of {shape:?}, more than {LARGEST_STATE} values: give it"
                        ),
                    });
                }
                Ok(Tensor::zeros(shape, like.dtype(), like.device())?)
            }
            _ => Err(Error::Graph {
                node: name.to_owned(),
                problem: "is an input, and nothing is given for it".into(),
            }),
        }
    }
}
