//! Front ends in TOML against what others make of the same sound (`tests/goldens/make_front_ends.py` and `make_spectrograms.py`).

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayD, Axis, Ix2};
use speechlens_audio::{Audio, read};
use speechlens_frontend::{FrontEnd, Heard, Placement, Reading};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens")
        .join(name)
}

fn heard(name: &str, rate: u32) -> (Heard, Audio) {
    let audio = read(golden(&format!("front_ends/sound-{rate}.wav"))).unwrap();
    let front_end = FrontEnd::load(name).unwrap();
    (
        front_end.compute(&audio, &Reading::default()).unwrap(),
        audio,
    )
}

/// How far the only window is from what the script made; in the first frames, where that has fewer.
fn apart(name: &str, rate: u32) -> f32 {
    let windows = heard(name, rate).0.windows;
    assert_eq!(windows.len_of(Axis(0)), 1);
    let ours: Array2<f32> = windows
        .index_axis_move(Axis(0), 0)
        .into_dimensionality::<Ix2>()
        .unwrap();
    let theirs: Array2<f32> =
        ndarray_npy::read_npy(golden(&format!("front_ends/{name}.npy"))).unwrap();
    assert_eq!(ours.nrows(), theirs.nrows());
    assert!(ours.ncols() >= theirs.ncols());
    let pairs = theirs
        .indexed_iter()
        .map(|(place, theirs)| (ours[place] - theirs).abs());
    let apart = pairs.fold(0.0, f32::max);
    println!("{name}: at most {apart:.1e} apart");
    apart
}

#[test]
fn whisper() {
    assert!(apart("whisper-log-mel", 16000) < 1e-4);
    let (heard, audio) = heard("whisper-log-mel", 16000);
    assert_eq!(heard.windows.shape(), [1, 80, 3000]);
    assert_eq!(heard.sound.samples.len(), 480_000);
    assert_eq!(heard.places[0].samples, 0..audio.samples.len());
}

#[test]
fn librosa() {
    assert!(apart("librosa-mel", 22050) < 1e-4);
}

/// Kaldi computes in single precision.
#[test]
fn kaldi() {
    assert!(apart("kaldi-fbank-80", 16000) < 5e-3);
}

#[test]
fn samples_are_the_recording() {
    let (heard, audio) = heard("samples", 16000);
    assert_eq!(heard.windows.as_slice().unwrap(), audio.samples);
    assert_eq!(heard.sound, audio);
}

/// How far a front end's window of a second is from what numpy, scipy and librosa make of it, which is kept in so many steps to the
/// unit.
fn apart_in_a_second(front_end: &str, rate: u32, kept: &str, steps: f32) -> f32 {
    let audio = read(golden(&format!("spectrogram/{rate}.wav"))).unwrap();
    assert_eq!(audio.rate, rate);
    // Where the recordings start in their second, as in the script.
    let reading = Reading {
        placement: Placement::At(700),
        ..Reading::default()
    };
    let heard = FrontEnd::load(front_end).unwrap();
    let heard = heard.compute(&audio, &reading).unwrap();
    let ours = heard.windows.index_axis(Axis(0), 0);
    let path = golden(&format!("spectrogram/{rate}.{kept}.npy"));
    let theirs: ArrayD<i16> = ndarray_npy::read_npy(path).unwrap();
    assert_eq!(ours.shape(), theirs.shape());
    let pairs = ours.iter().zip(&theirs);
    let apart = pairs.map(|(a, b)| (a - f32::from(*b) / steps).abs());
    let apart = apart.fold(0.0, f32::max);
    println!("{front_end}, {rate} Hz: at most {apart:.6} apart");
    apart
}

#[test]
fn spectrograms_equal_those_of_scipy_and_librosa() {
    // 0.05 dB is the tolerance of the design; half a step of the goldens, 0.00125 dB, is what should be left.
    let apart = |crop: &str, rate| {
        let front_end = format!("{crop}-spectrogram");
        apart_in_a_second(&front_end, rate, crop, 400.0)
    };
    for rate in [8000, 16000, 44100, 48000] {
        assert!(apart("thesis", rate) < 0.002, "{rate} Hz");
    }
    assert!(apart("audiomnist", 8000) < 0.002);
}

#[test]
fn waveforms_equal_those_of_audiomnists_preprocessing() {
    for rate in [8000, 16000, 44100, 48000] {
        let apart = apart_in_a_second("thesis-waveform", rate, "waveform", 4000.0);
        // Half a step of the goldens.
        assert!(apart < 0.000_127, "{rate} Hz: {apart}");
    }
}
