//! Resampling and the short-time Fourier transform against closed forms.

use std::f64::consts::{PI, TAU};

use ndarray::Array2;
use proptest::prelude::*;
use speechlens_audio::{Audio, Masking, Stft, resample};

/// `cycles` periods of a sine in `length` samples.
fn sine(cycles: f64, phase: f64, length: usize) -> Vec<f32> {
    (0..length)
        .map(|i| (TAU * cycles * i as f64 / length as f64 + phase).sin() as f32)
        .collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn a_sine_resampled_is_the_same_sine() {
    // Whole periods, so that the signal is periodic as the method takes it to be.
    for (from, to, length) in [
        (16000, 8000, 1600),
        (44100, 8000, 4410),
        (48000, 8000, 6000),
        (8000, 16000, 801),
        (8000, 44100, 80),
    ] {
        let resampled = resample(&sine(7.0, 0.3, length), from, to);
        assert_eq!(
            resampled.len(),
            (length * to as usize).div_ceil(from as usize)
        );
        assert!(
            largest_difference(&resampled, &sine(7.0, 0.3, resampled.len())) < 1e-6,
            "{from} to {to}"
        );
    }
}

#[test]
fn what_lies_above_the_new_nyquist_frequency_is_gone() {
    assert!(
        largest_difference(&resample(&sine(300.0, 0.0, 1000), 16000, 8000), &[0.0; 500]) < 1e-6
    );
}

/// The only bin that scipy treats apart. Down: cos(2π·250·i/1000) to 500 samples is (-1)^i. Up: (-1)^i for 10 samples,
/// to 20, is the mean of the two bins, cos(π i / 2).
#[test]
fn the_nyquist_bin_is_as_in_scipy() {
    let alternating: Vec<f32> = (0..500)
        .map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })
        .collect();
    assert!(
        largest_difference(
            &resample(&sine(250.0, PI / 2.0, 1000), 16000, 8000),
            &alternating
        ) < 1e-6
    );
    let quarter: Vec<f32> = (0..20)
        .map(|i| (PI * f64::from(i) / 2.0).cos() as f32)
        .collect();
    assert!(largest_difference(&resample(&alternating[..10], 8000, 16000), &quarter) < 1e-6);
}

#[test]
fn the_length_is_rounded_up() {
    for (length, from, expected) in [
        (1, 48000, 1),
        (7, 48000, 2),
        (44100, 44100, 8000),
        (44101, 44100, 8001),
        (10007, 16000, 5004),
    ] {
        assert_eq!(resample(&vec![0.5; length], from, 8000).len(), expected);
    }
    assert!(resample(&[], 16000, 8000).is_empty());
}

/// A cosine of amplitude A on bin k gives A/2 there, half of that (negative) on either side, and nothing elsewhere: the
/// transform of a Hann window has three terms.
#[test]
fn a_cosine_on_a_bin_fills_three_bins() {
    for window in [64, 65] {
        let stft = Stft::new(window, 16);
        let signal: Vec<f32> = (0..1000)
            .map(|i| 0.8 * (TAU * 10.0 * i as f64 / window as f64).cos() as f32)
            .collect();
        let spectrum = stft.forward(&signal);
        assert_eq!(spectrum.dim(), (stft.bins(), stft.frames(1000)));
        for (bin, value) in spectrum.column(20).iter().enumerate() {
            let expected = match bin {
                10 => 0.4,
                9 | 11 => 0.2,
                _ => 0.0,
            };
            assert!(
                (value.norm() - expected).abs() < 1e-7,
                "window {window}, bin {bin}: {value}"
            );
        }
    }
}

#[test]
fn shapes_are_those_of_scipy() {
    // scipy.signal.stft(np.zeros(n), nperseg=w, noverlap=w - h)[2].shape
    for (n, w, h, shape) in [
        (8000, 455, 35, (228, 230)),
        (1000, 64, 16, (33, 64)),
        (1001, 64, 16, (33, 64)),
        (777, 33, 33, (17, 25)),
    ] {
        assert_eq!(Stft::new(w, h).forward(&vec![0.0; n]).dim(), shape);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inverse_undoes_forward(
        signal in prop::collection::vec(-1.0f32..1.0, 1..800),
        window in 4usize..100,
        share in 0.05f64..0.5,
    ) {
        let stft = Stft::new(window, ((window as f64 * share) as usize).max(1));
        let back = stft.inverse(stft.forward(&signal).view(), signal.len());
        prop_assert!(largest_difference(&back, &signal) < 1e-6);
    }

    /// Up and down again loses nothing, but at an even length the sign of the Nyquist bin's phase.
    #[test]
    fn resampling_up_and_down_gives_the_signal_back(half in prop::collection::vec(-1.0f32..1.0, 1..400), factor in 2u32..6) {
        let signal = &half[..half.len() - (half.len() + 1) % 2];
        prop_assume!(!signal.is_empty());
        let back = resample(&resample(signal, 8000, 8000 * factor), 8000 * factor, 8000);
        prop_assert!(largest_difference(&back, signal) < 1e-5);
    }

    /// The mean of a signal is its bin 0, which resampling leaves alone.
    #[test]
    fn resampling_keeps_the_mean(signal in prop::collection::vec(-1.0f32..1.0, 1..600), from in 1000u32..50_000) {
        let mean = |x: &[f32]| x.iter().map(|&s| f64::from(s)).sum::<f64>() / x.len() as f64;
        prop_assert!((mean(&resample(&signal, from, 8000)) - mean(&signal)).abs() < 1e-6);
    }
}

#[test]
fn a_mask_keeps_its_share_and_runs_in_straight_lines() {
    let audio = Audio {
        samples: sine(1000.0, 0.4, 8000),
        rate: 8000,
    };
    let frequencies: Vec<f64> = (0..5).map(|n| 1000.0 * f64::from(n)).collect();
    let through = |shares: [f32; 2]| {
        let shares = Array2::from_shape_fn((5, 2), |(_, column)| shares[column]);
        let axes = (&[0.25, 0.75][..], frequencies.as_slice());
        let masking = Masking::new(&audio, axes, 455, 35).expect("a recording");
        masking.part(shares.view()).samples
    };
    assert!(largest_difference(&through([1.0, 1.0]), &audio.samples) < 1e-6);
    assert_eq!(through([0.0, 0.0]), vec![0.0; 8000]);
    // From nothing at 0.25 s to all at 0.75 s, and on like that.
    let rising = through([0.0, 1.0]);
    for (second, share) in [
        (0.1, 0.0),
        (0.375, 0.25),
        (0.5, 0.5),
        (0.625, 0.75),
        (0.9, 1.0),
    ] {
        let at = (second * 8000.0) as usize;
        let loudest = |samples: &[f32]| {
            samples[at - 20..at + 20]
                .iter()
                .copied()
                .fold(0.0, f32::max)
        };
        let found = loudest(&rising) / loudest(&audio.samples);
        assert!((found - share).abs() < 0.01, "{second} s: {found}");
    }
}
