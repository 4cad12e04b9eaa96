use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::Arc;

use candle_core::{Shape, Tensor};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::Value;
use strum::VariantNames;

use crate::Result;
use crate::ops::{Input, gathered};

/// A node's parameters by their PyTorch names (`weight`, `bias`, …).
pub type Params = BTreeMap<String, Tensor>;

/// What a composite calls a layer.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = no_kind)]
pub enum Kind {
    /// What the graph is given, or holds.
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
    /// Values behind each other.
    Concat,
    /// Batch normalization of dense layers and 1-D convolutions.
    BatchNorm1d,
    /// Batch normalization of 2-D convolutions.
    BatchNorm2d,
    /// The sum of branches.
    Sum,
    /// Statistics over time.
    StatsPool,
    /// The product of values that the network computed.
    Product,
    /// Normalization by an input's own statistics.
    Norm,
    /// One of several values, place by place, or what holds of them.
    Choice,
    /// A softmax inside the network.
    Softmax,
    /// A layer that goes through time step by step.
    Recurrent,
}

fn no_kind(text: &str) -> String {
    let names = Kind::VARIANTS.join(", ");
    format!("`{text}` is no kind of layer; there are {names}")
}

/// Whether the graph is being trained.
pub enum Mode<'a> {
    /// Dropout passes its input on, batch normalization takes the running statistics.
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

/// What [`Op::packed`] gives, among the parameters.
pub(crate) const PACKED: &str = "packed";

/// What a node computes. A file in [`ops`](crate::ops), which may have the same over other axes too.
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

    /// How relevance goes to what it reads, of so many inputs: by one branch to each that takes any.
    fn branches(&self, inputs: usize) -> Vec<Branch<'_>>;

    /// Whether the first axis of what it gives is the batch if that of what it reads is.
    fn keeps_batch(&self) -> bool {
        true
    }

    /// What can be proved of what it gives.
    fn claims(&self) -> Claims {
        Claims::default()
    }

    /// The gradients by what it reads and by its trained parameters. The branches tell them of an op without parameters whose maps
    /// are its derivative too; an op that has some, or an elementwise one, says its own.
    fn backward(&self, pass: &Backward) -> Result<Gradients> {
        if pass.wants_params && self.params().iter().any(|spec| spec.trained) {
            let problem = format!("`{}` says no gradient by its parameters", self.name());
            return Err(candle_core::Error::Msg(problem).into());
        }
        let shapes: Vec<&Shape> = pass.inputs.iter().map(|input| input.shape()).collect();
        let mut inputs: Vec<Option<Tensor>> = vec![None; shapes.len()];
        for branch in self.branches(shapes.len()) {
            let place = branch.input;
            let gradient = match branch.map {
                Map::Layer(op) => {
                    let (weight, _) = op.weights(pass.params, pass.inputs)?;
                    op.transpose(pass.gradient, &weight, shapes[place])?
                }
                Map::Term(factor) => {
                    let of_term = gathered(pass.gradient, shapes[place])?;
                    match factor {
                        1.0 => of_term,
                        factor => (of_term * factor)?,
                    }
                }
                Map::Winner(op) => op.route(pass.inputs, place, pass.gradient)?,
                Map::Moved(op) => op.back(pass.gradient, &shapes, place)?,
                Map::Each | Map::Own(_) => {
                    let problem = format!("`{}` says no gradient of its own", self.name());
                    return Err(candle_core::Error::Msg(problem).into());
                }
            };
            inputs[place] = Some(match inputs[place].take() {
                Some(before) => (before + gradient)?,
                None => gradient,
            });
        }
        let zeros = |(gradient, input): (Option<Tensor>, &&Tensor)| match gradient {
            Some(gradient) => Ok(gradient),
            None => Ok(input.zeros_like()?),
        };
        let inputs = inputs.into_iter().zip(pass.inputs).map(zeros);
        let inputs = inputs.collect::<Result<_>>()?;
        Ok(Gradients {
            inputs,
            params: Vec::new(),
        })
    }

    /// Of this crate's ops: what is given from outside, if it is that.
    fn as_input(&self) -> Option<&Input> {
        None
    }

    /// Whether what it gives depends on the shapes alone of what it reads.
    fn reads_shape(&self) -> bool {
        false
    }

    /// Of this crate's ops: the op that does the same and then sets negative values to 0, in one pass, if there is one.
    fn with_relu(&self) -> Option<Arc<dyn Op>> {
        None
    }

    /// Of this crate's ops: the weight as its kernels read it, for a graph that computes over and over, if that is another way. It becomes
    /// the parameter `packed`.
    ///
    /// # Errors
    /// Those of candle.
    fn packed(&self, _: &Params) -> Result<Option<Tensor>> {
        Ok(None)
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

    /// It with a constant added to its output, if that is one number for each channel and an op of its kind.
    fn shifted(&self, _: &Params, _: &Tensor) -> Option<Result<(Arc<dyn Op>, Params)>> {
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

/// How relevance goes through an op to one of its inputs.
pub struct Branch<'a> {
    /// Which of the inputs.
    pub input: usize,
    /// Its share of the node's relevance.
    pub share: f64,
    /// What the output is of that input, with all else held as it was.
    pub map: Map<'a>,
}

/// What an op's output is of one of its inputs.
pub enum Map<'a> {
    /// `z = L(a; w) + b`, linear in `a` and in `w`: relevance goes by the composite's rule.
    Layer(&'a dyn LinearOp),
    /// A term of a sum, with the factor that it has there: in proportion to its value in the output, under ε.
    Term(f64),
    /// Every output is one of the inputs, and the values decide which: the winner takes all.
    Winner(&'a dyn RoutingOp),
    /// Values at other places: relevance goes back to where they came from.
    Moved(&'a dyn MovingOp),
    /// An elementwise function: relevance passes as it is.
    Each,
    /// A way of its own, on which relevance may be lost.
    Own(&'a dyn OwnWay),
}

impl<'a> Branch<'a> {
    /// The only one of an op with one input.
    pub fn only(map: Map<'a>) -> Vec<Self> {
        vec![Branch {
            input: 0,
            share: 1.0,
            map,
        }]
    }

    /// One to each of so many inputs, all of whose relevance is told by the same map.
    pub fn each(inputs: usize, map: impl Fn() -> Map<'a>) -> Vec<Self> {
        let branch = |input| Branch {
            input,
            share: 1.0,
            map: map(),
        };
        (0..inputs).map(branch).collect()
    }
}

/// What can be proved of an op's output in inference, whatever its parameters are. Nothing, unless the op says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// It is nowhere negative.
    pub non_negative: bool,
    /// It is nowhere negative if nothing it reads is.
    pub keeps_non_negative: bool,
    /// It lies between 0 and 1: a gate, or attention, where something is multiplied by it.
    pub within_one: bool,
    /// Of an elementwise function: it is 0 where its input is, and nowhere more than so many times its input, so that it can be told as a
    /// factor of that.
    pub keeps_zero: bool,
}

impl Claims {
    /// Of an op that makes nothing negative of what is not.
    pub const KEEPS_NON_NEGATIVE: Claims = Claims {
        non_negative: false,
        keeps_non_negative: true,
        within_one: false,
        keeps_zero: false,
    };
    /// Of an op that gives nothing negative.
    pub const NON_NEGATIVE: Claims = Claims {
        non_negative: true,
        ..Claims::KEEPS_NON_NEGATIVE
    };
    /// Of an op that gives values between 0 and 1.
    pub const WITHIN_ONE: Claims = Claims {
        within_one: true,
        ..Claims::NON_NEGATIVE
    };

    /// These, of an elementwise function that is a factor of its input.
    pub const fn keeping_zero(self) -> Claims {
        Claims {
            keeps_zero: true,
            ..self
        }
    }
}

/// A layer that is linear in one of its inputs for given weights.
pub trait LinearOp {
    /// The weights for these inputs of the op and, if there is one, the bias, shaped to be added to the output.
    fn weights(&self, params: &Params, inputs: &[&Tensor]) -> Result<(Tensor, Option<Tensor>)>;

    /// `L(a; w)`, without bias.
    fn apply(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor>;

    /// `L(a; w) + b`, with a bias as [`LinearOp::weights`] gives it.
    fn affine(&self, input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        Ok(self.apply(input, weight)?.broadcast_add(bias)?)
    }

    /// Whether what is made of the weights, number by number, is made so of every factor between an input and an output: what rules
    /// do that map weights, as by their sign. They run on no other layers.
    fn has_mappable_weights(&self) -> bool {
        true
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
    /// Moves the value at every output to where it was taken from in the input at this place, and sums what meets there.
    fn route(&self, inputs: &[&Tensor], place: usize, output: &Tensor) -> Result<Tensor>;
}

/// An op that only moves values, whatever they are.
pub trait MovingOp {
    /// Moves what stands at the output back to the input at this place, of inputs of these shapes, and sums what meets there.
    fn back(&self, output: &Tensor, inputs: &[&Shape], place: usize) -> Result<Tensor>;

    /// Whether it gives values that it did not read.
    fn adds_values(&self) -> bool {
        false
    }
}

/// An op that relevance passes on a way of its own.
pub trait OwnWay {
    /// The relevance of the input at this place from that of the output.
    fn pass(&self, pass: &Passing, place: usize) -> Result<Passed>;

    /// What the way is called.
    fn text(&self) -> &'static str;

    /// Whether there are linear layers on the way, which go by the composite's rule ([`Passing::by_rule`]).
    fn takes_rule(&self) -> bool {
        false
    }
}

/// An op in the middle of a sweep.
pub struct Passing<'a> {
    /// Its parameters.
    pub params: &'a Params,
    /// What it read.
    pub inputs: &'a [&'a Tensor],
    /// What it gave.
    pub output: &'a Tensor,
    /// The relevance of that.
    pub relevance: &'a Tensor,
    /// The relevance of what a linear layer inside the op read, by the composite's rule, else by LRP-0.
    pub by_rule: &'a dyn Fn(Inside) -> Result<Tensor>,
}

/// A linear layer inside an op, in the middle of a sweep.
pub struct Inside<'a> {
    /// The layer; [`LinearOp::weights`] gives its own, whatever it is asked with.
    pub layer: &'a dyn LinearOp,
    /// What it read.
    pub input: &'a Tensor,
    /// What it gave.
    pub output: &'a Tensor,
    /// The relevance of that.
    pub relevance: &'a Tensor,
}

/// What came of relevance on an op's own way.
pub struct Passed {
    /// What was passed on.
    pub relevance: Tensor,
    /// What ε took other than in [`Passing::by_rule`], `[N]`.
    pub epsilon: Option<Tensor>,
}

/// Values in the same order, in another shape or the same.
pub struct InOrder;

impl MovingOp for InOrder {
    fn back(&self, output: &Tensor, inputs: &[&Shape], place: usize) -> Result<Tensor> {
        reshaped(output, inputs[place])
    }
}
