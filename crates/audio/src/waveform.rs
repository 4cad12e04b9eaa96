//! The waveform that AudioNet reads.

use ndarray::Array1;

use crate::second::{Placement, Seconds, Workspace};
use crate::{Audio, Result};

/// The quantile of the samples that becomes 1.
const QUANTILE: f64 = 0.95;
/// Full scale of 16-bit samples, in which the authors count.
const FULL_SCALE: f64 = 32768.0;
/// What they add to the quantile, in steps of 16 bits.
const STABILIZER: f64 = 0.001;
/// The largest magnitude of a waveform.
const LARGEST: f64 = 32.0;

/// Makes waveforms. It holds plans, so make one for many recordings and share it between threads.
///
/// In this order: to 8 kHz by the FFT method; placed in a zero vector of 8000 samples; divided by their 95th percentile plus
/// 0.001, in 16-bit steps (`numpy.percentile` of the samples as they are, signs and zeros included). So Becker et al. (2018)
/// do it in `preprocess_data.py`, which they publish with AudioMNIST.
///
/// But no sample becomes larger than 32 by that: the percentile of a recording that is short or lies below zero may be next to
/// nothing, or negative. There the scale is a 32nd of the largest magnitude. (In LibriSpeech there are such pieces.)
#[derive(Default)]
pub struct Waveform {
    seconds: Seconds,
}

impl Waveform {
    /// The waveform of a recording of at most one second, `[8000]`; silence stays 0.
    ///
    /// # Errors
    /// If the recording is empty, longer than a second at 8 kHz, not finite, or does not fit at its place.
    pub fn compute(&self, audio: &Audio, placement: Placement) -> Result<Array1<f32>> {
        let mut workspace = Workspace::default();
        let (second, _) = self.seconds.place(audio, placement, &mut workspace)?;
        let largest = second.iter().fold(0f32, |largest, s| largest.max(s.abs()));
        let scale = quantile(second, QUANTILE) + STABILIZER / FULL_SCALE;
        let scale = scale.max(f64::from(largest) / LARGEST);
        Ok(second
            .iter()
            .map(|&s| (f64::from(s) / scale) as f32)
            .collect())
    }
}

/// The quantile by straight lines between the sorted values, numpy's default.
///
/// # Panics
/// If there are no values, or `share` is not between 0 and 1.
pub fn quantile(values: &[f32], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let mut values = values.to_vec();
    let (_, below, rest) = values.select_nth_unstable_by(place as usize, f32::total_cmp);
    let above = rest.iter().copied().min_by(f32::total_cmp);
    let (below, above) = (f64::from(*below), f64::from(above.unwrap_or(*below)));
    below + (above - below) * place.fract()
}
