//! A recording through a mask: what is left of it when every bin of its time-frequency plane keeps a share of itself.

use ndarray::{Array2, ArrayView2, Axis};

use crate::{Audio, Complex, Result, Stft};

/// A recording ready for masks of some times and frequencies: each bin of its short-time Fourier transform ([`Stft`], `window` and
/// `hop` in samples) times its share, the phase as it was. Between the mask's rows and columns shares run in straight lines,
/// beyond its edges they stay.
///
/// What is left after two masks that add up to 1 adds up to the recording.
pub struct Masking<'a> {
    audio: &'a Audio,
    stft: Stft,
    bins: Array2<Complex<f64>>,
    /// The mask's rows and columns.
    shape: (usize, usize),
    /// Between which of them each bin's row and column lies.
    rows: Vec<(usize, usize, f32)>,
    columns: Vec<(usize, usize, f32)>,
}

impl<'a> Masking<'a> {
    /// For masks whose columns have these times, in seconds, rising, and whose rows these frequencies, in Hz, rising.
    ///
    /// # Errors
    /// If the recording is empty or not finite.
    ///
    /// # Panics
    /// If there are no times or frequencies, or unless 0 < `hop` ≤ `window`.
    pub fn new(
        audio: &'a Audio,
        (times, frequencies): (&[f64], &[f64]),
        window: usize,
        hop: usize,
    ) -> Result<Self> {
        audio.check()?;
        let rate = f64::from(audio.rate);
        let stft = Stft::new(window, hop);
        let bins = stft.forward(&audio.samples);
        let between = |axis: &[f64], count: usize, step: f64| -> Vec<(usize, usize, f32)> {
            (0..count).map(|n| place(axis, n as f64 * step)).collect()
        };
        Ok(Masking {
            rows: between(frequencies, bins.nrows(), rate / window as f64),
            columns: between(times, bins.ncols(), hop as f64 / rate),
            shape: (frequencies.len(), times.len()),
            audio,
            stft,
            bins,
        })
    }

    /// The recording through a mask: shares `[frequency, time]`, 0 for nothing and 1 for all.
    ///
    /// # Panics
    /// If the shares' shape is not that of the axes.
    pub fn part(&self, shares: ArrayView2<f32>) -> Audio {
        assert_eq!(
            shares.dim(),
            self.shape,
            "a row for each frequency, a column for each time"
        );
        let mut bins = self.bins.clone();
        // Frame by frame, as bins lie in memory.
        for (mut frame, (before, after, along)) in bins.axis_iter_mut(Axis(1)).zip(&self.columns) {
            let pairs = shares
                .column(*before)
                .into_iter()
                .zip(shares.column(*after));
            let line: Vec<f32> = pairs.map(|(a, b)| mix(*a, *b, *along)).collect();
            for (bin, (low, high, up)) in frame.iter_mut().zip(&self.rows) {
                *bin *= f64::from(mix(line[*low], line[*high], *up));
            }
        }
        Audio {
            samples: self.stft.inverse(bins.view(), self.audio.samples.len()),
            rate: self.audio.rate,
        }
    }
}

/// The neighbours of a value on a rising axis, and how far it is from the first to the second.
fn place(axis: &[f64], value: f64) -> (usize, usize, f32) {
    let after = axis.partition_point(|at| *at <= value);
    let last = axis.len() - 1;
    if after == 0 || after > last {
        return (after.min(last), after.min(last), 0.0);
    }
    let (low, high) = (axis[after - 1], axis[after]);
    (after - 1, after, ((value - low) / (high - low)) as f32)
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}
