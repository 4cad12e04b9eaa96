use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// Where a recording that is shorter than the front end's length starts among zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// At this sample, at the rate to which it is resampled.
    At(usize),
    /// At a sample drawn with this seed, each that fits as likely as any other.
    Random(u64),
}

impl Placement {
    /// Where a recording of `samples` samples starts among `most` of them, at `rate` Hz; no more than there are.
    ///
    /// # Errors
    /// If it would reach past the end.
    pub(crate) fn offset(self, samples: usize, most: usize, rate: u32) -> Result<usize> {
        let last = most.saturating_sub(samples);
        match self {
            Placement::At(offset) if offset > last => Err(Error::Recording(format!(
                "of {samples} samples at {rate} Hz cannot start at {offset}; {last} is the last start"
            ))),
            Placement::At(offset) => Ok(offset),
            Placement::Random(seed) => Ok(ChaCha8Rng::seed_from_u64(seed).random_range(0..=last)),
        }
    }
}
