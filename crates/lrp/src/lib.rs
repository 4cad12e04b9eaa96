//! Layer-wise relevance propagation (Bach et al. 2015): rules as data, composites, one sweep over any graph.
//!
//! A [`Composite`] picks a [`Rule`] for every layer; [`Lrp`] runs them from the target's logit back to the input. Neither
//! knows a model: a graph's nodes say themselves whether they are linear, route their inputs, or pass them through.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use speechlens_lrp::{Composite, Lrp};
//! use speechlens_nn::{Architecture, ops::{Flatten, Linear, Relu}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut net = Architecture::new([1, 4, 4]);
//! let x = net.add("flatten", Flatten, [net.input()])?;
//! let x = net.add("hidden", Linear::new(16, 8), [x])?;
//! let x = net.add("relu", Relu, [x])?;
//! net.add("head", Linear::new(8, 2), [x])?;
//! let graph = net.random(1, &Device::Cpu)?;
//!
//! let lrp = Lrp::new(&graph, &Composite::preset("lrp-0")?)?;
//! let input = Tensor::ones((3, 1, 4, 4), DType::F32, &Device::Cpu)?;
//! let explanation = lrp.explain(&input, &[0, 1, 1])?;
//! assert_eq!(explanation.relevance.dims(), [3, 1, 4, 4]);
//! # Ok(())
//! # }
//! ```
//!
//! A rule is a short list of terms, each a part of the input times a part of the weights, with a denominator; one function
//! of the sweep runs them all.

mod composite;
mod error;
mod rule;
mod sweep;

pub use composite::{Bias, Composite, Options, PRESETS, Start};
pub use error::{Error, Result};
pub use rule::{Part, Rule, Share, Term};
pub use sweep::{Explanation, Lrp};
