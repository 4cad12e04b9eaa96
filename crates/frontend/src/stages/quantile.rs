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
            let scale = of(values, quantile) + add;
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

/// A quantile by straight lines between the sorted values, numpy's default.
fn of(values: &[f32], quantile: f64) -> f64 {
    let place = quantile * (values.len() - 1) as f64;
    let mut values = values.to_vec();
    let (_, below, rest) = values.select_nth_unstable_by(place as usize, f32::total_cmp);
    let above = rest.iter().copied().min_by(f32::total_cmp);
    let (below, above) = (f64::from(*below), f64::from(above.unwrap_or(*below)));
    below + (above - below) * place.fract()
}
