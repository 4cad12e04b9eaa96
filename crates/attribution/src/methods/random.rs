use candle_core::{DType, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use speechlens_nn::Graph;

use super::Settings;
use crate::{Attribute, Attribution, Details, Method, Passes, Result, Target};

pub(super) const NAME: &str = "random";

/// Relevance by lot: what a method must do better than.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Random {
    /// Draws it, together with the input's values.
    pub seed: u64,
}

impl Default for Random {
    fn default() -> Self {
        Random { seed: 1 }
    }
}

impl Settings for Random {}

impl Method for Random {
    fn name(&self) -> &'static str {
        NAME
    }

    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>> {
        Ok(Box::new(Lots {
            graph: graph.clone(),
            seed: self.seed,
        }))
    }

    fn settings(&self) -> Value {
        json!(self)
    }
}

struct Lots {
    graph: Graph,
    seed: u64,
}

/// Each input's values.
pub(super) fn rows(input: &Tensor) -> Result<Vec<Vec<f32>>> {
    Ok(input.flatten_from(1)?.to_dtype(DType::F32)?.to_vec2()?)
}

/// The lots of an input: they depend on its values and the seed, and not on the batch that it comes in.
pub(super) fn generator(seed: u64, input: &[f32]) -> ChaCha8Rng {
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes());
    for value in input {
        hash.update(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*hash.finalize().as_bytes())
}

impl Attribute for Lots {
    fn explain(
        &self,
        input: &Tensor,
        target: Target,
        _: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let (logits, targets) = target.answered(&self.graph, input)?;
        let of_row = |row: Vec<f32>| {
            let mut lots = generator(self.seed, &row);
            row.into_iter().map(move |_| lots.random_range(-1f32..1.0))
        };
        let relevance: Vec<f32> = rows(input)?.into_iter().flat_map(of_row).collect();
        let relevance = Tensor::from_vec(relevance, input.shape(), input.device())?;
        progress(targets.len());
        Ok(Attribution::new(
            relevance.to_dtype(input.dtype())?,
            logits,
            targets,
        ))
    }

    /// Lots for a difference are lots, and not the difference of two draws, which are the same.
    fn contrast(
        &self,
        input: &Tensor,
        [targets, _]: [&[u32]; 2],
        details: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        self.explain(input, Target::Of(targets), details, &|done| {
            progress(2 * done);
        })
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 1,
            backward: 0,
        }
    }
}
