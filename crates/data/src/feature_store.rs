//! The store of any front end's features: what its windows are cut from, of a list of recordings, in one HDF5 file.
//!
//! Of each recording its [material](FrontEnd::material) is kept: sound at the front end's rate, or where windows are of so many
//! frames the features of the whole recording; what is done to each window is done as it is asked for. `material` (f32, `[samples]`
//! or `[frames, rows]`, the recordings one after another), and of N recordings `material_start` and `material_count`, where they lie
//! among zeros `offset` (the sample at which each begins; the zeros are not kept), `id`, `speaker` (text), `label` (0 male, 1 female, −1 unknown), `digit` (−1 for none), and of a task `class` and `part` (text). Of windows that were
//! changed, `window_recording` and `window_start`, `changed_start` and `changed_count`, and for each change `changed_bin` (its place
//! in the window, by rows) and `changed_value`. Of recordings that could not be used, `left_out_id`, `left_out_reason` and
//! `left_out_message`. Attributes `format`, `key`, `origin`, `frontend` (TOML), and of changed windows `derived`: how.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hdf5::{Dataset, File};
use ndarray::{Array2, ArrayD, Axis, Ix1, Ix2, s};
use rand::Rng;
use rayon::prelude::*;
use speechlens_audio::Audio;
use speechlens_frontend::{FrontEnd, Length, Placement};

use crate::corpus::{Corpus, Recording};
use crate::feature_file::{
    self, Content, Job, in_cache, read_left_out, read_recordings, write_column,
};
use crate::hdf5_file::{Failure, attribute, column, dataset, write_attribute};
use crate::left_out::{LeftOut, Reason};
use crate::ragged::{Ragged, Rows, read_ranges, write_ranges};
use crate::seed::rng;
use crate::{Error, Result};

/// Changes whenever the file's layout does, or what a front end computes.
pub(crate) const FORMAT: &str = "SpeechLens store of a front end 1";
/// Of versions that kept filterbanks of 64 bands and no other front end: `features` (frames × 64) by `frames_start` and
/// `frames_count`, and `mean` (N × 64) of each band over the recording.
pub(crate) const FILTERBANKS: &str = "SpeechLens filterbank store 2";
/// Of versions that kept spectrograms apart: `sound` in place of `material`, the attribute `crop`, a window a recording, `changed_level`.
pub(crate) const SPECTROGRAMS: &str = "SpeechLens feature store 2";

/// Recordings in memory at a time.
const CHUNK: usize = 64;
/// Windows that are changed at a time.
const CHANGED: usize = 256;

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

/// Windows that are not what the front end makes of them.
struct Changes {
    windows: Vec<Window>,
    places: HashMap<Window, usize>,
    bins: Ragged,
    values: Ragged,
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
                    Some(changes(file, windows, "changed_level")?)
                }
                (true, _) => Some(changes(
                    file,
                    changed_windows(file, count)?,
                    "changed_value",
                )?),
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
            let own = changes
                .windows
                .iter()
                .filter(|window| window.recording == recording);
            return Ok(own.copied().collect());
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

    /// Opens the store at `path` if it was derived so from this one: it holds these windows with other values, and `how` says, whole
    /// and exactly, what they depend on beside this store. If there is none, or if it holds something else, it is written: `next`
    /// gives the values of 256 windows at most at a time, and the file appears whole or not at all. Of each, the values that are not
    /// those of the front end are kept.
    ///
    /// # Errors
    /// Beside those of `next` and of writing: values of another shape, or that are not finite; a file at `path` that is not a store,
    /// or is damaged, is not overwritten.
    pub fn derive(
        &self,
        path: &Path,
        windows: &[Window],
        how: &str,
        mut next: impl FnMut(Range<usize>) -> Result<Vec<ArrayD<f32>>>,
    ) -> Result<FeatureStore> {
        let sources = windows
            .iter()
            .map(|window| format!("{} {}", window.recording, window.start));
        let parts = [FORMAT.to_owned(), self.key.clone(), how.to_owned()];
        let key = feature_file::hash(parts.into_iter().chain(sources));
        let origin = format!("{}, augmented", self.path.display());
        let mut kept: Vec<usize> = windows.iter().map(|window| window.recording).collect();
        kept.sort_unstable();
        kept.dedup();
        Self::open_or_make(path, &key, |path| {
            feature_file::write(path, [FORMAT, &key, &origin], |file| {
                write_attribute(file, "frontend", &toml(&self.front_end)?)?;
                write_attribute(file, "derived", how)?;
                let mut bins = Rows::<u32>::new(path, 1)?;
                let mut values = Rows::<f32>::new(path, 1)?;
                let mut changed = Vec::with_capacity(windows.len());
                for start in (0..windows.len()).step_by(CHANGED) {
                    let some = start..(start + CHANGED).min(windows.len());
                    let own = windows[some.clone()].par_iter();
                    let plain: Vec<_> = own
                        .map(|window| self.plain(*window))
                        .collect::<Result<_>>()?;
                    let other = next(some.clone())?;
                    self.check(path, &plain, &other)?;
                    for (plain, other) in plain.iter().zip(&other) {
                        let pairs = plain.iter().zip(other).zip(0u32..);
                        let differ = pairs.filter(|((one, two), _)| one.to_bits() != two.to_bits());
                        let (own_bins, own_values): (Vec<u32>, Vec<f32>) =
                            differ.map(|((_, value), bin)| (bin, *value)).unzip();
                        changed.push(bins.append(&own_bins)?);
                        values.append(&own_values)?;
                    }
                }
                bins.write(file, "changed_bin")?;
                values.write(file, "changed_value")?;
                write_ranges(file, "changed", &changed)?;
                let places = windows
                    .iter()
                    .map(|window| kept.binary_search(&window.recording));
                let places: Vec<u64> = places
                    .map(|place| place.unwrap_or_else(|p| p) as u64)
                    .collect();
                write_column(file, "window_recording", &places)?;
                let starts: Vec<u64> = windows.iter().map(|window| window.start as u64).collect();
                write_column(file, "window_start", &starts)?;
                let mut material = Rows::<f32>::new(path, rows_of(&self.front_end).unwrap_or(1))?;
                let mut ranges = Vec::with_capacity(kept.len());
                for recording in &kept {
                    let own = self.part(*recording, self.ranges[*recording].clone())?;
                    ranges.push(material.append(&by_time(&own))?);
                }
                if let Some(offsets) = &self.offsets {
                    let own: Vec<u32> = kept.iter().map(|place| offsets[*place]).collect();
                    write_column(file, "offset", &own)?;
                }
                material.write(file, "material")?;
                write_ranges(file, "material", &ranges)?;
                Ok(Content {
                    recordings: kept.iter().map(|place| &self.recordings[*place]).collect(),
                    kept: kept.clone(),
                    left_out: Vec::new(),
                })
            })
        })
    }

    /// Fails unless there are as many windows of as many finite values.
    fn check(&self, path: &Path, plain: &[ArrayD<f32>], other: &[ArrayD<f32>]) -> Result<()> {
        let fits = |(one, two): (&ArrayD<f32>, &ArrayD<f32>)| one.shape() == two.shape();
        if plain.len() != other.len() || !plain.iter().zip(other).all(fits) {
            let reason = format!(
                "{} windows were given for {}, or of another shape",
                other.len(),
                plain.len()
            );
            return Err(Error::malformed(path, reason));
        }
        match other.iter().flatten().all(|value| value.is_finite()) {
            true => Ok(()),
            false => Err(Error::malformed(
                path,
                "windows with values that are not finite were given",
            )),
        }
    }

    /// The features of a window as the store holds them.
    ///
    /// # Errors
    /// If there is no such window, or the file cannot be read.
    pub fn one(&self, window: Window) -> Result<ArrayD<f32>> {
        let mut values = self.plain(window)?;
        if let Some(changes) = &self.changes {
            let place = changes.places.get(&window);
            let place = *place
                .ok_or_else(|| self.damaged("a window was asked for that it does not hold"))?;
            let hdf5 = Error::hdf5(&self.path);
            let bins = changes.bins.read::<u32>(place).map_err(&hdf5)?;
            let changed = changes.values.read::<f32>(place).map_err(&hdf5)?;
            let all = values.as_slice_mut().unwrap_or_default();
            for (bin, value) in bins.into_iter().zip(changed) {
                match all.get_mut(bin as usize) {
                    Some(place) if value.is_finite() => *place = value,
                    _ => return Err(self.damaged("a changed value is not finite, or nowhere")),
                }
            }
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

/// The windows that were changed, of so many recordings.
fn changed_windows(file: &File, recordings: usize) -> hdf5::Result<Vec<Window>> {
    let count = dataset(file, "window_recording")?.size();
    let of = column::<u64>(file, "window_recording", count)?;
    let starts = column::<u64>(file, "window_start", count)?;
    let windows = of.into_iter().zip(starts).map(|(recording, start)| Window {
        recording: recording as usize,
        start: start as usize,
    });
    let windows: Vec<Window> = windows.collect();
    match windows.iter().any(|window| window.recording >= recordings) {
        true => Err("a window is of no recording".into()),
        false => Ok(windows),
    }
}

fn changes(file: &File, windows: Vec<Window>, values: &str) -> hdf5::Result<Changes> {
    let ranges = read_ranges(file, "changed", windows.len())?;
    Ok(Changes {
        places: windows.iter().copied().zip(0..).collect(),
        windows,
        bins: Ragged::open(file, "changed_bin", &ranges)?,
        values: Ragged::open(file, values, &ranges)?,
    })
}

/// A store that is to be made.
struct Making<'a> {
    job: Job<'a>,
    front_end: &'a FrontEnd,
    text: String,
    seed: u64,
    key: String,
}

impl<'a> Making<'a> {
    fn new(
        corpus: &'a dyn Corpus,
        indices: &'a [usize],
        front_end: &'a FrontEnd,
        seed: u64,
        progress: &'a (dyn Fn(usize) + Sync),
    ) -> Result<Self> {
        let job = Job {
            corpus,
            indices,
            progress,
        };
        let text = toml(front_end)?;
        Ok(Making {
            key: job.key(FORMAT, &[text.clone(), seed.to_string()]),
            job,
            front_end,
            text,
            seed,
        })
    }

    fn write(&self, path: &Path) -> Result<()> {
        let one = |recording: &Recording, audio: &Audio| {
            let placement = placement(self.seed, &recording.id);
            let made = match self.front_end.placed_at(audio, placement) {
                Ok(Some((samples, offset))) => Ok((samples, Some(offset as u32))),
                Ok(None) => {
                    let material = self.front_end.material(audio, placement);
                    material.map(|own| (by_time(&own), None))
                }
                Err(error) => Err(error),
            };
            made.map_err(|source| Error::FrontEnd {
                id: recording.id.clone(),
                source,
            })
        };
        let about = [FORMAT, &self.key, &self.job.corpus.origin()];
        feature_file::write(path, about, |file: &File| {
            write_attribute(file, "frontend", &self.text)?;
            let mut material = Rows::<f32>::new(path, rows_of(self.front_end).unwrap_or(1))?;
            let count = self.job.indices.len();
            let (mut ranges, mut offsets) = (vec![0..0; count], vec![None; count]);
            let content = self.job.compute(
                CHUNK,
                one,
                |place, (own, offset): (Vec<f32>, Option<u32>)| -> Result<(), Failure> {
                    ranges[place] = material.append(&own)?;
                    offsets[place] = offset;
                    Ok(())
                },
            )?;
            let offsets: Option<Vec<u32>> = content.of(&offsets).into_iter().collect();
            if let Some(offsets) = offsets {
                write_column(file, "offset", &offsets)?;
            }
            material.write(file, "material")?;
            write_ranges(file, "material", &content.of(&ranges))?;
            Ok(content)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use speechlens_frontend::Reading;

    use super::*;
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
}
