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

use std::collections::{BTreeMap, BTreeSet};
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
        self.wanted(state_dict, |_| true)
    }

    /// Those of them whose names are wanted.
    fn wanted(
        &self,
        state_dict: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Tensor>> {
        match &self.content {
            Content::Pickled(pickled) => pickled.tensors(state_dict, is_wanted),
            Content::Safetensors(tensors) => tensors
                .iter()
                .filter(|(name, _)| !name.ends_with(COUNTER) && is_wanted(name))
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

    /// The tensors for a network, by its own names: of the state dict and under the prefix where most of its names are, or of
    /// those that are named by `prefix` (`model_ema`, `state_dict.model.`).
    ///
    /// # Errors
    /// As [`Checkpoint::tensors`], of these tensors; if two sets of tensors fit as well, or none stands at `prefix`.
    pub fn weights(&self, network: &Architecture, prefix: Option<&str>) -> Result<Weights> {
        let wanted: BTreeSet<String> = network
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
        let place = self.best(&wanted, prefix)?;
        let own = |name: &str| -> Option<String> {
            let own = name.strip_prefix(&place.prefix)?;
            wanted.contains(own).then(|| own.to_owned())
        };
        let tensors = self.wanted(&place.state_dict, |name| own(name).is_some())?;
        let names = self.state_dicts().remove(place.state_dict.as_str());
        let names = names.into_iter().flatten();
        Ok(Weights {
            tensors: tensors
                .into_iter()
                .filter_map(|(name, tensor)| Some((own(&name)?, tensor)))
                .collect(),
            left_out: names
                .filter(|name| own(name).is_none() && !name.ends_with(COUNTER))
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Where most of these names are, of all places or of those that `prefix` names.
    fn best(&self, wanted: &BTreeSet<String>, prefix: Option<&str>) -> Result<Place> {
        let mut found: BTreeMap<Place, usize> = BTreeMap::new();
        for (state_dict, names) in self.state_dicts() {
            let place = |prefix: &str| Place {
                state_dict: state_dict.to_owned(),
                prefix: prefix.to_owned(),
            };
            // A file of another network has its names told too.
            found.insert(place(""), 0);
            for name in names {
                for prefix in wanted
                    .iter()
                    .filter_map(|wanted| name.strip_suffix(wanted.as_str()))
                {
                    if prefix.is_empty() || prefix.ends_with('.') {
                        *found.entry(place(prefix)).or_default() += 1;
                    }
                }
            }
        }
        if let Some(prefix) = prefix {
            let there = |(place, count): (&Place, &usize)| *count > 0 && place.is_named(prefix);
            if !found.iter().any(there) {
                let places = found.iter().filter(|(_, count)| **count > 0);
                let places: Vec<String> = places
                    .map(|(place, _)| format!("`{}`", place.name()))
                    .collect();
                let problem = match places.is_empty() {
                    true => format!("holds no weights of this network, at `{prefix}` or elsewhere"),
                    false => format!(
                        "holds no weights of this network at `{prefix}`, but at {}",
                        places.join(", ")
                    ),
                };
                return Err(wrong(&self.path, problem));
            }
            found.retain(|place, _| place.is_named(prefix));
        }
        let most = found.values().max().copied().unwrap_or(0);
        let mut best = found.iter().filter(|(_, count)| **count == most);
        let place = best.next().map(|(place, _)| place.clone());
        let place = place.unwrap_or_default();
        if let (true, Some((other, _))) = (most > 0, best.next()) {
            return Err(wrong(
                &self.path,
                format!(
                    "holds weights at both `{}` and `{}`; choose by --prefix",
                    place.name(),
                    other.name()
                ),
            ));
        }
        Ok(place)
    }
}

/// What a checkpoint holds for a network.
#[derive(Debug)]
pub struct Weights {
    /// The tensors, by the network's names.
    pub tensors: BTreeMap<String, Tensor>,
    /// The names, as in the file, of what stands beside them and belongs to no layer: heads of a loss, metrics, counters, averages.
    pub left_out: Vec<String>,
}

/// Where a network's weights may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The keys of the dictionary.
    state_dict: String,
    /// What stands before the network's names in it.
    prefix: String,
}

impl Place {
    fn name(&self) -> String {
        match self.state_dict.is_empty() {
            true => self.prefix.clone(),
            false => format!("{}.{}", self.state_dict, self.prefix),
        }
    }

    /// Whether it is, or begins with, what a user calls it, from the outermost dictionary on or within its own.
    fn is_named(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        let begins = |whole: &str| match whole.strip_prefix(name) {
            Some(rest) => rest.is_empty() || rest.starts_with('.'),
            None => false,
        };
        begins(&self.name()) || begins(&self.prefix)
    }
}

fn wrong(path: &Path, problem: String) -> Error {
    Error::Model {
        path: path.to_owned(),
        problem,
    }
}
