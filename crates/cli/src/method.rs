//! The methods of explanation, as `explain`, `evaluate` and `augment` take them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use clap::ValueEnum;
use serde_json::json;
use speechlens_attribution::{Method, Reference, Score};
use speechlens_audio::FLOOR_DB;
use speechlens_models::{Features, Model};
use speechlens_report::npy;

use crate::common::at_least_one;
use crate::rules;

/// Which method, and its settings.
#[derive(clap::Args)]
pub struct Arguments {
    /// How to explain.
    #[arg(long, value_enum, default_value = "lrp")]
    method: Name,
    #[command(flatten)]
    rules: rules::Arguments,
    /// What counts as "nothing here" for gradient-times-input, integrated-gradients and occlusion: a value, or an .npy file of
    /// one input's shape, such as the mean of your data. Else silence, −80, for spectrograms, and 0 for others. (That of LRP
    /// stands in its rules.)
    #[arg(long, value_name = "X|FILE.npy", allow_hyphen_values = true)]
    reference: Option<String>,
    /// Steps of integrated-gradients from the reference to the input.
    #[arg(long, default_value_t = 50, value_parser = at_least_one, value_name = "N")]
    steps: usize,
    /// Noisy copies of the input that smoothgrad takes the mean over.
    #[arg(long, default_value_t = 25, value_parser = at_least_one, value_name = "N")]
    samples: usize,
    /// The standard deviation of smoothgrad's noise, as a share of each input's range.
    #[arg(long, default_value_t = 0.1, value_parser = not_negative, value_name = "X")]
    noise: f64,
    /// The sides of occlusion's patches along the input's last axes: bands and frames, or samples. Else about a 14th of each
    /// axis.
    #[arg(long, value_delimiter = ',', value_parser = at_least_one, value_name = "H,W")]
    patch: Vec<usize>,
    /// Steps between occlusion's patches; else half of each side.
    #[arg(long, value_delimiter = ',', value_parser = at_least_one, value_name = "H,W")]
    stride: Vec<usize>,
    /// What occlusion watches.
    #[arg(long, value_enum, default_value = "logit")]
    score: Watched,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// Layer-wise relevance propagation, by --rules.
    Lrp,
    /// The gradient of the class's logit.
    Gradient,
    /// The gradient's absolute value.
    Sensitivity,
    /// The gradient times the input less the reference.
    GradientTimesInput,
    /// The gradient's mean over noisy copies of the input.
    Smoothgrad,
    /// The gradient's integral from the reference to the input.
    IntegratedGradients,
    /// What the score loses as patches are covered.
    Occlusion,
    /// By lot: a control.
    Random,
}

#[derive(Clone, Copy, ValueEnum)]
enum Watched {
    /// The class's logit.
    Logit,
    /// The class's probability.
    Probability,
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("say a number that is not negative".into()),
    }
}

/// A 14th of an axis: what takes AlexNet's 227 bins and frames 27 × 27 patches of 16.
fn side(length: &usize) -> usize {
    length.div_ceil(15).max(1)
}

impl Arguments {
    /// The method for a model, whose random choices the seed decides.
    pub fn of(&self, model: &Model, seed: u64) -> Result<Method> {
        let features = model.features();
        Ok(match self.method {
            Name::Lrp => Method::Lrp(self.rules.composite(features)?),
            Name::Gradient => Method::Gradient,
            Name::Sensitivity => Method::Sensitivity,
            Name::GradientTimesInput => Method::GradientTimesInput {
                reference: self.reference(model)?,
            },
            Name::Smoothgrad => Method::SmoothGrad {
                samples: self.samples,
                noise: self.noise,
                seed,
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
                    score: match self.score {
                        Watched::Logit => Score::Logit,
                        Watched::Probability => Score::Probability(model.loss()),
                    },
                }
            }
            Name::Random => Method::Random { seed },
        })
    }

    fn reference(&self, model: &Model) -> Result<Reference> {
        let Some(given) = &self.reference else {
            return Ok(Reference::from(match model.features() {
                Features::Spectrogram => f64::from(FLOOR_DB),
                Features::Waveform | Features::Filterbank => 0.0,
            }));
        };
        if let Ok(value) = given.parse::<f64>() {
            ensure!(
                value.is_finite(),
                "--reference {given}: say a finite number"
            );
            return Ok(value.into());
        }
        let array =
            npy::read(Path::new(given)).context("--reference takes a number or an .npy file")?;
        let shape = model.graph.architecture().input_shape();
        let values: usize = shape.iter().product();
        ensure!(
            array.len() == values,
            "{given}: the network's inputs are {shape:?}, not {:?}",
            array.shape()
        );
        let array = array.iter().copied().collect();
        Ok(Reference::Input(Tensor::from_vec(
            array,
            shape,
            &Device::Cpu,
        )?))
    }

    /// What a method was run with, for a summary.
    pub fn settings(&self, method: &Method) -> serde_json::Value {
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
            } => {
                json!({ "samples": samples, "noise": noise, "seed": seed })
            }
            Method::IntegratedGradients {
                steps,
                reference: r,
            } => {
                json!({ "steps": steps, "reference": reference(r) })
            }
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
