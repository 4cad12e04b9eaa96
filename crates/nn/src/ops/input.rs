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
                Ok(Tensor::zeros(shape, like.dtype(), like.device())?)
            }
            _ => Err(Error::Graph {
                node: name.to_owned(),
                problem: "is an input, and nothing is given for it".into(),
            }),
        }
    }
}
