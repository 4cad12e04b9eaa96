//! What one heatmap looks like, in numbers.

use ndarray::ArrayView2;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// From here on a spatial frequency counts as one of the highest, in cycles a bin; the highest of all is 1/2.
const HIGHEST: f64 = 3.0 / 8.0;

/// How much of a checkerboard there is: the share of the heatmap's energy (its squared values, the mean left out) at the highest
/// spatial frequencies along both axes at once, from 3/8 to 1/2 cycles a bin. 0 for what is smooth, 1/16 for white noise, 1
/// for a checkerboard. NaN where all values are the same.
pub fn checkerboard(relevance: ArrayView2<f32>) -> f64 {
    let (rows, columns) = relevance.dim();
    let first = relevance.first();
    if relevance.iter().all(|r| Some(r) == first) {
        return f64::NAN;
    }
    let mut values: Vec<Complex<f64>> = relevance
        .iter()
        .map(|r| Complex::new(f64::from(*r), 0.0))
        .collect();
    let mut planner = FftPlanner::new();
    planner.plan_fft_forward(columns).process(&mut values);
    // By columns: the second axis first.
    let mut turned = vec![Complex::default(); values.len()];
    for (place, value) in values.iter().enumerate() {
        turned[place % columns * rows + place / columns] = *value;
    }
    planner.plan_fft_forward(rows).process(&mut turned);
    let is_high = |k: usize, n: usize| k.min(n - k) as f64 >= HIGHEST * n as f64;
    let (mut high, mut all) = (0.0, 0.0);
    for (place, value) in turned.iter().enumerate().skip(1) {
        let energy = value.norm_sqr();
        all += energy;
        if is_high(place % rows, rows) && is_high(place / rows, columns) {
            high += energy;
        }
    }
    high / all
}

/// The share of the heatmap's absolute relevance in each band of rows; `ends` are the rows at which the bands end, rising.
/// NaN where there is no relevance.
pub fn shares_by_band(relevance: ArrayView2<f32>, ends: &[usize]) -> Vec<f64> {
    let of_row = |row: usize| -> f64 {
        let row = relevance.row(row);
        row.iter().map(|r| f64::from(r.abs())).sum()
    };
    let total: f64 = (0..relevance.nrows()).map(of_row).sum();
    let starts = [0].into_iter().chain(ends.iter().copied());
    let bands = starts.zip(ends);
    bands
        .map(|(start, end)| (start..*end).map(of_row).sum::<f64>() / total)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_checkerboard_is_one_and_a_slope_is_none() {
        let sign = |n: usize| if n.is_multiple_of(2) { 1.0 } else { -1.0 };
        let board = Array2::from_shape_fn((64, 200), |(f, t)| 3.0 + sign(f + t));
        assert!((checkerboard(board.view()) - 1.0).abs() < 1e-9);
        let stripes = Array2::from_shape_fn((64, 200), |(_, t)| sign(t));
        assert!(checkerboard(stripes.view()) < 1e-9);
        let wave = Array2::from_shape_fn((64, 200), |(f, t)| {
            (f as f32 * 0.3).sin() + (t as f32 * 0.1).cos()
        });
        assert!(checkerboard(wave.view()) < 1e-3);
        assert!(checkerboard(Array2::ones((4, 6)).view()).is_nan());
    }

    #[test]
    fn white_noise_is_a_sixteenth() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise = Array2::from_shape_fn((64, 200), |_| rng.random_range(-1f32..1.0));
        // 17 of 64 and 51 of 200 frequencies lie there.
        let expected = 17.0 / 64.0 * 51.0 / 200.0;
        assert!((checkerboard(noise.view()) - expected).abs() < 0.01);
    }

    #[test]
    fn shares_of_bands_are_of_absolute_values() {
        let relevance = Array2::from_shape_fn((4, 3), |(f, _)| [1.0, -2.0, 0.0, 5.0][f]);
        let shares = shares_by_band(relevance.view(), &[1, 2, 4]);
        for (share, expected) in shares.iter().zip([0.125, 0.25, 0.625]) {
            assert!((share - expected).abs() < 1e-12);
        }
    }
}
