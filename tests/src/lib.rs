//! Tests that cross crates, and goldens made by peers.

pub mod peer;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use speechlens_nn::{Result, tensor_file};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// A file of tensors under `goldens/`, or at an absolute path.
pub fn golden(path: impl AsRef<Path>) -> Result<Tensors> {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens");
    Ok(tensor_file::read(&goldens.join(path), &Device::Cpu)?.0)
}

/// How far one tensor is from another of the same shape: `‖ours − theirs‖ / ‖theirs‖`, in f64.
pub fn relative_l2(ours: &Tensor, theirs: &Tensor) -> Result<f64> {
    let norm = |tensor: &Tensor| -> Result<f64> {
        Ok(tensor.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt())
    };
    let (ours, theirs) = (ours.to_dtype(DType::F64)?, theirs.to_dtype(DType::F64)?);
    Ok(norm(&(ours - &theirs)?)? / norm(&theirs)?)
}
