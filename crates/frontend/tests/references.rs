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

/// Zeros before a recording that is shorter than 8 s; of a longer one the last 8 s.
#[test]
fn smart_turn() {
    let (heard, audio) = heard("smart-turn", 16000);
    assert_eq!(heard.windows.shape(), [1, 80, 800]);
    let zeros = 8 * 16000 - audio.samples.len();
    assert_eq!(heard.places[0].samples, zeros..8 * 16000);
    assert_eq!(heard.sound.samples[zeros..], audio.samples);
    let theirs: Array2<f32> = ndarray_npy::read_npy(golden("front_ends/smart-turn.npy")).unwrap();
    let ours = heard.windows.slice(ndarray::s![0, .., 800 - 140..]);
    let pairs = ours.iter().zip(&theirs);
    let apart = pairs.fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
    assert!(apart < 1e-4, "{apart}");

    let long: Vec<f32> = audio
        .samples
        .iter()
        .cycle()
        .copied()
        .take(200_000)
        .collect();
    let long = Audio {
        samples: long,
        rate: 16000,
    };
    let front_end = FrontEnd::load("smart-turn").unwrap();
    let heard = front_end.compute(&long, &Reading::default()).unwrap();
    assert_eq!(heard.sound.samples, long.samples[200_000 - 8 * 16000..]);
    // Windows that are cut from its material are the same.
    let material = front_end.material(&long, Placement::At(0)).unwrap();
    let start = front_end.starts(material.len(), None).unwrap()[0];
    let cut = material.slice_axis(Axis(0), (start..).into()).to_owned();
    assert_eq!(
        front_end.window(cut).unwrap(),
        heard.windows.index_axis(Axis(0), 0)
    );
}

/// Mel power has no largest value: what is apart is a share of it.
#[test]
fn ge2e() {
    let (_, text) = speechlens_frontend::NAMED
        .iter()
        .find(|(name, _)| *name == "ge2e-mel")
        .unwrap();
    let front_end = FrontEnd::parse(&text.replace("frames = 160", "frames = 131")).unwrap();
    let audio = read(golden("front_ends/sound-16000.wav")).unwrap();
    // Louder than the level it stays as it is, and a hundredth of it is brought to it.
    let theirs: Array2<f32> = ndarray_npy::read_npy(golden("front_ends/ge2e-mel.npy")).unwrap();
    let ours = front_end.compute(&audio, &Reading::default()).unwrap();
    let ours = ours.windows.index_axis_move(Axis(0), 0);
    let largest = theirs.iter().copied().fold(0.0, f32::max);
    let pairs = ours.iter().zip(&theirs);
    let apart = pairs.fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
    assert_eq!(ours.shape(), theirs.shape());
    assert!(apart < 1e-5 * largest, "{apart} of {largest}");
    let quiet = Audio {
        samples: audio.samples.iter().map(|sample| sample / 1000.0).collect(),
        rate: audio.rate,
    };
    let levels = |audio: &Audio| {
        let heard = front_end.compute(audio, &Reading::default()).unwrap();
        heard
            .windows
            .iter()
            .map(|power| f64::from(*power))
            .sum::<f64>()
    };
    let quieter = Audio {
        samples: quiet.samples.iter().map(|sample| sample / 7.0).collect(),
        rate: audio.rate,
    };
    let (one, other) = (levels(&quiet), levels(&quieter));
    assert!((one / other - 1.0).abs() < 1e-3, "{one} and {other}");
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
