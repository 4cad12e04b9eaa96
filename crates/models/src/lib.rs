//! Networks for audio on the SpeechLens graph, and the files they travel in.
//!
//! ```
//! use candle_core::Device;
//! use speechlens_models::alexnet;
//!
//! let graph = alexnet::architecture(2)?.random(1, &Device::Cpu)?;
//! assert_eq!(graph.weights()["classifier.6.weight"].dims(), [2, 4096]);
//! # Ok::<(), speechlens_nn::Error>(())
//! ```
//!
//! A [`Model`] is a graph with what cannot be known from it: which features it reads and what its classes are called. Both
//! stand in one safetensors file, which [`Model::save`] writes and [`Model::load`] reads. [`Model::import`] makes one of a
//! [`Checkpoint`] of PyTorch.

pub mod alexnet;
pub mod audionet;
mod checkpoint;
mod model;
pub mod resnet34;

pub use checkpoint::{Checkpoint, Weights};
pub use model::{
    Arch, Error, FRONT_END, Features, Imported, Model, Result, TRAINING, filterbank_metadata,
    spectrogram_metadata, waveform_metadata,
};
