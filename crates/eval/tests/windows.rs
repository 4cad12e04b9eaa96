//! Windows of any front end as samples, and what an augmentation makes of them.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use candle_core::Device;
use ndarray::Axis;
use speechlens_attribution::Method;
use speechlens_attribution::methods::GradientTimesInput;
use speechlens_data::task::classes;
use speechlens_data::{Corpus, Digits, FeatureStore, Stretch, Synthetic, placement};
use speechlens_eval::{Augmentation, Replacement, Windows};
use speechlens_frontend::{FrontEnd, Reading};
use speechlens_nn::Architecture;
use speechlens_nn::ops::{Flatten, Linear};
use speechlens_nn::train::Samples;

const FBANK: &str =
    "rate = 16000\nlength = { frames = 20 }\n[[stage]]\nop = \"fbank\"\nbands = 24\n";

fn windows(folder: &std::path::Path, hop: Option<usize>) -> (Windows, Vec<String>) {
    let corpus = Digits::new(Synthetic::new(1, 10, 1));
    let front_end = FrontEnd::parse(FBANK).unwrap();
    let path = folder.join("features.h5");
    let store = FeatureStore::open_or_compute(&path, &corpus, &[3, 14], (&front_end, 1), &|_| ());
    let store = Arc::new(store.unwrap());
    let classes = classes(corpus.recordings());
    let mut windows = Windows::default();
    windows.append(&store, &[1, 0], hop, &classes).unwrap();
    (windows, classes)
}

#[test]
fn windows_have_their_recording_s_class_and_shape() {
    let folder = tempfile::tempdir().unwrap();
    let (all, classes) = windows(folder.path(), Some(5));
    let few = windows(folder.path(), None).0;
    assert!(all.len() > 2 * few.len() && all.key() != few.key());
    let places: Vec<usize> = (0..all.len()).collect();
    let (input, labels) = all.batch(&places, &Device::Cpu).unwrap();
    assert_eq!(input.dims(), [all.len(), 1, 24, 20]);
    for (place, label) in labels.iter().enumerate() {
        let (recording, _) = all.origin(place);
        assert_eq!(recording.class.as_ref(), Some(&classes[*label as usize]));
    }
    assert_eq!((labels[0], labels[all.len() - 1]), (4, 3));
    let some = all.sample(3, 1);
    assert_eq!((some.len(), some.labels().len()), (3, 3));
    // A class that the network does not have.
    let (store, _) = all.store().unwrap();
    let error = Windows::default().append(store, &[0], None, &classes[5..]);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("class `3`") && error.contains("5, 6, 7, …"),
        "{error}"
    );
}

#[test]
fn an_augmentation_replaces_the_most_relevant_bins_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (all, _) = windows(folder.path(), None);
    let mut net = Architecture::new([1, 24, 20]);
    let mut x = net.input();
    x = net.add("flatten", Flatten, [x]).unwrap();
    net.add("classifier", Linear::new(24 * 20, 10), [x])
        .unwrap();
    let graph = net.random(1, &Device::Cpu).unwrap();
    let method = GradientTimesInput {
        reference: 0.0.into(),
    };
    let augmentation = Augmentation {
        percent: 10.0,
        replacement: Replacement::Value(-7.0),
    };
    let path = folder.path().join("augmented.h5");
    let make = || {
        augmentation.store(
            &all,
            &all.labels(),
            &graph,
            &method,
            &path,
            4,
            &Device::Cpu,
            &|_| (),
        )
    };
    let augmented = make().unwrap();
    assert_eq!(augmented.labels(), all.labels());
    let places: Vec<usize> = (0..all.len()).collect();
    let (input, labels) = all.batch(&places, &Device::Cpu).unwrap();
    let relevance = method
        .of(&graph)
        .unwrap()
        .attribute(&input, &labels, &|_| ())
        .unwrap();
    let relevance = relevance
        .relevance
        .flatten_from(1)
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    let (before, after) = (all.read(&places).unwrap(), augmented.read(&places).unwrap());
    for ((before, after), relevance) in before
        .outer_iter()
        .zip(after.axis_iter(Axis(0)))
        .zip(relevance)
    {
        let pairs = before.iter().zip(&after).zip(&relevance);
        let (changed, kept): (Vec<_>, Vec<_>) = pairs.partition(|((b, a), _)| b != a);
        assert_eq!(changed.len(), 48);
        assert!(changed.iter().all(|((_, after), _)| **after == -7.0));
        let least = changed
            .iter()
            .map(|(_, r)| **r)
            .fold(f32::INFINITY, f32::min);
        assert!(kept.iter().all(|(_, r)| **r <= least));
    }
    let ids = |windows: &Windows| -> Vec<String> {
        let all = (0..windows.len()).map(|place| windows.origin(place).0.id.clone());
        all.collect()
    };
    assert_eq!(ids(&augmented), ids(&all));
    assert_eq!(make().unwrap().key(), augmented.key());
}

/// Waveforms with the speaker's sex, as the front end makes them of the same recordings by the same seed.
#[test]
fn windows_of_men_and_women_have_the_classes_of_a_network() {
    let folder = tempfile::tempdir().unwrap();
    // A man and a woman, five words of each.
    let corpus = Synthetic::new(1, 5, 1);
    let front_end = FrontEnd::load("thesis-waveform").unwrap();
    let path = folder.path().join("waveforms.h5");
    let indices = [7, 0, 2];
    let making = (&front_end, 3);
    let store = FeatureStore::open_or_compute(&path, &corpus, &indices, making, &|_| ());
    let store = Arc::new(store.unwrap());
    let mut all = Windows::default();
    all.append_of_sexes(&store, &[0, 1, 2], [5, 4]).unwrap();
    assert_eq!(all.labels(), [4, 5, 5]);
    let ids: Vec<&String> = all.recordings().iter().map(|one| &one.id).collect();
    assert_eq!(ids, indices.map(|index| &corpus.recordings()[index].id));
    let (input, labels) = all.batch(&[2, 0], &Device::Cpu).unwrap();
    assert_eq!(
        (input.dims(), labels.as_slice()),
        (&[2, 1, 8000][..], &[5, 4][..])
    );
    for (row, index) in input
        .squeeze(1)
        .unwrap()
        .to_vec2::<f32>()
        .unwrap()
        .iter()
        .zip([2, 7])
    {
        let audio = corpus.audio(index).unwrap();
        let reading = Reading {
            placement: placement(3, &corpus.recordings()[index].id),
            ..Reading::default()
        };
        let expected = front_end.compute(&audio, &reading).unwrap().windows;
        assert_eq!(row, expected.as_slice().unwrap());
    }
    let mut other = Windows::default();
    other.append_of_sexes(&store, &[0, 1, 2], [0, 1]).unwrap();
    assert_ne!(other.key(), all.key());
}

#[test]
fn stretches_are_cut_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = Synthetic::utterances(1, 3, 1);
    let front_end = FrontEnd::load("thesis-fbank").unwrap();
    let path = folder.path().join("filterbanks.h5");
    let indices: Vec<usize> = (0..corpus.recordings().len()).collect();
    let making = (&front_end, 1);
    let store = FeatureStore::open_or_compute(&path, &corpus, &indices, making, &|_| ());
    let store = Arc::new(store.unwrap());
    let stretch = |recording, frames| Stretch { recording, frames };
    let stretches = [stretch(4, 10..290), stretch(0, 0..200), stretch(1, 5..204)];
    let mut all = Windows::default();
    let classes = ["02", "01"].map(str::to_owned);
    all.append_stretches(&store, &stretches, 25, &classes)
        .unwrap();
    let origins = (0..all.len()).map(|place| all.origin(place));
    let origins: Vec<_> = origins
        .map(|(recording, first)| (recording.id.as_str(), first))
        .collect();
    assert_eq!(
        origins[..4],
        [10, 35, 60, 85].map(|first| ("02-001", first))
    );
    assert_eq!(origins[4..], [("01-000", 0)]);
    assert_eq!(all.labels(), [0, 0, 0, 0, 1]);
    let windows = all.read(&[0]).unwrap();
    assert_eq!(windows.shape(), [1, 64, 200]);
    let error = all
        .append_stretches(&store, &stretches, 25, &classes[1..])
        .unwrap_err();
    assert!(error.to_string().contains("speaker 02"), "{error}");
}
