//! The thesis's front ends are, to the bit, what `audio` has made of recordings since.

#![allow(clippy::unwrap_used)]

use ndarray::{Axis, s};
use speechlens_audio::{
    Audio, Crop, Filterbank, Placement, Spectrogram, Waveform, filterbank, frequencies, times,
};
use speechlens_frontend::{FrontEnd, Reading};

/// A gliding tone with a hiss.
fn sound(seconds: f64, rate: u32) -> Audio {
    let sample = |i: usize| {
        let t = i as f64 / f64::from(rate);
        let tone = (2000.0 * t * (1.0 + t)).sin() * (3.0 * t).sin();
        let hiss = f64::from((i * 7919 % 1009) as u32) / 1009.0 - 0.5;
        (0.4 * tone + 0.05 * hiss) as f32
    };
    Audio {
        samples: (0..(seconds * f64::from(rate)) as usize)
            .map(sample)
            .collect(),
        rate,
    }
}

#[test]
fn spectrograms() {
    for (name, crop) in [
        ("thesis-spectrogram", Crop::Thesis),
        ("audiomnist-spectrogram", Crop::AudioMnist),
    ] {
        let front_end = FrontEnd::load(name).unwrap();
        assert_eq!(front_end.shape(), [Some(227), Some(227)]);
        assert_eq!(front_end.axes().frequencies, frequencies());
        let centres: Vec<f64> = (0..227).map(|frame| front_end.axes().time(frame)).collect();
        for (ours, theirs) in centres.iter().zip(times(crop)) {
            assert!((ours - theirs).abs() < 1e-12);
        }
        for (seconds, rate) in [(0.4, 16000), (1.0, 8000), (0.713, 48000)] {
            for placement in [Placement::At(0), Placement::Random(9)] {
                let audio = sound(seconds, rate);
                let before = Spectrogram::new(crop).compute(&audio, placement).unwrap();
                let reading = Reading {
                    placement,
                    ..Reading::default()
                };
                let now = front_end.compute(&audio, &reading).unwrap();
                assert_eq!(now.windows.index_axis(Axis(0), 0), before.values.into_dyn());
                let place = now.places[0].samples.clone();
                assert_eq!((place.start, place.len()), (before.offset, before.samples));
            }
        }
    }
}

#[test]
fn waveforms() {
    let front_end = FrontEnd::load("thesis-waveform").unwrap();
    assert_eq!(front_end.shape(), [Some(8000)]);
    for seconds in [0.02, 0.4, 1.0] {
        let audio = sound(seconds, 44100);
        let before = Waveform::default().compute(&audio, Placement::Random(3));
        let reading = Reading {
            placement: Placement::Random(3),
            ..Reading::default()
        };
        let now = front_end.compute(&audio, &reading).unwrap();
        assert_eq!(
            now.windows.index_axis(Axis(0), 0),
            before.unwrap().into_dyn()
        );
    }
}

#[test]
fn filterbanks_of_segments() {
    let front_end = FrontEnd::load("thesis-fbank").unwrap();
    assert_eq!(front_end.shape(), [Some(64), Some(200)]);
    assert_eq!(front_end.axes().frequencies, filterbank::frequencies());
    assert_eq!(front_end.axes().first, filterbank::times(1)[0]);
    let audio = sound(3.1, 22050);
    let whole = Filterbank::new().compute(&audio).unwrap();
    let reading = Reading {
        hop: Some(50),
        ..Reading::default()
    };
    let heard = front_end.compute(&audio, &reading).unwrap();
    let starts: Vec<usize> = heard.places.iter().map(|place| place.start).collect();
    assert_eq!(starts, [0, 50, 100, whole.ncols() - 200]);
    for (window, start) in heard.windows.outer_iter().zip(starts) {
        let mut segment = whole.slice(s![.., start..start + 200]).to_owned();
        filterbank::subtract_mean(segment.view_mut());
        assert_eq!(window, segment.into_dyn());
    }
    let short = sound(1.9, 16000);
    let error = front_end.compute(&short, &Reading::default()).unwrap_err();
    assert!(error.to_string().contains("200 at a time"), "{error}");
}
