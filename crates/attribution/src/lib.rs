//! Every method of explanation behind one trait: given a network, inputs and a target each, a relevance for every input value.
//!
//! A [`Method`] says what to compute; [`Method::of`] a network makes an [`Attribute`] of it, ready to explain batch after
//! batch. Layer-wise relevance propagation is one of them, and a [`Lrp`](speechlens_lrp::Lrp) of one's own is an [`Attribute`]
//! too.
//!
//! | method | relevance of an input value `x_j` for the target's logit `f` | source |
//! | --- | --- | --- |
//! | gradient | `∂f/∂x_j` | Simonyan et al. 2014 |
//! | sensitivity | `abs(∂f/∂x_j)` | the same |
//! | gradient × input | `(x_j − r_j) ∂f/∂x_j` | Shrikumar et al. 2016 |
//! | SmoothGrad | the gradient's mean over noisy copies of the input | Smilkov et al. 2017, section 3 |
//! | integrated gradients | `(x_j − r_j) ∫₀¹ ∂f/∂x_j (r + α (x − r)) dα` | Sundararajan et al. 2017, Eq. 1 |
//! | occlusion | what the score loses with the patch around `x_j` set to `r`, averaged over the patches that hold it | Zeiler and Fergus 2014, section 4.2 |
//! | LRP | see [`speechlens_lrp`] | Bach et al. 2015 |
//! | random | uniform in [−1, 1), by lot: a control | |
//!
//! `r` is the [`Reference`]: the input that stands for "nothing here".
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use speechlens_attribution::Method;
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
//! let method = Method::IntegratedGradients { steps: 50, reference: (-1.0).into() };
//! let input = Tensor::ones((3, 1, 4, 4), DType::F32, &Device::Cpu)?;
//! let attribution = method.of(&graph)?.attribute(&input, &[0, 1, 1], &|_| ())?;
//! assert_eq!(attribution.relevance.dims(), [3, 1, 4, 4]);
//! // What the relevance fails to account for of f(x) − f(r).
//! assert!(attribution.completeness_gap.unwrap().iter().all(|gap| gap.abs() < 0.05));
//! # Ok(())
//! # }
//! ```

mod gradient;
mod integrated_gradients;
mod lrp;
mod method;
mod occlusion;
mod random;
mod reference;
mod smoothgrad;

use candle_core::Tensor;

pub use method::{Method, Score};
pub use reference::Reference;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] speechlens_nn::Error),
    /// Layer-wise relevance propagation.
    #[error(transparent)]
    Lrp(#[from] speechlens_lrp::Error),
    /// A setting that a method cannot work with, or targets that do not fit the batch.
    #[error("{0}")]
    Setting(String),
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a method says of a batch.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// The relevance of every input value for its target, of the input's shape `[N, …]`.
    pub relevance: Tensor,
    /// Of methods whose relevance should add up to `f(x) − f(r)`: what is missing of that, for each input.
    pub completeness_gap: Option<Vec<f64>>,
}

impl Attribution {
    fn of(relevance: Tensor) -> Self {
        Attribution {
            relevance,
            completeness_gap: None,
        }
    }
}

/// How often the network is run for one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// From the input to the logits.
    pub forward: usize,
    /// From the logits back to the input.
    pub backward: usize,
}

impl Passes {
    /// Both.
    pub fn total(self) -> usize {
        self.forward + self.backward
    }
}

/// A network with a method, ready to explain.
pub trait Attribute {
    /// The relevance of a batch `[N, …]`, each input for its target class. `progress` is told how many passes are done of
    /// `N` times [`Attribute::passes`].
    ///
    /// # Errors
    /// If there is not one target an input, or a target is no class.
    fn attribute(
        &self,
        input: &Tensor,
        targets: &[u32],
        progress: &dyn Fn(usize),
    ) -> Result<Attribution>;

    /// How often the network is run for one input.
    fn passes(&self) -> Passes;
}
