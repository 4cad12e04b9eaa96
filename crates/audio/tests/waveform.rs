//! The waveform's contract; its values are held against numpy and librosa in the workspace's `tests`.

#![allow(clippy::unwrap_used)]

use speechlens_audio::{Audio, Error, Placement, SECOND, Waveform};

fn audio(samples: Vec<f32>) -> Audio {
    Audio {
        samples,
        rate: 8000,
    }
}

#[test]
fn the_95th_percentile_becomes_one_whatever_the_level() {
    let ramp = |level: f32| (0..SECOND).map(move |n| level * n as f32 / SECOND as f32);
    let [loud, soft] = [1.0, 0.01].map(|level| {
        Waveform::default()
            .compute(&audio(ramp(level).collect()), Placement::At(0))
            .unwrap()
    });
    for (n, (loud, soft)) in loud.iter().zip(&soft).enumerate() {
        // 7599.05 of 8000 samples lie below.
        let expected = n as f32 / 7599.05;
        assert!(
            (loud - expected).abs() < 1e-5,
            "{n}: {loud}, not {expected}"
        );
        assert!(
            (soft - expected).abs() < 1e-5,
            "{n}: {soft}, not {expected}"
        );
    }
}

#[test]
fn a_recording_lies_in_zeros_at_its_place() {
    let short = audio(vec![0.5; 3000]);
    let waveform = Waveform::default()
        .compute(&short, Placement::At(1234))
        .unwrap();
    for (n, sample) in waveform.iter().enumerate() {
        let expected = if (1234..4234).contains(&n) { 1.0 } else { 0.0 };
        assert!((sample - expected).abs() < 1e-6, "{n}: {sample}");
    }
}

#[test]
fn no_sample_is_larger_than_32_and_silence_stays_zero() {
    let compute = |samples| Waveform::default().compute(&audio(samples), Placement::At(0));
    let silence = compute(vec![0.0; 4000]).unwrap();
    assert!(silence.iter().all(|&sample| sample == 0.0));
    // Short; below zero; with a faint 95th percentile.
    let mut faint = vec![-0.5; 8000];
    faint[..500].fill(1e-4);
    for samples in [vec![0.5; 300], vec![-0.5; 8000], faint] {
        let sign = f32::signum(samples[samples.len() - 1]);
        let waveform = compute(samples).unwrap();
        let largest = waveform.iter().fold(0f32, |a, &b| a.max(sign * b));
        assert!((largest - 32.0).abs() < 1e-4, "{largest}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let compute = |samples| Waveform::default().compute(&audio(samples), Placement::At(0));
    assert!(matches!(compute(vec![]), Err(Error::NoSamples)));
    assert!(matches!(
        compute(vec![0.1; 8001]),
        Err(Error::TooLong { .. })
    ));
}
