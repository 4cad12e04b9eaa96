//! One channel of sound.

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
