//! The rules of layer-wise relevance propagation, as `evaluate`, `augment` and `bench` take them.

use anyhow::Result;
use speechlens_explain::composite;
use speechlens_frontend::thesis::FLOOR_DB;
use speechlens_lrp::{Composite, PRESETS};
use speechlens_models::Model;

/// Which rules.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, value_name = "PRESET|FILE.toml", help = help("thesis-gender for spectrograms"))]
    pub rules: Option<String>,
    #[command(flatten)]
    pub bounds: Bounds,
}

/// What the rule z-box knows of the input.
#[derive(clap::Args)]
pub struct Bounds {
    /// The lowest and the highest value that the input can have, for the rule z-box; else those that its front
    /// end has, as −80 and 0 of a decibel spectrogram.
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, value_parser = bounds)]
    pub bounds: Option<[f64; 2]>,
}

/// What `--rules` are, and which they are for spectrograms where none are given.
pub fn help(spectrograms: &str) -> String {
    let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    format!(
        "The rules of layer-wise relevance propagation: a TOML file, or a preset ({}); else {spectrograms}, any-network for \
         networks of others, lrp-0 for waveforms, thesis-speaker-epsilon for filterbanks",
        names.join(", ")
    )
}

fn bounds(text: &str) -> Result<[f64; 2], String> {
    let numbers = text.split(',').map(|number| number.trim().parse::<f64>());
    match numbers.collect::<Result<Vec<_>, _>>().as_deref() {
        Ok([low, high]) if low.is_finite() && high.is_finite() && low < high => Ok([*low, *high]),
        _ => Err("say two numbers, the lower first, such as -80,0".into()),
    }
}

impl Arguments {
    /// What the rules are called, for a network: the thesis's where none are given.
    pub fn name(&self, model: &Model) -> &str {
        let default = match model.front_end.silence() {
            Some(silence) if silence == f64::from(FLOOR_DB) => "thesis-gender",
            _ => speechlens_explain::default_rules(model),
        };
        self.rules.as_deref().unwrap_or(default)
    }

    /// The rules.
    pub fn composite(&self, model: &Model) -> Result<Composite> {
        let bounds = self.bounds.bounds;
        Ok(composite(self.name(model), bounds, &model.front_end)?)
    }
}
