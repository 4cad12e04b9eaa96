use std::collections::BTreeMap;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use speechlens_frontend::FrontEnd;
use speechlens_nn::loss::Loss;
use speechlens_nn::ops::Registry;
use speechlens_nn::tensor_file::{self, Metadata};
use speechlens_nn::{Architecture, Graph};

use crate::{Network, Task, old};

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The graph, or the file's tensors.
    #[error(transparent)]
    Network(#[from] speechlens_nn::Error),
    /// What the network reads.
    #[error(transparent)]
    FrontEnd(#[from] speechlens_frontend::Error),
    /// An ONNX file.
    #[error(transparent)]
    Onnx(#[from] speechlens_onnx::Error),
    /// A file that is no SpeechLens model, or no checkpoint.
    #[error("{path}: {problem}", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A network with what it reads and what its answers mean.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network with its weights.
    pub graph: Graph,
    /// From a recording to what it reads.
    pub front_end: Arc<FrontEnd>,
    /// What its outputs mean.
    pub task: Task,
    /// What else the file tells, under keys of its own: [`ARCH`], [`TRAINING`], ….
    pub metadata: BTreeMap<String, String>,
}

const GRAPH: &str = "graph";
const FRONT_END: &str = "frontend";
const TASK: &str = "task";
/// What to do about a file that is no model.
pub(crate) const REMEDY: &str =
    "train one with `speechlens train`, or import one with `speechlens import`";
/// The key of the metadata under which stands what the network is called.
pub const ARCH: &str = "arch";
/// The key of the metadata under which stands how the network was trained, as JSON.
pub const TRAINING: &str = "training";

impl Model {
    /// One of [`NETWORKS`](crate::NETWORKS) with its weights, its own front end, and classes one of which is right.
    ///
    /// # Errors
    /// Never of a network that is registered.
    pub fn of(network: &Network, graph: Graph, classes: Vec<String>) -> Result<Self> {
        Ok(Model {
            graph,
            front_end: Arc::new(FrontEnd::load(network.front_end)?),
            task: Task::Classes {
                probability: network.probability,
                classes,
            },
            metadata: [(ARCH.to_owned(), network.name.to_owned())].into(),
        })
    }

    /// The same model to be asked for answers alone: its graph has fewer nodes, and the weights that were merged are gone.
    ///
    /// # Errors
    /// If weights cannot be merged.
    pub fn for_inference(self) -> Result<Self> {
        Ok(Model {
            graph: self.graph.into_inference()?,
            ..self
        })
    }

    /// What the network is called, if the file tells.
    pub fn arch(&self) -> Option<&str> {
        self.metadata.get(ARCH).map(String::as_str)
    }

    /// How the network was trained; null if the file does not tell.
    pub fn training(&self) -> Value {
        let training = self.metadata.get(TRAINING);
        let training = training.and_then(|text| serde_json::from_str(text).ok());
        training.unwrap_or_default()
    }

    /// The classes' names, in the order of the logits; none if its task has no classes.
    pub fn classes(&self) -> &[String] {
        self.task.classes()
    }

    /// What such a network is trained by: what its logits mean. Of a task without classes nothing is meant by it.
    pub fn loss(&self) -> Loss {
        let probability = self.task.probability();
        probability.map_or(Loss::default(), |probability| probability.loss())
    }

    /// The probability of a class, as its [`loss`](Model::loss) means it.
    ///
    /// # Panics
    /// If there is no logit of that class.
    pub fn probability(&self, logits: &[f32], class: usize) -> f32 {
        self.loss().probability(logits, class)
    }

    /// What an output says, as a number: the probability of a class, or a score.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn value(&self, outputs: &[f32], index: usize) -> f32 {
        match self.task.probability() {
            None => outputs[index],
            Some(_) => self.probability(outputs, index),
        }
    }

    /// What an output says, in words: the probability of a class, `93.1 %`, or a score, `2.770`.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn says(&self, outputs: &[f32], index: usize) -> String {
        self.words(self.value(outputs, index))
    }

    /// What such a [value](Model::value) is in words.
    pub fn words(&self, value: f32) -> String {
        match self.task.probability() {
            None => format!("{value:.3}"),
            Some(_) => format!("{:.1} %", 100.0 * value),
        }
    }

    /// A class by its name or index.
    pub fn class(&self, name: &str) -> Option<usize> {
        let classes = self.classes();
        let by_index = || name.parse().ok().filter(|index| *index < classes.len());
        let by_name = classes.iter().position(|class| class == name);
        by_name.or_else(by_index)
    }

    /// Writes the model as safetensors: the weights by their PyTorch names, and as metadata the `graph`
    /// ([`Architecture::to_json`]), the `frontend` ([`FrontEnd::to_toml`]), the `task` as JSON, and what else there is.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let task = serde_json::to_string(&self.task).map_err(|error| Error::Model {
            path: path.to_owned(),
            problem: format!("cannot write the task ({error})"),
        })?;
        let mut metadata: Metadata = self.metadata.clone();
        metadata.insert(GRAPH.into(), self.graph.architecture().to_json());
        metadata.insert(FRONT_END.into(), self.front_end.to_toml()?);
        metadata.insert(TASK.into(), task);
        Ok(tensor_file::write(path, &self.graph.weights(), &metadata)?)
    }

    /// Reads a model, also of versions that wrote the name of a network in place of its graph.
    ///
    /// # Errors
    /// If the file cannot be read, is no model, or its graph, front end, task and weights do not fit each other.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let (tensors, metadata) = tensor_file::read(path, device)?;
        Self::of_file(tensors, metadata, path)
    }

    /// As [`Model::load`], from the bytes of a file; `path` is for messages.
    pub fn parse(bytes: &[u8], path: &Path, device: &Device) -> Result<Self> {
        let (tensors, metadata) = tensor_file::parse(bytes, path, device)?;
        Self::of_file(tensors, metadata, path)
    }

    fn of_file(
        tensors: BTreeMap<String, Tensor>,
        mut metadata: Metadata,
        path: &Path,
    ) -> Result<Self> {
        let wrong = |problem: String| Error::Model {
            path: path.to_owned(),
            problem,
        };
        let (architecture, front_end, task) = match metadata.remove(GRAPH) {
            Some(graph) => pieces(&graph, &mut metadata),
            None => old::read(&mut metadata),
        }
        .map_err(wrong)?;
        let is_known = |(name, tensor): &(&String, &Tensor)| match tensor.dtype() {
            DType::F32 => true,
            DType::I64 | DType::U8 => is_constant(name),
            _ => false,
        };
        if let Some((name, tensor)) = tensors.iter().find(|weight| !is_known(weight)) {
            let dtype = tensor.dtype().as_str();
            return Err(wrong(format!("`{name}` is of {dtype}, not f32: {REMEDY}")));
        }
        check_numbers(&tensors, path)?;
        let graph = architecture
            .with_weights(tensors)
            .map_err(|error| wrong(format!("{error}: {REMEDY}")))?;
        Ok(Model {
            graph,
            front_end: Arc::new(front_end),
            task,
            metadata,
        })
    }
}

/// The three pieces of a model as they stand in a file.
fn pieces(graph: &str, metadata: &mut Metadata) -> Result<(Architecture, FrontEnd, Task), String> {
    let mut take = |key: &str| {
        let value = metadata.remove(key);
        value.ok_or_else(|| format!("is no whole SpeechLens model (no `{key}`): save it again"))
    };
    let architecture = Architecture::parse(graph, &Registry::default())
        .map_err(|error| format!("of its graph: {error}"))?;
    let front_end =
        FrontEnd::parse(&take(FRONT_END)?).map_err(|error| format!("its front end {error}"))?;
    let task: Task =
        serde_json::from_str(&take(TASK)?).map_err(|error| format!("its task: {error}"))?;
    fit(&architecture, &front_end)?;
    if task.probability().is_some() && task.classes().is_empty() {
        return Err("its task names no class".into());
    }
    Ok((architecture, front_end, task))
}

/// Whether a network reads what a front end gives, with a channel before it or without.
///
/// # Errors
/// If it does not: what each has, and the remedy, after the network's name.
pub fn fit(architecture: &Architecture, front_end: &FrontEnd) -> Result<(), String> {
    let (reads, gives) = (architecture.input_shape(), front_end.shape());
    let may_be =
        |(reads, gives): (&Option<usize>, &Option<usize>)| reads.is_none() || reads == gives;
    let is_read = |reads: &[Option<usize>]| {
        reads.len() == gives.len() && iter::zip(reads, &gives).all(may_be)
    };
    if is_read(reads) || matches!(reads, [Some(1), rest @ ..] if is_read(rest)) {
        return Ok(());
    }
    let list = |shape: &[Option<usize>]| {
        let sizes = shape.iter();
        let sizes = sizes.map(|size| size.map_or("any".to_owned(), |size| size.to_string()));
        sizes.collect::<Vec<_>>().join(", ")
    };
    // Of the other axes nothing can be said by a length.
    let of_length = |reads: &[Option<usize>]| {
        let last = gives.len().saturating_sub(1);
        reads.len() == gives.len() && iter::zip(&reads[..last], &gives).all(may_be)
    };
    let is_of_length = of_length(reads) || matches!(reads, [Some(1), rest @ ..] if of_length(rest));
    let remedy = match gives.last() {
        Some(None) if is_of_length => {
            "; its length is that of the recording: give a file with `length = { frames = N }` or `{ exactly = SECONDS }`"
        }
        _ => "",
    };
    Err(format!(
        "its front end gives [{}], and its graph reads [{}]{remedy}",
        list(&gives),
        list(reads)
    ))
}

/// Whether a weight is the value of a constant: a number of any kind, which may be infinite, as in a mask.
fn is_constant(name: &str) -> bool {
    name.ends_with(".value")
}

/// So many values are looked at together: no more memory is taken than for these.
const TOGETHER: usize = 1 << 18;

/// Whether every value is a finite number.
fn is_finite(weight: &Tensor) -> candle_core::Result<bool> {
    let values = weight.flatten_all()?;
    let count = values.elem_count();
    for start in (0..count).step_by(TOGETHER) {
        let part = values.narrow(0, start, TOGETHER.min(count - start))?;
        // What is finite leaves 0.
        if (part * 0.0)?.sum_all()?.to_scalar::<f32>()? != 0.0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fails if a weight is infinite or no number, or a variance negative: every answer would be no number.
pub(crate) fn check_numbers(weights: &BTreeMap<String, Tensor>, path: &Path) -> Result<()> {
    for (name, weight) in weights.iter().filter(|(name, _)| !is_constant(name)) {
        if !is_finite(weight).map_err(speechlens_nn::Error::from)? {
            let problem =
                format!("`{name}` holds weights that are not finite: train the network again");
            return Err(Error::Model {
                path: path.to_owned(),
                problem,
            });
        }
        let is_negative = || -> candle_core::Result<bool> {
            Ok(weight.flatten_all()?.min(0)?.to_scalar::<f32>()? < 0.0)
        };
        if name.ends_with(".running_var")
            && weight.elem_count() > 0
            && is_negative().map_err(speechlens_nn::Error::from)?
        {
            return Err(Error::Model {
                path: path.to_owned(),
                problem: format!(
                    "`{name}` holds a negative variance, which no data have: save the network again, or train it again"
                ),
            });
        }
    }
    Ok(())
}
