//! Files of versions in which a network was the name of one that is known, and its features one of three kinds.

use serde_json::Value;
use speechlens_frontend::FrontEnd;
use speechlens_nn::Architecture;
use speechlens_nn::loss::Loss;
use speechlens_nn::tensor_file::Metadata;

use crate::model::{ARCH, REMEDY, TRAINING};
use crate::{Network, Probability, Task};

/// What such a file can say that a network reads.
struct Features {
    name: &'static str,
    /// The network that reads them.
    network: &'static str,
    /// The key that says more.
    key: &'static str,
    /// The front end of each of its values; of no value the first.
    front_ends: &'static [(&'static str, &'static str)],
}

const FEATURES: &[Features] = &[
    Features {
        name: "spectrogram",
        network: "alexnet",
        key: "crop",
        front_ends: &[
            ("thesis", "thesis-spectrogram"),
            ("audiomnist", "audiomnist-spectrogram"),
        ],
    },
    Features {
        name: "waveform",
        network: "audionet",
        key: "",
        front_ends: &[("", "thesis-waveform")],
    },
    Features {
        name: "filterbank",
        network: "resnet34",
        key: "normalization",
        front_ends: &[
            ("segment", "thesis-fbank"),
            ("utterance", "thesis-fbank-recording"),
        ],
    },
];

const CLASSES: &str = "classes";

/// The three pieces of such a file. What the metadata say of them is taken out, but for the network's name.
pub fn read(metadata: &mut Metadata) -> Result<(Architecture, FrontEnd, Task), String> {
    let lacks = |key: &str| format!("is no SpeechLens model (no `{key}`): {REMEDY}");
    let name = metadata.get(ARCH).ok_or_else(|| lacks(ARCH))?.clone();
    let network = Network::named(&name)?;
    let classes = metadata.remove(CLASSES).ok_or_else(|| lacks(CLASSES))?;
    let classes: Vec<String> = serde_json::from_str(&classes)
        .map_err(|error| format!("`{CLASSES}` is not a list of names ({error})"))?;
    if classes.is_empty() {
        return Err(format!("`{CLASSES}` names no class"));
    }
    let own = FEATURES.iter().find(|own| own.network == name);
    let own = own.ok_or_else(|| lacks("frontend"))?;
    if let Some(features) = metadata.remove("features")
        && features != own.name
    {
        let known: Vec<&str> = FEATURES.iter().map(|known| known.name).collect();
        return Err(match known.contains(&features.as_str()) {
            true => format!("says that {name} reads {features}, which it cannot: {REMEDY}"),
            false => format!(
                "reads `{features}`, which this version does not know; there are {}",
                known.join(", ")
            ),
        });
    }
    let (key, front_ends) = (own.key, own.front_ends);
    let mut front_end = front_ends[0].1;
    if let Some(value) = metadata.remove(key) {
        let found = front_ends.iter().find(|(known, _)| *known == value);
        front_end = found.map(|(_, front_end)| *front_end).ok_or_else(|| {
            let known: Vec<&str> = front_ends.iter().map(|(known, _)| *known).collect();
            let known = known.join(" and ");
            format!("has the {key} `{value}`, which this version does not know; there are {known}")
        })?;
    }
    for features in FEATURES {
        metadata.remove(features.key);
    }
    let training: Option<Value> = metadata
        .get(TRAINING)
        .and_then(|text| serde_json::from_str(text).ok());
    let loss = training.and_then(|told| {
        let loss: Result<Loss, _> = serde_json::from_value(told.get("loss")?.clone());
        loss.ok()
    });
    let architecture = network.architecture(classes.len());
    Ok((
        architecture.map_err(|error| error.to_string())?,
        FrontEnd::load(front_end).map_err(|error| error.to_string())?,
        Task::Classes {
            probability: loss.map_or(network.probability, Probability::of),
            classes,
        },
    ))
}
