//! Every method of explanation behind one trait: given a network, inputs and a target each, a relevance for every input value.
//!
//! A [`Method`] says what to compute; [`Method::of`] a network makes an [`Attribute`] of it, ready to explain batch after
//! batch. Layer-wise relevance propagation is one of them, and a [`Lrp`](speechlens_lrp::Lrp) of one's own is an [`Attribute`]
//! too. [`METHODS`](methods::METHODS) has them all by name, with their options.
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
//! use speechlens_attribution::methods::IntegratedGradients;
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
//! let method = IntegratedGradients { steps: 50, reference: (-1.0).into() };
//! let input = Tensor::ones((3, 1, 4, 4), DType::F32, &Device::Cpu)?;
//! let attribution = method.of(&graph)?.attribute(&input, &[0, 1, 1], &|_| ())?;
//! assert_eq!(attribution.relevance.dims(), [3, 1, 4, 4]);
//! // What the relevance fails to account for of f(x) − f(r).
//! assert!(attribution.completeness_gap.unwrap().iter().all(|gap| gap.abs() < 0.05));
//! # Ok(())
//! # }
//! ```

pub mod methods;
mod reference;

use std::collections::BTreeMap;

use candle_core::Tensor;
use speechlens_lrp::{Assignment, Conservation};
use speechlens_nn::Graph;

pub use methods::Method;
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

/// Whose logit is explained.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// That of the class with the largest logit, input by input.
    Predicted,
    /// That of one class for each input.
    Of(&'a [u32]),
}

impl Target<'_> {
    /// Fails unless there is one target an input.
    fn check(self, input: &Tensor) -> Result<()> {
        let inputs = input.dim(0)?;
        match self {
            Target::Of(targets) if targets.len() != inputs => {
                let targets = targets.len();
                Err(Error::Setting(format!(
                    "there are {targets} targets for {inputs} inputs"
                )))
            }
            _ => Ok(()),
        }
    }

    /// The classes, for what the network gave.
    fn classes(self, logits: &Tensor) -> candle_core::Result<Vec<u32>> {
        match self {
            Target::Predicted => logits.argmax(1)?.to_vec1(),
            Target::Of(targets) => Ok(targets.to_vec()),
        }
    }

    /// What the network gives for a batch, `[N, classes]`, and the targets, all of which there are.
    fn answered(self, graph: &Graph, input: &Tensor) -> Result<(Tensor, Vec<u32>)> {
        self.check(input)?;
        let logits = graph.forward(input)?;
        let (targets, classes) = (self.classes(&logits)?, logits.dim(1)?);
        match targets.iter().find(|target| **target as usize >= classes) {
            Some(target) => Err(Error::Setting(format!(
                "there is no class {target} among {classes}"
            ))),
            None => Ok((logits, targets)),
        }
    }
}

/// What beside relevance is wanted of methods that can tell: of layer-wise relevance propagation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Layers whose output's relevance is kept.
    pub layers: Vec<String>,
    /// Of how many inputs of a batch, the first, it is kept what becomes of relevance at every layer.
    pub conserved: usize,
}

/// What a method says of a batch.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// The relevance of every input value for its target, of the input's shape `[N, …]`.
    pub relevance: Tensor,
    /// What the network gave, `[N, classes]`.
    pub logits: Tensor,
    /// The class that each input was explained for.
    pub targets: Vec<u32>,
    /// The relevance of the outputs of the layers asked for, by their names, each of its output's shape `[N, …]`.
    pub layers: BTreeMap<String, Tensor>,
    /// What became of the relevance at every node on the way, the output's first, for as many inputs as were asked for.
    pub conservation: Vec<Conservation>,
    /// Of methods whose relevance should add up to `f(x) − f(r)`: what is missing of that, for each input.
    pub completeness_gap: Option<Vec<f64>>,
}

impl Attribution {
    /// One that tells nothing else.
    pub fn new(relevance: Tensor, logits: Tensor, targets: Vec<u32>) -> Self {
        Attribution {
            relevance,
            logits,
            targets,
            layers: BTreeMap::new(),
            conservation: Vec::new(),
            completeness_gap: None,
        }
    }

    /// Without what another says of the same batch: if the method is linear in the score, the attribution of the difference of
    /// the scores.
    ///
    /// # Errors
    /// If shapes differ.
    pub fn less(mut self, mut other: Attribution) -> Result<Self> {
        self.relevance = (&self.relevance - &other.relevance)?;
        for (name, relevance) in &mut self.layers {
            if let Some(other) = other.layers.get(name) {
                *relevance = (&*relevance - other)?;
            }
        }
        let less = |ours: &mut Vec<f64>, theirs: &[f64]| {
            ours.iter_mut().zip(theirs).for_each(|(a, b)| *a -= b);
        };
        for (ours, theirs) in self.conservation.iter_mut().zip(&mut other.conservation) {
            for (ours, theirs) in ours.parts().into_iter().zip(theirs.parts()) {
                less(ours, theirs);
            }
        }
        if let (Some(ours), Some(theirs)) = (&mut self.completeness_gap, &other.completeness_gap) {
            less(ours, theirs);
        }
        Ok(self)
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
pub trait Attribute: Send + Sync {
    /// The relevance of a batch `[N, …]`, each input for its target. `progress` is told how many passes are done of
    /// `N` times [`Attribute::passes`].
    ///
    /// # Errors
    /// If there is not one target an input, a target is no class, or there is no layer of a name asked for.
    fn explain(
        &self,
        input: &Tensor,
        target: Target,
        details: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution>;

    /// [`Attribute::explain`] for a class each, without details.
    ///
    /// # Errors
    /// As [`Attribute::explain`].
    fn attribute(
        &self,
        input: &Tensor,
        targets: &[u32],
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        self.explain(input, Target::Of(targets), &Details::default(), progress)
    }

    /// Why the first class rather than the second: the relevance of the difference of their logits. `progress` is told of twice
    /// as many passes. A method that is not linear in the score has its own.
    ///
    /// # Errors
    /// As [`Attribute::explain`].
    fn contrast(
        &self,
        input: &Tensor,
        [targets, others]: [&[u32]; 2],
        details: &Details,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let found = self.explain(input, Target::Of(targets), details, progress)?;
        let half = self.passes().total() * targets.len();
        let against = self.explain(input, Target::Of(others), details, &|done| {
            progress(half + done);
        })?;
        found.less(against)
    }

    /// How often the network is run for one input.
    fn passes(&self) -> Passes;

    /// Which rule each layer got, if the method has rules.
    fn assignments(&self) -> Option<Vec<Assignment>> {
        None
    }
}
