//! Waveforms as a network is trained on them.

#![allow(clippy::unwrap_used)]

use candle_core::Device;
use speechlens_data::{Corpus, Error, Recording, Synthetic};
use speechlens_eval::Waveforms;
use speechlens_nn::train::Samples;

fn compute(corpus: &dyn Corpus, indices: &[usize], seed: u64) -> Waveforms {
    Waveforms::compute(corpus, indices, seed, &|_| ()).unwrap()
}

#[test]
fn batches_hold_the_waveforms_and_sexes_asked_for() {
    // A man and a woman, five words of each.
    let corpus = Synthetic::new(1, 5, 1);
    let mut all = compute(&corpus, &[7, 0], 3);
    all.append(compute(&corpus, &[2], 3));
    assert_eq!(all.len(), 3);
    assert_eq!(all.labels(), [1, 0, 0]);
    let ids: Vec<&String> = all.recordings().iter().map(|r| &r.id).collect();
    assert_eq!(ids, [7, 0, 2].map(|index| &corpus.recordings()[index].id));
    let (input, labels) = all.batch(&[2, 0], &Device::Cpu).unwrap();
    assert_eq!(input.dims(), [2, 1, 8000]);
    assert_eq!(labels, [0, 1]);
    let rows = input.squeeze(1).unwrap().to_vec2::<f32>().unwrap();
    for (row, place) in rows.iter().zip([2, 0]) {
        assert_eq!(row[..], all.waveform(place).to_vec()[..]);
    }
}

#[test]
fn the_key_is_that_of_these_waveforms() {
    let corpus = Synthetic::new(1, 3, 1);
    let key = compute(&corpus, &[0, 4], 1).key();
    assert_eq!(compute(&corpus, &[0, 4], 1).key(), key);
    assert_ne!(compute(&corpus, &[4, 0], 1).key(), key);
    assert_ne!(compute(&corpus, &[0, 4], 2).key(), key);
    assert_ne!(compute(&Synthetic::new(1, 3, 2), &[0, 4], 1).key(), key);
}

#[test]
fn a_speaker_of_unknown_sex_is_named() {
    struct Unknown(Vec<Recording>);
    impl Corpus for Unknown {
        fn name(&self) -> &str {
            "unknown"
        }
        fn recordings(&self) -> &[Recording] {
            &self.0
        }
        fn audio(&self, _: usize) -> Result<speechlens_audio::Audio, Error> {
            unreachable!("the sex is asked for first")
        }
        fn fingerprint(&self, _: usize) -> Result<String, Error> {
            Ok(String::new())
        }
    }
    let mut recordings = Synthetic::new(1, 1, 1).recordings()[..1].to_vec();
    recordings[0].sex = None;
    recordings[0].speaker = "anna".into();
    let error = Waveforms::compute(&Unknown(recordings), &[0], 1, &|_| ());
    assert!(error.err().unwrap().to_string().contains("anna"));
}
