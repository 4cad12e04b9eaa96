use std::f64::consts::TAU;

use serde::Deserialize;
use speechlens_audio::{Conventions, Edges};

use super::{Planned, Stage, wants_samples};
use crate::{Axes, Error, Signal};

/// A short-time Fourier transform.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stft {
    #[serde(default)]
    window: Window,
    /// Whether the window is one period long, as spectra want it; else it is symmetric.
    #[serde(default = "yes")]
    periodic: bool,
    /// Of the window, in samples.
    length: usize,
    hop: usize,
    /// Of the FFT: the window stands in the middle of as many; its length if they are not given.
    points: Option<usize>,
    #[serde(default)]
    edges: Edge,
    /// Whether zeros make the last frame whole; else it is left out.
    #[serde(default)]
    whole: bool,
    /// Whether values are divided by the window's sum.
    #[serde(default)]
    scaled: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Window {
    #[default]
    Hann,
    Hamming,
    Ones,
}

/// What lies before the signal and behind it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Edge {
    #[default]
    None,
    Zeros,
    Mirrored,
}

impl Stft {
    fn window(&self, points: usize) -> Vec<f64> {
        let period = match self.periodic {
            true => self.length,
            false => self.length.saturating_sub(1).max(1),
        };
        let turn = |n: usize| (TAU * n as f64 / period as f64).cos();
        let value = |n: usize| match self.window {
            Window::Hann => 0.5 - 0.5 * turn(n),
            Window::Hamming => 0.54 - 0.46 * turn(n),
            Window::Ones => 1.0,
        };
        let mut window = vec![0.0; points];
        let start = (points - self.length) / 2;
        for n in 0..self.length {
            window[start + n] = value(n);
        }
        window
    }
}

impl Stage for Stft {
    fn plan(&self, axes: &Axes) -> Result<Planned, String> {
        wants_samples(axes)?;
        let points = self.points.unwrap_or(self.length);
        if self.hop == 0 || self.hop > points || self.length == 0 || self.length > points {
            return Err("wants 0 < length ≤ points and 0 < hop ≤ points".into());
        }
        let edges = match self.edges {
            Edge::None => Edges::None,
            Edge::Zeros => Edges::Zeros,
            Edge::Mirrored => Edges::Mirrored,
        };
        let conventions = Conventions {
            edges,
            whole: self.whole,
            scaled: self.scaled,
        };
        let stft = speechlens_audio::Stft::with(self.window(points), self.hop, conventions);
        let rate = f64::from(axes.rate);
        // A frame's centre, in samples after the beginning of the recording.
        let centre = points as f64 / 2.0 - stft.edge() as f64;
        let centre = if edges == Edges::None { centre } else { 0.0 };
        let axes = Axes {
            first: centre / rate,
            step: self.hop as f64 / rate,
            frames: axes.frames.map(|samples| stft.frames(samples)),
            frequencies: (0..stft.bins())
                .map(|k| k as f64 * rate / points as f64)
                .collect(),
            value: "amplitude".into(),
            is_complex: true,
            ..axes.clone()
        };
        let run = move |signal: Signal| match signal {
            Signal::Samples(samples) => match stft.frames(samples.len()) {
                0 => Err(Error::Recording(format!(
                    "is shorter than a window of {points} samples: give a longer one"
                ))),
                _ => Ok(Signal::Spectrum(stft.forward(&samples))),
            },
            other => Ok(other),
        };
        Ok(Planned {
            axes,
            run: Box::new(run),
            of_window: false,
        })
    }
}
