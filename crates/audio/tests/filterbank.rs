//! The filterbank's contract; its values are held against Kaldi's in the workspace's `tests`.

#![allow(clippy::unwrap_used)]

use ndarray::{Axis, s};
use proptest::prelude::*;
use speechlens_audio::filterbank::{
    BANDS, FRAME, HOP, RATE, frames, frequencies, subtract_mean, times,
};
use speechlens_audio::{Audio, Error, Filterbank};

fn tone(frequency: f64, seconds: f64, rate: u32) -> Audio {
    let wave = |i: usize| 0.5 * (std::f64::consts::TAU * frequency * i as f64 / rate as f64).sin();
    Audio {
        samples: (0..(seconds * rate as f64) as usize)
            .map(|i| wave(i) as f32)
            .collect(),
        rate,
    }
}

fn at_16_khz(samples: Vec<f32>) -> Audio {
    Audio {
        samples,
        rate: RATE,
    }
}

/// Loud enough for every band to be far above the floor.
fn noise() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-0.5f32..0.5, FRAME..3000)
}

proptest! {
    #[test]
    fn only_whole_frames_count(samples in 0usize..5000) {
        let whole = (0..).take_while(|t| t * HOP + FRAME <= samples).count();
        prop_assert_eq!(frames(samples), whole);
        if whole > 0 {
            let features = Filterbank::new().compute(&at_16_khz(vec![0.0; samples])).unwrap();
            prop_assert_eq!(features.dim(), (BANDS, whole));
            prop_assert!(features.is_standard_layout());
        }
    }

    #[test]
    fn a_gain_adds_twice_its_logarithm(samples in noise(), gain in 0.01f32..10.0) {
        let filterbank = Filterbank::new();
        let louder = samples.iter().map(|s| s * gain).collect();
        let (mut plain, mut louder) = (
            filterbank.compute(&at_16_khz(samples)).unwrap(),
            filterbank.compute(&at_16_khz(louder)).unwrap(),
        );
        for (a, b) in plain.iter().zip(&louder) {
            prop_assert!((b - a - 2.0 * gain.ln()).abs() < 1e-3, "{} {}", a, b);
        }
        // It is gone with the mean, which is then 0.
        for features in [&mut plain, &mut louder] {
            subtract_mean(features.view_mut());
            for band in features.rows() {
                prop_assert!(band.sum().abs() < 1e-4 * band.len() as f32);
            }
        }
        for (a, b) in plain.iter().zip(&louder) {
            prop_assert!((b - a).abs() < 1e-3, "{} {}", a, b);
        }
    }

    #[test]
    fn a_frame_sees_its_own_samples_alone(samples in noise(), hops in 0usize..10) {
        prop_assume!(samples.len() >= hops * HOP + FRAME);
        let filterbank = Filterbank::new();
        let all = filterbank.compute(&at_16_khz(samples.clone())).unwrap();
        let later = filterbank.compute(&at_16_khz(samples[hops * HOP..].to_vec())).unwrap();
        prop_assert_eq!(all.slice(s![.., hops..]), later);
    }
}

#[test]
fn a_tone_is_in_the_band_around_it() {
    for rate in [RATE, 44_100] {
        for (band, hertz) in frequencies().into_iter().enumerate().skip(4) {
            let features = Filterbank::new().compute(&tone(hertz, 0.2, rate));
            let mean = features.unwrap().mean_axis(Axis(1)).unwrap();
            let loudest = (0..BANDS).max_by(|&a, &b| mean[a].total_cmp(&mean[b]));
            assert_eq!(loudest, Some(band), "{hertz} Hz at {rate} Hz");
        }
    }
}

/// The sum over the points of the transform of a tone's power is known: half its squared amplitude, times the sum of the
/// squared window, times the 512 points (Parseval), times what pre-emphasis leaves. The triangles add to one between the
/// first centre and the last, and half of the points are the mirrored ones.
#[test]
fn the_power_of_a_tone_is_as_calculated() {
    for hertz in [500.0, 1000.0, 3000.0] {
        let features = Filterbank::new().compute(&tone(hertz, 0.5, RATE)).unwrap();
        let turn = std::f64::consts::TAU * hertz / f64::from(RATE);
        let emphasis = 1.0 - 2.0 * 0.97 * turn.cos() + 0.97 * 0.97;
        let hann =
            |n: usize| 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / (FRAME - 1) as f64).cos();
        let window: f64 = (0..FRAME).map(|n| hann(n).powf(1.7)).sum();
        let amplitude: f64 = 0.5 * 32768.0;
        let expected = amplitude * amplitude / 4.0 * emphasis * window * 512.0;
        for frame in features.columns() {
            let sum: f64 = frame.iter().map(|&l| f64::from(l).exp()).sum();
            assert!(
                (sum / expected - 1.0).abs() < 0.01,
                "{hertz} Hz: {sum}, {expected}"
            );
        }
    }
}

#[test]
fn silence_is_at_the_floor_whatever_its_offset() {
    for offset in [0.0, 0.25, -0.7] {
        let features = Filterbank::new().compute(&at_16_khz(vec![offset; 1000]));
        let floor = f32::EPSILON.ln();
        assert!(features.unwrap().iter().all(|&level| level == floor));
    }
}

#[test]
fn the_axes_are_those_of_the_bands_and_frames() {
    let frequencies = frequencies();
    assert_eq!(frequencies.len(), BANDS);
    assert!(frequencies.is_sorted());
    // Equally far apart on the mel scale, within 20 Hz and 8 kHz.
    let mel = |hertz: f64| 1127.0 * (1.0 + hertz / 700.0).ln();
    let step = (mel(8000.0) - mel(20.0)) / 65.0;
    for (band, &hertz) in frequencies.iter().enumerate() {
        assert!((mel(hertz) - mel(20.0) - step * (band + 1) as f64).abs() < 1e-9);
    }
    assert_eq!(times(3), [0.0125, 0.0225, 0.0325]);
}

#[test]
fn what_has_no_filterbank_is_refused_with_a_remedy() {
    let refused = |samples, rate| {
        Filterbank::new()
            .compute(&Audio { samples, rate })
            .unwrap_err()
    };
    assert!(matches!(refused(vec![], RATE), Error::NoSamples));
    assert!(matches!(refused(vec![0.0; 500], 0), Error::NoRate));
    assert!(matches!(
        refused(vec![0.0, f32::NAN], RATE),
        Error::NonFiniteSample(1)
    ));
    let short = refused(vec![0.0; 399], RATE);
    assert!(
        matches!(short, Error::TooShort { .. }) && short.to_string().contains("0.025 s"),
        "{short}"
    );
    // 199.5 samples at 8 kHz would be enough.
    assert!(matches!(
        refused(vec![0.1; 199], 8000),
        Error::TooShort { .. }
    ));
    let enough = Audio {
        samples: vec![0.1; 200],
        rate: 8000,
    };
    assert!(Filterbank::new().compute(&enough).is_ok());
}
