use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use ndarray::ArrayD;
use speechlens_data::{Corpus, FeatureStore, Synthetic, Window, hdf5_layout};
use speechlens_frontend::FrontEnd;
use speechlens_models::Model;

use crate::support::{Folder, model, speaker_model};

/// 0.5 % of the bins.
const COUNT: usize = 258;

/// Spectrograms of 12 voices, two words each.
fn store(path: &Path, front_end: &str) -> FeatureStore {
    let corpus = Synthetic::new(6, 2, 1);
    let indices: Vec<usize> = (0..corpus.recordings().len()).collect();
    let front_end = FrontEnd::load(front_end).unwrap();
    FeatureStore::open_or_compute(path, &corpus, &indices, (&front_end, 1), &|_| ()).unwrap()
}

/// The spectrogram of a recording.
fn spectrogram(store: &FeatureStore, recording: usize) -> ArrayD<f32> {
    let first = Window {
        recording,
        start: 0,
    };
    store.one(first).unwrap()
}

#[test]
fn a_network_is_retrained_on_data_without_what_it_leans_on() {
    let folder = Folder::new();
    let before = store(&folder.path("data.h5"), "thesis-spectrogram");
    let augment = |output: &str, extra: &[&str]| {
        let fixed = ["augment", model(), "data.h5", "-o", output];
        folder.run(&[&fixed, extra].concat())
    };
    let said = augment("zero.h5", &["--fill", "zero"]);
    assert!(
        said.contains("zero.h5: 24 recordings, 0.5 % of the bins set to 0"),
        "{said}"
    );
    augment("lot.h5", &["--fill", "zero", "--class", "lot"]);
    augment(
        "mean.h5",
        &[
            "--radius",
            "2",
            "--method",
            "gradient-times-input",
            "--reference",
            "0",
        ],
    );
    let read = |name: &str| FeatureStore::open(&folder.path(name)).unwrap();
    let [zero, lot, mean] = ["zero.h5", "lot.h5", "mean.h5"].map(read);
    for (name, store) in [("zero", &zero), ("lot", &lot), ("mean", &mean)] {
        assert_eq!(store.recordings(), before.recordings());
        for place in 0..24 {
            let (a, b) = (spectrogram(&before, place), spectrogram(store, place));
            let changed: Vec<f32> = a
                .iter()
                .zip(&b)
                .filter(|(a, b)| a != b)
                .map(|(_, b)| *b)
                .collect();
            assert!(
                changed.len() <= COUNT && changed.len() > COUNT / 8,
                "{name}: {}",
                changed.len()
            );
            assert_eq!(changed.iter().all(|level| *level == 0.0), name != "mean");
        }
    }
    let differ = (0..24).filter(|place| spectrogram(&zero, *place) != spectrogram(&lot, *place));
    assert!(
        (4..=20).contains(&differ.count()),
        "half of the classes by lot are the other one"
    );

    let train = [
        "train", "--task", "gender", "mean.h5", "--batch", "4", "--epochs", "1", "-o",
    ];
    let from =
        |output: &'static str, from: &'static str| [&train[..], &[output, "--from", from]].concat();
    folder.run(&from("mended.safetensors", model()));
    let mended = Model::load(&folder.path("mended.safetensors"), &Device::Cpu).unwrap();
    let start = Model::load(Path::new(model()), &Device::Cpu).unwrap();
    assert!(mended.metadata["training"].contains("random-alexnet"));
    // A few steps from where it started.
    let weights = |model: &Model| -> Vec<f32> {
        model.graph.weights()["classifier.6.weight"]
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    };
    let (mended, start) = (weights(&mended), weights(&start));
    let furthest = mended
        .iter()
        .zip(&start)
        .fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(furthest > 0.0 && furthest < 2e-3, "{furthest}");
    let error = folder.fail(&from("other.safetensors", speaker_model()));
    assert!(
        error.contains("random-resnet34") && error.contains("--from"),
        "{error}"
    );
}

#[test]
fn audiomnists_files_become_such_files() {
    let folder = Folder::new();
    let mut reader = Model::load(Path::new(model()), &Device::Cpu).unwrap();
    reader.front_end = Arc::new(FrontEnd::load("audiomnist-spectrogram").unwrap());
    reader.save(&folder.path("reader.safetensors")).unwrap();
    let before = store(&folder.path("data.h5"), "audiomnist-spectrogram");
    for (place, recording) in before.recordings().iter().enumerate() {
        let values = spectrogram(&before, place);
        let values = values.view().into_dimensionality().unwrap();
        hdf5_layout::write(&folder.path("files"), recording, values).unwrap();
    }
    let augment = |data: &str, output: &str| {
        folder.run(&[
            "augment",
            "reader.safetensors",
            data,
            "--fill",
            "floor",
            "-o",
            output,
            "--quiet",
        ])
    };
    augment("data.h5", "floor.h5");
    augment("files", "floor");
    let expected = FeatureStore::open(&folder.path("floor.h5")).unwrap();
    let files = hdf5_layout::list(&folder.path("floor")).unwrap();
    assert_eq!(files.len(), 24);
    for file in files {
        let (recording, values) = hdf5_layout::read(&file).unwrap();
        let place = expected
            .recordings()
            .iter()
            .position(|of| of.id == recording.id)
            .unwrap();
        assert_eq!(spectrogram(&expected, place), values.into_dyn());
    }

    let fail = |arguments: &[&str]| folder.fail(&[&["augment"], arguments].concat());
    assert!(fail(&["reader.safetensors", "files", "-o", "x.h5"]).contains("give a folder"));
    assert!(fail(&[model(), "files", "-o", "x"]).contains("crop"));
    let speakers = fail(&[speaker_model(), "data.h5", "-o", "x.h5"]);
    assert!(speakers.contains("tells known speakers"), "{speakers}");
    assert!(fail(&["reader.safetensors", "data.h5", "files", "-o", "x.h5"]).contains("one corpus"));
}
