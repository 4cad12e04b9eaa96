//! NumPy's `.npy` files, f32.

use std::path::Path;

use ndarray::{ArrayD, ArrayView, Dimension, IxDyn, ShapeBuilder};
use ndarray_npy::WriteNpyExt;

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
    parse(&bytes, path)
}

/// As [`read`], from the bytes of a file; `path` is for messages.
///
/// # Errors
/// [`Error::Npy`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<ArrayD<f32>> {
    let array = array(bytes).and_then(|array| match array.iter().all(|v| v.is_finite()) {
        true => Ok(array),
        false => Err("holds values that are not finite"),
    });
    array.map_err(|problem| Error::Npy {
        path: path.into(),
        problem: problem.into(),
    })
}

/// What a file says of its array.
struct Header<'a> {
    /// Byte order, kind and size of a number.
    descr: &'a str,
    /// Whether the first index is the fastest.
    fortran_order: bool,
    shape: Vec<usize>,
}

/// Read here and not by ndarray-npy, which makes room for whatever a header claims, and takes hours for nested braces.
fn array(bytes: &[u8]) -> std::result::Result<ArrayD<f32>, &'static str> {
    let damaged = "is not a whole .npy file";
    let (header, numbers) = split(bytes).ok_or(damaged)?;
    let header = Header::parse(header).ok_or(damaged)?;
    let number: (usize, fn(&[u8]) -> f32) = match header.descr {
        "<f4" => (4, |b| f32::from_le_bytes(b.try_into().unwrap_or_default())),
        ">f4" => (4, |b| f32::from_be_bytes(b.try_into().unwrap_or_default())),
        "<f8" => (8, |b| {
            f64::from_le_bytes(b.try_into().unwrap_or_default()) as f32
        }),
        ">f8" => (8, |b| {
            f64::from_be_bytes(b.try_into().unwrap_or_default()) as f32
        }),
        _ => return Err("holds neither f32 nor f64: save it by .astype(\"float32\")"),
    };
    let (size, number) = number;
    let mut sizes = header.shape.iter();
    let bytes = sizes.try_fold(size, |bytes, size| bytes.checked_mul(*size));
    if bytes != Some(numbers.len()) {
        return Err(damaged);
    }
    let values = numbers.chunks_exact(size).map(number).collect();
    let shape = IxDyn(&header.shape).set_f(header.fortran_order);
    // Sizes that are too large beside one of 0.
    ArrayD::from_shape_vec(shape, values).map_err(|_| damaged)
}

/// The header's text, and what follows it.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (version, rest) = bytes.strip_prefix(b"\x93NUMPY")?.split_first_chunk::<2>()?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return None,
    };
    let (header, numbers) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, numbers))
}

impl<'a> Header<'a> {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, the keys in any order.
    fn parse(text: &'a str) -> Option<Self> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        while !rest.is_empty() {
            let (key, value) = quoted(rest)?;
            let value = value.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => {
                    let (text, after) = quoted(value)?;
                    descr = Some(text);
                    after
                }
                "fortran_order" => {
                    let is = value.strip_prefix("True");
                    fortran_order = Some(is.is_some());
                    is.or(value.strip_prefix("False"))?
                }
                "shape" => {
                    let (sizes, after) = value.strip_prefix('(')?.split_once(')')?;
                    let sizes = sizes.trim().trim_end_matches(',');
                    let sizes = sizes.split(',').filter(|_| !sizes.is_empty());
                    shape = Some(
                        sizes
                            .map(|size| size.trim().parse().ok())
                            .collect::<Option<_>>()?,
                    );
                    after
                }
                _ => return None,
            }
            .trim_start();
            rest = match rest.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if rest.is_empty() => rest,
                None => return None,
            };
        }
        Some(Header {
            descr: descr?,
            fortran_order: fortran_order?,
            shape: shape?,
        })
    }
}

/// The text between the quotes that `text` begins with, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    text[1..].split_once(quote)
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
        assert_eq!(read(&path).unwrap(), values.clone().into_dyn());
        let turned = values.t().to_owned();
        let mut columns = Vec::new();
        values.t().write_npy(&mut columns).unwrap();
        assert!(String::from_utf8_lossy(&columns).contains("True"));
        assert_eq!(parse(&columns, &path).unwrap(), turned.into_dyn());
        for bytes in [&doubles[..70], b"RIFF....", b""] {
            std::fs::write(&path, bytes).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("a.npy"));
        }
        write(&path, array![f32::NAN].view()).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not finite"));
    }
    /// A file of version 2 with this header.
    fn with_header(header: &str, numbers: &[u8]) -> Vec<u8> {
        let length = (header.len() as u32).to_le_bytes();
        [
            b"\x93NUMPY\x02\x00",
            &length[..],
            header.as_bytes(),
            numbers,
        ]
        .concat()
    }

    #[test]
    fn headers_in_every_order_and_byte_order() {
        let path = Path::new("a.npy");
        let big = [1.5f32, 2.0].map(f32::to_be_bytes).concat();
        let text = r#"{"shape": (2,), 'fortran_order':False, "descr" : '>f4'}"#;
        let read = parse(&with_header(text, &big), path).unwrap();
        assert_eq!(read, array![1.5f32, 2.0].into_dyn());
        let scalar = "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n";
        let read = parse(&with_header(scalar, &2.5f64.to_le_bytes()), path).unwrap();
        assert_eq!((read.ndim(), read.sum()), (0, 2.5));
    }

    #[test]
    fn claims_are_held_against_what_is_there() {
        let path = Path::new("a.npy");
        let huge = usize::MAX;
        for shape in [
            format!("({huge},)"),
            format!("({huge}, {huge})"),
            format!("(0, {huge}, {huge})"),
            "(100000000000,)".into(),
            "(-1,)".into(),
            "(1, 2".into(),
            "3".into(),
        ] {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
            let error = parse(&with_header(&header, &[]), path).unwrap_err();
            assert!(
                error.to_string().contains("not a whole .npy file"),
                "{shape}: {error}"
            );
        }
        let mut long = with_header("{}", &[]);
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        for bytes in [long, with_header(&"{".repeat(60_000), &[])] {
            assert!(parse(&bytes, path).is_err());
        }
    }
}
