use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::str::FromStr;

use candle_core::{Shape, Tensor};
use rand_chacha::ChaCha8Rng;

use crate::Result;

/// A node's parameters by their PyTorch names (`weight`, `bias`, …).
pub type Params = BTreeMap<String, Tensor>;

/// What a composite calls a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The graph's input.
    Input,
    /// A dense layer.
    Linear,
    /// A convolution.
    Conv,
    /// Max or average pooling.
    Pool,
    /// An elementwise non-linearity.
    Activation,
    /// Dropout.
    Dropout,
    /// A change of shape.
    Reshape,
}

impl Kind {
    const NAMES: [(Kind, &'static str); 7] = [
        (Kind::Input, "input"),
        (Kind::Linear, "linear"),
        (Kind::Conv, "conv"),
        (Kind::Pool, "pool"),
        (Kind::Activation, "activation"),
        (Kind::Dropout, "dropout"),
        (Kind::Reshape, "reshape"),
    ];
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Kind::NAMES
            .iter()
            .find(|(kind, _)| kind == self)
            .map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Kind::NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(kind, _)| *kind)
            .ok_or_else(|| {
                let names: Vec<_> = Kind::NAMES.iter().map(|(_, name)| *name).collect();
                format!(
                    "`{text}` is no kind of layer; there are {}",
                    names.join(", ")
                )
            })
    }
}

/// Whether the graph is being trained.
pub enum Mode<'a> {
    /// Dropout passes its input on.
    Infer,
    /// Dropout draws from this generator.
    Train(&'a mut ChaCha8Rng),
}

/// One parameter of an op: its name, its shape, and how many inputs one output sums (PyTorch's default initialization is
/// uniform in ±1/√fan_in).
#[derive(Clone, Debug)]
pub struct ParamSpec {
    /// `weight`, `bias`, …
    pub name: &'static str,
    /// The parameter's shape.
    pub shape: Shape,
    /// Inputs to one output.
    pub fan_in: usize,
}

/// What a node computes. One file in [`ops`](crate::ops) each.
pub trait Op: Debug + Send + Sync {
    /// What a composite calls it.
    fn kind(&self) -> Kind;

    /// How many nodes it reads.
    fn arity(&self) -> usize {
        1
    }

    /// The parameters it needs.
    fn params(&self) -> Vec<ParamSpec> {
        Vec::new()
    }

    /// The output from the inputs, `[N, …]` each.
    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor>;

    /// What it is to a sweep that walks the graph backwards.
    fn structure(&self) -> Structure<'_>;
}

/// What an op is to a sweep that walks the graph backwards.
pub enum Structure<'a> {
    /// `z = L(a; w) + b`, linear in `a` and in `w`.
    Linear(&'a dyn LinearOp),
    /// Every output is one of the inputs.
    Routing(&'a dyn RoutingOp),
    /// As many outputs as inputs, in the same order: an elementwise function, or a change of shape.
    PassThrough,
}

/// A layer that is linear in its input for given weights.
pub trait LinearOp {
    /// The weights and, if there is one, the bias, shaped to be added to the output.
    fn weights(&self, params: &Params, like: &Tensor) -> Result<(Tensor, Option<Tensor>)>;

    /// `L(a; w)`, without bias.
    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// The transposed map, from the shape of the output to `input`'s: `⟨apply(a, w), s⟩ = ⟨a, transpose(s, w)⟩`.
    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor>;
}

/// A layer each of whose outputs is one of its inputs.
pub trait RoutingOp {
    /// Moves the value at every output to the input that it was taken from, and sums what meets there.
    fn route(&self, input: &Tensor, output: &Tensor) -> Result<Tensor>;
}
