//! Networks of other tasks as ones that give numbers for a whole input, which can be explained and tested.

use std::ops::Range;
use std::path::Path;

use candle_core::{Device, Tensor};
use speechlens_nn::Params;
use speechlens_nn::ops::{Along, Cut, Flatten, Linear, Normalize, ReduceMean, Slice};

use crate::{Error, Model, Probability, Result, Task};

/// Norms below this count as this.
const LEAST_NORM: f64 = 1e-12;

impl Model {
    /// Of a network that tells classes of each frame, one that tells them of all these frames, or of all there are: each class's logit
    /// is its mean over them.
    ///
    /// # Errors
    /// If its task is another, or there is no frame between the two.
    pub fn over_frames(&self, frames: Option<&Range<usize>>) -> Result<Model> {
        let Task::Frames {
            probability,
            classes,
        } = &self.task
        else {
            return Err(self.unasked("and only `frames` have frames"));
        };
        let mut graph = self.graph.clone();
        if let Some(Range { start, end }) = frames {
            if start >= end {
                return Err(self.unasked(&format!("and {start}..{end} is no frame")));
            }
            let cut = Cut {
                axis: 1,
                start: *start as i64,
                end: Some(*end as i64),
                step: 1,
            };
            let cuts = Some(vec![cut]);
            graph = graph.followed_by("frames", Slice { cuts }, Params::new())?;
        }
        let mean = ReduceMean(Along {
            axes: vec![1],
            ..Along::default()
        });
        let classes = classes.clone();
        Ok(Model {
            graph: graph.followed_by("mean", mean, Params::new())?,
            task: match probability {
                Probability::Softmax => Task::Classes {
                    probability: Probability::Softmax,
                    classes,
                },
                Probability::Sigmoid => Task::Labels { classes },
            },
            ..self.clone()
        })
    }

    /// Of an embedding network, one that gives the cosine of the angle between its output and an embedding, which is held as it is.
    ///
    /// # Errors
    /// If its task is another, or the embedding has no direction.
    pub fn similar_to(&self, embedding: &[f32], name: &str, device: &Device) -> Result<Model> {
        if self.task != Task::Embedding {
            return Err(self.unasked("and only an `embedding` is similar to others"));
        }
        let norm = embedding.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let norm = norm.sqrt();
        if !norm.is_finite() || norm < LEAST_NORM {
            return Err(self.unasked(&format!(
                "and the embedding of {name} has a length of {norm}"
            )));
        }
        let direction = embedding.iter().map(|x| (f64::from(*x) / norm) as f32);
        let direction: Vec<f32> = direction.collect();
        let size = direction.len();
        let weight =
            Tensor::from_vec(direction, (1, size), device).map_err(speechlens_nn::Error::from)?;
        let length_one = Normalize {
            axes: vec![-1],
            epsilon: LEAST_NORM,
            root_mean_square: false,
        };
        let graph = self.graph.followed_by("flat", Flatten, Params::new())?;
        let graph = graph.followed_by("direction", length_one, Params::new())?;
        let cosine = Linear::new(size, 1).without_bias();
        let graph = graph.followed_by("cosine", cosine, [("weight".to_owned(), weight)].into())?;
        Ok(Model {
            graph,
            task: Task::Score {
                names: vec![format!("similarity to {name}")],
            },
            ..self.clone()
        })
    }

    fn unasked(&self, why: &str) -> Error {
        Error::Model {
            path: Path::new("the model").to_owned(),
            problem: format!("its task is `{}`, {why}", self.task.name()),
        }
    }
}
