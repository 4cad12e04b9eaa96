use serde::Deserialize;

use super::{Planned, Stage, wants_real};
use crate::Axes;

/// The logarithm of at least `floor`, or of what is larger by `add`: natural, or to a `base`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    base: Option<f64>,
    #[serde(default)]
    floor: f32,
    #[serde(default)]
    add: f32,
}

impl Stage for Log {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_real(axes)?;
        let Log { base, floor, add } = *self;
        if floor <= 0.0 && add <= 0.0 {
            return Err("wants a positive `floor` or `add`: silence has no logarithm".into());
        }
        if base.is_some_and(|base| !(base > 0.0 && base != 1.0)) {
            return Err("wants a positive `base` other than 1".into());
        }
        let axes = Axes {
            value: format!("log {}", axes.value),
            ..axes.clone()
        };
        let scale = base.map_or(1.0, |base| 1.0 / base.ln());
        Ok(Planned::of_values(axes, move |values| {
            for value in values {
                let more = f64::from((*value + add).max(floor));
                *value = (more.ln() * scale) as f32;
            }
        }))
    }
}
