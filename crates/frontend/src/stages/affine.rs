use serde::Deserialize;

use super::{Planned, Stage, wants_real};
use crate::Axes;

/// `scale · x + shift`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affine {
    #[serde(default = "one")]
    scale: f32,
    #[serde(default)]
    shift: f32,
}

fn one() -> f32 {
    1.0
}

impl Stage for Affine {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_real(axes)?;
        let Affine { scale, shift } = *self;
        let value = format!("{}, scaled", axes.value.trim_end_matches(", scaled"));
        let axes = Axes {
            value,
            ..axes.clone()
        };
        Ok(Planned::of_values(axes, move |values| {
            for value in values {
                *value = *value * scale + shift;
            }
        }))
    }
}
