//! ONNX files to graphs: audio networks that others have trained, to be explained.
//!
//! [`Onnx::open`] reads a file and says what it is made of; [`Onnx::graph`] makes a [`Graph`](speechlens_nn::Graph) of it. Shape
//! arithmetic on constants is computed at once; what depends on free axes stays in the graph. Nodes are called as in the file,
//! or, where they have no name there, as what they give.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = speechlens_onnx::Onnx::open("model.onnx".as_ref())?;
//! for input in network.inputs() {
//!     println!("{} {:?}", input.name, input.shape);
//! }
//! let graph = network.graph()?;
//! # Ok(())
//! # }
//! ```

mod call;
mod error;
mod file;
mod lower;
mod network;
mod ops;
mod proto;
mod tensor;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use error::{Error, Problem, Result};
pub use file::OPSETS;
pub use network::{Axes, Onnx};
