//! A store of windows that are not what the front end makes of them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use hdf5::File;
use ndarray::ArrayD;
use rayon::prelude::*;

use super::{FORMAT, FeatureStore, Window, by_time, rows_of, toml};
use crate::feature_file::{self, Content, write_column};
use crate::hdf5_file::{column, dataset, write_attribute};
use crate::ragged::{Ragged, Rows, read_ranges, write_ranges};
use crate::{Error, Result};

/// Windows that are changed at a time.
const CHANGED: usize = 256;

/// Windows that are not what the front end makes of them, and in what.
pub(super) struct Changes {
    windows: Vec<Window>,
    places: HashMap<Window, usize>,
    bins: Ragged,
    values: Ragged,
}

impl FeatureStore {
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
}

impl Changes {
    /// Those of a file with so many recordings.
    pub fn read(file: &File, recordings: usize) -> hdf5::Result<Changes> {
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
            false => Self::of(file, windows, "changed_value"),
        }
    }

    /// Those of these windows, whose values are called so.
    pub fn of(file: &File, windows: Vec<Window>, values: &str) -> hdf5::Result<Changes> {
        let ranges = read_ranges(file, "changed", windows.len())?;
        Ok(Changes {
            places: windows.iter().copied().zip(0..).collect(),
            windows,
            bins: Ragged::open(file, "changed_bin", &ranges)?,
            values: Ragged::open(file, values, &ranges)?,
        })
    }

    /// The windows of a recording.
    pub fn windows(&self, recording: usize) -> Vec<Window> {
        let own = self.windows.iter();
        let own = own.filter(|window| window.recording == recording);
        own.copied().collect()
    }

    /// Makes them in a window.
    pub fn apply(&self, store: &FeatureStore, window: Window, all: &mut [f32]) -> Result<()> {
        let place = self.places.get(&window);
        let place =
            *place.ok_or_else(|| store.damaged("a window was asked for that it does not hold"))?;
        let hdf5 = Error::hdf5(&store.path);
        let bins = self.bins.read::<u32>(place).map_err(&hdf5)?;
        let changed = self.values.read::<f32>(place).map_err(&hdf5)?;
        for (bin, value) in bins.into_iter().zip(changed) {
            match all.get_mut(bin as usize) {
                Some(place) if value.is_finite() => *place = value,
                _ => return Err(store.damaged("a changed value is not finite, or nowhere")),
            }
        }
        Ok(())
    }
}
