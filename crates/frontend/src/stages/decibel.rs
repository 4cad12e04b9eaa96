use serde::Deserialize;
use speechlens_audio::decibel;

use super::{Planned, Stage, wants_plane};
use crate::Axes;

/// Powers as levels in dB, librosa's `power_to_db`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decibel {
    /// The power that is 0 dB; the largest if there is none.
    reference: Option<f64>,
    /// The smallest amplitude that is told from silence.
    #[serde(default = "smallest")]
    smallest: f32,
    /// The level below the loudest that nothing falls under.
    #[serde(default = "floor")]
    floor: f32,
}

fn smallest() -> f32 {
    1e-5
}

fn floor() -> f32 {
    -80.0
}

impl Stage for Decibel {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_plane(axes)?;
        let Decibel {
            reference,
            smallest,
            floor,
        } = *self;
        if !(smallest > 0.0 && floor < 0.0 && reference.is_none_or(|power| power > 0.0)) {
            return Err("wants `smallest` and `reference` above 0, and `floor` below".into());
        }
        let axes = Axes {
            value: "level (dB)".into(),
            ..axes.clone()
        };
        Ok(Planned::of_values(axes, move |powers| {
            let least = smallest * smallest;
            let loudest = powers.iter().copied().fold(least, f32::max);
            decibel(powers, least, floor);
            if let Some(reference) = reference {
                let reference = reference.max(f64::from(least));
                let above = (10.0 * (f64::from(loudest) / reference).log10()) as f32;
                powers.iter_mut().for_each(|level| *level += above);
            }
        }))
    }
}
