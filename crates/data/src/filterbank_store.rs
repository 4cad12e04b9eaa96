//! The store of the speaker task: mel filterbanks of whole recordings in one HDF5 file.
//!
//! `features` (total frames × 64, f32), the recordings one after another, and of N recordings `frames_start` and `frames_count`
//! (their frames), `mean` (N × 64, of each band over the recording), `id`, `speaker` (text), `label` (0 male, 1 female, −1
//! unknown) and `digit` (−1 for none). Of recordings that could not be used, `left_out_id`, `left_out_reason` and
//! `left_out_message`. Attributes `format`, `key` and `origin`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5::{Dataset, File};
use ndarray::{Array1, Array2, Axis, Ix2, s};
use speechlens_audio::filterbank::BANDS;
use speechlens_audio::{Audio, Filterbank};

use crate::corpus::{Corpus, Recording};
use crate::feature_file::{self, Job, Stored, read_left_out, read_recordings};
use crate::hdf5_file::dataset;
use crate::left_out::LeftOut;
use crate::ragged::{Rows, read_ranges, write_ranges};
use crate::{Error, Result};

/// Changes whenever the file's layout does, or what the audio crate computes.
pub(crate) const FORMAT: &str = "SpeechLens filterbank store 2";

/// Filterbanks in memory at a time: 64 of half a minute take 49 MB.
const CHUNK: usize = 64;

/// An open store. Reading is safe from any thread; HDF5 lets one in at a time.
pub struct FilterbankStore {
    path: PathBuf,
    key: String,
    features: Dataset,
    recordings: Vec<Recording>,
    left_out: Vec<LeftOut>,
    /// Of each recording, in `features`.
    frames: Vec<Range<usize>>,
    means: Array2<f32>,
}

impl FilterbankStore {
    /// Opens the store at `path` if it holds just these recordings of the corpus (`indices`), from the same sources. If there is
    /// none, or if it holds something else, it is computed, in parallel, and the file appears whole or not at all. `progress`
    /// hears the number of recordings computed so far; it stays silent if there is nothing to do.
    ///
    /// Recordings that cannot be used are left out, and [told](FilterbankStore::left_out).
    ///
    /// # Errors
    /// If nothing can be used; of a [strict](Corpus::is_strict) corpus, if a recording cannot be. If writing fails. A file at `path`
    /// that is not a store, or is damaged, is not overwritten.
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
        let key = job.key(FORMAT, &[]);
        feature_file::open_or_compute(path, &key, |path| compute(path, &job, &key))
    }

    /// As [`FilterbankStore::open_or_compute`], in a folder in which stores of all recordings are beside each other, called
    /// `NAME-KEY.h5`. A damaged one is computed again.
    ///
    /// # Errors
    /// As [`FilterbankStore::open_or_compute`].
    pub fn cached(
        folder: &Path,
        name: &str,
        corpus: &dyn Corpus,
        indices: &[usize],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<FilterbankStore> {
        let job = Job {
            corpus,
            indices,
            progress,
        };
        let key = job.key(FORMAT, &[]);
        feature_file::cached(folder, name, &key, |path| compute(path, &job, &key))
    }

    /// Opens a store whatever it holds.
    ///
    /// # Errors
    /// If there is no file, or it is no whole store.
    pub fn open(path: &Path) -> Result<FilterbankStore> {
        feature_file::open(path, FORMAT, |file, key| {
            let features = dataset(file, "features")?;
            let total = match features.shape()[..] {
                [total, BANDS] => total,
                ref shape => return Err(format!("`features` is {shape:?}").into()),
            };
            let count = dataset(file, "frames_start")?.size();
            let frames = read_ranges(file, "frames", count)?;
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
                left_out: read_left_out(file)?,
                frames,
                means,
            })
        })
    }

    /// What the store was computed from, as a hash.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recordings, in the order that was asked for.
    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// What was asked for beside them and cannot be used.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The length of every recording in frames.
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

impl Stored for FilterbankStore {
    fn open(path: &Path) -> Result<Self> {
        FilterbankStore::open(path)
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}

fn compute(path: &Path, job: &Job<'_>, key: &str) -> Result<()> {
    let filterbank = Filterbank::new();
    let one = |_: &Recording, audio: &Audio| filterbank.compute(audio);
    feature_file::write(path, [FORMAT, key, &job.corpus.origin()], |file: &File| {
        let count = job.indices.len();
        let mut features = Rows::<f32>::new(path, BANDS)?;
        let mut frames = vec![0..0; count];
        let mut means = Array2::<f32>::zeros((count, BANDS));
        let content = job.compute(CHUNK, one, |place, values| -> Result<()> {
            if let Some(mean) = values.mapv(f64::from).mean_axis(Axis(1)) {
                means.row_mut(place).assign(&mean.mapv(|mean| mean as f32));
            }
            let rows: Vec<f32> = values.t().iter().copied().collect();
            frames[place] = features.append(&rows)?;
            Ok(())
        })?;
        features.write(file, "features")?;
        write_ranges(file, "frames", &content.of(&frames))?;
        file.new_dataset_builder()
            .with_data(&means.select(Axis(0), &content.kept))
            .create("mean")?;
        Ok(content)
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
                error.contains("filterbanks.h5") && error.contains("another name"),
                "{length}: {error}"
            );
            assert_eq!(std::fs::read(&path).unwrap().len(), length);
        }
        // A store of spectrograms.
        std::fs::remove_file(&path).unwrap();
        let words = Synthetic::new(1, 1, 1);
        crate::Store::open_or_compute(&path, &words, &[0], Default::default(), &|_| ()).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("`SpeechLens feature store 2`"), "{error}");
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
    fn a_recording_shorter_than_a_frame_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filterbanks.h5");
        let recording = |id: &str| Recording {
            id: id.into(),
            speaker: "1".into(),
            sex: None,
            digit: None,
            ..Recording::default()
        };
        let corpus = Short(vec![recording("a"), recording("b")]);
        let store = FilterbankStore::open_or_compute(&path, &corpus, &[0, 1], &|_| ()).unwrap();
        assert_eq!(store.frames(), [98]);
        assert_eq!(store.recordings(), &corpus.recordings()[1..]);
        let left_out = store.left_out();
        assert_eq!((left_out.len(), left_out[0].id.as_str()), (1, "a"));
        assert_eq!(left_out[0].reason, crate::left_out::Reason::TooShort);
    }
}
