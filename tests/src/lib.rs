//! Tests that cross crates, and goldens made by peers.

pub mod peer;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use speechlens_nn::{Result, tensor_file};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// A file of tensors under `goldens/`, or at an absolute path.
pub fn golden(path: impl AsRef<Path>) -> Result<Tensors> {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens");
    Ok(tensor_file::read(&goldens.join(path), &Device::Cpu)?.0)
}
