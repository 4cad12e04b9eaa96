//! The contract of the thesis's front ends; their values are held against others' in `references.rs`, and those of filterbanks against
//! Kaldi's in the workspace's `tests`.

#![allow(clippy::unwrap_used)]

use ndarray::{ArrayView2, Ix2, s};
use speechlens_audio::{Audio, Filterbank, filterbank};
use speechlens_frontend::thesis::{FLOOR_DB, HOP, RATE, SECOND, SIZE, WINDOW};
use speechlens_frontend::{FrontEnd, Heard, Placement, Reading};

/// The front ends of both crops, and the frame with which each begins.
const SPECTROGRAMS: [(&str, usize); 2] = [("thesis-spectrogram", 0), ("audiomnist-spectrogram", 2)];

fn heard(front_end: &str, audio: &Audio, placement: Placement) -> Heard {
    let reading = Reading {
        placement,
        ..Reading::default()
    };
    let front_end = FrontEnd::load(front_end).unwrap();
    front_end.compute(audio, &reading).unwrap()
}

fn spectrogram(heard: &Heard) -> ArrayView2<'_, f32> {
    let window = heard.windows.index_axis(ndarray::Axis(0), 0);
    window.into_dimensionality::<Ix2>().unwrap()
}

fn waveform(samples: Vec<f32>, placement: Placement) -> Vec<f32> {
    let audio = Audio {
        samples,
        rate: RATE,
    };
    let heard = heard("thesis-waveform", &audio, placement);
    assert_eq!(heard.windows.shape(), [1, SECOND]);
    heard.windows.into_iter().collect()
}

fn tone(frequency: f32, seconds: f32, rate: u32) -> Audio {
    let wave = |i: usize| 0.9 * (std::f32::consts::TAU * frequency * i as f32 / rate as f32).sin();
    Audio {
        samples: (0..(seconds * rate as f32) as usize).map(wave).collect(),
        rate,
    }
}

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
fn the_axes_are_those_of_the_frames() {
    for (name, first) in SPECTROGRAMS {
        let front_end = FrontEnd::load(name).unwrap();
        assert_eq!(front_end.rate(), RATE);
        assert_eq!(front_end.shape(), [Some(SIZE), Some(SIZE)]);
        assert_eq!(front_end.bounds(), Some([f64::from(FLOOR_DB), 0.0]));
        assert_eq!(front_end.silence(), Some(f64::from(FLOOR_DB)));
        let (axes, rate) = (front_end.axes(), f64::from(RATE));
        for (row, frequency) in axes.frequencies.iter().enumerate() {
            assert_eq!(*frequency, row as f64 * rate / WINDOW as f64);
        }
        for frame in 0..SIZE {
            let centre = ((first + frame) * HOP) as f64 / rate;
            assert!((axes.time(frame) - centre).abs() < 1e-12);
        }
    }
}

#[test]
fn the_loudest_bin_is_where_and_when_the_tone_is() {
    for (name, _) in SPECTROGRAMS {
        let axes = FrontEnd::load(name).unwrap().axes().clone();
        let heard = heard(name, &tone(1000.0, 0.4, 16000), Placement::At(2000));
        assert_eq!(heard.places[0].samples, 2000..5200);
        let values = spectrogram(&heard);
        let (mut min, mut max) = (0.0f32, FLOOR_DB);
        for &level in &values {
            (min, max) = (min.min(level), max.max(level));
        }
        assert_eq!((min, max), (FLOOR_DB, 0.0));
        for (column, frame) in values.columns().into_iter().enumerate() {
            let time = axes.time(column);
            let (row, &level) = frame
                .indexed_iter()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .unwrap();
            // The tone lasts from 0.25 s to 0.65 s; a frame sees 28 ms to either side.
            if (0.28..0.62).contains(&time) {
                assert!(
                    (axes.frequencies[row] - 1000.0).abs() < 9.0 && level > -0.1,
                    "{time} s: row {row}, {level} dB"
                );
            } else if !(0.22..0.68).contains(&time) {
                assert_eq!(level, FLOOR_DB, "{time} s");
            }
        }
    }
}

#[test]
fn the_crops_show_the_same_frames_two_apart() {
    let audio = tone(700.0, 0.5, 8000);
    let both = SPECTROGRAMS.map(|(name, _)| heard(name, &audio, Placement::At(1000)));
    let [thesis, audiomnist] = both.each_ref().map(spectrogram);
    assert_eq!(
        thesis.slice(s![.., 2..]),
        audiomnist.slice(s![.., ..SIZE - 2])
    );
}

#[test]
fn silence_is_not_a_number_problem() {
    let silence = Audio {
        samples: vec![0.0; 4000],
        rate: 8000,
    };
    let heard = heard("thesis-spectrogram", &silence, Placement::At(0));
    assert!(
        heard.windows.iter().all(|&level| level == 0.0),
        "as librosa has it"
    );
}

#[test]
fn random_places_depend_on_the_seed_alone_and_fit() {
    let front_end = FrontEnd::load("thesis-spectrogram").unwrap();
    let audio = tone(500.0, 0.99, 8000);
    let offset = |seed| {
        let reading = Reading {
            placement: Placement::Random(seed),
            ..Reading::default()
        };
        let heard = front_end.compute(&audio, &reading).unwrap();
        heard.places[0].samples.start
    };
    let offsets: Vec<usize> = (0..200).map(offset).collect();
    assert_eq!(offsets, (0..200).map(offset).collect::<Vec<_>>());
    // 81 places: the ends are met among 200 draws with these seeds, none beyond.
    assert!(offsets.iter().all(|&o| o <= 80));
    assert!(offsets.iter().any(|&o| o < 8) && offsets.iter().any(|&o| o > 72));
}

/// Plans are kept from one recording to the next, and show it nothing of the last.
#[test]
fn many_by_one_front_end_are_the_same_as_each_by_its_own() {
    let shared = FrontEnd::load("thesis-spectrogram").unwrap();
    let lengths = [0.9, 0.3, 0.3001, 0.7];
    std::thread::scope(|scope| {
        for rate in [8000, 16000, 44100] {
            let shared = &shared;
            scope.spawn(move || {
                for seconds in lengths {
                    let audio = tone(440.0, seconds, rate);
                    let reading = Reading {
                        placement: Placement::Random(seconds as u64),
                        ..Reading::default()
                    };
                    assert_eq!(
                        shared.compute(&audio, &reading).unwrap(),
                        heard("thesis-spectrogram", &audio, reading.placement)
                    );
                }
            });
        }
    });
}

#[test]
fn the_95th_percentile_becomes_one_whatever_the_level() {
    let ramp = |level: f32| (0..SECOND).map(move |n| level * n as f32 / SECOND as f32);
    let [loud, soft] = [1.0, 0.01].map(|level| waveform(ramp(level).collect(), Placement::At(0)));
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
    let waveform = waveform(vec![0.5; 3000], Placement::At(1234));
    for (n, sample) in waveform.iter().enumerate() {
        let expected = if (1234..4234).contains(&n) { 1.0 } else { 0.0 };
        assert!((sample - expected).abs() < 1e-6, "{n}: {sample}");
    }
}

#[test]
fn no_sample_is_larger_than_32_and_silence_stays_zero() {
    let silence = waveform(vec![0.0; 4000], Placement::At(0));
    assert!(silence.iter().all(|&sample| sample == 0.0));
    // Short; below zero; with a faint 95th percentile.
    let mut faint = vec![-0.5; 8000];
    faint[..500].fill(1e-4);
    for samples in [vec![0.5; 300], vec![-0.5; 8000], faint] {
        let sign = f32::signum(samples[samples.len() - 1]);
        let waveform = waveform(samples, Placement::At(0));
        let largest = waveform.iter().fold(0f32, |a, &b| a.max(sign * b));
        assert!((largest - 32.0).abs() < 1e-4, "{largest}");
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
