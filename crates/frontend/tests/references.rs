//! Front ends in TOML against what others make of the same sound (`tests/goldens/make_front_ends.py`).

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis, Ix2};
use speechlens_audio::{Audio, read};
use speechlens_frontend::{FrontEnd, Heard, Reading};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens/front_ends")
        .join(name)
}

fn heard(name: &str, rate: u32) -> (Heard, Audio) {
    let audio = read(golden(&format!("sound-{rate}.wav"))).unwrap();
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
    let theirs: Array2<f32> = ndarray_npy::read_npy(golden(&format!("{name}.npy"))).unwrap();
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
