//! The rules of layer-wise relevance propagation, as `explain`, `evaluate` and `bench` take them.

use anyhow::Result;
use speechlens_audio::FLOOR_DB;
use speechlens_lrp::{Composite, PRESETS};
use speechlens_models::Features;

/// Which rules.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, value_name = "PRESET|FILE.toml", help = help())]
    rules: Option<String>,
    /// The lowest and the highest value that the input can have, for the rule z-box; else those of a decibel spectrogram,
    /// −80 and 0, where the network reads one.
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, value_parser = bounds)]
    bounds: Option<[f64; 2]>,
}

fn help() -> String {
    let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    format!(
        "The rules of layer-wise relevance propagation: a TOML file, or a preset ({}); else thesis-gender for spectrograms, \
         lrp-0 for waveforms, thesis-speaker-epsilon for filterbanks",
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
    /// What the rules are called, for a network that reads such features.
    pub fn name(&self, features: Features) -> &str {
        let default = match features {
            Features::Spectrogram => "thesis-gender",
            Features::Waveform => "lrp-0",
            Features::Filterbank => "thesis-speaker-epsilon",
        };
        self.rules.as_deref().unwrap_or(default)
    }

    /// The rules.
    pub fn composite(&self, features: Features) -> Result<Composite> {
        let composite = Composite::load(self.name(features))?;
        let of_features = match features {
            Features::Spectrogram => Some([f64::from(FLOOR_DB), 0.0]),
            Features::Waveform | Features::Filterbank => None,
        };
        Ok(match self.bounds.or(of_features) {
            Some(bounds) => composite.with_bounds(bounds),
            None => composite,
        })
    }
}
