use serde::Deserialize;

use super::{Planned, Stage, wants_samples};
use crate::Axes;

/// Samples made as loud as a level, in dB relative to full scale: `20 log10` of the root of their mean square, which becomes `decibels`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    decibels: f64,
    /// Whether what is louder stays as it is.
    #[serde(default)]
    only_louder: bool,
}

impl Stage for Level {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_samples(axes)?;
        let Level {
            decibels,
            only_louder,
        } = *self;
        let wanted = 10f64.powf(decibels / 20.0);
        Ok(Planned::of_values(axes.clone(), move |samples| {
            let squares = samples.iter().map(|sample| f64::from(*sample).powi(2));
            let level = (squares.sum::<f64>() / samples.len().max(1) as f64).sqrt();
            if level > 0.0 && (!only_louder || level < wanted) {
                let gain = wanted / level;
                for sample in samples {
                    *sample = (f64::from(*sample) * gain) as f32;
                }
            }
        }))
    }
}
