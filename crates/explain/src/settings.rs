//! Methods by name, with the settings that suit a network.

use std::fmt::{self, Display};
use std::path::Path;
use std::str::FromStr;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use speechlens_attribution::{Method, Reference, Score};
use speechlens_audio::FLOOR_DB;
use speechlens_frontend::FrontEnd;
use speechlens_lrp::{BatchNormalization, Composite, Lrp, PRESETS};
use speechlens_models::Model;
use speechlens_nn::Kind;
use speechlens_report::npy;

use crate::{Error, Result};

/// A method's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Name {
    /// Layer-wise relevance propagation.
    #[default]
    Lrp,
    /// The gradient.
    Gradient,
    /// The gradient's absolute value.
    Sensitivity,
    /// The gradient times the input.
    GradientTimesInput,
    /// SmoothGrad.
    SmoothGrad,
    /// Integrated gradients.
    IntegratedGradients,
    /// Occlusion.
    Occlusion,
    /// By lot.
    Random,
}

impl Name {
    /// All of them.
    pub const ALL: [Name; 8] = [
        Name::Lrp,
        Name::Gradient,
        Name::Sensitivity,
        Name::GradientTimesInput,
        Name::SmoothGrad,
        Name::IntegratedGradients,
        Name::Occlusion,
        Name::Random,
    ];

    /// What it does, in a sentence.
    pub fn summary(self) -> &'static str {
        match self {
            Name::Lrp => "Layer-wise relevance propagation, by --rules",
            Name::Gradient => "The gradient of the class's logit",
            Name::Sensitivity => "The gradient's absolute value",
            Name::GradientTimesInput => "The gradient times the input less the reference",
            Name::SmoothGrad => "The gradient's mean over noisy copies of the input",
            Name::IntegratedGradients => "The gradient's integral from the reference to the input",
            Name::Occlusion => "What the score loses as patches are covered",
            Name::Random => "By lot: a control",
        }
    }

    /// What the command line calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Lrp => "lrp",
            Name::Gradient => "gradient",
            Name::Sensitivity => "sensitivity",
            Name::GradientTimesInput => "gradient-times-input",
            Name::SmoothGrad => "smoothgrad",
            Name::IntegratedGradients => "integrated-gradients",
            Name::Occlusion => "occlusion",
            Name::Random => "random",
        }
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Name::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| {
            let names = Name::ALL.map(Name::as_str).join(", ");
            format!("`{text}` is no method; there are {names}")
        })
    }
}

/// A method with its settings, before it is known for which network.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which method.
    pub name: Name,
    /// The rules of layer-wise relevance propagation, a preset or a TOML file; else [`default_rules`].
    pub rules: Option<String>,
    /// The lowest and the highest value that the input can have, for the rule z-box; else −80 and 0 for spectrograms.
    pub bounds: Option<[f64; 2]>,
    /// What counts as "nothing here" for the methods that ask; a number or an `.npy` file; else silence: −80 for spectrograms and
    /// 0 for others.
    pub reference: Option<String>,
    /// Steps of integrated gradients.
    pub steps: usize,
    /// Noisy copies of SmoothGrad.
    pub samples: usize,
    /// The standard deviation of SmoothGrad's noise, as a share of each input's range.
    pub noise: f64,
    /// The sides of occlusion's patches; if empty, a 14th of each axis.
    pub patch: Vec<usize>,
    /// Steps between occlusion's patches; if empty, half of each side.
    pub stride: Vec<usize>,
    /// Whether occlusion watches the class's probability, and not its logit.
    pub by_probability: bool,
    /// Decides what is drawn by lot.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: Name::default(),
            rules: None,
            bounds: None,
            reference: None,
            steps: 50,
            samples: 25,
            noise: 0.1,
            patch: Vec::new(),
            stride: Vec::new(),
            by_probability: false,
            seed: 1,
        }
    }
}

/// The preset that is used for levels in dB where none is asked for. It asks what louder than silence speaks for a class, which
/// sound can show; the thesis's own, `thesis-gender`, asks what being quieter than full level does. `cargo xtask reproduce --only
/// clever-hans` says which rules lose least where the answer is known, and whether they are these.
pub const RULES_OF_LEVELS: &str = "epsilon-plus-silence";

/// The preset that is used where none is asked for.
pub fn default_rules(front_end: &FrontEnd) -> &'static str {
    match front_end.silence() {
        _ if front_end.axes().are_samples() => "lrp-0",
        Some(silence) if silence == f64::from(FLOOR_DB) => RULES_OF_LEVELS,
        _ => "thesis-speaker-epsilon",
    }
}

/// The presets that can be used on a model: those that give each of its layers a rule it can have, and whose reference is a value
/// that its input can take: 0, or of spectrograms a level.
///
/// # Errors
/// If the model's metadata name no front end there is.
pub fn suiting_rules(model: &Model) -> Result<Vec<&'static str>> {
    let front_end = model.front_end()?;
    let references = match (front_end.bounds(), front_end.axes().are_samples()) {
        (Some([low, high]), false) => low..=high,
        _ => 0.0..=0.0,
    };
    let suits = |preset: &str| {
        composite(Some(preset), None, &front_end).is_ok_and(|composite| {
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
    Ok(presets.filter(|preset| suits(preset)).collect())
}

/// Rules by preset or file for a network that reads such features; `bounds` as in [`Settings`].
///
/// # Errors
/// If there is no such preset or file, or it holds no rules.
pub fn composite(
    rules: Option<&str>,
    bounds: Option<[f64; 2]>,
    front_end: &FrontEnd,
) -> Result<Composite> {
    let composite = Composite::load(rules.unwrap_or(default_rules(front_end)))?;
    Ok(match bounds.or(front_end.bounds()) {
        Some(bounds) => composite.with_bounds(bounds),
        None => composite,
    })
}

/// A 14th of an axis: what takes AlexNet's 227 bins and frames 27 × 27 patches of 16.
fn side(length: &usize) -> usize {
    length.div_ceil(15).max(1)
}

impl Settings {
    /// The method for a model.
    ///
    /// # Errors
    /// If the rules or the reference cannot be read, or the reference is not of the input's shape.
    pub fn method(&self, model: &Model) -> Result<Method> {
        Ok(match self.name {
            Name::Lrp => Method::Lrp(composite(
                self.rules.as_deref(),
                self.bounds,
                &model.front_end()?,
            )?),
            Name::Gradient => Method::Gradient,
            Name::Sensitivity => Method::Sensitivity,
            Name::GradientTimesInput => Method::GradientTimesInput {
                reference: self.reference(model)?,
            },
            Name::SmoothGrad => Method::SmoothGrad {
                samples: self.samples,
                noise: self.noise,
                seed: self.seed,
            },
            Name::IntegratedGradients => Method::IntegratedGradients {
                steps: self.steps,
                reference: self.reference(model)?,
            },
            Name::Occlusion => {
                let shape = model.graph.architecture().input_shape();
                let patch = match self.patch.as_slice() {
                    [] => shape[1..].iter().map(side).collect(),
                    given => given.to_vec(),
                };
                let stride = match self.stride.as_slice() {
                    [] => patch.iter().map(|side| side.div_ceil(2)).collect(),
                    given => given.to_vec(),
                };
                Method::Occlusion {
                    patch,
                    stride,
                    reference: self.reference(model)?,
                    score: match self.by_probability {
                        true => Score::Probability(model.loss()),
                        false => Score::Logit,
                    },
                }
            }
            Name::Random => Method::Random { seed: self.seed },
        })
    }

    fn reference(&self, model: &Model) -> Result<Reference> {
        let Some(given) = &self.reference else {
            let silence = model.front_end()?.silence();
            return Ok(Reference::from(silence.unwrap_or(0.0)));
        };
        if let Ok(value) = given.parse::<f64>() {
            return match value.is_finite() {
                true => Ok(value.into()),
                false => Err(Error::Setting(format!(
                    "--reference {given}: say a finite number"
                ))),
            };
        }
        let array = npy::read(Path::new(given)).map_err(|error| {
            Error::Setting(format!(
                "--reference takes a number or an .npy file: {error}"
            ))
        })?;
        let shape = model.graph.architecture().input_shape();
        let values: usize = shape.iter().product();
        if array.len() != values {
            let problem = format!(
                "the network's inputs are {shape:?}, not {:?}",
                array.shape()
            );
            return Err(Error::input(given, problem));
        }
        let array = array.iter().copied().collect();
        Ok(Reference::Input(Tensor::from_vec(
            array,
            shape,
            &Device::Cpu,
        )?))
    }

    /// What a method of these settings was run with, for a summary.
    pub fn summary(&self, method: &Method) -> Value {
        let reference = |reference: &Reference| match (reference, &self.reference) {
            (Reference::Value(value), _) => json!(value),
            (Reference::Input(_), file) => json!(file),
        };
        match method {
            Method::Lrp(composite) => {
                json!({ "rules": composite.name(), "reference": composite.options().reference })
            }
            Method::Gradient | Method::Sensitivity => json!({}),
            Method::GradientTimesInput { reference: r } => json!({ "reference": reference(r) }),
            Method::SmoothGrad {
                samples,
                noise,
                seed,
            } => json!({ "samples": samples, "noise": noise, "seed": seed }),
            Method::IntegratedGradients {
                steps,
                reference: r,
            } => json!({ "steps": steps, "reference": reference(r) }),
            Method::Occlusion {
                patch,
                stride,
                reference: r,
                score,
            } => json!({
                "patch": patch, "stride": stride, "reference": reference(r),
                "score": match score {
                    Score::Logit => "logit",
                    Score::Probability(_) => "probability",
                },
            }),
            Method::Random { seed } => json!({ "seed": seed }),
        }
    }
}
