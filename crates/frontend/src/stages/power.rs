use serde::Deserialize;

use super::{Planned, Stage};
use crate::{Axes, Signal};

/// The magnitude of a complex spectrum to a power: 2 for power, 1 for the magnitude itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    #[serde(default = "two")]
    exponent: f64,
}

fn two() -> f64 {
    2.0
}

impl Stage for Power {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        if !axes.is_complex {
            return Err("wants a complex spectrum: put `stft` before it".into());
        }
        let exponent = self.exponent;
        let axes = Axes {
            value: match exponent {
                1.0 => "magnitude".into(),
                _ => "power".into(),
            },
            is_complex: false,
            ..axes.clone()
        };
        let run = move |signal: Signal| match signal {
            Signal::Spectrum(spectrum) => Ok(Signal::Plane(match exponent {
                2.0 => spectrum.map(|z| z.norm_sqr() as f32),
                1.0 => spectrum.map(|z| z.norm() as f32),
                _ => spectrum.map(|z| z.norm().powf(exponent) as f32),
            })),
            other => Ok(other),
        };
        Ok(Planned {
            axes,
            run: Box::new(run),
            of_window: false,
        })
    }
}
