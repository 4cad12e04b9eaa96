//! Filterbanks against kaldi-native-fbank (`goldens/make_filterbanks.py`).

#![allow(clippy::unwrap_used)]

use ndarray::Array2;
use speechlens_audio::{Filterbank, read};

fn largest_difference(name: &str) -> f32 {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/filterbank");
    let audio = read(folder.join(format!("{name}.wav"))).unwrap();
    let ours = Filterbank::new().compute(&audio).unwrap();
    let golden: Array2<f32> = ndarray_npy::read_npy(folder.join(format!("{name}.npy"))).unwrap();
    assert_eq!(ours.dim(), golden.dim(), "{name}");
    let differences = ours.iter().zip(&golden).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    println!("{name}: at most {largest:.5} apart");
    largest
}

#[test]
fn filterbanks_equal_those_of_kaldi() {
    // 5e-3 is the tolerance of the project; Kaldi's own rounding is what is left, and the script prints it.
    for name in ["shortest", "one-frame", "noise", "noise-44100"] {
        assert!(largest_difference(name) < 2e-4, "{name}");
    }
    for name in ["voice", "faint"] {
        assert!(largest_difference(name) < 5e-3, "{name}");
    }
}
