//! safetensors files with metadata, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{Device, Tensor};
use safetensors::tensor::{TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensorError};

use crate::{Error, Result};

/// The strings that travel with the tensors.
pub type Metadata = BTreeMap<String, String>;

/// Writes tensors and metadata; a kill at any moment leaves the old file or the new one, and perhaps what [`remove_partial`]
/// finds.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, metadata: &Metadata) -> Result<()> {
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|error| Error::Format {
        path: path.to_owned(),
        problem: format!("cannot be written: {error}"),
    })?;
    speechlens_atomic::write(path, |file| file.write_all(&with_sorted_header(bytes)?))
        .map_err(file_error(path))
}

/// Removes what kills in the middle of writing `path` left beside it. Nobody else may be writing it.
pub fn remove_partial(path: &Path) -> Result<()> {
    speechlens_atomic::remove_partial(path).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> Error {
    |source| Error::File {
        path: path.to_owned(),
        source,
    }
}

/// Puts the header's keys in order: safetensors writes the metadata in another order every time, and the same tensors and metadata
/// are to give the same bytes.
fn with_sorted_header(mut bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let too_short = || std::io::Error::other("the sorted header does not fit its place");
    let (length, rest) = bytes.split_first_chunk_mut().ok_or_else(too_short)?;
    let header = rest.get_mut(..u64::from_le_bytes(*length) as usize);
    let header = header.ok_or_else(too_short)?;
    let sorted: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
        serde_json::from_slice(header)?;
    let text = serde_json::to_vec(&sorted)?;
    let (place, after) = header
        .split_at_mut_checked(text.len())
        .ok_or_else(too_short)?;
    place.copy_from_slice(&text);
    after.fill(b' ');
    Ok(bytes)
}

/// Reads tensors and metadata. Of the file no more is in memory than the tensors themselves.
pub fn read(path: &Path, device: &Device) -> Result<(BTreeMap<String, Tensor>, Metadata)> {
    let open = || -> io::Result<_> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        Ok((file, about))
    };
    let (mut file, about) = open().map_err(file_error(path))?;
    if about.is_file() {
        return parts(&mut file, about.len(), path, device);
    }
    // A pipe does not tell how long it is.
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(file_error(path))?;
    parse(&bytes, path, device)
}

/// As [`read`], from the bytes of a file; `path` is for messages.
pub fn parse(
    mut bytes: &[u8],
    path: &Path,
    device: &Device,
) -> Result<(BTreeMap<String, Tensor>, Metadata)> {
    let length = bytes.len() as u64;
    parts(&mut bytes, length, path, device)
}

/// The tensors and the metadata of so many bytes, part by part.
fn parts(
    source: &mut impl Read,
    length: u64,
    path: &Path,
    device: &Device,
) -> Result<(BTreeMap<String, Tensor>, Metadata)> {
    let not_one = |error: SafeTensorError| Error::Format {
        path: path.to_owned(),
        problem: format!(
            "is not a whole safetensors file ({error}); copy it again, or make it anew"
        ),
    };
    let unreadable = |error: candle_core::Error| Error::Format {
        path: path.to_owned(),
        problem: format!("holds tensors that cannot be read ({error})"),
    };
    let mut start = [0; 8];
    let Some(rest) = length.checked_sub(start.len() as u64) else {
        return Err(not_one(SafeTensorError::HeaderTooSmall));
    };
    source.read_exact(&mut start).map_err(file_error(path))?;
    let of_header = u64::from_le_bytes(start);
    let Some(of_tensors) = rest.checked_sub(of_header) else {
        return Err(not_one(SafeTensorError::InvalidHeaderLength));
    };
    let mut header = vec![0; of_header as usize];
    source.read_exact(&mut header).map_err(file_error(path))?;
    let header: safetensors::tensor::Metadata = serde_json::from_slice(&header)
        .map_err(|error| not_one(SafeTensorError::InvalidHeaderDeserialization(error)))?;
    if header.data_len() as u64 != of_tensors {
        return Err(not_one(SafeTensorError::MetadataIncompleteBuffer));
    }
    let mut tensors = BTreeMap::new();
    for name in header.offset_keys() {
        let Some(TensorInfo {
            dtype,
            shape,
            data_offsets: (start, end),
        }) = header.info(&name)
        else {
            continue;
        };
        let tensor = match dtype {
            // Nearly all are, and may be large: they are read to where they stay.
            Dtype::F32 => {
                let mut values = vec![0f32; (end - start) / size_of::<f32>()];
                let bytes = bytemuck::cast_slice_mut(&mut values);
                source.read_exact(bytes).map_err(file_error(path))?;
                Tensor::from_vec(values, shape.as_slice(), device)
            }
            dtype => {
                let mut bytes = vec![0; end - start];
                source.read_exact(&mut bytes).map_err(file_error(path))?;
                let view = TensorView::new(*dtype, shape.clone(), &bytes);
                view.map_err(not_one)?.load(device)
            }
        };
        tensors.insert(name, tensor.map_err(unreadable)?);
    }
    let metadata = header.metadata().clone().unwrap_or_default();
    Ok((tensors, metadata.into_iter().collect()))
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
            std::fs::write(folder.path().join(left), "half").unwrap();
        }
        remove_partial(&path).unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".b.safetensors.x1.partial", "a.safetensors"]);
    }
}
