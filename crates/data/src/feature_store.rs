//! The store of any front end's features: what its windows are cut from, of a list of recordings, in one HDF5 file.
//!
//! Of each recording its [material](FrontEnd::material) is kept: sound at the front end's rate, or where windows are of so many
//! frames the features of the whole recording; what is done to each window is done as it is asked for. `material` (f32, `[samples]`
//! or `[frames, rows]`, the recordings one after another), and of N recordings `material_start` and `material_count`, where they lie
//! among zeros `offset` (the sample at which each begins; the zeros are not kept), `id`, `speaker` (text), `label` (0 male, 1 female, −1 unknown), `digit` (−1 for none), and of a task `class` and `part` (text). Of windows that were
//! changed, `window_recording` and `window_start`, `changed_start` and `changed_count`, and for each change `changed_bin` (its place
//! in the window, by rows) and `changed_value`. Of recordings that could not be used, `left_out_id`, `left_out_reason` and
//! `left_out_message`. Attributes `format`, `key`, `origin`, `frontend` (TOML), and of changed windows `derived`: how.

mod computed;
mod derived;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hdf5::Dataset;
use ndarray::{Array2, ArrayD, Axis, Ix1, Ix2, s};
use rand::Rng;
use rayon::prelude::*;
use speechlens_frontend::{FrontEnd, Length, Placement};

use crate::corpus::{Corpus, Recording};
use crate::feature_file::{self, in_cache, read_left_out, read_recordings};
use crate::hdf5_file::{attribute, column, dataset};
use crate::left_out::{LeftOut, Reason};
use crate::ragged::read_ranges;
use crate::seed::rng;
use crate::{Error, Result};
use computed::Making;
use derived::Changes;

/// Changes whenever the file's layout does, or what a front end computes.
pub(crate) const FORMAT: &str = "SpeechLens store of a front end 1";
/// Of versions that kept filterbanks of 64 bands and no other front end: `features` (frames × 64) by `frames_start` and
/// `frames_count`, and `mean` (N × 64) of each band over the recording.
pub(crate) const FILTERBANKS: &str = "SpeechLens filterbank store 2";
/// Of versions that kept spectrograms apart: `sound` in place of `material`, the attribute `crop`, a window a recording, `changed_level`.
pub(crate) const SPECTROGRAMS: &str = "SpeechLens feature store 2";

/// Where a recording lies among zeros by a seed. It depends on its id alone, and not on the recordings beside it.
pub fn placement(seed: u64, id: &str) -> Placement {
    Placement::Random(rng(seed, &format!("placement of {id}")).next_u64())
}

/// Which window of which recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The recording's place in the store.
    pub recording: usize,
    /// The first of its samples or frames.
    pub start: usize,
}

/// An open store. Reading is safe from any thread; HDF5 lets one in at a time.
pub struct FeatureStore {
    path: PathBuf,
    key: String,
    front_end: FrontEnd,
    material: Dataset,
    ranges: Vec<Range<usize>>,
    /// Where each recording lies among zeros.
    offsets: Option<Vec<u32>>,
    changes: Option<Changes>,
    recordings: Vec<Recording>,
    left_out: Vec<LeftOut>,
    /// Of filterbanks as they were kept once, of each band over each recording, and whether they are to be taken off.
    means: Option<(Array2<f32>, bool)>,
}

impl FeatureStore {
    /// Opens the store at `path` if it holds just these recordings of the corpus (`indices`), from the same sources, for the same
    /// front end. If there is none, or if it holds something else, it is computed, in parallel, and the file appears whole or not at
    /// all. Where a recording is shorter than the front end's length, `seed` and its id decide where it lies. `progress` hears the
    /// number of recordings computed so far; it stays silent if there is nothing to do.
    ///
    /// Recordings that cannot be used are left out, and [told](FeatureStore::left_out).
    ///
    /// # Errors
    /// If nothing can be used; of a [strict](Corpus::is_strict) corpus, if a recording cannot be. If writing fails. A file at `path`
    /// that is not a store, or is damaged, is not overwritten.
    pub fn open_or_compute(
        path: &Path,
        corpus: &dyn Corpus,
        indices: &[usize],
        (front_end, seed): (&FrontEnd, u64),
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<FeatureStore> {
        let making = Making::new(corpus, indices, front_end, seed, progress)?;
        Self::open_or_make(path, &making.key, |path| making.write(path))
    }

    /// As [`FeatureStore::open_or_compute`], in a folder in which stores of all recordings and front ends are beside each other,
    /// called `NAME-KEY.h5`. A damaged one is computed again.
    ///
    /// # Errors
    /// As [`FeatureStore::open_or_compute`].
    pub fn cached(
        (folder, name): (&Path, &str),
        corpus: &dyn Corpus,
        indices: &[usize],
        (front_end, seed): (&FrontEnd, u64),
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<FeatureStore> {
        let making = Making::new(corpus, indices, front_end, seed, progress)?;
        let path = in_cache(folder, name, &making.key);
        if path.exists()
            && let Ok(store) = Self::open(&path)
            && store.is(&making.key)
        {
            // Tells when it was last used; that it cannot be told is no reason not to use it.
            let _ = std::fs::File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()));
            return Ok(store);
        }
        // The name has the key in it, so that nothing else can be meant, damaged though it is.
        making.write(&path)?;
        Self::open(&path)
    }

    /// The store at `path` if it has the key. If there is none, or if it has another, it is made. What is no store is not written
    /// over.
    fn open_or_make(
        path: &Path,
        key: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<FeatureStore> {
        if path.exists() {
            let store = Self::open(path).map_err(|error| match error {
                Error::NoStore { path, reason } => Error::malformed(
                    &path,
                    format!(
                        "is there already, and is not a whole SpeechLens feature store ({reason}): give another name, or move it \
                         elsewhere"
                    ),
                ),
                error => error,
            })?;
            if store.is(key) {
                return Ok(store);
            }
        }
        make(path)?;
        Self::open(path)
    }

    /// Whether it holds what the key stands for. A recording that could not be opened may be open now.
    fn is(&self, key: &str) -> bool {
        let could_be_read = |one: &LeftOut| one.reason != Reason::Unreadable;
        self.key == key && self.left_out.iter().all(could_be_read)
    }

    /// Opens a store whatever it holds.
    ///
    /// # Errors
    /// If there is no file, or it is no whole store.
    pub fn open(path: &Path) -> Result<FeatureStore> {
        let formats = [FORMAT, FILTERBANKS, SPECTROGRAMS];
        feature_file::open(path, &formats, |file, key| {
            let format = attribute(file, "format")?;
            let (name, ranges) = match format.as_str() {
                FILTERBANKS => ("features", "frames"),
                SPECTROGRAMS => ("sound", "sound"),
                _ => ("material", "material"),
            };
            let front_end = match format.as_str() {
                FILTERBANKS => FrontEnd::load("thesis-fbank"),
                SPECTROGRAMS => FrontEnd::load(match attribute(file, "crop")?.as_str() {
                    "thesis" => "thesis-spectrogram",
                    "audiomnist" => "audiomnist-spectrogram",
                    _ => return Err("an unknown crop".into()),
                }),
                _ => FrontEnd::parse(&attribute(file, "frontend")?),
            };
            let front_end = front_end.map_err(|error| error.to_string())?;
            let material = dataset(file, name)?;
            let (total, rows) = match material.shape()[..] {
                [total] => (total, None),
                [total, rows] => (total, Some(rows)),
                ref shape => return Err(format!("`{name}` is {shape:?}").into()),
            };
            if rows != rows_of(&front_end) {
                let shape = material.shape();
                return Err(
                    format!("`{name}` is {shape:?}, which its front end does not give").into(),
                );
            }
            let count = dataset(file, &format!("{ranges}_start"))?.size();
            let ranges = read_ranges(file, ranges, count)?;
            let means = match format == FILTERBANKS {
                false => None,
                true => {
                    let means = dataset(file, "mean")?.read::<f32, Ix2>()?;
                    if Some(means.dim()) != rows.map(|rows| (count, rows)) {
                        return Err(format!("`mean` is {:?}", means.dim()).into());
                    }
                    Some((means, false))
                }
            };
            if ranges.iter().any(|range| range.end > total) {
                return Err(
                    format!("a recording ends behind the {total} that `{name}` has").into(),
                );
            }
            let offsets = match front_end.length() {
                Length::AtMost(_) => Some(column::<u32>(file, "offset", count)?),
                _ => None,
            };
            let length = front_end.extent().unwrap_or(usize::MAX);
            let fits = |(offset, range): (&u32, &Range<usize>)| {
                range.len().saturating_add(*offset as usize) <= length
            };
            if !offsets.iter().flatten().zip(&ranges).all(fits) {
                return Err("a recording reaches past the zeros around it".into());
            }
            let changes = match (file.link_exists("changed_start"), format.as_str()) {
                (false, _) => None,
                (true, SPECTROGRAMS) => {
                    let window = |recording| Window {
                        recording,
                        start: 0,
                    };
                    let windows = (0..count).map(window).collect();
                    Some(Changes::of(file, windows, "changed_level")?)
                }
                (true, _) => Some(Changes::read(file, count)?),
            };
            Ok(FeatureStore {
                path: path.to_owned(),
                key,
                front_end,
                material,
                changes,
                recordings: read_recordings(file, count)?,
                left_out: read_left_out(file)?,
                ranges,
                offsets,
                means,
            })
        })
    }

    /// The store, if it holds what this front end makes; what was kept once of filterbanks is told by means over windows or over
    /// recordings as well.
    ///
    /// # Errors
    /// If it holds another front end's features.
    pub fn of_front_end(mut self, front_end: &FrontEnd) -> Result<FeatureStore> {
        let (own, asked) = (toml(&self.front_end)?, toml(front_end)?);
        if own == asked {
            return Ok(self);
        }
        match (&mut self.means, front_end.name()) {
            (Some((_, taken_off)), Some("thesis-fbank-recording")) => {
                *taken_off = true;
                self.front_end = FrontEnd::parse(&asked).map_err(|source| Error::FrontEnd {
                    id: "of a store".into(),
                    source,
                })?;
                Ok(self)
            }
            _ => Err(Error::malformed(
                &self.path,
                "holds features of another front end than the network's: make them with this network".to_owned(),
            )),
        }
    }

    /// The length of the material of every recording, in frames or samples.
    pub fn lengths(&self) -> Vec<usize> {
        (0..self.ranges.len()).map(|one| self.length(one)).collect()
    }

    fn length(&self, recording: usize) -> usize {
        match (&self.offsets, self.front_end.extent()) {
            (Some(_), Some(extent)) => extent,
            _ => self.ranges[recording].len(),
        }
    }

    /// The samples that a recording is among those of its material; the others are zeros around it. All, if there are none.
    pub fn samples(&self, recording: usize) -> Range<usize> {
        let start = self
            .offsets
            .as_ref()
            .map_or(0, |all| all[recording] as usize);
        start..start + self.ranges[recording].len()
    }

    /// What the store was computed from, as a hash.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose features they are.
    pub fn front_end(&self) -> &FrontEnd {
        &self.front_end
    }

    /// The recordings, in the order that was asked for.
    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// What was asked for beside them and cannot be used.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Whether its windows were changed: others than those it holds cannot be read.
    pub fn is_derived(&self) -> bool {
        self.changes.is_some()
    }

    /// The windows of a recording, so many frames after each other, or one after another; of changed windows those that it holds.
    ///
    /// # Errors
    /// If it is too short for one.
    pub fn windows(&self, recording: usize, hop: Option<usize>) -> Result<Vec<Window>> {
        if let Some(changes) = &self.changes {
            return Ok(changes.windows(recording));
        }
        let starts = self.front_end.starts(self.length(recording), hop);
        let starts = starts.map_err(|source| self.of(recording, source))?;
        let window = |start| Window { recording, start };
        Ok(starts.into_iter().map(window).collect())
    }

    /// The features of windows, in parallel.
    ///
    /// # Errors
    /// If there is no such window, or the file cannot be read.
    pub fn read(&self, windows: &[Window]) -> Result<Vec<ArrayD<f32>>> {
        windows.par_iter().map(|window| self.one(*window)).collect()
    }

    /// The features of a window as the store holds them.
    ///
    /// # Errors
    /// If there is no such window, or the file cannot be read.
    pub fn one(&self, window: Window) -> Result<ArrayD<f32>> {
        let mut values = self.plain(window)?;
        if let Some(changes) = &self.changes {
            changes.apply(self, window, values.as_slice_mut().unwrap_or_default())?;
        }
        Ok(values)
    }

    /// The features of a window as the front end makes them, without changes.
    fn plain(&self, window: Window) -> Result<ArrayD<f32>> {
        let Window { recording, start } = window;
        let range = self.ranges.get(recording);
        let Some(range) = range.filter(|_| start <= self.length(recording)) else {
            return Err(self.damaged(format!(
                "there is no window at {start} of recording {recording}"
            )));
        };
        let part = match (&self.offsets, self.front_end.extent()) {
            (Some(offsets), _) => {
                let recorded: Vec<f32> = self.part(recording, range.clone())?.into_iter().collect();
                let placed = self
                    .front_end
                    .among_zeros(&recorded, offsets[recording] as usize);
                placed.map_err(|source| self.of(recording, source))?
            }
            (None, extent) => {
                let end = extent.map_or(range.len(), |extent| (start + extent).min(range.len()));
                self.part(recording, range.start + start..range.start + end)?
            }
        };
        let made = self.front_end.window(part);
        made.map_err(|source| self.of(recording, source))
    }

    /// `[samples]` or `[rows, frames]` of the material of a recording.
    fn part(&self, recording: usize, range: Range<usize>) -> Result<ArrayD<f32>> {
        let hdf5 = Error::hdf5(&self.path);
        let mut part = match rows_of(&self.front_end) {
            None => {
                let read = self
                    .material
                    .read_slice::<f32, _, Ix1>(s![range.start..range.end]);
                read.map_err(&hdf5)?.into_dyn()
            }
            Some(_) => {
                let read = self
                    .material
                    .read_slice::<f32, _, Ix2>(s![range.start..range.end, ..]);
                let by_time: Array2<f32> = read.map_err(&hdf5)?;
                by_time
                    .reversed_axes()
                    .as_standard_layout()
                    .into_owned()
                    .into_dyn()
            }
        };
        if let Some((means, true)) = &self.means {
            part -= &means.row(recording).insert_axis(Axis(1)).into_dyn();
        }
        match part.iter().all(|value| value.is_finite()) {
            true => Ok(part),
            false => Err(self.damaged("its material has values that are no numbers")),
        }
    }

    fn of(&self, recording: usize, source: speechlens_frontend::Error) -> Error {
        Error::FrontEnd {
            id: self.recordings[recording].id.clone(),
            source,
        }
    }

    fn damaged(&self, reason: impl ToString) -> Error {
        Error::NoStore {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }
}

/// How many rows a front end's material has; none where it is samples.
fn rows_of(front_end: &FrontEnd) -> Option<usize> {
    let rows = front_end.axes().frequencies.len();
    (matches!(front_end.length(), Length::Frames(_)) && rows > 0).then_some(rows)
}

/// Values of material one time after another.
fn by_time(material: &ArrayD<f32>) -> Vec<f32> {
    material.t().iter().copied().collect()
}

fn toml(front_end: &FrontEnd) -> Result<String> {
    let text = front_end.to_toml();
    text.map_err(|source| Error::FrontEnd {
        id: "of a store".into(),
        source,
    })
}

#[cfg(test)]
mod tests;
