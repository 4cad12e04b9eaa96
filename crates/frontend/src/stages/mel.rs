use ndarray::Array2;
use serde::Deserialize;
use speechlens_audio::mel::{Scale, triangles};

use super::{Planned, Stage, wants_plane};
use crate::{Axes, Signal};

/// Sums over triangular mel bands, as librosa and torchaudio have them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mel {
    bands: usize,
    /// Where the lowest band begins, in Hz.
    #[serde(default)]
    low: f64,
    /// Where the highest ends, in Hz; half the rate if it is not given.
    high: Option<f64>,
    #[serde(default)]
    scale: Formula,
    #[serde(default)]
    norm: Norm,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Formula {
    #[default]
    Slaney,
    Htk,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Norm {
    /// Bands of the same area.
    #[default]
    Slaney,
    /// 1 at the centre of each.
    None,
}

impl Stage for Mel {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_plane(axes)?;
        let nyquist = f64::from(axes.rate) / 2.0;
        let high = self.high.unwrap_or(nyquist);
        if self.bands == 0 || !(self.low >= 0.0 && self.low < high && high <= nyquist) {
            return Err(format!("wants bands, and 0 ≤ low < high ≤ {nyquist} Hz"));
        }
        let scale = match self.scale {
            Formula::Slaney => Scale::Slaney,
            Formula::Htk => Scale::Htk,
        };
        let edges = scale.edges(self.bands, self.low, high);
        let weights = triangles(&edges, &axes.frequencies, self.norm == Norm::Slaney);
        if let Some(empty) = weights.rows().into_iter().position(|row| row.sum() == 0.0) {
            return Err(format!(
                "band {empty} holds no frequency of the spectrum: take fewer bands or a longer `stft`"
            ));
        }
        let axes = Axes {
            frequencies: edges[1..=self.bands].to_vec(),
            value: format!("mel {}", axes.value),
            ..axes.clone()
        };
        // Of each band the rows that have any weight.
        let bands: Vec<(usize, Vec<f64>)> = weights
            .rows()
            .into_iter()
            .map(|row| {
                let first = row.iter().position(|w| *w > 0.0).unwrap_or(0);
                let rest = row.iter().skip(first).take_while(|w| **w > 0.0);
                (first, rest.copied().collect())
            })
            .collect();
        let run = move |signal: Signal| match signal {
            Signal::Plane(powers) => {
                let sum = |(band, frame): (usize, usize)| {
                    let (first, weights) = &bands[band];
                    let powers = powers.column(frame);
                    let terms = weights.iter().zip(powers.iter().skip(*first));
                    terms.map(|(w, p)| w * f64::from(*p)).sum::<f64>() as f32
                };
                let shape = (bands.len(), powers.ncols());
                Ok(Signal::Plane(Array2::from_shape_fn(shape, sum)))
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
