//! Constants of a file as tensors: numbers as f32, whole numbers as i64, truth values as u8.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use bytes::Bytes;
use candle_core::{Device, Tensor};
use half::{bf16, f16};

use crate::proto;

/// What values of a tensor are, by ONNX's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataType {
    Float,
    Uint8,
    Int8,
    Uint16,
    Int16,
    Int32,
    Int64,
    Bool,
    Float16,
    Double,
    Uint32,
    Uint64,
    Bfloat16,
}

impl DataType {
    pub fn of(number: i32) -> Result<Self, String> {
        Ok(match number {
            1 => DataType::Float,
            2 => DataType::Uint8,
            3 => DataType::Int8,
            4 => DataType::Uint16,
            5 => DataType::Int16,
            6 => DataType::Int32,
            7 => DataType::Int64,
            9 => DataType::Bool,
            10 => DataType::Float16,
            11 => DataType::Double,
            12 => DataType::Uint32,
            13 => DataType::Uint64,
            16 => DataType::Bfloat16,
            8 => return Err("values that are texts are not supported".into()),
            other => {
                return Err(format!(
                    "values of the type number {other} are not supported"
                ));
            }
        })
    }

    pub fn is_real(self) -> bool {
        use DataType::{Bfloat16, Double, Float, Float16};
        matches!(self, Float | Float16 | Double | Bfloat16)
    }

    /// The lowest and the highest whole number.
    pub fn range(self) -> Option<[f64; 2]> {
        Some(match self {
            DataType::Uint8 => [0.0, 255.0],
            DataType::Int8 => [-128.0, 127.0],
            DataType::Uint16 => [0.0, 65535.0],
            DataType::Int16 => [-32768.0, 32767.0],
            _ => return None,
        })
    }

    /// Bytes of a value.
    fn size(self) -> usize {
        match self {
            DataType::Uint8 | DataType::Int8 | DataType::Bool => 1,
            DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16 => 2,
            DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
            DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        }
    }
}

/// No constant has more values.
const LARGEST: usize = 1 << 31;

/// A constant; values in another file stand beside the network's, in `folder`.
pub(crate) fn read(
    tensor: &proto::Tensor,
    folder: Option<&Path>,
) -> Result<(Tensor, DataType), String> {
    let data_type = DataType::of(tensor.data_type)?;
    let dims: Option<Vec<usize>> = tensor
        .dims
        .iter()
        .map(|n| usize::try_from(*n).ok())
        .collect();
    let dims = dims.ok_or_else(|| format!("`{}` has the shape {:?}", tensor.name, tensor.dims))?;
    // Of a shape without values, the others are multiplied too.
    let lengths = dims.iter().map(|n| (*n).max(1));
    let most = lengths.into_iter().try_fold(1usize, usize::checked_mul);
    if most.is_none_or(|count| count > LARGEST) {
        return Err(format!(
            "`{}` of the shape {dims:?} is too large",
            tensor.name
        ));
    }
    let count: usize = dims.iter().product();
    let raw = match tensor.location {
        1 => external(tensor, folder, count * data_type.size())?,
        _ => tensor.raw.clone(),
    };
    let values = match raw.is_empty() {
        false if raw.len() == count * data_type.size() => of_bytes(&raw, data_type, &dims),
        true => of_fields(tensor, data_type, count, &dims),
        false => None,
    };
    match values.transpose().map_err(|error| error.to_string())? {
        Some(values) => Ok((values, data_type)),
        None => Err(format!(
            "`{}` of the shape {dims:?} does not hold as many values: the file is broken; export it again",
            tensor.name
        )),
    }
}

type Made = Option<candle_core::Result<Tensor>>;

fn reals(values: Vec<f32>, dims: &[usize]) -> Made {
    Some(Tensor::from_vec(values, dims, &Device::Cpu))
}

fn whole(values: Vec<i64>, dims: &[usize]) -> Made {
    Some(Tensor::from_vec(values, dims, &Device::Cpu))
}

fn truths(values: Vec<u8>, dims: &[usize]) -> Made {
    Some(Tensor::from_vec(values, dims, &Device::Cpu))
}

/// What stands in raw bytes.
fn of_bytes(raw: &[u8], data_type: DataType, dims: &[usize]) -> Made {
    fn each<const N: usize, T>(raw: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (values, _) = raw.as_chunks::<N>();
        values.iter().map(|bytes| value(*bytes)).collect()
    }
    match data_type {
        DataType::Float => reals(each(raw, f32::from_le_bytes), dims),
        DataType::Double => reals(each(raw, |b| f64::from_le_bytes(b) as f32), dims),
        DataType::Float16 => reals(each(raw, |b| f16::from_le_bytes(b).to_f32()), dims),
        DataType::Bfloat16 => reals(each(raw, |b| bf16::from_le_bytes(b).to_f32()), dims),
        DataType::Bool => truths(each(raw, |[b]| u8::from(b != 0)), dims),
        DataType::Uint8 => whole(each(raw, |[b]| b.into()), dims),
        DataType::Int8 => whole(each(raw, |b| i8::from_le_bytes(b).into()), dims),
        DataType::Uint16 => whole(each(raw, |b| u16::from_le_bytes(b).into()), dims),
        DataType::Int16 => whole(each(raw, |b| i16::from_le_bytes(b).into()), dims),
        DataType::Uint32 => whole(each(raw, |b| u32::from_le_bytes(b).into()), dims),
        DataType::Int32 => whole(each(raw, |b| i32::from_le_bytes(b).into()), dims),
        DataType::Int64 => whole(each(raw, i64::from_le_bytes), dims),
        DataType::Uint64 => {
            let clamped = |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX);
            whole(each(raw, clamped), dims)
        }
    }
}

/// What stands in the field of its type.
fn of_fields(tensor: &proto::Tensor, data_type: DataType, count: usize, dims: &[usize]) -> Made {
    fn all<T: Copy, U>(values: &[T], count: usize, value: impl Fn(T) -> U) -> Option<Vec<U>> {
        (values.len() == count).then(|| values.iter().map(|x| value(*x)).collect())
    }
    match data_type {
        DataType::Float => reals(all(&tensor.floats, count, |x| x)?, dims),
        DataType::Double => reals(all(&tensor.doubles, count, |x| x as f32)?, dims),
        DataType::Float16 => {
            let half = |bits: i32| f16::from_bits(bits as u16).to_f32();
            reals(all(&tensor.ints, count, half)?, dims)
        }
        DataType::Bfloat16 => {
            let half = |bits: i32| bf16::from_bits(bits as u16).to_f32();
            reals(all(&tensor.ints, count, half)?, dims)
        }
        DataType::Bool => truths(all(&tensor.ints, count, |x| u8::from(x != 0))?, dims),
        DataType::Int64 => whole(all(&tensor.longs, count, |x| x)?, dims),
        DataType::Uint32 | DataType::Uint64 => {
            let clamped = |x: u64| i64::try_from(x).unwrap_or(i64::MAX);
            whole(all(&tensor.unsigned, count, clamped)?, dims)
        }
        _ => whole(all(&tensor.ints, count, i64::from)?, dims),
    }
}

/// The bytes of a constant that stand in another file.
fn external(tensor: &proto::Tensor, folder: Option<&Path>, size: usize) -> Result<Bytes, String> {
    let entry = |key: &str| {
        let mut all = tensor.external.iter();
        all.find(|entry| entry.key == key)
            .map(|entry| entry.value.as_str())
    };
    let number = |key: &str| match entry(key).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(format!(
            "`{}` stands at no place of another file",
            tensor.name
        )),
    };
    let name = entry("location").unwrap_or_default();
    let is_beside = !name.is_empty()
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let (true, Some(folder)) = (is_beside, folder) else {
        return Err(format!(
            "`{}` stands in `{name}`, which is not beside the network: put it there",
            tensor.name
        ));
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    if length.is_some_and(|length| length != size as u64) {
        return Err(format!(
            "`{}` is of another length in `{name}`",
            tensor.name
        ));
    }
    let path = folder.join(name);
    let told = |error: std::io::Error| {
        format!(
            "`{}` stands in {}, which cannot be read ({error}): put that file beside the network",
            tensor.name,
            path.display()
        )
    };
    let mut file = File::open(&path).map_err(told)?;
    let there = file.metadata().map_err(told)?.len();
    if offset
        .checked_add(size as u64)
        .is_none_or(|end| end > there)
    {
        return Err(told(std::io::ErrorKind::UnexpectedEof.into()));
    }
    file.seek(SeekFrom::Start(offset)).map_err(told)?;
    let mut bytes = vec![0; size];
    file.read_exact(&mut bytes).map_err(told)?;
    Ok(bytes.into())
}
