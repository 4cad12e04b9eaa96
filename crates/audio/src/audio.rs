//! One channel of sound.

use crate::{Error, Result};

/// A mono recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// The samples; full scale is ±1.
    pub samples: Vec<f32>,
    /// Samples a second, in Hz.
    pub rate: u32,
}

impl Audio {
    /// How long it lasts, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// Fails unless it has a rate, and samples that are all finite.
    ///
    /// # Errors
    /// Says which of these it is.
    pub fn check(&self) -> Result<()> {
        if self.rate == 0 {
            return Err(Error::NoRate);
        }
        if self.samples.is_empty() {
            return Err(Error::NoSamples);
        }
        // All of them first: without a way out, the loop is vectorized.
        let finite = self.samples.iter().fold(true, |all, s| all & s.is_finite());
        if !finite && let Some(index) = self.samples.iter().position(|s| !s.is_finite()) {
            return Err(Error::NonFiniteSample(index));
        }
        Ok(())
    }

    /// The part of it in `range`, in samples.
    ///
    /// # Panics
    /// If the range reaches past the end.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Audio {
        Audio {
            samples: self.samples[range].to_vec(),
            rate: self.rate,
        }
    }
}
