//! Segments of filterbanks are the store's frames, normalized, with the speaker's class.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use candle_core::Device;
use ndarray::{Axis, s};
use speechlens_data::{Corpus, FilterbankStore, HeldOut, Stretch, Synthetic};
use speechlens_eval::Segments;
use speechlens_eval::segments::{FRAMES, Normalization};
use speechlens_nn::train::Samples;

/// Two speakers with three utterances each.
fn store() -> (tempfile::TempDir, Arc<FilterbankStore>) {
    let folder = tempfile::tempdir().unwrap();
    let corpus = Synthetic::utterances(1, 3, 1);
    let indices: Vec<usize> = (0..corpus.recordings().len()).collect();
    let path = folder.path().join("filterbanks.h5");
    let store = FilterbankStore::open_or_compute(&path, &corpus, &indices, &|_| ()).unwrap();
    (folder, Arc::new(store))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn segments_are_stretches_in_steps() {
    let (_folder, store) = store();
    let stretch = |recording, frames| Stretch { recording, frames };
    let stretches = [
        stretch(4, 10..290),
        stretch(0, 0..FRAMES),
        stretch(1, 5..204),
    ];
    let mut segments = Segments::new(Normalization::Segment);
    let classes = names(&["02", "01"]);
    segments.append(&store, &stretches, 25, &classes).unwrap();
    let origins: Vec<_> = (0..segments.len())
        .map(|place| segments.origin(place))
        .map(|(recording, first)| (recording.id.as_str(), first))
        .collect();
    let expected = [10, 35, 60, 85].map(|first| ("02-001", first));
    assert_eq!(origins[..4], expected);
    assert_eq!(origins[4..], [("01-000", 0)]);
    assert_eq!(segments.labels().collect::<Vec<_>>(), [0, 0, 0, 0, 1]);

    // Behind those that are there.
    segments
        .append(&store, &stretches[1..2], 25, &classes)
        .unwrap();
    assert_eq!(segments.len(), 6);
    let error = segments
        .append(&store, &stretches, 25, &names(&["01"]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("speaker 02"), "{error}");
}

#[test]
fn bands_have_mean_0_over_the_segment_or_the_utterance() {
    let (_folder, store) = store();
    let split = HeldOut::split(store.recordings(), &store.frames(), FRAMES).unwrap();
    let of = |normalization| {
        let mut segments = Segments::new(normalization);
        segments
            .append(&store, &split.test, 50, &split.speakers)
            .unwrap();
        segments
    };
    let (by_segment, by_utterance) = (of(Normalization::Segment), of(Normalization::Utterance));
    assert!(by_segment.len() > 2);
    for place in 0..by_segment.len() {
        let (recording, first) = by_segment.origin(place);
        let recording = store
            .recordings()
            .iter()
            .position(|r| r == recording)
            .unwrap();
        let whole = store.read(recording, 0..store.frames()[recording]).unwrap();
        let plain = whole.slice(s![.., first..first + FRAMES]).to_owned();
        for (segments, mean) in [
            (
                &by_segment,
                plain.mapv(f64::from).mean_axis(Axis(1)).unwrap(),
            ),
            (
                &by_utterance,
                whole.mapv(f64::from).mean_axis(Axis(1)).unwrap(),
            ),
        ] {
            let segment = segments.segment(place).unwrap().mapv(f64::from);
            let expected = plain.mapv(f64::from) - mean.insert_axis(Axis(1));
            let apart = (segment - expected).mapv(f64::abs);
            assert!(apart.iter().all(|apart| *apart < 1e-5), "{apart}");
        }
    }
    assert_ne!(by_segment.key(), by_utterance.key());
}

#[test]
fn batches_are_what_the_network_reads() {
    let (_folder, store) = store();
    let split = HeldOut::split(store.recordings(), &store.frames(), FRAMES).unwrap();
    let mut segments = Segments::new(Normalization::Segment);
    segments
        .append(&store, &split.train, 25, &split.speakers)
        .unwrap();
    let places = [segments.len() - 1, 0, 3];
    let (input, labels) = segments.batch(&places, &Device::Cpu).unwrap();
    assert_eq!(input.dims(), [3, 1, 64, FRAMES]);
    assert_eq!(labels, [1, 0, 0]);
    let values = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let expected = segments.read(&places).unwrap();
    assert!(expected.iter().eq(values.iter()));
    assert_eq!(
        expected.index_axis(Axis(0), 1),
        segments.segment(0).unwrap()
    );
}

#[test]
fn normalizations_have_names() {
    for normalization in [Normalization::Segment, Normalization::Utterance] {
        assert_eq!(normalization.to_string().parse(), Ok(normalization));
    }
    assert!("recording".parse::<Normalization>().is_err());
}
