//! A network as a graph of named nodes: ops, kernels, training, checkpoints.
//!
//! An [`Architecture`] says which nodes there are; a [`Graph`] is an architecture with its parameters. Node names are those of
//! a PyTorch state dict, so that `features.0` with the parameter `weight` is the tensor `features.0.weight`.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use speechlens_nn::{Architecture, ops::{Conv2d, Flatten, Linear, Relu}};
//!
//! # fn main() -> speechlens_nn::Result<()> {
//! let mut net = Architecture::new([1, 8, 8]);
//! let x = net.input();
//! let x = net.add("conv", Conv2d::new(1, 4, 3), [x])?;
//! let x = net.add("relu", Relu, [x])?;
//! let x = net.add("flatten", Flatten, [x])?;
//! net.add("head", Linear::new(4 * 6 * 6, 2), [x])?;
//!
//! let graph = net.random(7, &Device::Cpu)?;
//! let logits = graph.forward(&Tensor::zeros((5, 1, 8, 8), DType::F32, &Device::Cpu)?)?;
//! assert_eq!(logits.dims(), [5, 2]);
//! # Ok(())
//! # }
//! ```
//!
//! * [`ops`] has the layers, and what PyTorch calls them: dense ones, convolutions and pooling of images and over time,
//!   normalization, activations, branches, statistics over time.
//! * [`Architecture::to_json`] writes a network as text, and [`Architecture::parse`] reads it: ops go by the names of a
//!   [`Registry`](ops::Registry), to which others can be added.
//! * [`Graph::forward`] computes the logits, [`Graph::trace`] also keeps what every node gave.
//! * [`Op::branches`] tells by which maps relevance goes back from a node to what it reads, and [`Op::claims`] what can be proved of
//!   what it gives. Layer-wise relevance propagation needs no more.
//! * [`Trainer`] differentiates the graph and steps its parameters, at a learning rate that may follow a
//!   [`Schedule`](schedule::Schedule); its checkpoints resume to the same bits.

mod concrete;
mod device;
mod ends;
mod error;
mod fuse;
mod gradient;
mod graph;
pub mod kernels;
pub mod loss;
mod op;
pub mod ops;
pub mod optim;
mod raise;
mod random;
mod read_ahead;
pub mod schedule;
pub mod tensor_file;
mod text;
pub mod train;
mod walk;

pub use device::{allow_tf32, device, device_name};
pub use error::{Error, Result};
pub use fuse::Joined;
pub use graph::{Architecture, Graph, Node, NodeId, Trace};
pub use kernels::Pair;
pub use op::{
    Attributes, Backward, Branch, Claims, Described, Gradients, InOrder, Init, Inside, Kind,
    LinearOp, Map, Mode, MovingOp, Op, OwnWay, ParamSpec, Params, Passed, Passing, RoutingOp,
    Training, reshaped,
};
pub use ops::gathered;
pub use read_ahead::each_batch;
pub use train::Trainer;
