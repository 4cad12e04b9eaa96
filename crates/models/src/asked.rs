//! Networks of other tasks as ones that give numbers for a whole input, which can be explained and tested.

use std::ops::Range;
use std::path::Path;

use candle_core::{Device, Tensor};
use speechlens_nn::ops::{Along, Cut, Flatten, Linear, Normalize, ReduceMean, Slice};
use speechlens_nn::{Graph, Params};

use crate::{Error, Model, Probability, Result, Task};

/// Norms below this count as this.
const LEAST_NORM: f64 = 1e-12;

/// The embedding of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// What the recording is called.
    pub name: String,
    /// Its embedding, of any length but 0.
    pub embedding: Vec<f32>,
}

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

    /// Of an embedding network, one that gives the cosine of the angle between its output and an embedding, which is held as it is; or by how
    /// much that is more than the cosine of the angle to another embedding.
    ///
    /// # Errors
    /// If its task is another, or an embedding has no direction.
    pub fn similar_to(
        &self,
        embedding: &Embedding,
        rather_than: Option<&Embedding>,
        device: &Device,
    ) -> Result<Model> {
        let mut direction = self.direction(embedding)?;
        let mut name = format!("similarity to {}", embedding.name);
        if let Some(other) = rather_than {
            let less = self.direction(other)?;
            let pairs = direction.iter_mut().zip(less);
            pairs.for_each(|(value, less)| *value -= less);
            name = format!("{name} rather than {}", other.name);
        }
        let size = direction.len();
        let weight =
            Tensor::from_vec(direction, (1, size), device).map_err(speechlens_nn::Error::from)?;
        let cosine = Linear::new(size, 1).without_bias();
        let weights = [("weight".to_owned(), weight)].into();
        Ok(Model {
            graph: self
                .of_length_one()?
                .followed_by("cosine", cosine, weights)?,
            task: match rather_than {
                None => Task::Similarity { names: vec![name] },
                Some(_) => Task::Score { names: vec![name] },
            },
            ..self.clone()
        })
    }

    /// Of an embedding network, one that gives its output's direction, `[N, D]`: each number of it is a score.
    ///
    /// # Errors
    /// If its task is another.
    pub fn directions(&self, size: usize) -> Result<Model> {
        Ok(Model {
            graph: self.of_length_one()?,
            task: Task::Score {
                names: (0..size).map(|number| number.to_string()).collect(),
            },
            ..self.clone()
        })
    }

    /// An embedding divided by its length.
    fn direction(&self, Embedding { name, embedding }: &Embedding) -> Result<Vec<f32>> {
        let norm = embedding.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let norm = norm.sqrt();
        if !norm.is_finite() || norm < LEAST_NORM {
            return Err(self.unasked(&format!(
                "and the embedding of {name} has a length of {norm}"
            )));
        }
        let direction = embedding.iter().map(|x| (f64::from(*x) / norm) as f32);
        Ok(direction.collect())
    }

    /// The network with its output divided by its length, `[N, D]`.
    fn of_length_one(&self) -> Result<Graph> {
        if self.task != Task::Embedding {
            return Err(self.unasked("and only an `embedding` is similar to others"));
        }
        let length_one = Normalize {
            axes: vec![-1],
            epsilon: LEAST_NORM,
            root_mean_square: false,
        };
        let graph = self.graph.followed_by("flat", Flatten, Params::new())?;
        Ok(graph.followed_by("direction", length_one, Params::new())?)
    }

    fn unasked(&self, why: &str) -> Error {
        Error::Model {
            path: Path::new("the model").to_owned(),
            problem: format!("its task is `{}`, {why}", self.task.name()),
        }
    }
}
