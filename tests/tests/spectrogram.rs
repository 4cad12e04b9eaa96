//! Spectrograms and waveforms against numpy, scipy and librosa (`goldens/make_spectrograms.py`).

#![allow(clippy::unwrap_used)]

use ndarray::{Array1, Array2};
use speechlens_audio::{Crop, Placement, SECOND, SIZE, Spectrogram, Waveform, read};

/// Where the recordings start in their second, as in the script.
const OFFSET: usize = 700;

fn largest_difference(rate: u32, crop: Crop) -> f32 {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/spectrogram");
    let audio = read(folder.join(format!("{rate}.wav"))).unwrap();
    assert_eq!(audio.rate, rate);
    let ours = Spectrogram::new(crop)
        .compute(&audio, Placement::At(OFFSET))
        .unwrap();
    let golden: Array2<i16> =
        ndarray_npy::read_npy(folder.join(format!("{rate}.{crop}.npy"))).unwrap();
    assert_eq!(golden.dim(), (SIZE, SIZE));
    let differences = ours
        .values
        .iter()
        .zip(&golden)
        .map(|(a, &b)| (a - f32::from(b) / 400.0).abs());
    let largest = differences.fold(0.0, f32::max);
    println!("{rate} Hz, {crop}: at most {largest:.5} dB apart");
    largest
}

#[test]
fn spectrograms_equal_those_of_scipy_and_librosa() {
    // 0.05 dB is the tolerance of the design; half a step of the goldens, 0.00125 dB, is what should be left.
    for rate in [8000, 16000, 44100, 48000] {
        assert!(largest_difference(rate, Crop::Thesis) < 0.002, "{rate} Hz");
    }
    assert!(largest_difference(8000, Crop::AudioMnist) < 0.002);
}

#[test]
fn waveforms_equal_those_of_audiomnists_preprocessing() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/spectrogram");
    for rate in [8000, 16000, 44100, 48000] {
        let audio = read(folder.join(format!("{rate}.wav"))).unwrap();
        let ours = Waveform::default()
            .compute(&audio, Placement::At(OFFSET))
            .unwrap();
        let golden: Array1<i16> =
            ndarray_npy::read_npy(folder.join(format!("{rate}.waveform.npy"))).unwrap();
        assert_eq!((ours.len(), golden.len()), (SECOND, SECOND));
        let apart = ours.iter().zip(&golden);
        let apart = apart.map(|(a, &b)| (a - f32::from(b) / 4000.0).abs());
        let largest = apart.fold(0.0, f32::max);
        println!("{rate} Hz: at most {largest:.6} apart");
        // Half a step of the goldens.
        assert!(largest < 0.000_127, "{rate} Hz: {largest}");
    }
}
