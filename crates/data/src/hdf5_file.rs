//! HDF5 files that appear whole or not at all, and the text and columns in them.

use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, File, Group, H5Type};

use crate::{Error, Result};

/// What the writer of a file stumbled over: HDF5, or what it had to write.
pub(crate) enum Failure {
    Hdf5(hdf5::Error),
    Other(Error),
}

impl From<hdf5::Error> for Failure {
    fn from(error: hdf5::Error) -> Failure {
        Failure::Hdf5(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Other(error)
    }
}

/// What the names end in of files that are being written.
const PARTIAL: &str = ".partial";

/// Removes what kills in the middle of writing left. HDF5 locks the files that it writes: those of a living process stay.
pub(crate) fn remove_partial(folder: &Path, prefix: &str) -> std::io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_left = || std::fs::File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if name.starts_with(prefix) && name.ends_with(PARTIAL) && is_left() {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Writes an HDF5 file under another name in the same folder, which is made if need be, and renames it when it is whole.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&File) -> Result<(), Failure>,
) -> Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    remove_partial(folder, &prefix).map_err(Error::io(folder))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PARTIAL);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder).map_err(Error::io(folder))?;
    let create = || -> Result<(), Failure> {
        let file = File::create(temporary.path())?;
        write(&file)?;
        file.flush()?;
        file.close()?;
        Ok(())
    };
    create().map_err(|failure| match failure {
        Failure::Hdf5(error) => Error::hdf5(path)(error),
        Failure::Other(error) => error,
    })?;
    temporary.as_file().sync_all().map_err(Error::io(path))?;
    temporary
        .persist(path)
        .map_err(|e| Error::io(path)(e.error))?;
    Ok(())
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
