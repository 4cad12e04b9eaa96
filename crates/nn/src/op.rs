use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use candle_core::{Shape, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::Value;

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
    /// Batch normalization of dense layers and 1-D convolutions.
    BatchNorm1d,
    /// Batch normalization of 2-D convolutions.
    BatchNorm2d,
    /// The sum of branches.
    Sum,
    /// Statistics over time.
    StatsPool,
}

impl Kind {
    const NAMES: [(Kind, &'static str); 11] = [
        (Kind::Input, "input"),
        (Kind::Linear, "linear"),
        (Kind::Conv, "conv"),
        (Kind::Pool, "pool"),
        (Kind::Activation, "activation"),
        (Kind::Dropout, "dropout"),
        (Kind::Reshape, "reshape"),
        (Kind::BatchNorm1d, "batchnorm1d"),
        (Kind::BatchNorm2d, "batchnorm2d"),
        (Kind::Sum, "sum"),
        (Kind::StatsPool, "statspool"),
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
    /// Dropout draws, batch normalization takes the batch's statistics.
    Train(&'a mut Training),
}

impl Mode<'_> {
    /// What the op that was computed last has saved.
    pub(crate) fn take_saved(&mut self) -> Vec<Tensor> {
        match self {
            Mode::Infer => Vec::new(),
            Mode::Train(training) => std::mem::take(&mut training.saved),
        }
    }

    /// What a training pass has set so far.
    pub(crate) fn updates(&mut self) -> &mut [(String, Tensor)] {
        match self {
            Mode::Infer => &mut [],
            Mode::Train(training) => &mut training.updates,
        }
    }
}

/// What a training pass needs and leaves behind.
pub struct Training {
    /// What dropout draws from.
    pub rng: ChaCha8Rng,
    /// New values of what is not trained but follows the data, by name: running statistics.
    pub(crate) updates: Vec<(String, Tensor)>,
    /// What the op that was computed last will want for its gradient.
    pub(crate) saved: Vec<Tensor>,
}

impl Training {
    /// A pass with this generator.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Training {
            rng,
            updates: Vec::new(),
            saved: Vec::new(),
        }
    }

    /// Sets an untrained parameter of the op that is being computed.
    pub(crate) fn update(&mut self, name: &str, value: Tensor) {
        self.updates.push((name.to_owned(), value));
    }

    /// Keeps a tensor for [`Op::backward`] of the op that is being computed.
    pub(crate) fn save(&mut self, tensor: &Tensor) {
        self.saved.push(tensor.clone());
    }
}

/// One parameter of an op.
#[derive(Clone, Debug)]
pub struct ParamSpec {
    /// `weight`, `bias`, …
    pub name: &'static str,
    /// The parameter's shape.
    pub shape: Shape,
    /// What it is before training, as PyTorch has it.
    pub init: Init,
    /// Whether training moves it along its gradient.
    pub trained: bool,
}

/// What a parameter is before training.
#[derive(Clone, Copy, Debug)]
pub enum Init {
    /// Uniform in ±1/√n, where n inputs make one output.
    FanIn(usize),
    /// This value.
    Constant(f32),
}

/// An op's attributes by their names, as they stand in a file.
pub type Attributes = serde_json::Map<String, Value>;

/// What has attributes: whatever serde writes as a JSON object. One without any is a unit struct.
pub trait Described {
    /// The attributes.
    fn attributes(&self) -> Attributes;
}

impl<T: Serialize> Described for T {
    fn attributes(&self) -> Attributes {
        match serde_json::to_value(self) {
            Ok(Value::Object(attributes)) => attributes,
            _ => Attributes::new(),
        }
    }
}

/// What a node computes. One file in [`ops`](crate::ops) each.
pub trait Op: Described + Debug + Send + Sync {
    /// What files and [`Registry`](crate::ops::Registry) call it.
    fn name(&self) -> &str;

    /// What a composite calls it.
    fn kind(&self) -> Kind;

    /// How many nodes it reads.
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }

    /// The parameters it needs.
    fn params(&self) -> Vec<ParamSpec> {
        Vec::new()
    }

    /// The output from the inputs, `[N, …]` each.
    fn forward(&self, params: &Params, inputs: &[&Tensor], mode: &mut Mode) -> Result<Tensor>;

    /// What it is to a sweep that walks the graph backwards.
    fn structure(&self) -> Structure<'_>;

    /// The gradients by what it reads and by its trained parameters. The structure tells them of an op without parameters;
    /// an op that has some, or an elementwise one, says its own.
    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        let inputs = match self.structure() {
            Structure::Linear(op) => {
                let (weight, _) = op.weights(pass.params, pass.inputs[0])?;
                vec![op.transpose(pass.gradient, &weight, pass.inputs[0].shape())?]
            }
            Structure::Routing(op) => vec![op.route(pass.inputs[0], pass.gradient)?],
            Structure::PassThrough => vec![reshaped(pass.gradient, pass.inputs[0].shape())?],
            Structure::Sum => vec![pass.gradient.clone(); pass.inputs.len()],
            Structure::Concat => {
                let shapes: Vec<_> = pass.inputs.iter().map(|input| input.shape()).collect();
                parts(pass.gradient, &shapes)?
            }
        };
        Ok(Gradients {
            inputs,
            params: Vec::new(),
        })
    }

    /// Of this crate's ops: the op that does the same and then sets negative values to 0, in one pass, if there is one.
    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        None
    }

    /// Of this crate's ops: whether it is `max(x, 0)`.
    fn is_relu(&self) -> bool {
        false
    }

    /// Of an op that scales and shifts channels, `y = s x + t`: `(s, t)`, `[C]` each.
    fn scale_and_shift(&self, _: &Params) -> Option<Result<(Tensor, Tensor)>> {
        None
    }

    /// It with its output's channels scaled and shifted, `y ← s y + t` (`[C]` each), if that is an op of its kind.
    fn scaled(&self, _: &Params, _: &Tensor, _: &Tensor) -> Option<Result<(Arc<dyn Op>, Params)>> {
        None
    }
}

/// An op in the middle of a backward pass.
pub struct Backward<'a> {
    /// Its parameters.
    pub params: &'a Params,
    /// What it read.
    pub inputs: &'a [&'a Tensor],
    /// What it gave.
    pub output: &'a Tensor,
    /// What its forward pass kept, in training.
    pub saved: &'a [Tensor],
    /// The gradient by its output.
    pub gradient: &'a Tensor,
    /// Whether anything wants the gradients by the inputs.
    pub wants_inputs: bool,
    /// Whether anything wants those by the parameters.
    pub wants_params: bool,
}

/// What a backward pass through an op gives.
pub struct Gradients {
    /// By each input; none if they are not wanted.
    pub inputs: Vec<Tensor>,
    /// By each trained parameter, with its name; none if they are not wanted.
    pub params: Vec<(&'static str, Tensor)>,
}

/// A tensor in another shape. One that has it already is left as it lies in memory, which candle's own does not do.
pub fn reshaped(tensor: &Tensor, shape: &Shape) -> Result<Tensor> {
    match tensor.shape() == shape {
        true => Ok(tensor.clone()),
        false => Ok(tensor.reshape(shape)?),
    }
}

/// What belongs to each of some tensors of these shapes of one that holds them behind each other along the second axis.
pub fn parts(whole: &Tensor, shapes: &[&Shape]) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let part = |shape: &&Shape| {
        let (from, length) = (start, shape.dim(1)?);
        start += length;
        Ok(whole.narrow(1, from, length)?.contiguous()?)
    };
    shapes.iter().map(part).collect()
}

/// What an op is to a sweep that walks the graph backwards.
pub enum Structure<'a> {
    /// `z = L(a; w) + b`, linear in `a` and in `w`.
    Linear(&'a dyn LinearOp),
    /// Every output is one of the inputs.
    Routing(&'a dyn RoutingOp),
    /// As many outputs as inputs, in the same order: an elementwise function, or a change of shape.
    PassThrough,
    /// The sum of its inputs.
    Sum,
    /// Its inputs behind each other, along the second axis.
    Concat,
}

/// A layer that is linear in its input for given weights.
pub trait LinearOp {
    /// The weights for this input and, if there is one, the bias, shaped to be added to the output.
    fn weights(&self, params: &Params, input: &Tensor) -> Result<(Tensor, Option<Tensor>)>;

    /// `L(a; w)`, without bias.
    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// `L(a; w) + b`, with a bias as [`LinearOp::weights`] gives it.
    fn affine(&self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        Ok(self.apply(input, weight)?.broadcast_add(bias)?)
    }

    /// Whether the weights are the same for every input.
    fn has_fixed_weights(&self) -> bool {
        true
    }

    /// The transposed map, from the shape of the output to `input`'s: `⟨apply(a, w), s⟩ = ⟨a, transpose(s, w)⟩`.
    fn transpose(&self, output: &Tensor, weight: &Tensor, input: &Shape) -> Result<Tensor>;
}

/// A layer each of whose outputs is one of its inputs.
pub trait RoutingOp {
    /// Moves the value at every output to the input that it was taken from, and sums what meets there.
    fn route(&self, input: &Tensor, output: &Tensor) -> Result<Tensor>;
}
