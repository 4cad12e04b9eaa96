//! The methods there are, by name.

mod gradient;
mod gradient_times_input;
mod integrated_gradients;
mod lrp;
mod occlusion;
mod random;
mod sensitivity;
mod smoothgrad;

use std::fmt::{self, Debug, Display};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use speechlens_lrp::Composite;
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;

use crate::{Attribute, Error, Reference, Result};

pub use gradient::Gradient;
pub use gradient_times_input::GradientTimesInput;
pub use integrated_gradients::IntegratedGradients;
pub use lrp::Lrp;
pub use occlusion::{Occlusion, Score};
pub use random::Random;
pub use sensitivity::Sensitivity;
pub use smoothgrad::SmoothGrad;

/// A method of explanation: its settings. The crate's front page has the formulas.
pub trait Method: Debug + Send + Sync {
    /// What it is called in [`METHODS`].
    fn name(&self) -> &'static str;

    /// The method on a network. Parameters are shared, not copied.
    ///
    /// # Errors
    /// If the rules of layer-wise relevance propagation do not fit the network, or a setting makes no sense: no steps, no
    /// samples, a patch larger than the input.
    fn of(&self, graph: &Graph) -> Result<Box<dyn Attribute>>;

    /// The value that relevance is measured against, if there is one: what a test should set bins to.
    fn reference(&self) -> Option<f64> {
        None
    }

    /// The rules, if it is layer-wise relevance propagation.
    fn rules(&self) -> Option<&Composite> {
        None
    }

    /// Whether relevance is a part of the score: what it adds up to may be held against that.
    fn shares_score(&self) -> bool {
        false
    }

    /// What it is run with, for a summary. A reference that is an input of its own is null.
    fn settings(&self) -> Value {
        json!({})
    }
}

impl Display for dyn Method + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a network and its data say where settings leave it open.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The shape of an input, without the batch.
    pub shape: Vec<Option<usize>>,
    /// The input that stands for "nothing here".
    pub reference: Reference,
    /// The lowest and the highest value that the input can have, if there are any.
    pub bounds: Option<[f64; 2]>,
    /// The preset of rules that suits.
    pub rules: &'static str,
    /// What the network was trained by: what its logits mean.
    pub loss: Loss,
}

/// Options by name.
pub type Options = Map<String, Value>;

/// A method as the registry knows it.
pub struct Entry {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Whether the relevance of a difference of two scores is the difference of their relevances.
    pub is_linear: bool,
    /// The options that it has; `reference` among them if it asks for one.
    pub options: &'static [&'static str],
    make: fn(Options, &Subject) -> Result<Box<dyn Method>>,
}

impl Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

/// Settings that can be read, and completed by what they are for.
trait Settings: Method + DeserializeOwned + 'static {
    /// With what the subject says where nothing was said.
    fn suited_to(self, _: &Subject) -> Self {
        self
    }
}

fn read<S: DeserializeOwned>(options: Options) -> Result<S> {
    serde_json::from_value(Value::Object(options))
        .map_err(|error| Error::Setting(error.to_string()))
}

fn of<S: Settings>(options: Options, subject: &Subject) -> Result<Box<dyn Method>> {
    Ok(Box::new(read::<S>(options)?.suited_to(subject)))
}

/// Every method; the first is the default.
pub const METHODS: &[Entry] = &[
    Entry {
        name: lrp::NAME,
        summary: "Layer-wise relevance propagation, by --rules",
        is_linear: true,
        options: &["rules", "bounds"],
        make: lrp::make,
    },
    Entry {
        name: gradient::NAME,
        summary: "The gradient of the class's logit",
        is_linear: true,
        options: &[],
        make: |_, _| Ok(Box::new(Gradient)),
    },
    Entry {
        name: sensitivity::NAME,
        summary: "The gradient's absolute value",
        is_linear: false,
        options: &[],
        make: |_, _| Ok(Box::new(Sensitivity)),
    },
    Entry {
        name: gradient_times_input::NAME,
        summary: "The gradient times the input less the reference",
        is_linear: true,
        options: &["reference"],
        make: of::<GradientTimesInput>,
    },
    Entry {
        name: smoothgrad::NAME,
        summary: "The gradient's mean over noisy copies of the input",
        is_linear: true,
        options: &["samples", "noise", "seed"],
        make: of::<SmoothGrad>,
    },
    Entry {
        name: integrated_gradients::NAME,
        summary: "The gradient's integral from the reference to the input",
        is_linear: true,
        options: &["steps", "reference"],
        make: of::<IntegratedGradients>,
    },
    Entry {
        name: occlusion::NAME,
        summary: "What the score loses as patches are covered",
        is_linear: true,
        options: &["patch", "stride", "reference", "score"],
        make: of::<Occlusion>,
    },
    Entry {
        name: random::NAME,
        summary: "By lot: a control",
        is_linear: false,
        options: &["seed"],
        make: of::<Random>,
    },
];

/// The method of this name.
///
/// # Errors
/// If there is none; those there are are named.
pub fn named(name: &str) -> Result<&'static Entry> {
    let found = METHODS.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = METHODS.iter().map(|entry| entry.name).collect();
        let names = names.join(", ");
        Error::Setting(format!("`{name}` is no method; there are {names}"))
    })
}

impl Entry {
    /// Whether it has this option.
    pub fn has(&self, option: &str) -> bool {
        self.options.contains(&option)
    }

    /// The method for a subject. Options that it has not are passed over: they are for others. What `reference` is the subject
    /// says.
    ///
    /// # Errors
    /// If an option is not what it should be, or rules cannot be read.
    pub fn method(&self, options: &Options, subject: &Subject) -> Result<Box<dyn Method>> {
        let mine = options
            .iter()
            .filter(|(name, value)| self.has(name) && *name != "reference" && !value.is_null());
        let mine = mine.map(|(name, value)| (name.clone(), value.clone()));
        (self.make)(mine.collect(), subject)
    }
}
