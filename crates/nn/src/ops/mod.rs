//! The ops: one file a layer, or a layer and the same of other axes. As PyTorch calls them:
//!
//! | op | module | reads |
//! | --- | --- | --- |
//! | [`Linear`] | `nn.Linear` | `[N, C]` |
//! | [`Conv2d`], [`Conv1d`] | `nn.Conv2d`, `nn.Conv1d`, with zeros for padding | `[N, C, H, W]`, `[N, C, T]` |
//! | [`BatchNorm`] | `nn.BatchNorm1d`, `nn.BatchNorm2d` | `[N, C]`, `[N, C, …]` |
//! | [`MaxPool2d`], [`MaxPool1d`] | `nn.MaxPool2d`, `nn.MaxPool1d`, without dilation | `[N, C, H, W]`, `[N, C, T]` |
//! | [`AvgPool2d`], [`AvgPool1d`] | `nn.AvgPool2d`, `nn.AvgPool1d`, padding counted | `[N, C, H, W]`, `[N, C, T]` |
//! | [`AdaptiveAvgPool2d`], [`AdaptiveAvgPool1d`] | `nn.AdaptiveAvgPool2d`, `nn.AdaptiveAvgPool1d` | `[N, C, H, W]`, `[N, C, T]` |
//! | [`Relu`], [`LeakyRelu`], [`PRelu`] | `nn.ReLU`, `nn.LeakyReLU`, `nn.PReLU` | any; `PRelu` `[N, C, …]` |
//! | [`Sigmoid`], [`Tanh`] | `nn.Sigmoid`, `nn.Tanh` | any |
//! | [`Dropout`] | `nn.Dropout` | any |
//! | [`Flatten`] | `nn.Flatten` | `[N, …]` |
//! | [`Add`], [`Mul`], [`Concat`] | `+`, `*`, `torch.cat(…, 1)` | several of one shape; two whose axes are as long or 1; several `[N, C, …]` |
//! | [`Input`], [`Constant`] | | nothing |
//! | [`ConvTranspose`] | `nn.ConvTranspose1d`, `nn.ConvTranspose2d` | `[N, C, T]`, `[N, C, H, W]` |
//! | [`Recurrent`] | a direction of `nn.LSTM`, `nn.GRU`, `nn.RNN` | `[T, N, C]` |
//! | [`Elementwise`] | functions of every value: `exp`, `nn.GELU`, … | any |
//! | [`Sub`], [`Max`], [`Min`], [`Where`], [`Holds`] | `-`, `torch.maximum`, …, `torch.where`, `>`, … | several whose axes are as long or 1 |
//! | [`MatMul`], [`Einsum`] | `@`, `torch.einsum` of two values | matrices, with axes before them |
//! | [`Softmax`], [`Standardize`], [`Normalize`] | `softmax`, what norms of layers, instances and groups have in common, `F.normalize` | any |
//! | [`ReduceSum`], [`ReduceMean`], [`ReduceMax`], [`ReduceMin`], [`CumSum`], [`ArgMax`], [`TopPlaces`], [`AvgWindows`] | `x.sum(…)`, … | any |
//! | [`Reshape`], [`Squeeze`], [`Unsqueeze`], [`FlattenAt`], [`Transpose`], [`Slice`], [`Chunk`], [`Frames`], [`Gather`], [`GatherElements`], [`GatherNd`], [`Scatter`], [`Expand`], [`Tile`], [`Triangle`], [`Pad`], [`WindowPad`] | values in another shape, at other places | any |
//! | [`Resize`], [`Dft`] | `F.interpolate`, `torch.fft` | any |
//! | [`Quantize`], [`Dequantize`], [`FakeQuantize`], [`QuantizeScale`] | numbers of few steps | any |
//! | [`Cast`], [`ShapeOf`], [`Filled`], [`Range`], [`WholeProduct`], [`WholeQuotient`], [`WholeRemainder`] | whole numbers by which shapes are computed | any |
//! | [`TimeMean`], [`TimeDeviation`] | `x.mean(-1)`, the root of `x.var(-1, correction=0) + 1e-10` | `[N, C, H, T]`, `[N, C, T]` |

mod add;
mod arithmetic;
mod avg_pool;
mod batch_norm;
mod concat;
mod constant;
mod conv1d;
mod conv2d;
mod conv_transpose;
mod cumulative;
mod dft;
mod dropout;
mod einsum;
mod flatten;
mod frames;
mod functions;
mod input;
mod leaky_relu;
mod linear;
mod matmul;
mod max_pool;
mod moves;
mod moving;
mod mul;
mod pad;
mod picks;
mod places;
mod prelu;
mod quantize;
mod rectified;
mod recurrent;
mod reduce;
mod relu;
mod reshape;
mod resize;
mod scattered;
mod sigmoid;
mod softmax;
mod standardize;
mod statistics;
mod tanh;
mod whole;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Attributes, Op};

pub use add::Add;
pub use arithmetic::{Holds, Max, Min, Relation, Sub, Where};
pub use avg_pool::{AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, AvgWindows};
pub use batch_norm::BatchNorm;
pub use concat::Concat;
pub use constant::Constant;
pub use conv_transpose::ConvTranspose;
pub use conv1d::Conv1d;
pub use conv2d::Conv2d;
pub use cumulative::CumSum;
pub use dft::Dft;
pub use dropout::Dropout;
pub use einsum::Einsum;
pub use flatten::Flatten;
pub use frames::Frames;
pub use functions::{
    Abs, Cast, Ceil, Celu, Clip, Cos, Elementwise, Elu, Erf, Exp, Floor, Function, Gelu,
    HardSigmoid, HardSwish, Log, Mish, Neg, Number, Power, Reciprocal, Round, Selu, Sign, Sin,
    Softplus, Softsign, Sqrt,
};
pub use input::Input;
pub use leaky_relu::LeakyRelu;
pub use linear::Linear;
pub use matmul::MatMul;
pub use max_pool::{MaxPool1d, MaxPool2d};
pub use moves::{Expand, Tile, Transpose, Triangle};
pub use mul::Mul;
pub use pad::{Fit, Pad, Padding, WindowPad};
pub use picks::{Chunk, Cut, Gather, GatherElements, Slice};
pub use places::gathered;
pub use prelu::PRelu;
pub use quantize::{Dequantize, FakeQuantize, Quantize, QuantizeScale};
pub use recurrent::{Cell, Recurrent};
pub use reduce::{Along, ReduceMax, ReduceMean, ReduceMin, ReduceSum};
pub use relu::Relu;
pub use reshape::{FlattenAt, Reshape, Squeeze, Unsqueeze};
pub use resize::{Coordinates, Nearest, Resize};
pub use scattered::{GatherNd, Scatter};
pub use sigmoid::Sigmoid;
pub use softmax::Softmax;
pub use standardize::{Normalize, Standardize};
pub use statistics::{TimeDeviation, TimeMean};
pub use tanh::Tanh;
pub use whole::{
    ArgMax, Filled, Range, ShapeOf, TopPlaces, WholeProduct, WholeQuotient, WholeRemainder,
};

type Make = fn(Attributes) -> Result<Arc<dyn Op>, String>;

/// No attribute that counts is larger: sizes that are multiplied stay numbers.
const LARGEST: u64 = 1 << 20;

/// Whether a number in the value counts more than [`LARGEST`].
fn is_too_large(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(is_too_large),
        value => value.as_u64().is_some_and(|number| number > LARGEST),
    }
}

fn of<O: Op + DeserializeOwned + 'static>(attributes: Attributes) -> Result<Arc<dyn Op>, String> {
    if let Some((name, _)) = attributes.iter().find(|(_, value)| is_too_large(value)) {
        return Err(format!("`{name}` is above {LARGEST}"));
    }
    let given: Vec<String> = attributes.keys().cloned().collect();
    // To serde, what has no attributes is null.
    let op = serde_json::from_value::<O>(Value::Null)
        .or_else(|_| serde_json::from_value(Value::Object(attributes)))
        .map_err(|error| error.to_string())?;
    let known = op.attributes();
    match given.iter().find(|name| !known.contains_key(*name)) {
        None => Ok(Arc::new(op)),
        Some(surplus) => {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            let known = match known.is_empty() {
                true => "it has none".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            Err(format!("unknown attribute `{surplus}`; {known}"))
        }
    }
}

/// Every op of this crate.
const OPS: &[(&str, Make)] = &[
    ("abs", of::<Elementwise<Abs>>),
    ("adaptive-avg-pool1d", of::<AdaptiveAvgPool1d>),
    ("adaptive-avg-pool2d", of::<AdaptiveAvgPool2d>),
    ("add", of::<Add>),
    ("argmax", of::<ArgMax>),
    ("avg-pool1d", of::<AvgPool1d>),
    ("avg-pool2d", of::<AvgPool2d>),
    ("avg-windows", of::<AvgWindows>),
    ("batch-norm", of::<BatchNorm>),
    ("cast", of::<Cast>),
    ("ceil", of::<Elementwise<Ceil>>),
    ("celu", of::<Elementwise<Celu>>),
    ("chunk", of::<Chunk>),
    ("clip", of::<Elementwise<Clip>>),
    ("concat", of::<Concat>),
    ("constant", of::<Constant>),
    ("conv1d", of::<Conv1d>),
    ("conv2d", of::<Conv2d>),
    ("conv-transpose", of::<ConvTranspose>),
    ("cos", of::<Elementwise<Cos>>),
    ("cumsum", of::<CumSum>),
    ("dequantize", of::<Dequantize>),
    ("dft", of::<Dft>),
    ("dropout", of::<Dropout>),
    ("einsum", of::<Einsum>),
    ("elu", of::<Elementwise<Elu>>),
    ("erf", of::<Elementwise<Erf>>),
    ("exp", of::<Elementwise<Exp>>),
    ("expand", of::<Expand>),
    ("fake-quantize", of::<Elementwise<FakeQuantize>>),
    ("filled", of::<Filled>),
    ("flatten", of::<Flatten>),
    ("flatten-at", of::<FlattenAt>),
    ("floor", of::<Elementwise<Floor>>),
    ("frames", of::<Frames>),
    ("gather", of::<Gather>),
    ("gather-elements", of::<GatherElements>),
    ("gather-nd", of::<GatherNd>),
    ("gelu", of::<Elementwise<Gelu>>),
    ("hard-sigmoid", of::<Elementwise<HardSigmoid>>),
    ("hard-swish", of::<Elementwise<HardSwish>>),
    ("holds", of::<Holds>),
    ("input", of::<Input>),
    ("leaky-relu", of::<LeakyRelu>),
    ("linear", of::<Linear>),
    ("log", of::<Elementwise<Log>>),
    ("matmul", of::<MatMul>),
    ("max", of::<Max>),
    ("max-pool1d", of::<MaxPool1d>),
    ("max-pool2d", of::<MaxPool2d>),
    ("min", of::<Min>),
    ("mish", of::<Elementwise<Mish>>),
    ("mul", of::<Mul>),
    ("neg", of::<Elementwise<Neg>>),
    ("normalize", of::<Normalize>),
    ("pad", of::<Pad>),
    ("power", of::<Elementwise<Power>>),
    ("prelu", of::<PRelu>),
    ("quantize", of::<Quantize>),
    ("quantize-scale", of::<QuantizeScale>),
    ("range", of::<Range>),
    ("reciprocal", of::<Elementwise<Reciprocal>>),
    ("recurrent", of::<Recurrent>),
    ("reduce-max", of::<ReduceMax>),
    ("reduce-mean", of::<ReduceMean>),
    ("reduce-min", of::<ReduceMin>),
    ("reduce-sum", of::<ReduceSum>),
    ("relu", of::<Relu>),
    ("reshape", of::<Reshape>),
    ("resize", of::<Resize>),
    ("round", of::<Elementwise<Round>>),
    ("selu", of::<Elementwise<Selu>>),
    ("scatter", of::<Scatter>),
    ("shape", of::<ShapeOf>),
    ("sigmoid", of::<Sigmoid>),
    ("sign", of::<Elementwise<Sign>>),
    ("sin", of::<Elementwise<Sin>>),
    ("slice", of::<Slice>),
    ("softmax", of::<Softmax>),
    ("softplus", of::<Elementwise<Softplus>>),
    ("softsign", of::<Elementwise<Softsign>>),
    ("sqrt", of::<Elementwise<Sqrt>>),
    ("squeeze", of::<Squeeze>),
    ("standardize", of::<Standardize>),
    ("sub", of::<Sub>),
    ("tanh", of::<Tanh>),
    ("tile", of::<Tile>),
    ("time-deviation", of::<TimeDeviation>),
    ("time-mean", of::<TimeMean>),
    ("top-places", of::<TopPlaces>),
    ("transpose", of::<Transpose>),
    ("triangle", of::<Triangle>),
    ("unsqueeze", of::<Unsqueeze>),
    ("where", of::<Where>),
    ("window-pad", of::<WindowPad>),
    ("whole-product", of::<WholeProduct>),
    ("whole-quotient", of::<WholeQuotient>),
    ("whole-remainder", of::<WholeRemainder>),
];

/// The ops that a file may name: this crate's, and what is added to them.
#[derive(Clone, Debug)]
pub struct Registry(Vec<(&'static str, Make)>);

impl Default for Registry {
    fn default() -> Self {
        Registry(OPS.to_vec())
    }
}

impl Registry {
    /// With one more op, or another of a name that is there.
    pub fn with<O: Op + DeserializeOwned + 'static>(mut self, name: &'static str) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, of::<O>));
        self
    }

    /// What the ops are called.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// An op by its name.
    ///
    /// # Errors
    /// Says which ops there are, or what is wrong with the attributes.
    pub fn make(&self, name: &str, attributes: Attributes) -> Result<Arc<dyn Op>, String> {
        let Some((_, make)) = self.0.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = self.names().collect();
            return Err(format!(
                "there is no op `{name}`; there are {}",
                names.join(", ")
            ));
        };
        make(attributes).map_err(|problem| format!("{name}: {problem}"))
    }
}
