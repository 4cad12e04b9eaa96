//! The feature store: spectrograms of a list of recordings in one HDF5 file.
//!
//! What is kept is sound, a tenth of the size of the spectrograms that are made of it as they are asked for: `sound` (all samples, f32, at 8 kHz),
//! and of N recordings `sound_start` and `sound_count` (their samples), `offset` (the sample of its second at which it begins),
//! `id`, `speaker` (text), `label` (0 male, 1 female, −1 unknown) and `digit` (−1 for none). Of spectrograms that were changed,
//! `changed_start` and `changed_count`, and for each change `changed_bin` (row · 227 + column) and `changed_level` (dB). Of
//! recordings that could not be used, `left_out_id`, `left_out_reason` and `left_out_message`. Attributes `format`, `key`,
//! `origin`, `crop`, and `seed`, or `derived`: how the spectrograms were made of another store's.

use std::path::{Path, PathBuf};

use hdf5::File;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};
use rand::Rng;
use rayon::prelude::*;
use speechlens_audio::{
    Audio, Crop, Placement, RATE, SECOND, SIZE, Seconds, Spectrogram, padding_frames,
};

use crate::corpus::{Corpus, Recording};
use crate::feature_file::{
    self, Content, Job, Stored, read_left_out, read_recordings, write_column,
};
use crate::hdf5_file::{Failure, attribute, dataset, write_attribute};
use crate::left_out::LeftOut;
use crate::ragged::{Ragged, Rows, read_ranges, write_ranges};
use crate::seed::rng;
use crate::{Error, Result};

/// Changes whenever the file's layout does, or what the audio crate computes.
pub(crate) const FORMAT: &str = "SpeechLens feature store 2";

/// Recordings in memory at a time: spectrograms of 256 of them take 53 MB.
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
    spectrogram: Spectrogram,
    sound: Ragged,
    changes: Option<Changes>,
    recordings: Vec<Recording>,
    left_out: Vec<LeftOut>,
    padding: Vec<u32>,
    offsets: Vec<u32>,
}

/// Where the spectrograms of a derived store differ from those of the sound.
struct Changes {
    bins: Ragged,
    levels: Ragged,
}

impl Store {
    /// Opens the store at `path` if it holds just these recordings of the corpus (`indices`), from the same sources, with the
    /// same parameters. If there is none, or if it holds something else, it is computed: in parallel, 256 recordings in
    /// memory at a time, and the file appears whole or not at all. `progress` hears the number of recordings computed so
    /// far; it stays silent if there is nothing to do.
    ///
    /// Recordings that cannot be used are left out, and [told](Store::left_out).
    ///
    /// # Errors
    /// If nothing can be used; of a [strict](Corpus::is_strict) corpus, if a recording cannot be. If writing fails. A file at `path`
    /// that is not a store, or is damaged, is not overwritten.
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
        let key = parameters.key(&job);
        feature_file::open_or_compute(path, &key, |path| compute(path, &job, parameters, &key))
    }

    /// As [`Store::open_or_compute`], in a folder in which stores of all recordings and parameters are beside each other, called
    /// `NAME-KEY.h5`. A damaged one is computed again.
    ///
    /// # Errors
    /// As [`Store::open_or_compute`].
    pub fn cached(
        folder: &Path,
        name: &str,
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
        let key = parameters.key(&job);
        let compute = |path: &Path| compute(path, &job, parameters, &key);
        feature_file::cached(folder, name, &key, compute)
    }

    /// Opens a store whatever it holds.
    ///
    /// # Errors
    /// If there is no file, or it is no whole store.
    pub fn open(path: &Path) -> Result<Store> {
        feature_file::open(path, &[FORMAT], |file, key| {
            let offsets = dataset(file, "offset")?.read_raw::<u32>()?;
            let count = offsets.len();
            let ranges = read_ranges(file, "sound", count)?;
            let placed = || offsets.iter().zip(&ranges);
            let fits = |(offset, samples): (&u32, &std::ops::Range<usize>)| {
                samples.len().saturating_add(*offset as usize) <= SECOND
            };
            if !placed().all(fits) {
                return Err("a recording reaches past its second".into());
            }
            let crop = attribute(file, "crop")?.parse();
            let crop: Crop = crop.map_err(|_| "an unknown crop")?;
            let padding = |(offset, samples): (&u32, &std::ops::Range<usize>)| {
                padding_frames(*offset as usize, samples.len(), crop) as u32
            };
            let changes = match file.link_exists("changed_start") {
                false => None,
                true => {
                    let ranges = read_ranges(file, "changed", count)?;
                    Some(Changes {
                        bins: Ragged::open(file, "changed_bin", &ranges)?,
                        levels: Ragged::open(file, "changed_level", &ranges)?,
                    })
                }
            };
            Ok(Store {
                path: path.to_owned(),
                key,
                crop,
                spectrogram: Spectrogram::new(crop),
                sound: Ragged::open(file, "sound", &ranges)?,
                changes,
                recordings: read_recordings(file, count)?,
                left_out: read_left_out(file)?,
                padding: placed().map(padding).collect(),
                offsets,
            })
        })
    }

    /// Opens the store at `path` if it was derived so from this one: it holds the recordings of these places with other
    /// spectrograms, and `how` says, whole and exactly, what they depend on beside this store. If there is none, or if it
    /// holds something else, it is written: `next` gives the spectrograms, [places, 227, 227] in dB, of 256 places at most at a
    /// time, and the file appears whole or not at all. Of each, the levels that are not those of the sound are kept.
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
        let origin = format!("{}, augmented", self.path.display());
        feature_file::open_or_compute(path, &key, |path| {
            feature_file::write(path, [FORMAT, &key, &origin], |file| {
                write_attribute(file, "crop", &self.crop.to_string())?;
                write_attribute(file, "derived", how)?;
                let mut sound = Rows::<f32>::new(path, 1)?;
                let mut bins = Rows::<u16>::new(path, 1)?;
                let mut levels = Rows::<f32>::new(path, 1)?;
                let (mut of_sound, mut changed) = (Vec::new(), Vec::new());
                for places in places.chunks(CHUNK) {
                    let values = next(places)?;
                    self.check(path, places, values.view())?;
                    for (values, &place) in values.outer_iter().zip(places) {
                        let samples = self.sound.read::<f32>(place)?;
                        let plain = self.plain(samples.clone(), place)?;
                        let (changed_bins, changed_levels) = differences(plain.view(), values);
                        of_sound.push(sound.append(&samples)?);
                        changed.push(bins.append(&changed_bins)?);
                        levels.append(&changed_levels)?;
                    }
                }
                sound.write(file, "sound")?;
                bins.write(file, "changed_bin")?;
                levels.write(file, "changed_level")?;
                write_ranges(file, "sound", &of_sound)?;
                write_ranges(file, "changed", &changed)?;
                let offsets: Vec<u32> = places.iter().map(|p| self.offsets[*p]).collect();
                write_column(file, "offset", &offsets)?;
                Ok(Content {
                    kept: places.to_vec(),
                    recordings: places.iter().map(|p| &self.recordings[*p]).collect(),
                    left_out: Vec::new(),
                })
            })
        })
    }

    /// Fails unless these are the spectrograms of as many places.
    fn check(&self, path: &Path, places: &[usize], values: ArrayView3<'_, f32>) -> Result<()> {
        if values.dim() != (places.len(), SIZE, SIZE) {
            let reason = format!("spectrograms of {:?} were given", values.dim());
            return Err(Error::malformed(path, reason));
        }
        if !values.iter().all(|value| value.is_finite()) {
            let reason = "spectrograms with levels that are not finite were given";
            return Err(Error::malformed(path, reason));
        }
        Ok(())
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

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which frames the spectrograms keep.
    pub fn crop(&self) -> Crop {
        self.crop
    }

    /// The recordings, in the order of the spectrograms.
    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// What was asked for beside them and cannot be used.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// How many of the 227 frames of each spectrogram are centred outside of its recording.
    pub fn padding(&self) -> &[u32] {
        &self.padding
    }

    /// The sample at 8 kHz at which each recording starts.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The spectrograms of given places, [places, 227, 227] in dB, made in parallel.
    ///
    /// # Errors
    /// If there is no such place, or the file cannot be read.
    pub fn read(&self, places: &[usize]) -> Result<Array3<f32>> {
        let mut batch = Array3::zeros((places.len(), SIZE, SIZE));
        let pairs: Vec<_> = batch.axis_iter_mut(Axis(0)).zip(places).collect();
        pairs.into_par_iter().try_for_each(|(mut values, &place)| {
            values.assign(&self.spectrogram(place)?);
            Ok::<_, Error>(())
        })?;
        Ok(batch)
    }

    /// All spectrograms, [N, 227, 227] in dB: 206 kB each.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_all(&self) -> Result<Array3<f32>> {
        let places: Vec<usize> = (0..self.len()).collect();
        self.read(&places)
    }

    fn spectrogram(&self, place: usize) -> Result<Array2<f32>> {
        let hdf5 = Error::hdf5(&self.path);
        let samples = self.sound.read(place).map_err(&hdf5)?;
        let mut values = self.plain(samples, place)?;
        if let Some(changes) = &self.changes {
            let bins = changes.bins.read::<u16>(place).map_err(&hdf5)?;
            let levels = changes.levels.read::<f32>(place).map_err(&hdf5)?;
            for (bin, level) in bins.into_iter().map(usize::from).zip(levels) {
                match values.get_mut((bin / SIZE, bin % SIZE)) {
                    Some(value) if level.is_finite() => *value = level,
                    _ => return Err(self.damaged("a changed level is not finite, or nowhere")),
                }
            }
        }
        Ok(values)
    }

    /// The spectrogram of samples at the place of a recording.
    fn plain(&self, samples: Vec<f32>, place: usize) -> Result<Array2<f32>> {
        let audio = Audio {
            samples,
            rate: RATE,
        };
        let placement = Placement::At(self.offsets[place] as usize);
        let placed = self.spectrogram.compute(&audio, placement);
        Ok(placed.map_err(|error| self.damaged(error))?.values)
    }

    fn damaged(&self, reason: impl ToString) -> Error {
        Error::NoStore {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }
}

impl Stored for Store {
    fn open(path: &Path) -> Result<Self> {
        Store::open(path)
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}

/// The bins in which two spectrograms differ, row · 227 + column, and the levels that the second has there.
fn differences(one: ArrayView2<'_, f32>, other: ArrayView2<'_, f32>) -> (Vec<u16>, Vec<f32>) {
    let levels = one.iter().zip(other.iter()).zip(0u16..);
    let differ = levels.filter(|((one, other), _)| one.to_bits() != other.to_bits());
    differ.map(|((_, level), bin)| (bin, *level)).unzip()
}

impl Parameters {
    fn key(&self, job: &Job<'_>) -> String {
        job.key(FORMAT, &[self.crop.to_string(), self.seed.to_string()])
    }
}

fn compute(path: &Path, job: &Job<'_>, parameters: Parameters, key: &str) -> Result<()> {
    let seconds = Seconds::default();
    let one = |recording: &Recording, audio: &Audio| {
        seconds.recording(audio, parameters.placement(&recording.id))
    };
    feature_file::write(path, [FORMAT, key, &job.corpus.origin()], |file: &File| {
        write_attribute(file, "crop", &parameters.crop.to_string())?;
        write_attribute(file, "seed", &parameters.seed.to_string())?;
        let mut sound = Rows::<f32>::new(path, 1)?;
        let mut ranges = vec![0..0; job.indices.len()];
        let mut offsets = vec![0u32; job.indices.len()];
        let content = job.compute(
            CHUNK,
            one,
            |place, (samples, offset)| -> Result<(), Failure> {
                ranges[place] = sound.append(&samples)?;
                offsets[place] = offset as u32;
                Ok(())
            },
        )?;
        sound.write(file, "sound")?;
        write_ranges(file, "sound", &content.of(&ranges))?;
        write_column(file, "offset", &content.of(&offsets))?;
        Ok(content)
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
                error.contains("test.h5") && error.contains("another name"),
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
                        ..Recording::default()
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
