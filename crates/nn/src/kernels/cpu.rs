//! The way from candle's storage to slices and back.

use std::mem::MaybeUninit;

use candle_core::{CpuStorage, DType, Device, Error, Layout, Result, Storage, Tensor, WithDType};
use rayon::prelude::*;

/// The values of a contiguous tensor.
pub(crate) fn slice<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => Err(Error::Msg("the kernel reads contiguous tensors".into()).bt()),
    }
}

/// Works on the values of a tensor beside an op's own, if there is one: contiguous f32 on the CPU.
pub(crate) fn beside<T>(
    tensor: Option<&Tensor>,
    work: impl FnOnce(Option<&[f32]>) -> Result<T>,
) -> Result<T> {
    let stored = tensor.map(Tensor::storage_and_layout);
    match &stored {
        None => work(None),
        Some((storage, layout)) => match &**storage {
            Storage::Cpu(storage) => work(Some(slice(storage, layout)?)),
            _ => Err(Error::Msg("the kernel reads tensors on the CPU".into()).bt()),
        },
    }
}

/// Whether the kernels that know f32 alone compute with all of these: on the CPU, and without autograd.
pub(crate) fn are_single(tensors: &[&Tensor]) -> bool {
    are_real(tensors) && tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// Whether those do that know f64 too.
pub(crate) fn are_real(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| {
        let is_real = matches!(tensor.dtype(), DType::F32 | DType::F64);
        is_real && tensor.device().is_cpu() && !tensor.track_op()
    })
}

/// Runs work of many small parallel steps on one of the threads that take these, where no other has to be woken to begin each of them;
/// on other devices than the CPU there are no such steps.
pub(crate) fn among_workers<T: Send>(device: &Device, work: impl FnOnce() -> T + Send) -> T {
    match device.is_cpu() {
        true => rayon::scope(|_| work()),
        false => work(),
    }
}

/// A type that the kernels do not compute in.
pub(crate) fn unsupported(kernel: &str, dtype: DType) -> Error {
    Error::Msg(format!(
        "{kernel} computes in f32 and f64, not in {dtype:?}"
    ))
    .bt()
}

/// Values that one thread takes at a time where each stands for itself.
pub(crate) const CHUNK: usize = 1 << 14;

/// A vector of blocks of the given lengths, in their order. `work` gets the number of a block and its values, which are 0 until
/// it writes them; blocks are spread over threads. Each is zeroed by the thread that goes on to write it, so that large outputs
/// pass through memory once.
pub(crate) fn in_blocks<T: WithDType>(
    lengths: impl Iterator<Item = usize> + Clone,
    work: impl Fn(usize, &mut [T]) + Send + Sync,
) -> Vec<T> {
    let length = lengths.clone().sum();
    let mut values: Vec<T> = Vec::with_capacity(length);
    let mut rest = &mut values.spare_capacity_mut()[..length];
    let blocks: Vec<&mut [MaybeUninit<T>]> = lengths
        .map(|length| {
            let (block, later) = std::mem::take(&mut rest).split_at_mut(length);
            rest = later;
            block
        })
        .collect();
    assert!(rest.is_empty());
    blocks
        .into_par_iter()
        .enumerate()
        .for_each(|(index, block)| {
            block.iter_mut().for_each(|value| {
                value.write(T::zero());
            });
            // SAFETY: every value of the block was written just above.
            work(index, unsafe { block.assume_init_mut() });
        });
    // SAFETY: the capacity is at least `length`; the blocks are the first `length` values, since nothing was left behind them (asserted), and
    // each value was written before its block was worked on. A panic in one leaves before this line.
    unsafe { values.set_len(length) };
    values
}

/// The lengths of blocks of `size` values that make up `length`; the last may be shorter.
pub(crate) fn lengths(length: usize, size: usize) -> impl Iterator<Item = usize> + Clone {
    (0..length)
        .step_by(size.max(1))
        .map(move |start| size.min(length - start))
}

/// Runs `$body` with `$T` the storage's type, f32 or f64.
macro_rules! dispatch {
    ($storage:expr, $name:expr, $T:ident => $body:expr) => {
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
