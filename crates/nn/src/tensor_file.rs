//! safetensors files with metadata, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::{SafeTensorError, SafeTensors};

use crate::{Error, Result};

/// The strings that travel with the tensors.
pub type Metadata = BTreeMap<String, String>;

/// Writes tensors and metadata to a folder beside `path` and moves the file there: a kill at any moment leaves the old file
/// or the new one, and perhaps that folder, which [`remove_partial`] finds.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, metadata: &Metadata) -> Result<()> {
    let file_error = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(file_error)?;
    let (prefix, suffix) = partial(path);
    let temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(suffix)
        .tempdir_in(folder)
        .map_err(file_error)?;
    let file = temporary.path().join("tensors");
    let rights = File::create(&file)
        .and_then(|file| file.metadata())
        .map_err(file_error)?
        .permissions();
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    safetensors::serialize_to_file(tensors, Some(metadata), &file).map_err(
        |error| match error {
            SafeTensorError::IoError(source) => file_error(source),
            error => Error::Format {
                path: path.to_owned(),
                problem: format!("cannot be written: {error}"),
            },
        },
    )?;
    // safetensors has moved a private file of its own there: give it the rights of any other, and let it reach the disk.
    let settle = || {
        let mut written = File::options().read(true).write(true).open(&file)?;
        sort_header(&mut written)?;
        written.set_permissions(rights)?;
        written.sync_all()?;
        std::fs::rename(&file, path)
    };
    settle().map_err(file_error)
}

/// Removes what kills in the middle of writing `path` left beside it. Nobody else may be writing it.
pub fn remove_partial(path: &Path) -> Result<()> {
    let (prefix, suffix) = partial(path);
    let remove = || {
        for entry in std::fs::read_dir(folder_of(path))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) && name.ends_with(suffix) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    };
    remove().map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// How the names begin and end of the folders in which `path` is written.
fn partial(path: &Path) -> (String, &'static str) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (format!(".{name}."), ".partial")
}

/// Puts the header's keys in order, in place: safetensors writes the metadata in another order every time, and the same
/// tensors and metadata are to give the same bytes.
fn sort_header(file: &mut File) -> std::io::Result<()> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut header = vec![0; u64::from_le_bytes(length) as usize];
    file.read_exact(&mut header)?;
    let sorted: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
        serde_json::from_slice(&header)?;
    let mut text = serde_json::to_vec(&sorted)?;
    if text.len() > header.len() {
        return Err(std::io::Error::other(
            "the sorted header does not fit its place",
        ));
    }
    text.resize(header.len(), b' ');
    file.seek(SeekFrom::Start(8))?;
    file.write_all(&text)
}

/// Reads tensors and metadata.
pub fn read(path: &Path, device: &Device) -> Result<(BTreeMap<String, Tensor>, Metadata)> {
    let bytes = std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes, path, device)
}

/// As [`read`], from the bytes of a file; `path` is for messages.
pub fn parse(
    bytes: &[u8],
    path: &Path,
    device: &Device,
) -> Result<(BTreeMap<String, Tensor>, Metadata)> {
    let not_one = |error: SafeTensorError| Error::Format {
        path: path.to_owned(),
        problem: format!(
            "is not a whole safetensors file ({error}); copy it again, or make it anew"
        ),
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_one)?;
    let metadata = header
        .metadata()
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let tensors =
        candle_core::safetensors::load_buffer(bytes, device).map_err(|error| Error::Format {
            path: path.to_owned(),
            problem: format!("holds tensors that cannot be read ({error})"),
        })?;
    Ok((tensors.into_iter().collect(), metadata))
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let tensors = ["b", "a.0", "Z"].map(|name| {
            let tensor = Tensor::full(name.len() as f32, (2, 3), &Device::Cpu).unwrap();
            (name.to_owned(), tensor)
        });
        let tensors = BTreeMap::from(tensors);
        let metadata: Metadata = (0..9)
            .map(|i| (format!("key {i}"), format!("\"{i}\"\n\u{1}é\u{10ffff}")))
            .collect();
        let files = [0, 1, 2, 3].map(|i| {
            let path = folder.path().join(format!("{i}.safetensors"));
            write(&path, &tensors, &metadata).unwrap();
            let (read_tensors, read_metadata) = read(&path, &Device::Cpu).unwrap();
            assert_eq!(read_metadata, metadata);
            for (name, tensor) in &tensors {
                assert_eq!(read_tensors[name].dtype(), DType::F32);
                let values = |t: &Tensor| t.to_vec2::<f32>().unwrap();
                assert_eq!(values(&read_tensors[name]), values(tensor));
            }
            std::fs::read(path).unwrap()
        });
        assert!(files.iter().all(|bytes| *bytes == files[0]));
    }

    #[test]
    fn what_a_kill_left_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let one = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        write(
            &path,
            &BTreeMap::from([("a".into(), one)]),
            &Metadata::new(),
        )
        .unwrap();
        for left in [".a.safetensors.x1.partial", ".b.safetensors.x1.partial"] {
            std::fs::create_dir(folder.path().join(left)).unwrap();
            std::fs::write(folder.path().join(left).join(".tmp"), "half").unwrap();
        }
        remove_partial(&path).unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".b.safetensors.x1.partial", "a.safetensors"]);
    }
}
