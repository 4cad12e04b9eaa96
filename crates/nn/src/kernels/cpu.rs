//! The way from candle's storage to slices and back.

use candle_core::{CpuStorage, DType, Error, Layout, Result, WithDType};

/// The values of a contiguous tensor.
pub(crate) fn slice<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => Err(Error::Msg("the kernel reads contiguous tensors".into()).bt()),
    }
}

/// A type that the CPU kernels do not compute in.
pub(crate) fn unsupported(kernel: &str, dtype: DType) -> Error {
    Error::Msg(format!(
        "{kernel} computes in f32 and f64, not in {dtype:?}"
    ))
    .bt()
}

/// Runs `$body` with `$T` the storage's type, f32 or f64.
macro_rules! dispatch {
    ($storage:expr, $name:literal, $T:ident => $body:expr) => {
        match candle_core::backend::BackendStorage::dtype($storage) {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => return Err($crate::kernels::cpu::unsupported($name, other)),
        }
    };
}

pub(crate) use dispatch;
