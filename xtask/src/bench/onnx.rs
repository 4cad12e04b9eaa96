//! Networks that come as ONNX, which are measured beside onnxruntime.

use std::path::PathBuf;

use speechlens_models::{Network, alexnet, resnet34};

use crate::repository;

/// Of these everything is the same in all rows but the batch.
#[derive(Clone, Copy, PartialEq)]
pub struct Onnx {
    /// What `--only` calls it.
    pub name: &'static str,
    pub title: &'static str,
    pub origin: Origin,
    /// Values along an axis that may be of any length.
    pub length: usize,
}

/// Where a network comes from.
#[derive(Clone, Copy, PartialEq)]
pub enum Origin {
    /// A file among the real networks, and what `speechlens import` is told of it.
    File(&'static str, &'static [&'static str]),
    /// The peers' own in PyTorch, exported; ours is built in.
    Exported(&'static Network),
}

pub const CREPE: Onnx = Onnx {
    name: "crepe",
    title: "CREPE (tiny)",
    origin: Origin::File("crepe-tiny.onnx", &["--frontend", "crepe"]),
    length: 1,
};
pub const CAMPPLUS: Onnx = Onnx {
    name: "campplus",
    title: "CAM++, 3 s",
    origin: Origin::File(
        "campplus.onnx",
        &["--frontend", "kaldi-fbank-80", "--task", "embedding"],
    ),
    length: 300,
};
pub const DNSMOS: Onnx = Onnx {
    name: "dnsmos",
    title: "DNSMOS",
    origin: Origin::File("dnsmos.onnx", &["--frontend", "dnsmos", "--task", "score"]),
    length: 1,
};
pub const SMART_TURN: Onnx = Onnx {
    name: "smart-turn",
    title: "Smart Turn (8 bits)",
    origin: Origin::File(
        "smart-turn-int8.onnx",
        &["--frontend", "smart-turn", "--classes", "finished"],
    ),
    length: 1,
};
pub const ALEXNET: Onnx = Onnx {
    name: "alexnet",
    title: "AlexNet",
    origin: Origin::Exported(&alexnet::NETWORK),
    length: 1,
};
pub const RESNET34: Onnx = Onnx {
    name: "resnet34",
    title: "ResNet34",
    origin: Origin::Exported(&resnet34::NETWORK),
    length: 1,
};

impl Onnx {
    /// The file, where there is one: in the folder that `SPEECHLENS_MODELS` names, or else `../shared/models`.
    pub fn file(&self) -> Option<PathBuf> {
        let Origin::File(name, _) = self.origin else {
            return None;
        };
        let beside = repository::root().join("../shared/models");
        let folder = std::env::var_os("SPEECHLENS_MODELS").map_or(beside, PathBuf::from);
        Some(folder.join(name))
    }

    /// Whether it can be measured here.
    pub fn is_here(&self) -> bool {
        self.file().is_none_or(|file| file.is_file())
    }

    /// As the peer is told.
    pub fn for_peer(&self) -> String {
        match (self.origin, self.file()) {
            (Origin::Exported(network), _) => network.name.to_owned(),
            (_, file) => file.unwrap_or_default().display().to_string(),
        }
    }
}
