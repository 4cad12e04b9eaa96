use std::fmt::{self, Debug, Display};

use speechlens_nn::Architecture;

use crate::task::Probability;
use crate::{alexnet, audionet, resnet34};

/// A network that is written in Rust, with how it is used where nobody says otherwise.
pub struct Network {
    /// What the command line calls it.
    pub name: &'static str,
    /// What tables call it.
    pub title: &'static str,
    /// The front end that it is made for, by its name.
    pub front_end: &'static str,
    /// What makes probabilities of its logits.
    pub probability: Probability,
    /// What two classes are called.
    pub two_classes: Option<[&'static str; 2]>,
    /// How it is trained.
    pub recipe: Recipe,
    /// It for a number of classes and a shape of what it reads, `[rows, frames]` or `[samples]`, without batch and channel; a network of
    /// one size passes over the shape, and an empty one is the network's own. Its output is a layer with a `weight` of a row a class.
    pub build: fn(usize, &[Option<usize>]) -> speechlens_nn::Result<Architecture>,
}

/// How a network is trained.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Inputs a step.
    pub batch: usize,
    /// The learning rate, the highest if it changes.
    pub lr: f64,
    /// Whether it rises and falls once, or is constant.
    pub one_cycle: bool,
}

/// Every network.
pub const NETWORKS: &[&Network] = &[&alexnet::NETWORK, &audionet::NETWORK, &resnet34::NETWORK];

impl Network {
    /// The network of this name.
    ///
    /// # Errors
    /// If there is none; those there are are named.
    pub fn named(name: &str) -> Result<&'static Network, String> {
        let found = NETWORKS.iter().find(|network| network.name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = NETWORKS.iter().map(|network| network.name).collect();
            let names = names.join(", ");
            format!("`{name}` is no network that this version knows; there are {names}")
        })
    }

    /// It for this number of classes.
    ///
    /// # Errors
    /// If `build` adds a node that does not fit.
    pub fn architecture(&self, classes: usize) -> speechlens_nn::Result<Architecture> {
        (self.build)(classes, &[])
    }
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Network").field(&self.name).finish()
    }
}
