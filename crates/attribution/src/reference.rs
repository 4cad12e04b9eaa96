use candle_core::Tensor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Result;

/// The input that stands for "nothing here": what relevance is measured against, and what occlusion puts in place of a patch.
#[derive(Clone, Debug)]
pub enum Reference {
    /// One value everywhere: on a decibel spectrogram 0 is full level and −80 silence.
    Value(f64),
    /// An input of its own, its shape without the batch: the data's mean, say.
    Input(Tensor),
}

impl Default for Reference {
    fn default() -> Self {
        Reference::Value(0.0)
    }
}

impl From<f64> for Reference {
    fn from(value: f64) -> Self {
        Reference::Value(value)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(f64::deserialize(deserializer)?.into())
    }
}

impl Reference {
    /// The value, if it is one everywhere.
    pub fn value(&self) -> Option<f64> {
        match self {
            Reference::Value(value) => Some(*value),
            Reference::Input(_) => None,
        }
    }

    /// The reference of every input of a batch, of the batch's shape.
    pub(crate) fn like(&self, input: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Reference::Value(value) => input.zeros_like()?.affine(0.0, *value)?,
            Reference::Input(reference) => reference
                .to_dtype(input.dtype())?
                .to_device(input.device())?
                .unsqueeze(0)?
                .broadcast_as(input.shape())?
                .contiguous()?,
        })
    }
}
