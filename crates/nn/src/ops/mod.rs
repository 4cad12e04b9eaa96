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
//! | [`TimeMean`], [`TimeDeviation`] | `x.mean(-1)`, the root of `x.var(-1, correction=0) + 1e-10` | `[N, C, H, T]`, `[N, C, T]` |

mod add;
mod avg_pool;
mod batch_norm;
mod concat;
mod constant;
mod conv1d;
mod conv2d;
mod dropout;
mod flatten;
mod input;
mod leaky_relu;
mod linear;
mod max_pool;
mod mul;
mod prelu;
mod rectified;
mod relu;
mod sigmoid;
mod statistics;
mod tanh;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Attributes, Op};

pub use add::Add;
pub use avg_pool::{AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d};
pub use batch_norm::BatchNorm;
pub use concat::Concat;
pub use constant::Constant;
pub use conv1d::Conv1d;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use input::Input;
pub use leaky_relu::LeakyRelu;
pub use linear::Linear;
pub use max_pool::{MaxPool1d, MaxPool2d};
pub use mul::Mul;
pub use prelu::PRelu;
pub use relu::Relu;
pub use sigmoid::Sigmoid;
pub use statistics::{TimeDeviation, TimeMean};
pub use tanh::Tanh;

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
    ("adaptive-avg-pool1d", of::<AdaptiveAvgPool1d>),
    ("adaptive-avg-pool2d", of::<AdaptiveAvgPool2d>),
    ("add", of::<Add>),
    ("avg-pool1d", of::<AvgPool1d>),
    ("avg-pool2d", of::<AvgPool2d>),
    ("batch-norm", of::<BatchNorm>),
    ("concat", of::<Concat>),
    ("constant", of::<Constant>),
    ("conv1d", of::<Conv1d>),
    ("conv2d", of::<Conv2d>),
    ("dropout", of::<Dropout>),
    ("flatten", of::<Flatten>),
    ("input", of::<Input>),
    ("leaky-relu", of::<LeakyRelu>),
    ("linear", of::<Linear>),
    ("max-pool1d", of::<MaxPool1d>),
    ("max-pool2d", of::<MaxPool2d>),
    ("mul", of::<Mul>),
    ("prelu", of::<PRelu>),
    ("relu", of::<Relu>),
    ("sigmoid", of::<Sigmoid>),
    ("tanh", of::<Tanh>),
    ("time-deviation", of::<TimeDeviation>),
    ("time-mean", of::<TimeMean>),
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
