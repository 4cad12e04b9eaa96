//! Values of each recording in one HDF5 dataset, one recording after another.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use hdf5::{Dataset, Group, H5Type};
use ndarray::{ArrayView2, s};

use crate::feature_file::write_column;
use speechlens_atomic::folder_of;

use crate::hdf5_file::{Failure, column, dataset};
use crate::{Error, Result};

/// Rows that are copied at a time.
const BLOCK: usize = 16_384;

/// Such a dataset that is read.
pub(crate) struct Ragged {
    dataset: Dataset,
    /// Of each recording.
    ranges: Vec<Range<usize>>,
}

impl Ragged {
    pub fn open(file: &Group, name: &str, ranges: &[Range<usize>]) -> hdf5::Result<Self> {
        let dataset = dataset(file, name)?;
        let [total] = dataset.shape()[..] else {
            return Err(format!("`{name}` is {:?}", dataset.shape()).into());
        };
        if ranges.iter().any(|range| range.end > total) {
            return Err(format!("a recording ends behind the {total} values of `{name}`").into());
        }
        Ok(Ragged {
            dataset,
            ranges: ranges.to_vec(),
        })
    }

    pub fn read<T: H5Type + Clone>(&self, recording: usize) -> hdf5::Result<Vec<T>> {
        let range = self.ranges.get(recording);
        let range = range.ok_or_else(|| format!("there is no recording {recording}"))?;
        Ok(self.dataset.read_slice_1d::<T, _>(range.clone())?.to_vec())
    }
}

/// Rows of values that become a dataset when their number is known. Until then they are in a file without a name: HDF5 has
/// datasets that grow, but crashes when the disk is full while it writes one.
pub(crate) struct Rows<T> {
    file: BufWriter<File>,
    /// The file that they are for.
    path: PathBuf,
    width: usize,
    length: usize,
    of: PhantomData<T>,
}

impl<T: H5Type + Pod> Rows<T> {
    /// Rows of so many values each.
    pub fn new(path: &Path, width: usize) -> Result<Self> {
        let file = tempfile::tempfile_in(folder_of(path)).map_err(Error::io(path))?;
        Ok(Rows {
            file: BufWriter::new(file),
            path: path.to_owned(),
            width,
            length: 0,
            of: PhantomData,
        })
    }

    /// Puts rows behind those that are there, and says where they are.
    pub fn append(&mut self, values: &[T]) -> Result<Range<usize>> {
        let written = self.file.write_all(bytemuck::cast_slice(values));
        written.map_err(Error::io(&self.path))?;
        let start = self.length;
        self.length += values.len() / self.width;
        Ok(start..self.length)
    }

    /// Writes the dataset: of one dimension where rows have one value.
    pub fn write(self, group: &Group, name: &str) -> Result<(), Failure> {
        let file = self.file.into_inner().map_err(|error| error.into_error());
        let mut file = file.map_err(Error::io(&self.path))?;
        file.rewind().map_err(Error::io(&self.path))?;
        let builder = group.new_dataset::<T>();
        let dataset = match self.width {
            1 => builder.shape(self.length).create(name)?,
            width => builder.shape((self.length, width)).create(name)?,
        };
        for start in (0..self.length).step_by(BLOCK) {
            let end = (start + BLOCK).min(self.length);
            let mut block = vec![T::zeroed(); (end - start) * self.width];
            let read = file.read_exact(bytemuck::cast_slice_mut(&mut block));
            read.map_err(Error::io(&self.path))?;
            match self.width {
                1 => dataset.write_slice(&block, start..end)?,
                width => {
                    let rows = ArrayView2::from_shape((end - start, width), &block);
                    let rows = rows.expect("as many values as rows have");
                    dataset.write_slice(rows, s![start..end, ..])?;
                }
            }
        }
        Ok(())
    }
}

/// Writes where each recording's values are: the columns `NAME_start` and `NAME_count`.
pub(crate) fn write_ranges(file: &Group, name: &str, ranges: &[Range<usize>]) -> hdf5::Result<()> {
    let starts: Vec<u64> = ranges.iter().map(|range| range.start as u64).collect();
    let counts: Vec<u64> = ranges.iter().map(|range| range.len() as u64).collect();
    write_column(file, &format!("{name}_start"), &starts)?;
    write_column(file, &format!("{name}_count"), &counts)
}

/// Where the values of so many recordings are.
pub(crate) fn read_ranges(
    file: &Group,
    name: &str,
    recordings: usize,
) -> hdf5::Result<Vec<Range<usize>>> {
    let starts = column::<u64>(file, &format!("{name}_start"), recordings)?;
    let counts = column::<u64>(file, &format!("{name}_count"), recordings)?;
    let ranges = starts.iter().zip(counts);
    Ok(ranges
        .map(|(&start, count)| start as usize..start.saturating_add(count) as usize)
        .collect())
}
