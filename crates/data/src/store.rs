//! The feature store: spectrograms of a list of recordings in one HDF5 file.
//!
//! `features` (N × 227 × 227, f32, in dB), and N each of `label` (0 male, 1 female), `digit` (−1 for none), `padding` (in
//! frames), `offset` (in samples at 8 kHz), `id` and `speaker` (text); attributes `format`, `key`, `crop` and `seed`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, File};
use ndarray::{Array3, Axis, Ix2, Ix3, s};
use rand::Rng;
use rayon::prelude::*;
use speechlens_audio::{Crop, Placed, Placement, SIZE, Spectrogram, padding_frames};

use crate::corpus::{Corpus, Recording, Sex};
use crate::hdf5_file::{attribute, column, write_atomically, write_attribute, write_text};
use crate::seed::rng;
use crate::{Error, Result};

/// Changes whenever the file's layout does, or what the audio crate computes.
const FORMAT: &str = "SpeechLens feature store 1";

/// Spectrograms in memory at a time: 256 of them take 53 MB.
const CHUNK: usize = 256;

/// What the spectrograms depend on beside the recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Which 227 of 230 frames are kept.
    pub crop: Crop,
    /// Draws the place of each recording in its second of zeros, by the recording's id.
    pub seed: u64,
}

impl Parameters {
    /// Where a recording starts. It depends on its id alone, and not on the recordings beside it.
    pub fn placement(&self, id: &str) -> Placement {
        Placement::Random(rng(self.seed, &format!("placement of {id}")).next_u64())
    }
}

/// An open store. Reading is safe from any thread; HDF5 lets one in at a time.
pub struct Store {
    path: PathBuf,
    key: String,
    crop: Crop,
    features: Dataset,
    recordings: Vec<Recording>,
    padding: Vec<u32>,
    offsets: Vec<u32>,
}

impl Store {
    /// Opens the store at `path` if it holds just these recordings of the corpus (`indices`), from the same sources, with the
    /// same parameters. If there is none, or if it holds something else, it is computed: in parallel, 256 recordings in
    /// memory at a time, and the file appears whole or not at all. `progress` hears the number of recordings computed so
    /// far; it stays silent if there is nothing to do.
    ///
    /// # Errors
    /// Beside those of reading sound and writing: a file at `path` that is not a store, or is damaged, is not overwritten.
    pub fn open_or_compute(
        path: &Path,
        corpus: &dyn Corpus,
        indices: &[usize],
        parameters: Parameters,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Store> {
        let key = key(corpus, indices, parameters)?;
        if path.exists() {
            let store = Store::open(path)?;
            if store.key == key {
                return Ok(store);
            }
        }
        compute(path, corpus, indices, parameters, &key, progress)?;
        Store::open(path)
    }

    /// Opens a store whatever it holds.
    pub fn open(path: &Path) -> Result<Store> {
        let error = |e: hdf5::Error| {
            let reason = format!(
                "not a whole SpeechLens feature store ({e}); delete it, and it will be computed again"
            );
            Error::malformed(path, reason)
        };
        if !path.exists() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Error::io(path)(missing));
        }
        let file = File::open(path).map_err(error)?;
        let read = || -> hdf5::Result<Store> {
            if attribute(&file, "format")? != FORMAT {
                return Err("another format".into());
            }
            let features = file.dataset("features")?;
            let count = features.shape().first().copied().unwrap_or(0);
            if features.shape() != [count, SIZE, SIZE] {
                return Err(format!("`features` is {:?}", features.shape()).into());
            }
            let ids = column::<VarLenUnicode>(&file, "id", count)?;
            let speakers = column::<VarLenUnicode>(&file, "speaker", count)?;
            let labels = column::<u8>(&file, "label", count)?;
            let digits = column::<i8>(&file, "digit", count)?;
            let recordings = (0..count)
                .map(|i| {
                    Ok(Recording {
                        id: ids[i].to_string(),
                        speaker: speakers[i].to_string(),
                        sex: Sex::from_index(labels[i].into())
                            .ok_or("a label is neither 0 nor 1")?,
                        digit: u8::try_from(digits[i]).ok(),
                    })
                })
                .collect::<hdf5::Result<_>>()?;
            Ok(Store {
                path: path.to_owned(),
                key: attribute(&file, "key")?,
                crop: attribute(&file, "crop")?
                    .parse()
                    .map_err(|_| "an unknown crop")?,
                features,
                recordings,
                padding: column(&file, "padding", count)?,
                offsets: column(&file, "offset", count)?,
            })
        };
        read().map_err(error)
    }

    /// How many recordings.
    pub fn len(&self) -> usize {
        self.recordings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.recordings.is_empty()
    }

    /// What the store was computed from, as a hash.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Which frames the spectrograms keep.
    pub fn crop(&self) -> Crop {
        self.crop
    }

    /// The recordings, in the order of the spectrograms.
    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// The classes: 0 male, 1 female.
    pub fn labels(&self) -> Vec<u32> {
        self.recordings
            .iter()
            .map(|r| r.sex.index() as u32)
            .collect()
    }

    /// How many of the 227 frames of each spectrogram are centred outside of its recording.
    pub fn padding(&self) -> &[u32] {
        &self.padding
    }

    /// The sample at 8 kHz at which each recording starts.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The spectrograms of given places, [places, 227, 227] in dB.
    pub fn read(&self, places: &[usize]) -> Result<Array3<f32>> {
        let mut batch = Array3::zeros((places.len(), SIZE, SIZE));
        for (mut values, &place) in batch.axis_iter_mut(Axis(0)).zip(places) {
            let read = self.features.read_slice::<f32, _, Ix2>(s![place, .., ..]);
            values.assign(&read.map_err(Error::hdf5(&self.path))?);
        }
        Ok(batch)
    }

    /// All spectrograms, [N, 227, 227] in dB: 206 kB each.
    pub fn read_all(&self) -> Result<Array3<f32>> {
        self.features
            .read::<f32, Ix3>()
            .map_err(Error::hdf5(&self.path))
    }
}

/// A hash over everything the store's content depends on, and over no path.
fn key(corpus: &dyn Corpus, indices: &[usize], parameters: Parameters) -> Result<String> {
    let mut hash = blake3::Hasher::new();
    let mut add = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    add(FORMAT);
    add(&parameters.crop.to_string());
    add(&parameters.seed.to_string());
    add(corpus.name());
    for &index in indices {
        let recording = &corpus.recordings()[index];
        add(&recording.id);
        add(&recording.speaker);
        add(recording.sex.name());
        add(&corpus.fingerprint(index)?);
    }
    Ok(hash.finalize().to_hex().to_string())
}

fn compute(
    path: &Path,
    corpus: &dyn Corpus,
    indices: &[usize],
    parameters: Parameters,
    key: &str,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<()> {
    let recordings: Vec<_> = indices
        .iter()
        .map(|&index| &corpus.recordings()[index])
        .collect();
    let spectrogram = Spectrogram::new(parameters.crop);
    let done = AtomicUsize::new(0);
    let one = |&index: &usize| -> Result<Placed> {
        let id = &corpus.recordings()[index].id;
        let audio = corpus.audio(index)?;
        let placed = spectrogram.compute(&audio, parameters.placement(id));
        let placed = placed.map_err(|source| Error::Spectrogram {
            id: id.clone(),
            source,
        })?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(placed)
    };
    // In the corpus's order: neighbours may come from one file, which is decoded once.
    let mut order: Vec<usize> = (0..indices.len()).collect();
    order.sort_by_key(|&place| indices[place]);

    write_atomically(path, |file| {
        write_attribute(file, "format", FORMAT)?;
        write_attribute(file, "key", key)?;
        write_attribute(file, "crop", &parameters.crop.to_string())?;
        write_attribute(file, "seed", &parameters.seed.to_string())?;
        write_text(file, "id", recordings.iter().map(|r| r.id.as_str()))?;
        write_text(
            file,
            "speaker",
            recordings.iter().map(|r| r.speaker.as_str()),
        )?;
        let labels: Vec<u8> = recordings.iter().map(|r| r.sex.index() as u8).collect();
        let digits: Vec<i8> = recordings
            .iter()
            .map(|r| r.digit.map_or(-1, |d| d as i8))
            .collect();
        file.new_dataset_builder()
            .with_data(&labels)
            .create("label")?;
        file.new_dataset_builder()
            .with_data(&digits)
            .create("digit")?;

        let shape = (indices.len(), SIZE, SIZE);
        let features = file.new_dataset::<f32>().shape(shape).create("features")?;
        let mut padding = vec![0u32; indices.len()];
        let mut offsets = vec![0u32; indices.len()];
        for places in order.chunks(CHUNK) {
            let chunk = places.par_iter().map(|&place| one(&indices[place]));
            for (&place, placed) in places.iter().zip(chunk.collect::<Result<Vec<_>>>()?) {
                features.write_slice(&placed.values, s![place, .., ..])?;
                padding[place] =
                    padding_frames(placed.offset, placed.samples, parameters.crop) as u32;
                offsets[place] = placed.offset as u32;
            }
        }
        file.new_dataset_builder()
            .with_data(&padding)
            .create("padding")?;
        file.new_dataset_builder()
            .with_data(&offsets)
            .create("offset")?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Synthetic;

    fn no_progress(_: usize) {}

    #[test]
    fn holds_what_the_audio_crate_computes_in_the_order_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new folder/test.h5");
        let corpus = Synthetic::new(2, 5, 1);
        let indices = [17, 3, 4, 0];
        let parameters = Parameters {
            crop: Crop::AudioMnist,
            seed: 5,
        };
        let heard = AtomicUsize::new(0);
        let progress = |done: usize| {
            heard.fetch_max(done, Ordering::Relaxed);
        };
        let store =
            Store::open_or_compute(&path, &corpus, &indices, parameters, &progress).unwrap();
        assert_eq!(heard.into_inner(), 4);
        assert_eq!(store.len(), 4);
        assert_eq!(store.labels(), [1, 0, 0, 0]);
        let all = store.read_all().unwrap();
        assert_eq!(store.read(&[2, 0]).unwrap(), all.select(Axis(0), &[2, 0]));
        for (place, &index) in indices.iter().enumerate() {
            let recording = &corpus.recordings()[index];
            assert_eq!(&store.recordings()[place], recording);
            let audio = corpus.audio(index).unwrap();
            let placed = Spectrogram::new(Crop::AudioMnist)
                .compute(&audio, parameters.placement(&recording.id))
                .unwrap();
            assert_eq!(all.index_axis(Axis(0), place), placed.values);
            assert_eq!(store.offsets()[place], placed.offset as u32);
            let length = audio.samples.len() as u32 / 2;
            // 35 samples a frame.
            assert!((227 - store.padding()[place]).abs_diff(length / 35) <= 3);
        }
        assert!(store.read(&[4]).is_err());
        // Nothing but the store is left in the folder.
        assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn is_computed_again_when_anything_changed_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.h5");
        let (a, b) = (Synthetic::new(1, 3, 1), Synthetic::new(1, 3, 2));
        let open = |corpus: &Synthetic, indices: &[usize], parameters| {
            let computed = AtomicUsize::new(0);
            let count = |_| {
                computed.fetch_add(1, Ordering::Relaxed);
            };
            let store = Store::open_or_compute(&path, corpus, indices, parameters, &count).unwrap();
            (computed.into_inner(), store.key().to_owned())
        };
        let parameters = Parameters::default();
        let (computed, key) = open(&a, &[0, 1], parameters);
        assert_eq!(computed, 2);
        assert_eq!(open(&a, &[0, 1], parameters), (0, key.clone()));
        assert_eq!(open(&a, &[1, 0], parameters).0, 2);
        assert_eq!(open(&b, &[1, 0], parameters).0, 2);
        assert_eq!(
            open(
                &b,
                &[1, 0],
                Parameters {
                    seed: 1,
                    ..parameters
                }
            )
            .0,
            2
        );
        let audiomnist = Parameters {
            crop: Crop::AudioMnist,
            ..parameters
        };
        assert_eq!(open(&b, &[1, 0], audiomnist).0, 2);
        assert_eq!(open(&a, &[0, 1], parameters), (2, key));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.h5");
        let corpus = Synthetic::new(1, 2, 1);
        let open = || {
            Store::open_or_compute(
                &path,
                &corpus,
                &[0, 1, 2],
                Parameters::default(),
                &no_progress,
            )
        };
        let open_error = || open().err().unwrap().to_string();
        drop(open().unwrap());
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 100, 5000, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = open_error();
            assert!(
                error.contains("test.h5") && error.contains("delete it"),
                "{length}: {error}"
            );
            assert_eq!(std::fs::read(&path).unwrap().len(), length);
        }
        std::fs::remove_file(&path).unwrap();
        drop(File::create(&path).unwrap());
        assert!(open_error().contains("test.h5"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(open().unwrap().len(), 3);
    }

    #[test]
    fn an_error_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.h5");
        struct Long;
        impl Corpus for Long {
            fn name(&self) -> &str {
                "long"
            }
            fn recordings(&self) -> &[Recording] {
                static ONE: std::sync::LazyLock<[Recording; 1]> = std::sync::LazyLock::new(|| {
                    [Recording {
                        id: "too-long".into(),
                        speaker: "1".into(),
                        sex: Sex::Male,
                        digit: None,
                    }]
                });
                &*ONE
            }
            fn audio(&self, _: usize) -> Result<speechlens_audio::Audio> {
                Ok(speechlens_audio::Audio {
                    samples: vec![0.1; 8001],
                    rate: 8000,
                })
            }
            fn fingerprint(&self, _: usize) -> Result<String> {
                Ok(String::new())
            }
        }
        let error = Store::open_or_compute(&path, &Long, &[0], Parameters::default(), &no_progress)
            .err()
            .unwrap();
        assert!(error.to_string().contains("too-long"), "{error}");
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
