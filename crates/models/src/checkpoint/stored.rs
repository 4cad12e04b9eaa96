//! How PyTorch pickles a tensor: a storage, and where in it the tensor lies.

use candle_core::pickle::Object;
use candle_core::{DType, Device, Layout, Shape, Tensor};

/// The numbers of a storage: their size in bytes, and what candle calls those that weights are made of.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Bytes a number.
    pub size: usize,
    float: Option<DType>,
}

impl Numbers {
    fn of(class: &str) -> Option<Numbers> {
        let (size, float) = match class {
            "DoubleStorage" => (8, Some(DType::F64)),
            "FloatStorage" => (4, Some(DType::F32)),
            "HalfStorage" => (2, Some(DType::F16)),
            "BFloat16Storage" => (2, Some(DType::BF16)),
            "ByteStorage" | "CharStorage" | "BoolStorage" => (1, None),
            "QInt8Storage" | "QUInt8Storage" => (1, None),
            "ShortStorage" => (2, None),
            "IntStorage" | "QInt32Storage" => (4, None),
            "LongStorage" | "ComplexFloatStorage" => (8, None),
            "ComplexDoubleStorage" => (16, None),
            _ => return None,
        };
        Some(Numbers { size, float })
    }
}

/// A storage as a tensor names it.
#[derive(Clone, Debug)]
pub struct StorageId {
    /// Its name in the file.
    pub key: String,
    /// What it is made of.
    pub numbers: Numbers,
    class: String,
}

impl StorageId {
    /// Reads `('storage', class, key, device, count, view)`; the view is the legacy format's.
    pub fn of(id: &Object) -> Result<StorageId, String> {
        let Object::Tuple(parts) = id else {
            return Err("refers to what is no storage".into());
        };
        match parts.as_slice() {
            [
                Object::Unicode(tag),
                Object::Class { class_name, .. },
                Object::Unicode(key),
                _,
                _,
                view @ ..,
            ] if tag == "storage" => {
                if !matches!(view, [] | [Object::None]) {
                    return Err("has a storage inside another, as before PyTorch 0.4".into());
                }
                let numbers = Numbers::of(class_name)
                    .ok_or_else(|| format!("has the unknown storage type {class_name}"))?;
                Ok(StorageId {
                    key: key.clone(),
                    numbers,
                    class: class_name.clone(),
                })
            }
            _ => Err("refers to what is no storage".into()),
        }
    }
}

/// A tensor in a file.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What holds its numbers.
    pub storage: StorageId,
    /// The place of its first number.
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl Stored {
    /// The tensor that an object is, or why it cannot be read; `None` if it is no tensor.
    pub fn of(object: &Object) -> Option<Result<Stored, String>> {
        let Object::Reduce { callable, args } = object else {
            return None;
        };
        Stored::call(callable, args)
    }

    fn call(callable: &Object, args: &Object) -> Option<Result<Stored, String>> {
        let (
            Object::Class {
                module_name,
                class_name,
            },
            Object::Tuple(args),
        ) = (callable, args)
        else {
            return None;
        };
        match (module_name.as_str(), class_name.as_str(), args.as_slice()) {
            ("torch._utils", "_rebuild_tensor_v2", [storage, offset, shape, stride, ..]) => {
                Some(Stored::plain(storage, offset, shape, stride))
            }
            (
                "torch._utils",
                "_rebuild_parameter" | "_rebuild_parameter_with_state",
                [data, ..],
            ) => Stored::of(data),
            // (function, type, arguments, state): a subclass of Tensor.
            ("torch._tensor", "_rebuild_from_type_v2", [callable, _, args, ..]) => {
                Stored::call(callable, args)
            }
            ("torch._utils" | "torch._tensor", name, _) if name.starts_with("_rebuild") => {
                Some(Err(format!("is no dense tensor of numbers (`{name}`)")))
            }
            _ => None,
        }
    }

    fn plain(
        storage: &Object,
        offset: &Object,
        shape: &Object,
        stride: &Object,
    ) -> Result<Stored, String> {
        let Object::PersistentLoad(id) = storage else {
            return Err("has no storage".into());
        };
        let (Some(offset), Some(shape), Some(stride)) =
            (count(offset), counts(shape), counts(stride))
        else {
            return Err("has sizes that are no numbers".into());
        };
        if shape.len() != stride.len() {
            return Err(format!(
                "has {} sizes and {} strides",
                shape.len(),
                stride.len()
            ));
        }
        Ok(Stored {
            storage: StorageId::of(id)?,
            offset,
            shape,
            stride,
        })
    }

    /// How many numbers it has. `None` if its sizes are beyond any machine.
    pub fn count(&self) -> Option<usize> {
        // A size of 0 is to excuse no other.
        let mut sizes = self.shape.iter().map(|size| (*size).max(1));
        let product = sizes.try_fold(1usize, |product, size| product.checked_mul(size))?;
        Some(if self.shape.contains(&0) { 0 } else { product })
    }

    /// The tensor, in f32, from its storage's bytes.
    pub fn read(&self, bytes: &[u8]) -> Result<Tensor, String> {
        let Numbers { size, float } = self.storage.numbers;
        let dtype = float.ok_or_else(|| {
            format!(
                "is of {}; save floats (`model.float()`)",
                self.storage.class
            )
        })?;
        let beyond = || "reaches beyond its storage; save it again".to_owned();
        let count = self.count().ok_or_else(beyond)?;
        if count > 0 {
            let mut steps = self.shape.iter().zip(&self.stride);
            let last = steps.try_fold(self.offset, |last, (size, stride)| {
                last.checked_add((size - 1).checked_mul(*stride)?)
            });
            if last.is_none_or(|last| last >= bytes.len() / size) {
                return Err(beyond());
            }
        }
        let shape = Shape::from(self.shape.as_slice());
        let layout = Layout::new(shape, self.stride.clone(), self.offset);
        let made = |bytes: &[u8]| {
            Tensor::from_raw_buffer(bytes, dtype, &self.shape, &Device::Cpu)?.to_dtype(DType::F32)
        };
        let tensor = match layout.contiguous_offsets() {
            _ if count == 0 => made(&[]),
            Some((start, end)) => made(&bytes[start * size..end * size]),
            None => {
                let mut places = vec![self.offset];
                for (size, stride) in self.shape.iter().zip(&self.stride) {
                    let along = |place: usize| (0..*size).map(move |step| place + step * stride);
                    places = places.into_iter().flat_map(along).collect();
                }
                let number = |place: usize| &bytes[place * size..(place + 1) * size];
                made(
                    &places
                        .into_iter()
                        .flat_map(number)
                        .copied()
                        .collect::<Vec<u8>>(),
                )
            }
        };
        tensor.map_err(|error| error.to_string())
    }
}

fn count(object: &Object) -> Option<usize> {
    match object {
        Object::Int(count) => usize::try_from(*count).ok(),
        Object::Long(count) => usize::try_from(*count).ok(),
        _ => None,
    }
}

fn counts(object: &Object) -> Option<Vec<usize>> {
    match object {
        Object::Tuple(objects) => objects.iter().map(count).collect(),
        _ => None,
    }
}
