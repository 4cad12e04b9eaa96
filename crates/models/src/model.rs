use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use speechlens_frontend::FrontEnd;
use speechlens_nn::loss::Loss;
use speechlens_nn::tensor_file::{self, Metadata};
use speechlens_nn::{Architecture, Graph};

use crate::checkpoint::{Checkpoint, Weights};
use crate::{alexnet, audionet, resnet34};

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The graph, or the file's tensors.
    #[error(transparent)]
    Network(#[from] speechlens_nn::Error),
    /// What the network reads.
    #[error(transparent)]
    FrontEnd(#[from] speechlens_frontend::Error),
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

/// The networks that a model file can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// [`alexnet`].
    AlexNet,
    /// [`audionet`].
    AudioNet,
    /// [`resnet34`].
    ResNet34,
}

impl Arch {
    /// The network for this number of classes.
    pub fn architecture(self, classes: usize) -> Result<Architecture> {
        Ok(match self {
            Arch::AlexNet => alexnet::architecture(classes)?,
            Arch::AudioNet => audionet::architecture(classes)?,
            Arch::ResNet34 => resnet34::architecture(classes)?,
        })
    }

    /// The network for this number of classes and, where it can have another than its own, this shape of an input.
    pub fn architecture_of(self, classes: usize, input: &[Option<usize>]) -> Result<Architecture> {
        match (self, input) {
            (Arch::ResNet34, [Some(bands), frames]) => {
                let size = [*bands, frames.unwrap_or(resnet34::FRAMES)];
                Ok(resnet34::of_size(classes, size)?)
            }
            _ => self.architecture(classes),
        }
    }
}

impl Arch {
    /// What such networks are made to read.
    pub fn features(self) -> Features {
        match self {
            Arch::AlexNet => Features::Spectrogram,
            Arch::AudioNet => Features::Waveform,
            Arch::ResNet34 => Features::Filterbank,
        }
    }
}

impl Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arch::AlexNet => "alexnet",
            Arch::AudioNet => "audionet",
            Arch::ResNet34 => "resnet34",
        })
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "alexnet" => Ok(Arch::AlexNet),
            "audionet" => Ok(Arch::AudioNet),
            "resnet34" => Ok(Arch::ResNet34),
            _ => Err(format!(
                "`{text}` is no network that this version knows; there are alexnet, audionet and resnet34"
            )),
        }
    }
}

/// A network with what it reads and what its answers mean.
#[derive(Clone, Debug)]
pub struct Model {
    /// Which network.
    pub arch: Arch,
    /// The network with its weights.
    pub graph: Graph,
    /// The classes' names, in the order of the logits.
    pub classes: Vec<String>,
    /// What else the file tells, under keys of its own: `features`, `crop`, ….
    pub metadata: BTreeMap<String, String>,
}

/// What a network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// The decibel spectrogram of a second.
    Spectrogram,
    /// The waveform of a second.
    Waveform,
    /// The mel filterbank of two seconds.
    Filterbank,
}

impl Features {
    /// The front end that makes them, by its name.
    pub fn front_end(self) -> &'static str {
        match self {
            Features::Spectrogram => "thesis-spectrogram",
            Features::Waveform => "thesis-waveform",
            Features::Filterbank => "thesis-fbank",
        }
    }
}

impl FromStr for Features {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "spectrogram" => Ok(Features::Spectrogram),
            "waveform" => Ok(Features::Waveform),
            "filterbank" => Ok(Features::Filterbank),
            _ => Err(format!(
                "reads `{text}`, which this version does not know; there are spectrogram, waveform and filterbank"
            )),
        }
    }
}

const ARCH: &str = "arch";
const CLASSES: &str = "classes";
const FEATURES: &str = "features";
const CROP: &str = "crop";
const NORMALIZATION: &str = "normalization";
/// The key of the metadata under which stands the front end, as TOML.
pub const FRONT_END: &str = "frontend";
/// The key of the metadata under which stands how the network was trained, as JSON: by which `loss`, ….
pub const TRAINING: &str = "training";
const LOSS: &str = "loss";

/// The metadata of a network that reads decibel spectrograms cut by `crop` (`thesis` or `audiomnist`).
pub fn spectrogram_metadata(crop: &str) -> BTreeMap<String, String> {
    [(FEATURES, "spectrogram"), (CROP, crop)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The metadata of a network that reads waveforms.
pub fn waveform_metadata() -> BTreeMap<String, String> {
    [(FEATURES.to_owned(), "waveform".to_owned())].into()
}

/// The metadata of a network that reads mel filterbanks of segments, the mean of each band set to 0 over the `segment` or the
/// `utterance`.
pub fn filterbank_metadata(normalization: &str) -> BTreeMap<String, String> {
    [(FEATURES, "filterbank"), (NORMALIZATION, normalization)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

impl Model {
    /// What the network reads; if the metadata does not say, what such networks are made for.
    pub fn features(&self) -> Features {
        let told = self.metadata.get(FEATURES);
        told.and_then(|text| text.parse().ok())
            .unwrap_or(self.arch.features())
    }

    /// From a recording to what the network reads: the `frontend` of the metadata, in TOML, or what its features stand for.
    ///
    /// # Errors
    /// If it is no front end.
    pub fn front_end(&self) -> Result<FrontEnd> {
        if let Some(text) = self.metadata.get(FRONT_END) {
            return Ok(FrontEnd::parse(text)?);
        }
        let says =
            |key: &str, value: &str| self.metadata.get(key).is_some_and(|told| told == value);
        Ok(FrontEnd::load(match self.features() {
            Features::Spectrogram if says(CROP, "audiomnist") => "audiomnist-spectrogram",
            Features::Filterbank if says(NORMALIZATION, "utterance") => "thesis-fbank-recording",
            features => features.front_end(),
        })?)
    }

    /// What the network was trained by; if the metadata does not say, what such networks are trained by.
    pub fn loss(&self) -> Loss {
        let training = self.metadata.get(TRAINING);
        let training = training.and_then(|text| serde_json::from_str(text).ok());
        let loss = |mut training: Value| serde_json::from_value(training[LOSS].take()).ok();
        training.and_then(loss).unwrap_or(match self.arch {
            Arch::AlexNet => Loss::BinaryCrossEntropy,
            Arch::AudioNet | Arch::ResNet34 => Loss::CrossEntropy,
        })
    }

    /// The probability of a class, as its [`loss`](Model::loss) means it.
    pub fn probability(&self, logits: &[f32], class: usize) -> f32 {
        self.loss().probability(logits, class)
    }

    /// A class by its name or index.
    pub fn class(&self, name: &str) -> Option<usize> {
        let by_index = || {
            name.parse()
                .ok()
                .filter(|index| *index < self.classes.len())
        };
        self.classes
            .iter()
            .position(|class| class == name)
            .or_else(by_index)
    }

    /// Writes the model as safetensors: the weights by their PyTorch names, the rest as metadata, `classes` as a JSON list.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut metadata: Metadata = self.metadata.clone();
        metadata.insert(ARCH.into(), self.arch.to_string());
        metadata.insert(
            CLASSES.into(),
            serde_json::Value::from(self.classes.clone()).to_string(),
        );
        Ok(tensor_file::write(path, &self.graph.weights(), &metadata)?)
    }

    /// Makes a model of a checkpoint, of the weights at `prefix` where there are several (see [`Checkpoint::weights`]). The number
    /// of classes is that of the last layer; their names are 0, 1, …, and there is no metadata yet. One logit, which binary
    /// cross entropy trained, is two classes: it speaks for class 1, and its negative for class 0.
    ///
    /// # Errors
    /// If the file is no checkpoint; every tensor that is missing or of another shape is named.
    pub fn import(
        arch: Arch,
        path: &Path,
        prefix: Option<&str>,
        device: &Device,
    ) -> Result<Imported> {
        let network = arch.architecture(1)?;
        let Weights {
            tensors: mut weights,
            left_out,
        } = Checkpoint::open(path)?.weights(&network, prefix)?;
        check_numbers(&weights, path)?;
        let last = network.nodes().last().map_or("", |node| &node.name);
        let outputs = weights.get(&format!("{last}.weight"));
        let outputs = outputs.and_then(|weight| weight.dims().first()).copied();
        let mut metadata = BTreeMap::new();
        if outputs == Some(1) {
            for (_, weight) in weights
                .iter_mut()
                .filter(|(name, _)| name.rsplit_once('.').is_some_and(|(node, _)| node == last))
            {
                let both = weight
                    .neg()
                    .and_then(|other| Tensor::cat(&[&other, weight], 0));
                *weight = both.map_err(speechlens_nn::Error::from)?;
            }
            let training = json!({ LOSS: Loss::BinaryCrossEntropy }).to_string();
            metadata.insert(TRAINING.to_owned(), training);
        }
        let classes = outputs.map_or(1, |outputs| outputs.max(2));
        let graph = arch
            .architecture(classes)?
            .with_weights(weights)
            .map_err(|error| {
                let has_no_place = |name: &String| format!(", `{name}` has no place");
                let surplus: String = left_out.iter().map(has_no_place).collect();
                Error::Model {
                    path: path.to_owned(),
                    problem: format!("{error}{surplus}"),
                }
            })?
            .map_weights(|_, weight| Ok(weight.to_device(device)?))?;
        let model = Model {
            arch,
            graph,
            classes: (0..classes).map(|class| class.to_string()).collect(),
            metadata,
        };
        Ok(Imported { model, left_out })
    }

    /// Reads a model.
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
        let remedy = "train one with `speechlens train`, or import one with `speechlens import`";
        let mut take = |key: &str| {
            metadata
                .remove(key)
                .ok_or_else(|| wrong(format!("is no SpeechLens model (no `{key}`): {remedy}")))
        };
        let arch: Arch = take(ARCH)?.parse().map_err(wrong)?;
        let classes: Vec<String> = serde_json::from_str(&take(CLASSES)?)
            .map_err(|error| wrong(format!("`{CLASSES}` is not a list of names ({error})")))?;
        if classes.is_empty() {
            return Err(wrong(format!("`{CLASSES}` names no class")));
        }
        if let Some(features) = metadata.get(FEATURES)
            && features.parse::<Features>().map_err(wrong)? != arch.features()
        {
            let problem = format!("says that {arch} reads {features}, which it cannot: {remedy}");
            return Err(wrong(problem));
        }
        let shape = match metadata.get(FRONT_END) {
            Some(text) => FrontEnd::parse(text)
                .map_err(|error| wrong(format!("its front end {error}")))?
                .shape(),
            None => Vec::new(),
        };
        for (key, known) in [
            (CROP, ["thesis", "audiomnist"]),
            (NORMALIZATION, ["segment", "utterance"]),
        ] {
            if let Some(value) = metadata.get(key)
                && !known.contains(&value.as_str())
            {
                let [one, other] = known;
                let problem = format!(
                    "has the {key} `{value}`, which this version does not know; there are {one} and {other}"
                );
                return Err(wrong(problem));
            }
        }
        if let Some((name, tensor)) = tensors.iter().find(|(_, t)| t.dtype() != DType::F32) {
            let dtype = tensor.dtype().as_str();
            return Err(wrong(format!("`{name}` is of {dtype}, not f32: {remedy}")));
        }
        check_numbers(&tensors, path)?;
        let graph = arch
            .architecture_of(classes.len(), &shape)?
            .with_weights(tensors)
            .map_err(|error| wrong(format!("{error}: {remedy}")))?;
        Ok(Model {
            arch,
            graph,
            classes,
            metadata,
        })
    }
}

/// A model of a checkpoint, and what else stood there.
#[derive(Debug)]
pub struct Imported {
    /// The model.
    pub model: Model,
    /// The tensors that belong to no layer, by their names in the file.
    pub left_out: Vec<String>,
}

/// Fails if a weight is infinite or no number, or a variance negative: every answer would be no number.
fn check_numbers(weights: &BTreeMap<String, Tensor>, path: &Path) -> Result<()> {
    for (name, weight) in weights {
        // What is finite leaves 0.
        let rest = (weight * 0.0).and_then(|rest| rest.sum_all()?.to_scalar::<f32>());
        if rest.map_err(speechlens_nn::Error::from)? != 0.0 {
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
