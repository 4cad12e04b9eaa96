//! HDF5 files that appear whole or not at all, and the text and columns in them.

use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, File, Group, H5Type};
use speechlens_atomic::{folder_of, remove_partial};

use crate::{Error, Result};

/// What the writer of a file stumbled over: HDF5, or what it had to write.
pub(crate) enum Failure {
    Hdf5(hdf5::Error),
    Io(std::io::Error),
    Other(Error),
}

impl From<hdf5::Error> for Failure {
    fn from(error: hdf5::Error) -> Failure {
        Failure::Hdf5(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Other(error)
    }
}

/// Writes an HDF5 file under another name in the same folder, which is made if need be, and renames it when it is whole.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&File) -> Result<(), Failure>,
) -> Result<()> {
    let unwritten = |failure: Failure| match failure {
        Failure::Hdf5(error) => Error::hdf5(path)(error),
        Failure::Io(error) => Error::io(path)(error),
        Failure::Other(error) => error,
    };
    if folder_of(path).exists() {
        remove_partial(path).map_err(Error::io(folder_of(path)))?;
    }
    speechlens_atomic::write(path, |temporary| {
        let file = File::create(temporary.path())?;
        write(&file)?;
        file.flush()?;
        file.close()?;
        Ok(())
    })
    .map_err(unwritten)
}

fn text(text: &str) -> hdf5::Result<VarLenUnicode> {
    text.parse().map_err(|e| format!("`{text}`: {e}").into())
}

pub(crate) fn write_attribute(file: &Group, name: &str, value: &str) -> hdf5::Result<()> {
    file.new_attr::<VarLenUnicode>()
        .create(name)?
        .write_scalar(&text(value)?)
}

pub(crate) fn attribute(file: &Group, name: &str) -> hdf5::Result<String> {
    Ok(file.attr(name)?.read_scalar::<VarLenUnicode>()?.to_string())
}

pub(crate) fn write_text<'a>(
    file: &Group,
    name: &str,
    values: impl Iterator<Item = &'a str>,
) -> hdf5::Result<()> {
    let values = values.map(text).collect::<hdf5::Result<Vec<_>>>()?;
    file.new_dataset_builder().with_data(&values).create(name)?;
    Ok(())
}

/// A dataset that is not larger than its file. What a damaged one claims could be more than all memory.
pub(crate) fn dataset(file: &Group, name: &str) -> hdf5::Result<Dataset> {
    let dataset = file.dataset(name)?;
    let (shape, number) = (dataset.shape(), dataset.dtype()?.size());
    let bytes = shape
        .iter()
        .try_fold(number, |bytes, size| bytes.checked_mul(*size));
    let there = file.file()?.size();
    match bytes.is_some_and(|bytes| bytes as u64 <= there) {
        true => Ok(dataset),
        false => Err(format!("`{name}` claims {shape:?} in {there} bytes").into()),
    }
}

/// A one-dimensional dataset of a given length.
pub(crate) fn column<T: H5Type>(file: &Group, name: &str, length: usize) -> hdf5::Result<Vec<T>> {
    let dataset = dataset(file, name)?;
    match dataset.shape()[..] {
        [values] if values == length => dataset.read_raw::<T>(),
        ref shape => Err(format!("`{name}` is {shape:?} for {length} recordings").into()),
    }
}
