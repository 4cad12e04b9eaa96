//! What one heatmap looks like, in numbers.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use ndarray::ArrayView2;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use crate::{Error, Result};

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

/// How many bytes the heatmap takes as a PNG of 256 greys, 0 in the middle: the simpler a picture, the fewer (Samek et al. 2017,
/// section V-C; thesis, 3.4).
///
/// # Errors
/// If the picture cannot be written: it has no size.
pub fn compressed_size(relevance: ArrayView2<f32>) -> Result<usize> {
    let largest = relevance.iter().fold(0f32, |most, r| most.max(r.abs()));
    let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let greys: Vec<u8> = relevance
        .iter()
        .map(|r| (128.0 + scale * r).round() as u8)
        .collect();
    let (height, width) = relevance.dim();
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(&greys, width as u32, height as u32, ExtendedColorType::L8)
        .map_err(|error| Error::Explanation(error.to_string()))?;
    Ok(bytes.len())
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
    fn simple_heatmaps_are_small() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let size = |heatmap: &Array2<f32>| compressed_size(heatmap.view()).unwrap();
        let nothing = size(&Array2::zeros((64, 200)));
        let block = size(&Array2::from_shape_fn((64, 200), |(f, t)| {
            if f < 20 && t < 50 { 1.0 } else { 0.0 }
        }));
        let noise = Array2::from_shape_fn((64, 200), |_| rng.random_range(-1f32..1.0));
        assert!(nothing < block && block < 1000);
        // Eight bits a value that cannot be guessed.
        assert!((12_000..14_500).contains(&size(&noise)));
        // The scale does not matter.
        assert_eq!(size(&noise.mapv(|r| 1e-4 * r)).abs_diff(size(&noise)), 0);
        assert!(compressed_size(Array2::zeros((0, 3)).view()).is_err());
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
