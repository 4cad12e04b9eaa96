use serde::Deserialize;

use super::{Planned, Stage, wants_real};
use crate::Axes;

/// Nothing below `low` or above `high`, and nothing further below the largest value than `range`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    low: Option<f32>,
    high: Option<f32>,
    range: Option<f32>,
}

impl Stage for Clip {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_real(axes)?;
        let Clip { low, high, range } = *self;
        Ok(Planned::of_values(axes.clone(), move |values| {
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let low = low.unwrap_or(f32::NEG_INFINITY);
            let low = range.map_or(low, |range| low.max(most - range));
            let high = high.unwrap_or(f32::INFINITY);
            for value in values {
                *value = value.max(low).min(high);
            }
        }))
    }
}
