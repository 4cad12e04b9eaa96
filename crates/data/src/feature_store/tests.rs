use std::sync::atomic::{AtomicUsize, Ordering};

use speechlens_frontend::Reading;

use hdf5::File;

use super::*;
use crate::feature_file::{Content, write_column};
use crate::hdf5_file::{Failure, write_attribute};
use crate::ragged::write_ranges;
use crate::{Digits, Synthetic};

const FBANK: &str = "rate = 16000\nlength = { frames = 120 }\n[[stage]]\nop = \"fbank\"\nbands = 80\n\
                     [[stage]]\nop = \"normalize\"\nover = \"window\"\n";
const PIECES: &str = "rate = 8000\nlength = { exactly = 0.5 }\n";

fn store(path: &Path, corpus: &dyn Corpus, indices: &[usize], text: &str) -> FeatureStore {
    let front_end = FrontEnd::parse(text).unwrap();
    FeatureStore::open_or_compute(path, corpus, indices, (&front_end, 5), &|_| ()).unwrap()
}

#[test]
fn holds_what_the_front_end_computes_in_the_order_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.h5");
    let corpus = Synthetic::utterances(1, 2, 1);
    let indices = [3, 0, 2];
    for text in [FBANK, PIECES] {
        let store = store(&path, &corpus, &indices, text);
        for (place, index) in indices.into_iter().enumerate() {
            assert_eq!(store.recordings()[place], corpus.recordings()[index]);
            let reading = Reading {
                hop: Some(30),
                ..Reading::default()
            };
            let audio = corpus.audio(index).unwrap();
            let heard = store.front_end().compute(&audio, &reading).unwrap();
            let windows = store.windows(place, Some(30)).unwrap();
            assert!(windows.len() > 3 && windows.len() == heard.places.len());
            for (ours, theirs) in store
                .read(&windows)
                .unwrap()
                .iter()
                .zip(heard.windows.outer_iter())
            {
                assert_eq!(ours, theirs);
            }
        }
        let nowhere = |recording, start| store.read(&[Window { recording, start }]).is_err();
        assert!(nowhere(3, 0) && nowhere(0, 1 << 30));
    }
}

/// Files of older versions: filterbanks of 64 bands, and spectrograms with a window a recording, changed ones among them.
#[test]
fn stores_of_older_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let old = |name: &str, format: &str, new: &FeatureStore, write: &dyn Fn(&File)| {
        let about = [format, "key", "origin"];
        let write = |file: &File| {
            write(file);
            Ok(Content {
                kept: (0..new.recordings.len()).collect(),
                recordings: new.recordings.iter().collect(),
                left_out: Vec::new(),
            })
        };
        feature_file::write(&path(name), about, write).unwrap();
        FeatureStore::open(&path(name)).unwrap()
    };
    let windows = |store: &FeatureStore| -> Vec<Window> {
        let all = (0..store.recordings().len()).map(|one| store.windows(one, None).unwrap());
        all.flatten().collect()
    };

    let utterances = Synthetic::utterances(1, 2, 1);
    let front_end = FrontEnd::load("thesis-fbank").unwrap();
    let new = store(
        &path("f.h5"),
        &utterances,
        &[3, 0],
        &front_end.to_toml().unwrap(),
    );
    let filterbanks = |file: &File| {
        let values: Array2<f32> = new.material.read().unwrap();
        let mean = |range: &Range<usize>| {
            let own = values.slice(s![range.clone(), ..]).mapv(f64::from);
            own.mean_axis(Axis(0)).unwrap().mapv(|mean| mean as f32)
        };
        let means: Vec<_> = new.ranges.iter().map(mean).collect();
        let means: Vec<_> = means.iter().map(|mean| mean.view()).collect();
        let means = ndarray::stack(Axis(0), &means).unwrap();
        for (name, values) in [("features", &values), ("mean", &means)] {
            file.new_dataset_builder()
                .with_data(values)
                .create(name)
                .unwrap();
        }
        write_ranges(file, "frames", &new.ranges).unwrap();
    };
    let read = old("old-f.h5", FILTERBANKS, &new, &filterbanks);
    assert_eq!(read.lengths(), new.lengths());
    let all = windows(&new);
    assert_eq!(read.read(&all).unwrap(), new.read(&all).unwrap());
    // They hold no means taken off, and can be read so or so.
    let by_recording = FrontEnd::load("thesis-fbank-recording").unwrap();
    let text = by_recording.to_toml().unwrap();
    let expected = store(&path("r.h5"), &utterances, &[3, 0], &text)
        .read(&all)
        .unwrap();
    let found = read
        .of_front_end(&by_recording)
        .unwrap()
        .read(&all)
        .unwrap();
    for (found, expected) in found.iter().zip(&expected) {
        let apart = (found - expected).mapv(f32::abs);
        assert!(apart.iter().all(|apart| *apart < 1e-5));
    }
    assert!(new.of_front_end(&by_recording).is_err());

    let words = Synthetic::new(1, 4, 1);
    let front_end = FrontEnd::load("audiomnist-spectrogram").unwrap();
    let new = store(
        &path("s.h5"),
        &words,
        &[7, 2],
        &front_end.to_toml().unwrap(),
    );
    let all = windows(&new);
    let changed = new.derive(&path("d.h5"), &all, "by hand", |range| {
        let mut values = new.read(&all[range])?;
        values.iter_mut().for_each(|window| window[[3, 5]] = -7.0);
        Ok(values)
    });
    let changed = changed.unwrap();
    let sound = |file: &File| {
        let values: Vec<f32> = new.material.read_raw().unwrap();
        write_column(file, "sound", &values).unwrap();
        write_ranges(file, "sound", &new.ranges).unwrap();
        write_column(file, "offset", new.offsets.as_ref().unwrap()).unwrap();
        write_attribute(file, "crop", "audiomnist").unwrap();
    };
    let read = old("old-s.h5", SPECTROGRAMS, &new, &sound);
    assert_eq!(read.front_end().name(), front_end.name());
    assert_eq!(read.read(&all).unwrap(), new.read(&all).unwrap());
    assert_eq!(read.samples(1), new.samples(1));
    let derived = |file: &File| {
        sound(file);
        write_ranges(file, "changed", &[0..1, 1..2]).unwrap();
        write_column(file, "changed_bin", &[3u16 * 227 + 5; 2]).unwrap();
        write_column(file, "changed_level", &[-7f32; 2]).unwrap();
    };
    let read = old("old-d.h5", SPECTROGRAMS, &new, &derived);
    assert!(read.is_derived());
    assert_eq!(read.read(&all).unwrap(), changed.read(&all).unwrap());
}

#[test]
fn is_computed_again_when_a_label_or_the_front_end_changed_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.h5");
    let words = || Synthetic::new(1, 2, 1);
    let computed = |corpus: &dyn Corpus, text: &str| {
        let computed = AtomicUsize::new(0);
        let count = |_| {
            computed.fetch_add(1, Ordering::Relaxed);
        };
        let front_end = FrontEnd::parse(text).unwrap();
        FeatureStore::open_or_compute(&path, corpus, &[0, 1], (&front_end, 5), &count).unwrap();
        computed.into_inner()
    };
    assert_eq!(computed(&words(), PIECES), 2);
    assert_eq!(computed(&words(), PIECES), 0);
    assert_eq!(computed(&Digits::new(words()), PIECES), 2);
    assert_eq!(
        computed(
            &Digits::new(words()),
            "rate = 8000\nlength = { exactly = 0.25 }\n"
        ),
        2
    );
}

#[test]
fn a_derived_store_has_the_same_windows_with_other_values() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = Digits::new(Synthetic::new(1, 3, 1));
    let path = folder.path().join("derived.h5");
    for text in [
        PIECES,
        "rate = 16000\nlength = { frames = 20 }\n[[stage]]\nop = \"fbank\"\nbands = 40\n",
    ] {
        let source = folder.path().join("source.h5");
        let source = store(&source, &corpus, &[0, 1, 4], text);
        let windows = [
            source.windows(2, None).unwrap(),
            source.windows(0, None).unwrap(),
        ]
        .concat();
        let louder = |range: Range<usize>| {
            let mut values = source.read(&windows[range])?;
            for window in &mut values {
                window.iter_mut().step_by(7).for_each(|value| *value += 1.0);
            }
            Ok(values)
        };
        let derived = source
            .derive(&path, &windows, "a seventh by 1", louder)
            .unwrap();
        let own = [
            derived.windows(1, None).unwrap(),
            derived.windows(0, None).unwrap(),
        ]
        .concat();
        assert_eq!(own.len(), windows.len());
        assert_eq!(
            derived.recordings(),
            [
                source.recordings()[0].clone(),
                source.recordings()[2].clone()
            ]
        );
        assert_eq!(
            derived.read(&own).unwrap(),
            louder(0..windows.len()).unwrap()
        );
        // Of one that is derived, what was changed once stays so.
        let twice = folder.path().join("twice.h5");
        let eighths = |range: Range<usize>| {
            let mut values = derived.read(&own[range])?;
            for window in &mut values {
                window.iter_mut().step_by(8).for_each(|value| *value -= 2.0);
            }
            Ok(values)
        };
        let again = derived
            .derive(&twice, &own, "an eighth by 2", eighths)
            .unwrap();
        let all = [
            again.windows(0, None).unwrap(),
            again.windows(1, None).unwrap(),
        ]
        .concat();
        let mut expected = eighths(0..own.len()).unwrap();
        let first = derived.windows(1, None).unwrap().len();
        expected.rotate_left(first);
        assert_eq!(again.read(&all).unwrap(), expected);
        std::fs::remove_file(&twice).unwrap();
        // It is there already.
        let none = |_| panic!("is made again");
        source
            .derive(&path, &windows, "a seventh by 1", none)
            .unwrap();
        let wrong = |range: Range<usize>| Ok(vec![ArrayD::zeros(vec![1]); range.len()]);
        assert!(source.derive(&path, &windows, "another", wrong).is_err());
        assert_eq!(FeatureStore::open(&path).unwrap().key(), derived.key());
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_damaged_or_foreign_file_is_named_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.h5");
    let corpus = Synthetic::new(1, 2, 1);
    let open = || {
        let front_end = FrontEnd::parse(PIECES).unwrap();
        FeatureStore::open_or_compute(&path, &corpus, &[0, 1], (&front_end, 5), &|_| ())
    };
    drop(open().unwrap());
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(
            error.contains("features.h5") && error.contains("another name"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap().len(), length);
    }
    std::fs::remove_file(&path).unwrap();
    let other = |_: &File| -> Result<Content, Failure> {
        Ok(Content {
            kept: Vec::new(),
            recordings: Vec::new(),
            left_out: Vec::new(),
        })
    };
    feature_file::write(&path, ["another", "key", "origin"], other).unwrap();
    assert!(open().err().unwrap().to_string().contains("`another`"));
}
