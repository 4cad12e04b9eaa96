//! The store of the speaker task: mel filterbanks of whole recordings in one HDF5 file.
//!
//! `features` (total frames × 64, f32), the recordings one after another, and of N recordings `offset` (the place of the first
//! frame), `frames` (how many), `mean` (N × 64, of each band over the recording), `id`, `speaker` (text), `label` (0 male,
//! 1 female, −1 unknown) and `digit` (−1 for none); attributes `format` and `key`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5::Dataset;
use ndarray::{Array1, Array2, Axis, Ix2, s};
use speechlens_audio::Filterbank;
use speechlens_audio::filterbank::BANDS;

use crate::corpus::{Corpus, Recording};
use crate::feature_file::{self, Job, read_recordings, write_column};
use crate::hdf5_file::{Failure, column, dataset};
use crate::{Error, Result};

/// Changes whenever the file's layout does, or what the audio crate computes.
const FORMAT: &str = "SpeechLens filterbank store 1";

/// Filterbanks in memory at a time: 64 of half a minute take 49 MB.
const CHUNK: usize = 64;

/// Frames that HDF5 reads and writes at a time.
const BLOCK: usize = 256;

/// An open store. Reading is safe from any thread; HDF5 lets one in at a time.
pub struct FilterbankStore {
    path: PathBuf,
    key: String,
    features: Dataset,
    recordings: Vec<Recording>,
    /// Of each recording, in `features`.
    frames: Vec<Range<usize>>,
    means: Array2<f32>,
}

impl FilterbankStore {
    /// Opens the store at `path` if it holds just these recordings of the corpus (`indices`), from the same sources. If there is
    /// none, or if it holds something else, it is computed, in parallel, and the file appears whole or not at all. `progress`
    /// hears the number of recordings computed so far; it stays silent if there is nothing to do.
    ///
    /// # Errors
    /// Beside those of reading sound and writing: a file at `path` that is not a store, or is damaged, is not overwritten.
    pub fn open_or_compute(
        path: &Path,
        corpus: &dyn Corpus,
        indices: &[usize],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<FilterbankStore> {
        let job = Job {
            corpus,
            indices,
            progress,
        };
        let key = job.key(FORMAT, &[])?;
        let compute = || compute(path, &job, &key);
        feature_file::open_or_compute(path, &key, Self::open, Self::key, compute)
    }

    /// Opens a store whatever it holds.
    pub fn open(path: &Path) -> Result<FilterbankStore> {
        feature_file::open(path, FORMAT, |file, key| {
            let features = dataset(file, "features")?;
            let offsets = dataset(file, "offset")?.read_raw::<u64>()?;
            let lengths = column::<u64>(file, "frames", offsets.len())?;
            let total = match features.shape()[..] {
                [total, BANDS] => total,
                ref shape => return Err(format!("`features` is {shape:?}").into()),
            };
            let frames: Vec<_> = offsets
                .iter()
                .zip(lengths)
                .map(|(&offset, frames)| offset as usize..offset.saturating_add(frames) as usize)
                .collect();
            if frames.iter().any(|frames| frames.end > total) {
                return Err(format!("a recording ends behind frame {total}, the last one").into());
            }
            let means = dataset(file, "mean")?.read::<f32, Ix2>()?;
            if means.dim() != (frames.len(), BANDS) {
                return Err(format!("`mean` is {:?}", means.dim()).into());
            }
            Ok(FilterbankStore {
                path: path.to_owned(),
                key,
                features,
                recordings: read_recordings(file, frames.len())?,
                frames,
                means,
            })
        })
    }

    /// What the store was computed from, as a hash.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The recordings, in the order that was asked for.
    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// The length of every recording in frames; one shorter than a frame has none.
    pub fn frames(&self) -> Vec<usize> {
        self.frames.iter().map(Range::len).collect()
    }

    /// The mean of each of the 64 bands over a recording.
    pub fn mean(&self, recording: usize) -> Array1<f32> {
        self.means.row(recording).to_owned()
    }

    /// Frames of a recording, [64, frames], natural logarithms of power; no mean is taken off.
    ///
    /// # Errors
    /// If the recording has fewer frames, or the file cannot be read.
    pub fn read(&self, recording: usize, frames: Range<usize>) -> Result<Array2<f32>> {
        let whole = &self.frames[recording];
        if frames.end > whole.len() {
            return Err(Error::TooFew(format!(
                "recording {} has {} frames, and frames {} to {} are asked for",
                self.recordings[recording].id,
                whole.len(),
                frames.start,
                frames.end
            )));
        }
        let (first, last) = (whole.start + frames.start, whole.start + frames.end);
        let read = self.features.read_slice::<f32, _, Ix2>(s![first..last, ..]);
        Ok(read.map_err(Error::hdf5(&self.path))?.reversed_axes())
    }
}

fn compute(path: &Path, job: &Job<'_>, key: &str) -> Result<()> {
    let filterbank = Filterbank::new();
    let one =
        |recording: &Recording, index: usize| match filterbank.compute(&job.corpus.audio(index)?) {
            Ok(features) => Ok(features),
            Err(speechlens_audio::Error::TooShort { .. }) => Ok(Array2::zeros((BANDS, 0))),
            Err(source) => Err(Error::Features {
                id: recording.id.clone(),
                source,
            }),
        };
    job.write(path, FORMAT, key, |file| {
        let features = file
            .new_dataset::<f32>()
            .chunk((BLOCK, BANDS))
            .shape((0.., BANDS))
            .create("features")?;
        let count = job.indices.len();
        let (mut offsets, mut frames) = (vec![0u64; count], vec![0u64; count]);
        let mut means = Array2::<f32>::zeros((count, BANDS));
        let mut total = 0;
        job.compute(CHUNK, one, |place, values| -> Result<(), Failure> {
            let end = total + values.ncols();
            (offsets[place], frames[place]) = (total as u64, values.ncols() as u64);
            if let Some(mean) = values.mapv(f64::from).mean_axis(Axis(1)) {
                means.row_mut(place).assign(&mean.mapv(|mean| mean as f32));
                features.resize((end, BANDS))?;
                features.write_slice(&values.t().as_standard_layout(), s![total..end, ..])?;
            }
            total = end;
            Ok(())
        })?;
        write_column(file, "offset", &offsets)?;
        write_column(file, "frames", &frames)?;
        file.new_dataset_builder()
            .with_data(&means)
            .create("mean")?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use speechlens_audio::Audio;

    use super::*;
    use crate::Synthetic;

    #[test]
    fn holds_what_the_audio_crate_computes_in_the_order_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new folder/filterbanks.h5");
        let corpus = Synthetic::utterances(1, 3, 1);
        let indices = [4, 0, 5];
        let store = FilterbankStore::open_or_compute(&path, &corpus, &indices, &|_| ()).unwrap();
        for (place, &index) in indices.iter().enumerate() {
            assert_eq!(store.recordings()[place], corpus.recordings()[index]);
            let expected = Filterbank::new()
                .compute(&corpus.audio(index).unwrap())
                .unwrap();
            let frames = store.frames()[place];
            assert!(frames > 200 && store.read(place, 0..frames).unwrap() == expected);
            let part = store.read(place, 17..217).unwrap();
            assert_eq!(part, expected.slice(s![.., 17..217]));
            let mean = expected.mean_axis(Axis(1)).unwrap();
            let apart = (&mean - &store.mean(place)).mapv(f32::abs);
            assert!(apart.iter().all(|apart| *apart < 1e-4), "{apart}");
            assert!(store.read(place, 1..frames + 1).is_err());
        }
        assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn is_computed_again_when_anything_changed_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filterbanks.h5");
        let (a, b) = (
            Synthetic::utterances(1, 1, 1),
            Synthetic::utterances(1, 1, 2),
        );
        let open = |corpus: &Synthetic, indices: &[usize]| {
            let computed = AtomicUsize::new(0);
            let count = |_| {
                computed.fetch_add(1, Ordering::Relaxed);
            };
            FilterbankStore::open_or_compute(&path, corpus, indices, &count).unwrap();
            computed.into_inner()
        };
        assert_eq!(open(&a, &[0, 1]), 2);
        assert_eq!(open(&a, &[0, 1]), 0);
        assert_eq!(open(&a, &[1, 0]), 2);
        assert_eq!(open(&b, &[1, 0]), 2);
        assert_eq!(open(&b, &[1]), 1);
    }

    #[test]
    fn a_damaged_or_foreign_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filterbanks.h5");
        let corpus = Synthetic::utterances(1, 1, 1);
        let open = || FilterbankStore::open_or_compute(&path, &corpus, &[0, 1], &|_| ());
        drop(open().unwrap());
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = open().err().unwrap().to_string();
            assert!(
                error.contains("filterbanks.h5") && error.contains("delete it"),
                "{length}: {error}"
            );
            assert_eq!(std::fs::read(&path).unwrap().len(), length);
        }
        // A store of spectrograms.
        std::fs::remove_file(&path).unwrap();
        let words = Synthetic::new(1, 1, 1);
        crate::Store::open_or_compute(&path, &words, &[0], Default::default(), &|_| ()).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("another format"), "{error}");
    }

    /// Recordings of 0.01 s and of 1 s.
    struct Short(Vec<Recording>);

    impl Corpus for Short {
        fn name(&self) -> &str {
            "short"
        }
        fn recordings(&self) -> &[Recording] {
            &self.0
        }
        fn audio(&self, index: usize) -> Result<Audio> {
            Ok(Audio {
                samples: vec![0.1; [160, 16_000][index]],
                rate: 16_000,
            })
        }
        fn fingerprint(&self, _: usize) -> Result<String> {
            Ok(String::new())
        }
    }

    #[test]
    fn a_recording_shorter_than_a_frame_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filterbanks.h5");
        let recording = |id: &str| Recording {
            id: id.into(),
            speaker: "1".into(),
            sex: None,
            digit: None,
        };
        let corpus = Short(vec![recording("a"), recording("b")]);
        let store = FilterbankStore::open_or_compute(&path, &corpus, &[0, 1], &|_| ()).unwrap();
        assert_eq!(store.frames(), [0, 98]);
        assert_eq!(store.recordings(), corpus.recordings());
        assert_eq!(store.read(0, 0..0).unwrap().dim(), (BANDS, 0));
    }
}
