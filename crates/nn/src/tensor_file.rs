//! safetensors files with metadata, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;

use crate::{Error, Result};

/// The strings that travel with the tensors.
pub type Metadata = BTreeMap<String, String>;

/// Writes tensors and metadata to a file beside `path` and moves it there: a kill at any moment leaves the old file or the
/// new one.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, metadata: &Metadata) -> Result<()> {
    let file_error = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(file_error)?;
    let mut builder = tempfile::Builder::new();
    // A temporary file is private by default; a model is as readable as any other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(file_error)?;
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    safetensors::serialize_to_file(tensors, Some(metadata), file.path()).map_err(|error| {
        Error::Format {
            path: path.to_owned(),
            problem: format!("cannot be written: {error}"),
        }
    })?;
    // safetensors has moved a private file of its own there: give it the rights that ours had, and let it reach the disk.
    let settle = || {
        let written = std::fs::File::options().write(true).open(file.path())?;
        written.set_permissions(file.as_file().metadata()?.permissions())?;
        written.sync_all()
    };
    settle().map_err(file_error)?;
    file.persist(path)
        .map_err(|error| file_error(error.error))?;
    Ok(())
}

/// Reads tensors and metadata.
pub fn read(path: &Path, device: &Device) -> Result<(BTreeMap<String, Tensor>, Metadata)> {
    let bytes = std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    let not_one = |error: safetensors::SafeTensorError| Error::Format {
        path: path.to_owned(),
        problem: format!("is not a whole safetensors file ({error})"),
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(not_one)?;
    let metadata = header
        .metadata()
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let tensors = candle_core::safetensors::load_buffer(&bytes, device)?
        .into_iter()
        .collect();
    Ok((tensors, metadata))
}
