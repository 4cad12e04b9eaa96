use serde::Deserialize;
use speechlens_audio::filterbank::subtract_mean;

use super::{Planned, Stage, wants_real};
use crate::{Axes, Signal};

/// The mean taken off, and with `deviation` the whole divided by its standard deviation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Over a window, or the whole recording before it is cut.
    #[serde(default)]
    over: Over,
    /// Each row by itself, or all values together.
    #[serde(default)]
    per: Per,
    #[serde(default)]
    deviation: bool,
    /// What is added to the variance.
    #[serde(default)]
    epsilon: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Over {
    #[default]
    Window,
    Recording,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Per {
    #[default]
    Row,
    All,
}

/// By the mean and, if asked, by `√(variance + epsilon)`; constant values become 0.
fn standardize(values: &mut [f32], deviation: Option<f64>) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / count;
    let scale = match deviation {
        None => 1.0,
        Some(epsilon) => {
            let squares = values
                .iter()
                .map(|value| (f64::from(*value) - mean).powi(2));
            let deviation = (squares.sum::<f64>() / count + epsilon).sqrt();
            if deviation > 0.0 {
                1.0 / deviation
            } else {
                0.0
            }
        }
    };
    for value in values {
        *value = ((f64::from(*value) - mean) * scale) as f32;
    }
}

impl Stage for Normalize {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_real(axes)?;
        let per_row = self.per == Per::Row && !axes.are_samples();
        let deviation = self.deviation.then_some(self.epsilon);
        let axes = match deviation {
            Some(_) => Axes {
                value: format!("{}, standardized", axes.value),
                ..axes.clone()
            },
            None => axes.clone(),
        };
        let planned = match (per_row, deviation) {
            (true, None) => Planned {
                axes,
                run: Box::new(|mut signal| {
                    if let Signal::Plane(plane) = &mut signal {
                        subtract_mean(plane.view_mut());
                    }
                    Ok(signal)
                }),
                of_window: false,
            },
            (true, deviation) => Planned {
                axes,
                run: Box::new(move |signal| match signal {
                    Signal::Plane(plane) => {
                        let mut plane = plane.as_standard_layout().into_owned();
                        for mut row in plane.rows_mut() {
                            if let Some(values) = row.as_slice_mut() {
                                standardize(values, deviation);
                            }
                        }
                        Ok(Signal::Plane(plane))
                    }
                    other => Ok(other),
                }),
                of_window: false,
            },
            (false, deviation) => {
                Planned::of_values(axes, move |values| standardize(values, deviation))
            }
        };
        Ok(Planned {
            of_window: self.over == Over::Window,
            ..planned
        })
    }
}
