//! A recording through a mask: what is left of it when every bin of its time-frequency plane keeps a share of itself.

use ndarray::ArrayView2;

use crate::{Audio, Result, Stft};

/// What each bin keeps.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a> {
    /// The times of the columns, in seconds, rising.
    pub times: &'a [f64],
    /// The frequencies of the rows, in Hz, rising.
    pub frequencies: &'a [f64],
    /// The shares, [frequency, time], 0 for nothing and 1 for all.
    pub shares: ArrayView2<'a, f32>,
}

/// The recording with each bin of its short-time Fourier transform ([`Stft`], `window` and `hop` in samples) times its share, the
/// phase as it was. Between the mask's rows and columns shares run in straight lines, beyond its edges they stay.
///
/// What is left after two masks that add up to 1 adds up to the recording.
///
/// # Errors
/// If the recording is empty or not finite.
///
/// # Panics
/// If the mask is empty or its shape is not that of its axes, or unless 0 < `hop` ≤ `window`.
pub fn masked(audio: &Audio, mask: &Mask, window: usize, hop: usize) -> Result<Audio> {
    audio.check()?;
    let rate = f64::from(audio.rate);
    assert_eq!(
        mask.shares.dim(),
        (mask.frequencies.len(), mask.times.len()),
        "a row for each frequency, a column for each time"
    );
    let stft = Stft::new(window, hop);
    let mut bins = stft.forward(&audio.samples);
    let between = |axis: &[f64], count: usize, step: f64| -> Vec<(usize, usize, f32)> {
        (0..count).map(|n| place(axis, n as f64 * step)).collect()
    };
    let rows = between(mask.frequencies, bins.nrows(), rate / window as f64);
    let columns = between(mask.times, bins.ncols(), hop as f64 / rate);
    for ((row, column), bin) in bins.indexed_iter_mut() {
        let (low, high, up) = rows[row];
        let (before, after, along) = columns[column];
        let line = |row| mix(mask.shares[[row, before]], mask.shares[[row, after]], along);
        *bin *= f64::from(mix(line(low), line(high), up));
    }
    Ok(Audio {
        samples: stft.inverse(bins.view(), audio.samples.len()),
        rate: audio.rate,
    })
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
