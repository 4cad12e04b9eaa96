use serde::Deserialize;
use speechlens_audio::filterbank::{self, Bands};
use speechlens_audio::{Audio, Filterbank};

use super::{Planned, Stage, wants_samples};
use crate::{Axes, Signal};

/// Kaldi's `compute-fbank-feats --dither=0` at 16 kHz: frames of 25 ms every 10 ms, the natural logarithm of the power in mel bands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fbank {
    bands: usize,
    /// Where the lowest band begins, in Hz.
    #[serde(default = "low")]
    low: f64,
    /// Where the highest ends, in Hz; 0 or less counts from half the rate, as in Kaldi.
    #[serde(default)]
    high: f64,
}

fn low() -> f64 {
    20.0
}

impl Stage for Fbank {
    fn is_local(&self) -> bool {
        true
    }

    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_samples(axes)?;
        if axes.rate != filterbank::RATE {
            return Err(format!(
                "is made for {} Hz, and gets {} Hz: set `rate`",
                filterbank::RATE,
                axes.rate
            ));
        }
        let nyquist = f64::from(axes.rate) / 2.0;
        let highest = match self.high > 0.0 {
            true => self.high,
            false => nyquist + self.high,
        };
        if self.bands == 0 || !(self.low >= 0.0 && self.low < highest && highest <= nyquist) {
            return Err(format!("wants bands, and 0 ≤ low < high ≤ {nyquist} Hz"));
        }
        let bands = Bands {
            count: self.bands,
            lowest: self.low,
            highest,
        };
        let rate = axes.rate;
        let axes = Axes {
            first: filterbank::times(1)[0],
            step: filterbank::HOP as f64 / f64::from(rate),
            frames: axes.frames.map(filterbank::frames),
            frequencies: bands.frequencies(),
            value: "log power".into(),
            ..axes.clone()
        };
        let filterbank = Filterbank::with(bands);
        let run = move |signal: Signal| match signal {
            Signal::Samples(samples) => {
                let plane = filterbank.compute(&Audio { samples, rate })?;
                Ok(Signal::Plane(plane))
            }
            other => Ok(other),
        };
        Ok(Planned {
            axes,
            run: Box::new(run),
            of_window: false,
        })
    }
}
