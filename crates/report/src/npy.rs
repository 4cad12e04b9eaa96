//! NumPy's `.npy` files, f32.

use std::path::Path;

use ndarray::{Array, ArrayD, ArrayView, Dimension};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};

use crate::{Error, Result, atomic};

/// Writes an array, whole or not at all.
///
/// # Errors
/// [`Error::File`].
pub fn write<D: Dimension>(path: &Path, array: ArrayView<f32, D>) -> Result<()> {
    let mut bytes = Vec::with_capacity(array.len() * 4 + 128);
    let damaged = |problem: String| Error::Npy {
        path: path.into(),
        problem,
    };
    array
        .write_npy(&mut bytes)
        .map_err(|error| damaged(error.to_string()))?;
    atomic::write(path, &bytes)
}

/// Reads an array of f32 or f64 of any shape.
///
/// # Errors
/// [`Error::File`]; [`Error::Npy`] if it is no such array, or holds a value that is not finite.
pub fn read(path: &Path) -> Result<ArrayD<f32>> {
    let bytes = std::fs::read(path).map_err(|source| Error::File {
        path: path.into(),
        source,
    })?;
    let wrong = |problem: String| Error::Npy {
        path: path.into(),
        problem,
    };
    let array = match ArrayD::<f32>::read_npy(bytes.as_slice()) {
        Ok(array) => array,
        Err(ndarray_npy::ReadNpyError::WrongDescriptor(_)) => {
            Array::<f64, _>::read_npy(bytes.as_slice())
                .map(|array: ArrayD<f64>| array.mapv(|value| value as f32))
                .map_err(|error| wrong(format!("holds neither f32 nor f64 ({error})")))?
        }
        Err(error) => return Err(wrong(format!("is not a whole .npy file ({error})"))),
    };
    match array.iter().all(|value| value.is_finite()) {
        true => Ok(array),
        false => Err(wrong("holds values that are not finite".into())),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn round_trip_and_mistakes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let values = array![[1.0f32, -2.5], [0.0, 3.0]];
        write(&path, values.view()).unwrap();
        assert_eq!(read(&path).unwrap(), values.clone().into_dyn());
        let mut doubles = Vec::new();
        values.mapv(f64::from).write_npy(&mut doubles).unwrap();
        std::fs::write(&path, &doubles).unwrap();
        assert_eq!(read(&path).unwrap(), values.into_dyn());
        for bytes in [&doubles[..70], b"RIFF....", b""] {
            std::fs::write(&path, bytes).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("a.npy"));
        }
        write(&path, array![f32::NAN].view()).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not finite"));
    }
}
