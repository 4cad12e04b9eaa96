//! The methods of explanation: one, as `evaluate` and `augment` take them, or several, as `explain` does.

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde_json::json;
use speechlens_attribution::methods::{Entry, IntegratedGradients, METHODS, SmoothGrad, named};
use speechlens_explain::{RULES_OF_LEVELS, Settings};
use speechlens_models::Model;

use crate::common::at_least_one;
use crate::rules;

/// Which method, and its settings.
#[derive(clap::Args)]
pub struct One {
    /// How to explain.
    #[arg(long, default_value = "lrp", value_parser = names())]
    method: &'static Entry,
    #[command(flatten)]
    rules: rules::Arguments,
    #[command(flatten)]
    tuning: Tuning,
}

/// Which methods, and their settings.
#[derive(clap::Args)]
pub struct Several {
    /// How to explain; several ways, with commas between, are shown side by side.
    #[arg(long, default_value = "lrp", value_delimiter = ',', value_parser = names())]
    method: Vec<&'static Entry>,
    #[arg(long, value_name = "PRESET|FILE.toml", value_delimiter = ',', help = rules_help())]
    rules: Vec<String>,
    #[command(flatten)]
    bounds: rules::Bounds,
    #[command(flatten)]
    tuning: Tuning,
}

fn rules_help() -> String {
    let help = rules::help(&format!("{RULES_OF_LEVELS} for spectrograms"));
    format!("{help}. Several, with commas between, are shown side by side")
}

/// The settings of methods other than layer-wise relevance propagation.
#[derive(clap::Args, Serialize)]
struct Tuning {
    /// What counts as "nothing here" for gradient-times-input, integrated-gradients and occlusion: a value, or an .npy file of
    /// one input's shape, such as the mean of your data. Else silence, −80, for spectrograms, and 0 for others. (That of LRP
    /// stands in its rules.)
    #[arg(long, value_name = "X|FILE.npy", allow_hyphen_values = true)]
    reference: Option<String>,
    /// Steps of integrated-gradients from the reference to the input.
    #[arg(long, default_value_t = IntegratedGradients::default().steps, value_parser = at_least_one, value_name = "N")]
    steps: usize,
    /// Noisy copies of the input that smoothgrad takes the mean over.
    #[arg(long, default_value_t = SmoothGrad::default().samples, value_parser = at_least_one, value_name = "N")]
    samples: usize,
    /// The standard deviation of smoothgrad's noise, as a share of each input's range.
    #[arg(long, default_value_t = SmoothGrad::default().noise, value_parser = not_negative, value_name = "X")]
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

#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Watched {
    /// The class's logit.
    Logit,
    /// The class's probability.
    Probability,
}

fn names() -> impl TypedValueParser<Value = &'static Entry> {
    let names = METHODS
        .iter()
        .map(|entry| PossibleValue::new(entry.name).help(entry.summary));
    PossibleValuesParser::new(names).try_map(|name| named(&name))
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("say a number that is not negative".into()),
    }
}

impl Tuning {
    fn settings(
        &self,
        method: &'static Entry,
        rules: Option<&str>,
        (bounds, seed): (&rules::Bounds, u64),
    ) -> Result<Settings> {
        let mut settings = Settings::new(method.name, json!(self))?
            .with("bounds", json!(bounds.bounds))
            .with("seed", seed);
        if let Some(rules) = rules {
            settings = settings.with("rules", rules);
        }
        Ok(settings)
    }
}

impl One {
    /// The method with its settings, for a model; the seed decides its random choices.
    pub fn settings(&self, model: &Model, seed: u64) -> Result<Settings> {
        let rules = self.rules.name(model);
        let rest = (&self.rules.bounds, seed);
        self.tuning.settings(self.method, Some(rules), rest)
    }
}

impl Several {
    /// Every method with its settings; layer-wise relevance propagation once by each of the rules.
    pub fn settings(&self, seed: u64) -> Result<Vec<Settings>> {
        let rest = (&self.bounds, seed);
        let mut all = Vec::new();
        for method in &self.method {
            match self.rules.as_slice() {
                rules @ [_, ..] if method.has("rules") => {
                    for rules in rules {
                        all.push(self.tuning.settings(method, Some(rules), rest)?);
                    }
                }
                _ => all.push(self.tuning.settings(method, None, rest)?),
            }
        }
        Ok(all)
    }
}
