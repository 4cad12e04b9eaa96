//! A method with its options, and what suits a network where they say nothing.

use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::Value;
use speechlens_attribution::methods::{Entry, METHODS, Options, Subject, named};
use speechlens_attribution::{Method, Reference};
use speechlens_frontend::FrontEnd;
use speechlens_frontend::thesis::FLOOR_DB;
use speechlens_lrp::{BatchNormalization, Composite, Lrp, PRESETS};
use speechlens_models::Model;
use speechlens_nn::Kind;
use speechlens_report::npy;

use crate::{Error, Result};

/// A method with its options, before it is known for which network.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which method.
    pub method: &'static Entry,
    /// Options by name; those of other methods are passed over. `reference` is a number or an `.npy` file; else silence is what
    /// counts as "nothing here".
    pub options: Options,
}

impl Default for Settings {
    /// Layer-wise relevance propagation by [`default_rules`].
    fn default() -> Self {
        Settings {
            method: &METHODS[0],
            options: Options::new(),
        }
    }
}

/// The preset that is used for levels in dB where none is asked for. It asks what louder than silence speaks for a class, which
/// sound can show; the thesis's own, `thesis-gender`, asks what being quieter than full level does. `cargo xtask reproduce --only
/// clever-hans` says which rules lose least where the answer is known, and whether they are these.
pub const RULES_OF_LEVELS: &str = "epsilon-plus-silence";

/// The preset that is used where none is asked for: for networks of others one that loses least over those whose truth is known
/// (`cargo xtask reproduce --only networks`).
pub fn default_rules(model: &Model) -> &'static str {
    let front_end = &model.front_end;
    match front_end.silence() {
        Some(silence) if silence == f64::from(FLOOR_DB) => RULES_OF_LEVELS,
        _ if model.arch().is_none() => "any-network",
        _ if front_end.axes().are_samples() => "lrp-0",
        _ => "thesis-speaker-epsilon",
    }
}

/// The presets that can be used on a model: those that give each of its layers a rule it can have, and whose reference is a value
/// that its input can take: 0, or of spectrograms a level.
pub fn suiting_rules(model: &Model) -> Vec<&'static str> {
    let front_end = &model.front_end;
    let references = match (front_end.bounds(), front_end.axes().are_samples()) {
        (Some([low, high]), false) => low..=high,
        _ => 0.0..=0.0,
    };
    let suits = |preset: &str| {
        composite(preset, None, front_end).is_ok_and(|composite| {
            let options = composite.options();
            let has_batchnorm = model
                .graph
                .nodes()
                .any(|(_, node)| matches!(node.op.kind(), Kind::BatchNorm1d | Kind::BatchNorm2d));
            references.contains(&options.reference)
                && (has_batchnorm || options.batchnorm == BatchNormalization::default())
                && Lrp::new(&model.graph, &composite).is_ok()
        })
    };
    let presets = PRESETS.iter().map(|(name, _)| *name);
    presets.filter(|preset| suits(preset)).collect()
}

/// Rules by preset or file for a network that reads such features; `bounds` are the lowest and the highest
/// value that the input can have, for the rule z-box; else those of the front end.
///
/// # Errors
/// If there is no such preset or file, or it holds no rules.
pub fn composite(rules: &str, bounds: Option<[f64; 2]>, front_end: &FrontEnd) -> Result<Composite> {
    let composite = Composite::load(rules)?;
    Ok(match bounds.or(front_end.bounds()) {
        Some(bounds) => composite.with_bounds(bounds),
        None => composite,
    })
}

impl Settings {
    /// The method of this name; `options` is a JSON object of those that differ from their defaults.
    ///
    /// # Errors
    /// If there is no such method, or the options are no object.
    pub fn new(method: &str, options: Value) -> Result<Self> {
        let Value::Object(options) = options else {
            return Err(Error::Setting(format!("{options}: options have names")));
        };
        Ok(Settings {
            method: named(method)?,
            options,
        })
    }

    /// With an option, in place of the one that it may have.
    #[must_use]
    pub fn with(mut self, option: &str, value: impl Into<Value>) -> Self {
        self.options.insert(option.to_owned(), value.into());
        self
    }

    /// The method for a model.
    ///
    /// # Errors
    /// If an option is not what it should be, the rules or the reference cannot be read, or the reference is not of the input's
    /// shape.
    pub fn method(&self, model: &Model) -> Result<Box<dyn Method>> {
        let front_end = &model.front_end;
        let silence = front_end.silence().unwrap_or(0.0);
        let reference = match self.options.get("reference") {
            Some(given) if self.method.has("reference") && !given.is_null() => {
                reference(given, model)?
            }
            _ => Reference::from(silence),
        };
        let subject = Subject {
            shape: model.graph.architecture().input_shape().to_vec(),
            reference,
            bounds: front_end.bounds(),
            rules: default_rules(model),
            loss: model.loss(),
        };
        Ok(self.method.method(&self.options, &subject)?)
    }

    /// What a method of these settings was run with, for a summary.
    pub fn summary(&self, method: &dyn Method) -> Value {
        let mut summary = method.settings();
        if let (Some(read), Some(given)) =
            (summary.get_mut("reference"), self.options.get("reference"))
            && read.is_null()
        {
            *read = given.clone();
        }
        summary
    }
}

/// A number, or what an `.npy` file holds.
fn reference(given: &Value, model: &Model) -> Result<Reference> {
    let text = match given {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Ok(value) = text.parse::<f64>() {
        return match value.is_finite() {
            true => Ok(value.into()),
            false => Err(Error::Setting(format!(
                "--reference {text}: say a finite number"
            ))),
        };
    }
    let array = npy::read(Path::new(&text)).map_err(|error| {
        Error::Setting(format!(
            "--reference takes a number or an .npy file: {error}"
        ))
    })?;
    let shape = model.graph.architecture().fixed_input_shape();
    let shape = shape.map_err(speechlens_models::Error::from)?;
    let values: usize = shape.iter().product();
    if array.len() != values {
        let problem = format!(
            "the network's inputs are {shape:?}, not {:?}",
            array.shape()
        );
        return Err(Error::input(&text, problem));
    }
    let array = array.iter().copied().collect();
    Ok(Reference::Input(Tensor::from_vec(
        array,
        shape,
        &Device::Cpu,
    )?))
}
