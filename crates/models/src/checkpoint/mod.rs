//! Checkpoints of PyTorch: state dicts that `torch.save` wrote, in the zip format or the legacy one of before 1.6, and
//! safetensors.
//!
//! A file may hold a state dict alone or inside dictionaries (`{"epoch": …, "model_state_dict": …}`), and its names may begin
//! with what wrapped the network (`module.`). [`Checkpoint::open`] lists the tensors of every dictionary, and
//! [`Checkpoint::weights`] reads those that a network wants, by its own names. No code of a file is run, and what a damaged or
//! hostile file says of sizes is held against what is there.

mod pickle;
mod pickled;
mod stored;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use speechlens_nn::{Architecture, tensor_file};

use crate::{Error, Result};
use pickled::Pickled;

/// A counter that batch normalization keeps in training.
const COUNTER: &str = "num_batches_tracked";
/// What to do with a file that holds no state dict.
const REMEDY: &str = "save the weights alone: `torch.save(model.state_dict(), path)`";

/// The tensors of a file.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Pickled(Pickled),
    Safetensors(BTreeMap<String, Tensor>),
}

impl Checkpoint {
    /// Lists the tensors of a file.
    ///
    /// # Errors
    /// If it cannot be read, or holds no state dict: says what it is.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| speechlens_nn::Error::File {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(bytes, path)
    }

    /// As [`Checkpoint::open`], from the bytes of a file; `path` is for messages.
    pub fn parse(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let content = if Pickled::may_be(&bytes) {
            let pickled = Pickled::read(bytes);
            Content::Pickled(pickled.map_err(|problem| wrong(path, problem))?)
        } else {
            Content::Safetensors(tensor_file::parse(&bytes, path, &Device::Cpu)?.0)
        };
        Ok(Checkpoint {
            path: path.to_owned(),
            content,
        })
    }

    /// The names of the tensors in each dictionary, by the keys that lead to it, joined by dots: `""` is the outermost.
    pub fn state_dicts(&self) -> BTreeMap<&str, Vec<&str>> {
        match &self.content {
            Content::Pickled(pickled) => pickled.state_dicts(),
            Content::Safetensors(tensors) => {
                BTreeMap::from([("", tensors.keys().map(String::as_str).collect())])
            }
        }
    }

    /// The tensors of a dictionary of [`Checkpoint::state_dicts`], in f32. Batch normalization's counters are left out.
    ///
    /// # Errors
    /// Names a tensor that is of no floats, or that the file does not hold.
    pub fn tensors(&self, state_dict: &str) -> Result<BTreeMap<String, Tensor>> {
        match &self.content {
            Content::Pickled(pickled) => pickled.tensors(state_dict),
            Content::Safetensors(tensors) => tensors
                .iter()
                .filter(|(name, _)| !name.ends_with(COUNTER))
                .map(|(name, tensor)| match tensor.dtype().is_float() {
                    true => match tensor.to_dtype(DType::F32) {
                        Ok(tensor) => Ok((name.clone(), tensor)),
                        Err(error) => Err(format!("`{name}`: {error}")),
                    },
                    false => Err(format!(
                        "`{name}` is of {}; save floats (`model.float()`)",
                        tensor.dtype().as_str()
                    )),
                })
                .collect(),
        }
        .map_err(|problem| wrong(&self.path, problem))
    }

    /// The tensors for a network, by its own names: of the state dict and under the prefix where most of its names are. What
    /// else stands in that state dict keeps its name, so that [`Architecture::with_weights`] names it.
    ///
    /// # Errors
    /// As [`Checkpoint::tensors`]; if two sets of tensors fit as well.
    pub fn weights(&self, network: &Architecture) -> Result<BTreeMap<String, Tensor>> {
        let (state_dict, prefix) = self.best(network)?;
        let mut weights = BTreeMap::new();
        for (name, tensor) in self.tensors(&state_dict)? {
            let own = name.strip_prefix(&prefix).unwrap_or(&name).to_owned();
            if weights.insert(own, tensor).is_some() {
                let problem = format!("holds `{name}` both with `{prefix}` before it and without");
                return Err(wrong(&self.path, problem));
            }
        }
        Ok(weights)
    }

    /// The state dict and the prefix where most of a network's names are.
    fn best(&self, network: &Architecture) -> Result<(String, String)> {
        let wanted: Vec<String> = network
            .nodes()
            .iter()
            .flat_map(|node| {
                let params = node.op.params();
                let full = |name: &str| format!("{}.{name}", node.name);
                params
                    .iter()
                    .map(|spec| full(spec.name))
                    .collect::<Vec<_>>()
            })
            .collect();
        let mut found: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (state_dict, names) in self.state_dicts() {
            // A file of another network has its names told too.
            found.insert((state_dict, ""), 0);
            for name in names {
                for prefix in wanted
                    .iter()
                    .filter_map(|wanted| name.strip_suffix(wanted.as_str()))
                {
                    if prefix.is_empty() || prefix.ends_with('.') {
                        *found.entry((state_dict, prefix)).or_default() += 1;
                    }
                }
            }
        }
        let most = found.values().max().copied().unwrap_or(0);
        let mut best = found
            .iter()
            .filter(|(_, count)| **count == most)
            .map(|(place, _)| *place);
        let (state_dict, prefix) = best.next().unwrap_or_default();
        if let (true, Some(other)) = (most > 0, best.next()) {
            let name = |(state_dict, prefix): (&str, &str)| match state_dict.is_empty() {
                true => prefix.to_owned(),
                false => format!("{state_dict}.{prefix}"),
            };
            let (one, other) = (name((state_dict, prefix)), name(other));
            return Err(wrong(
                &self.path,
                format!("holds weights at both `{one}` and `{other}`; save one of them alone"),
            ));
        }
        Ok((state_dict.to_owned(), prefix.to_owned()))
    }
}

fn wrong(path: &Path, problem: String) -> Error {
    Error::Model {
        path: path.to_owned(),
        problem,
    }
}
