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
//! A [`Model`] is three pieces of data: a graph, the front end that makes what it reads, and the task that says what its outputs
//! mean. They stand in one safetensors file, which [`Model::save`] writes and [`Model::load`] reads. [`NETWORKS`] are the networks
//! that are written here, a file each; [`Model::import`] makes a model of a [`Checkpoint`] of PyTorch of one of them, and
//! [`Model::import_onnx`] of any network in an ONNX file. What gives no number a class for a whole input is asked about by a model that
//! does: [`Model::over_frames`], [`Model::similar_to`].

pub mod alexnet;
mod asked;
pub mod audionet;
mod checkpoint;
mod import;
mod model;
mod network;
mod old;
pub mod onnx;
pub mod resnet34;
mod task;

pub use asked::Embedding;
pub use checkpoint::{Checkpoint, Weights};
pub use import::Imported;
pub use model::{ARCH, Error, Model, Result, TRAINING, fit};
pub use network::{NETWORKS, Network, Recipe};
pub use task::{Probability, Task};
