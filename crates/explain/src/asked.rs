//! What is asked of networks that give no number a class for a whole input: over which frames, or how similar to what.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{DType, Device};
use speechlens_models::{Embedding, Model, Task};

use crate::explainer::outputs;
use crate::{Error, Input, Result};

/// What a network is asked about where its outputs leave it open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Of classes of each frame: which frames; else all.
    pub frames: Option<Range<usize>>,
    /// Of an embedding: what it is compared with; else itself as it is.
    pub against: Option<Embedding>,
    /// Of an embedding that is compared: what it is less like.
    pub rather_than: Option<Embedding>,
}

impl Asked {
    /// The network that answers for any input; none if it is another for each, whose embedding is compared with itself.
    ///
    /// # Errors
    /// If what is asked does not suit the network's task.
    pub fn of_all<'a>(&self, model: &'a Model, device: &Device) -> Result<Option<Cow<'a, Model>>> {
        let suits = |is_given: bool, option: &str, task: &str| match is_given {
            true => Err(Error::Setting(format!(
                "{option}: is for networks whose task is `{task}`, and this one's is `{}`: leave it out",
                model.task.name()
            ))),
            false => Ok(()),
        };
        let is_of_frames = matches!(model.task, Task::Frames { .. });
        let is_embedding = model.task == Task::Embedding;
        suits(self.frames.is_some() && !is_of_frames, "--frames", "frames")?;
        suits(
            self.against.is_some() && !is_embedding,
            "--against",
            "embedding",
        )?;
        Ok(match (&model.task, &self.against) {
            (Task::Frames { .. }, _) => Some(Cow::Owned(model.over_frames(self.frames.as_ref())?)),
            (Task::Embedding, Some(against)) => {
                let model = model.similar_to(against, self.rather_than.as_ref(), device)?;
                Some(Cow::Owned(model))
            }
            (Task::Embedding, None) => None,
            _ => Some(Cow::Borrowed(model)),
        })
    }

    /// The network that answers for this input.
    ///
    /// # Errors
    /// As [`Asked::of_all`], or if the input's embedding cannot be computed.
    pub fn of<'a>(
        &self,
        model: &'a Model,
        input: &Input,
        device: &Device,
    ) -> Result<Cow<'a, Model>> {
        match self.of_all(model, device)? {
            Some(model) => Ok(model),
            None => {
                let own = Embedding {
                    name: "itself".into(),
                    embedding: embedding(model, input, device)?,
                };
                let model = model.similar_to(&own, self.rather_than.as_ref(), device)?;
                Ok(Cow::Owned(model))
            }
        }
    }
}

/// The embedding of an input: the mean direction of those of its windows that are not silent.
///
/// # Errors
/// If the features do not suit the network, or it is no network of embeddings.
pub fn embedding(model: &Model, input: &Input, device: &Device) -> Result<Vec<f32>> {
    let all = outputs(model, input, &[], device)?;
    let Some((_, values)) = all.first().filter(|_| model.task == Task::Embedding) else {
        return Err(Error::Setting(format!(
            "the network's task is `{}`, and only an `embedding` is similar to others",
            model.task.name()
        )));
    };
    let rows = values
        .flatten_from(1)?
        .to_dtype(DType::F32)?
        .to_vec2::<f32>()?;
    let mut mean = vec![0.0; rows.first().map_or(0, Vec::len)];
    for window in input.sounding() {
        let norm = rows[window].iter().map(|x| x * x).sum::<f32>().sqrt();
        for (mean, value) in mean.iter_mut().zip(&rows[window]) {
            *mean += value / norm.max(f32::MIN_POSITIVE);
        }
    }
    Ok(mean)
}
