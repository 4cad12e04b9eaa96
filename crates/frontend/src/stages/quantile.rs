use serde::Deserialize;

use super::{Planned, Stage, wants_real};
use crate::Axes;

/// Values divided by one of their quantiles plus `add`, and by more where one would become larger than `largest`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    quantile: f64,
    #[serde(default)]
    add: f64,
    largest: Option<f64>,
}

impl Stage for Quantile {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_real(axes)?;
        let Quantile {
            quantile,
            add,
            largest,
        } = *self;
        if !(0.0..=1.0).contains(&quantile) || largest.is_some_and(|largest| largest <= 0.0) {
            return Err("wants `quantile` between 0 and 1, and `largest` above 0".into());
        }
        let axes = Axes {
            value: format!("{} ({}th percentile = 1)", axes.value, 100.0 * quantile),
            ..axes.clone()
        };
        Ok(Planned::of_values(axes, move |values| {
            if values.is_empty() {
                return;
            }
            let most = values
                .iter()
                .fold(0f32, |most, value| most.max(value.abs()));
            let scale = speechlens_audio::quantile(values, quantile) + add;
            let scale = match largest {
                Some(largest) => scale.max(f64::from(most) / largest),
                None => scale,
            };
            for value in values {
                *value = (f64::from(*value) / scale) as f32;
            }
        }))
    }
}
