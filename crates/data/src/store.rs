//! The feature store: spectrograms of a list of recordings in one HDF5 file.
//!
//! `features` (N × 227 × 227, f32, in dB), and N each of `label` (0 male, 1 female, −1 unknown), `digit` (−1 for none), `padding`
//! (in frames), `offset` (in samples at 8 kHz), `id` and `speaker` (text); attributes `format`, `key`, `crop`, and `seed`, or
//! `derived`: how the spectrograms were made of another store's.

use std::path::{Path, PathBuf};

use hdf5::Dataset;
use ndarray::{Array3, ArrayView3, Axis, Ix2, Ix3, s};
use rand::Rng;
use speechlens_audio::{Crop, Placement, SIZE, Spectrogram, padding_frames};

use crate::corpus::{Corpus, Recording};
use crate::feature_file::{self, Job, read_recordings, write_column};
use crate::hdf5_file::{Failure, attribute, column, dataset, write_attribute};
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
        let job = Job {
            corpus,
            indices,
            progress,
        };
        let key = job.key(
            FORMAT,
            &[parameters.crop.to_string(), parameters.seed.to_string()],
        )?;
        let compute = || compute(path, &job, parameters, &key);
        feature_file::open_or_compute(path, &key, Store::open, Store::key, compute)
    }

    /// Opens a store whatever it holds.
    pub fn open(path: &Path) -> Result<Store> {
        feature_file::open(path, FORMAT, |file, key| {
            let features = dataset(file, "features")?;
            let count = features.shape().first().copied().unwrap_or(0);
            if features.shape() != [count, SIZE, SIZE] {
                return Err(format!("`features` is {:?}", features.shape()).into());
            }
            Ok(Store {
                path: path.to_owned(),
                key,
                crop: attribute(file, "crop")?
                    .parse()
                    .map_err(|_| "an unknown crop")?,
                features,
                recordings: read_recordings(file, count)?,
                padding: column(file, "padding", count)?,
                offsets: column(file, "offset", count)?,
            })
        })
    }

    /// Opens the store at `path` if it was derived so from this one: it holds the recordings of these places with other
    /// spectrograms, and `how` says, whole and exactly, what they depend on beside this store. If there is none, or if it
    /// holds something else, it is written: `next` gives the spectrograms, [places, 227, 227] in dB, of 256 places at most at a
    /// time, and the file appears whole or not at all.
    ///
    /// # Errors
    /// Beside those of `next` and of writing: spectrograms of another shape, or with values that are not finite; a file at `path`
    /// that is not a store, or is damaged, is not overwritten.
    pub fn derive(
        &self,
        path: &Path,
        places: &[usize],
        how: &str,
        mut next: impl FnMut(&[usize]) -> Result<Array3<f32>>,
    ) -> Result<Store> {
        let sources = places.iter().map(ToString::to_string);
        let parts = [FORMAT.to_owned(), self.key.clone(), how.to_owned()];
        let key = feature_file::hash(parts.into_iter().chain(sources));
        let pick = |column: &[u32]| -> Vec<u32> { places.iter().map(|p| column[*p]).collect() };
        let compute = || {
            let recordings: Vec<_> = places.iter().map(|p| &self.recordings[*p]).collect();
            feature_file::write(path, FORMAT, &key, &recordings, |file| {
                write_attribute(file, "crop", &self.crop.to_string())?;
                write_attribute(file, "derived", how)?;
                let shape = (places.len(), SIZE, SIZE);
                let features = file.new_dataset::<f32>().shape(shape).create("features")?;
                for (chunk, places) in places.chunks(CHUNK).enumerate() {
                    let values = next(places)?;
                    if values.dim() != (places.len(), SIZE, SIZE) {
                        let reason = format!("spectrograms of {:?} were given", values.dim());
                        return Err(Error::malformed(path, reason).into());
                    }
                    check_finite(path, values.view())?;
                    let start = chunk * CHUNK;
                    features.write_slice(&values, s![start..start + places.len(), .., ..])?;
                }
                write_column(file, "padding", &pick(&self.padding))?;
                write_column(file, "offset", &pick(&self.offsets))?;
                Ok(())
            })
        };
        feature_file::open_or_compute(path, &key, Store::open, Store::key, compute)
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
        check_finite(&self.path, batch.view())?;
        Ok(batch)
    }

    /// All spectrograms, [N, 227, 227] in dB: 206 kB each.
    pub fn read_all(&self) -> Result<Array3<f32>> {
        self.features
            .read::<f32, Ix3>()
            .map_err(Error::hdf5(&self.path))
    }
}

fn check_finite(path: &Path, values: ArrayView3<'_, f32>) -> Result<()> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let reason = "`features` holds values that are not finite; delete it, and compute it again";
    Err(Error::malformed(path, reason))
}

fn compute(path: &Path, job: &Job<'_>, parameters: Parameters, key: &str) -> Result<()> {
    let spectrogram = Spectrogram::new(parameters.crop);
    let one = |recording: &Recording, index: usize| {
        let placement = parameters.placement(&recording.id);
        let placed = spectrogram.compute(&job.corpus.audio(index)?, placement);
        placed.map_err(|source| Error::Features {
            id: recording.id.clone(),
            source,
        })
    };
    job.write(path, FORMAT, key, |file| {
        write_attribute(file, "crop", &parameters.crop.to_string())?;
        write_attribute(file, "seed", &parameters.seed.to_string())?;
        let count = job.indices.len();
        let shape = (count, SIZE, SIZE);
        let features = file.new_dataset::<f32>().shape(shape).create("features")?;
        let mut padding = vec![0u32; count];
        let mut offsets = vec![0u32; count];
        job.compute(CHUNK, one, |place, placed| -> Result<(), Failure> {
            features.write_slice(&placed.values, s![place, .., ..])?;
            padding[place] = padding_frames(placed.offset, placed.samples, parameters.crop) as u32;
            offsets[place] = placed.offset as u32;
            Ok(())
        })?;
        write_column(file, "padding", &padding)?;
        write_column(file, "offset", &offsets)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hdf5::File;

    use super::*;
    use crate::{Sex, Synthetic};

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
        let sexes: Vec<_> = store.recordings().iter().map(|r| r.sex).collect();
        assert_eq!(
            sexes,
            [Sex::Female, Sex::Male, Sex::Male, Sex::Male].map(Some)
        );
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
    fn a_derived_store_has_the_same_recordings_and_other_spectrograms() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = Synthetic::new(1, 3, 1);
        let source = folder.path().join("source.h5");
        let indices = [0, 1, 2, 3];
        let parameters = Parameters::default();
        let source =
            Store::open_or_compute(&source, &corpus, &indices, parameters, &no_progress).unwrap();
        let path = folder.path().join("derived.h5");
        let derive = |how: &str, by: f32| {
            let mut asked = 0;
            let next = |places: &[usize]| {
                asked += places.len();
                Ok(source.read(places)?.mapv(|level| level - by))
            };
            let store = source.derive(&path, &[3, 1], how, next);
            store.map(|store| (store, asked))
        };
        let (store, asked) = derive("1 dB less", 1.0).unwrap();
        assert_eq!((store.len(), asked, store.crop()), (2, 2, source.crop()));
        for (place, of_source) in [3, 1].into_iter().enumerate() {
            assert_eq!(store.recordings()[place], source.recordings()[of_source]);
            assert_eq!(store.padding()[place], source.padding()[of_source]);
            assert_eq!(store.offsets()[place], source.offsets()[of_source]);
        }
        let expected = source.read(&[3, 1]).unwrap().mapv(|level| level - 1.0);
        assert_eq!(store.read_all().unwrap(), expected);
        // It is there already; another is written over it, but not one that is not whole.
        assert_eq!(derive("1 dB less", 1.0).unwrap().1, 0);
        assert_eq!(derive("2 dB less", 2.0).unwrap().1, 2);
        let before = std::fs::read(&path).unwrap();
        let error = derive("nothing", f32::NAN).err().unwrap().to_string();
        assert!(error.contains("derived.h5") && error.contains("not finite"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
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
                        sex: Some(Sex::Male),
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
