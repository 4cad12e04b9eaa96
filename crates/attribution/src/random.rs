use candle_core::{DType, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::gradient::check;
use crate::{Attribute, Attribution, Passes, Result};

/// Relevance by lot: what a method must do better than.
pub(crate) struct Random {
    pub seed: u64,
}

/// Each input's values.
pub(crate) fn rows(input: &Tensor) -> Result<Vec<Vec<f32>>> {
    Ok(input.flatten_from(1)?.to_dtype(DType::F32)?.to_vec2()?)
}

/// The lots of an input: they depend on its values and the seed, and not on the batch that it comes in.
pub(crate) fn generator(seed: u64, input: &[f32]) -> ChaCha8Rng {
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes());
    for value in input {
        hash.update(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*hash.finalize().as_bytes())
}

impl Attribute for Random {
    fn attribute(
        &self,
        input: &Tensor,
        targets: &[u32],
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        check(input, targets)?;
        let of_row = |row: Vec<f32>| {
            let mut lots = generator(self.seed, &row);
            row.into_iter().map(move |_| lots.random_range(-1f32..1.0))
        };
        let relevance: Vec<f32> = rows(input)?.into_iter().flat_map(of_row).collect();
        let relevance = Tensor::from_vec(relevance, input.shape(), input.device())?;
        progress(0);
        Ok(Attribution::of(relevance.to_dtype(input.dtype())?))
    }

    fn passes(&self) -> Passes {
        Passes {
            forward: 0,
            backward: 0,
        }
    }
}
