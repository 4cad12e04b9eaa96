//! Relevance of samples, seen in time and frequency.

use std::f64::consts::TAU;
use std::sync::Arc;

use ndarray::Array2;
use realfft::{RealFftPlanner, RealToComplex};

use crate::{Error, Result};

/// Time and frequency in which relevance of samples is seen (after Vielhaben et al. 2024, "Explainable AI for time series via virtual
/// inspection layers", for a short-time transform): with `c` the relevance a unit of sample (`R_t = x_t c_t`), `X` the transform of `x` by the
/// window and `C` that of `c` by the window that inverts it, both unnormalized and of length n, bin (m, k) has
/// `R_mk = Re(X_mk · conj(C_mk)) / n`. Bins add up to what samples do.
///
/// Slots of time are `hop` samples long and follow each other; the window lies centred on each. What windows hold before the first sample
/// and behind the last counts to the slots at the ends.
pub struct View {
    window: Vec<f64>,
    /// `window` over the sum of the squares of those that lie on the same sample.
    inverse: Vec<f64>,
    hop: usize,
    fft: Arc<dyn RealToComplex<f64>>,
}

/// A signal and its relevance in time and frequency, `[bins, slots]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The squared magnitude of the signal's transform, which is not normalized.
    pub power: Array2<f64>,
    /// The relevance: of all frequencies but the least and the largest together with that of their negative.
    pub relevance: Array2<f64>,
}

impl View {
    /// By a periodic Hann window of `window` samples every `hop` samples.
    ///
    /// # Errors
    /// As [`View::with`].
    pub fn new(window: usize, hop: usize) -> Result<Self> {
        let hann = |n| 0.5 - 0.5 * (TAU * n as f64 / window as f64).cos();
        View::with((0..window).map(hann).collect(), hop)
    }

    /// By any window every `hop` samples.
    ///
    /// # Errors
    /// If some samples lie under no window, or only where it is 0: it could not be inverted.
    pub fn with(window: Vec<f64>, hop: usize) -> Result<Self> {
        let covered = |place: usize| {
            let squares = window.iter().skip(place).step_by(hop).map(|w| w * w);
            squares.sum::<f64>()
        };
        let covered: Vec<f64> = match hop {
            0 => Vec::new(),
            _ => (0..hop).map(covered).collect(),
        };
        let most = covered.iter().copied().fold(0.0, f64::max);
        if most == 0.0 || covered.iter().any(|squares| *squares < 1e-9 * most) {
            return Err(Error::View {
                window: window.len(),
                hop,
            });
        }
        let inverse = window.iter().enumerate();
        Ok(View {
            inverse: inverse.map(|(n, w)| w / covered[n % hop]).collect(),
            fft: RealFftPlanner::new().plan_fft_forward(window.len()),
            hop,
            window,
        })
    }

    /// Frequencies, equally far apart from 0 to at most half the sampling rate.
    pub fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// The frequency of a bin, in Hz, at so many samples a second.
    pub fn frequency(&self, bin: usize, rate: u32) -> f64 {
        bin as f64 * f64::from(rate) / self.window.len() as f64
    }

    /// Samples from one slot to the next.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// Slots of so many samples.
    pub fn slots(&self, samples: usize) -> usize {
        samples.div_ceil(self.hop)
    }

    /// Samples and their relevance in time and frequency. A sample of 0 has no unit: what relevance it has goes to all frequencies
    /// alike, as the power of a click.
    ///
    /// # Panics
    /// Unless there is one relevance a sample.
    pub fn of(&self, samples: &[f64], relevance: &[f64]) -> Seen {
        assert_eq!(
            samples.len(),
            relevance.len(),
            "a relevance for every sample"
        );
        let (length, slots) = (self.window.len(), self.slots(samples.len()));
        let mut seen = Seen {
            power: Array2::zeros((self.bins(), slots)),
            relevance: Array2::zeros((self.bins(), slots)),
        };
        if slots == 0 {
            return seen;
        }
        let unit = |(x, r): (&f64, &f64)| if *x == 0.0 { 0.0 } else { r / x };
        let units: Vec<f64> = samples.iter().zip(relevance).map(unit).collect();
        // Where the window of the first slot starts: before the first sample, by as much as it is longer than a slot, halved.
        let before = (length.saturating_sub(self.hop)) / 2;
        let more = length.div_ceil(self.hop);
        let mut frame = self.fft.make_input_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let [mut of_samples, mut of_units] =
            [self.fft.make_output_vec(), self.fft.make_output_vec()];
        for number in 0..slots + 2 * more {
            let slot = number.saturating_sub(more).min(slots - 1);
            // The sample under the window's n-th value is n + start − before.
            let start = (number * self.hop) as isize - ((more * self.hop + before) as isize);
            let place = |n: usize| usize::try_from(start + n as isize).ok();
            let mut windowed = |values: &[f64], window: &[f64], into: &mut _| {
                for (n, (value, weight)) in frame.iter_mut().zip(window).enumerate() {
                    let found = place(n).and_then(|place| values.get(place));
                    *value = weight * found.copied().unwrap_or(0.0);
                }
                self.fft
                    .process_with_scratch(&mut frame, into, &mut scratch)
                    .expect("buffers fit the plan");
            };
            windowed(samples, &self.window, &mut of_samples);
            windowed(&units, &self.inverse, &mut of_units);
            let of_zeros: f64 = (0..length)
                .filter_map(|n| Some((n, place(n)?)))
                .filter(|(_, place)| samples.get(*place) == Some(&0.0))
                .map(|(n, place)| self.window[n] * self.inverse[n] * relevance[place])
                .sum();
            let is_own = number >= more && number < slots + more;
            for (bin, (x, c)) in of_samples.iter().zip(&of_units).enumerate() {
                let is_alone = bin == 0 || 2 * bin == length;
                let folded = if is_alone { 1.0 } else { 2.0 };
                let relevance = (x * c.conj()).re + of_zeros;
                seen.relevance[[bin, slot]] += folded * relevance / length as f64;
                if is_own {
                    seen.power[[bin, slot]] = x.norm_sqr();
                }
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f64> {
        let number = |n: usize| (n * (n + seed) * 7919 % 20_011) as f64 / 10_005.0 - 1.0;
        (1..=count).map(number).collect()
    }

    proptest! {
        #[test]
        fn bins_add_up_to_what_samples_do(length in 1usize..300, window in 1usize..80, hop in 1usize..80, seed in 0usize..99, edge in 0.01f64..1.0) {
            let any = |n: usize| edge + (n * (n + seed) % 17) as f64 / 17.0;
            let mut samples = noise(length, seed);
            samples[length / 2] = 0.0;
            let relevance = noise(length, seed + 1);
            for view in [View::new(window, hop), View::with((0..window).map(any).collect(), hop)].into_iter().flatten() {
                let seen = view.of(&samples, &relevance);
                prop_assert_eq!(seen.relevance.dim(), (view.bins(), view.slots(length)));
                let expected = relevance.iter().sum::<f64>();
                let size: f64 = relevance.iter().zip(&samples).map(|(r, x)| (r / x.abs().max(1e-3)).abs()).sum();
                prop_assert!((seen.relevance.sum() - expected).abs() <= 1e-12 * size.max(1.0), "{} of {expected}", seen.relevance.sum());
            }
        }
    }

    /// Relevance of a tone that is heard alone lies at its frequency, wherever in its period a sample is; that of a click in its slot.
    #[test]
    fn tones_and_clicks_are_where_they_are() {
        let view = View::new(64, 16).unwrap();
        let [low, high] =
            [8.0, 20.0].map(|bin| move |n: usize| (TAU * bin * n as f64 / 64.0 + 0.3).sin());
        // The answer is the inner product with the low tone: it hears nothing of the high one.
        let samples: Vec<f64> = (0..320).map(|n| low(n) + high(n)).collect();
        let relevance: Vec<f64> = (0..320).map(|n| samples[n] * low(n)).collect();
        let seen = view.of(&samples, &relevance);
        let on_low: f64 = (7..=9).map(|bin| seen.relevance.row(bin).sum()).sum();
        assert!((on_low / relevance.iter().sum::<f64>() - 1.0).abs() < 0.02);
        let on_high: f64 = (18..=22).map(|bin| seen.relevance.row(bin).sum()).sum();
        assert!(on_high.abs() < 0.02 * on_low, "{on_high} of {on_low}");

        let mut click = vec![0.0; 320];
        click[168] = 2.0;
        let seen = view.of(&click, &click);
        let per_slot: Vec<f64> = (0..20)
            .map(|slot| seen.relevance.column(slot).sum())
            .collect();
        assert_eq!(per_slot.iter().copied().fold(0.0, f64::max), per_slot[10]);
        assert!(per_slot[8..=12].iter().sum::<f64>() > 1.99);
    }

    #[test]
    fn what_cannot_be_inverted_is_told() {
        for (window, hop) in [(0, 1), (4, 0), (4, 5), (4, 4)] {
            let told = View::new(window, hop).err().unwrap().to_string();
            assert!(
                told.contains(&format!("{window} samples every {hop}")),
                "{told}"
            );
        }
        assert!(View::with(vec![1.0; 4], 4).is_ok());
    }
}
