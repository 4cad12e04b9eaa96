//! Relevance of samples, seen in time and frequency.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array2, Array3, Axis};
use speechlens_audio::View;
use speechlens_frontend::Axes;

use crate::input::Heard;
use crate::{Answers, Error, Explainer, Input, Result};

/// The length of windows where none is said, in seconds, and how many hops it takes.
const WINDOW: f64 = 0.032;
const OVERLAP: usize = 4;
/// The lowest level shown, under the loudest.
const FLOOR_DB: f64 = -80.0;

/// Where each row that is shown begins, in Hz, of so many bins up to the highest frequency. A bin belongs to one row.
pub type Rows = fn(usize, f64) -> Vec<f64>;

/// Rows by name.
pub const ROWS: &[(&str, Rows)] = &[
    ("stft", |bins, highest| {
        let step = highest / (bins.max(2) - 1) as f64;
        (0..bins).map(|bin| (bin as f64 - 0.5) * step).collect()
    }),
    ("mel", |_, highest| {
        let mel = |hertz: f64| (1.0 + hertz / 700.0).ln();
        let hertz = |mel: f64| 700.0 * (mel.exp() - 1.0);
        let step = mel(highest) / MEL_BANDS as f64;
        (0..MEL_BANDS)
            .map(|band| hertz(band as f64 * step))
            .collect()
    }),
    ("octaves", |_, highest| {
        let mut edges: Vec<f64> =
            std::iter::successors(Some(highest / 2.0), |edge| Some(edge / 2.0))
                .take_while(|edge| *edge > LOWEST_OCTAVE)
                .collect();
        edges.push(0.0);
        edges.reverse();
        edges
    }),
];

/// Bands of the mel scale (`ln(1 + f/700)`), equally wide on it.
const MEL_BANDS: usize = 40;
/// What lies below is one row, in Hz.
const LOWEST_OCTAVE: f64 = 60.0;

/// In which times and frequencies relevance of samples is to be seen: `stft`, or with the window's length and hop in samples,
/// `stft:512/128`; likewise `mel` and `octaves`, whose rows add up those of the transform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seeing {
    rows: &'static (&'static str, Rows),
    /// The window and the hop, in samples.
    window: Option<(usize, usize)>,
}

impl FromStr for Seeing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, window) = match text.split_once(':') {
            Some((name, window)) => (name, Some(window)),
            None => (text, None),
        };
        let rows = ROWS.iter().find(|(other, _)| *other == name);
        let rows = rows.ok_or_else(|| {
            let names: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
            format!("there is no view `{name}`; there are {}", names.join(", "))
        })?;
        let parsed = |text: &str| {
            let (window, hop) = text.split_once('/')?;
            Some((window.parse().ok()?, hop.parse().ok()?))
        };
        let window = window.map(|text| {
            parsed(text).ok_or_else(|| {
                format!(
                    "`{text}` is no window: say its samples and those of a hop, as {name}:512/128"
                )
            })
        });
        Ok(Seeing {
            rows,
            window: window.transpose()?,
        })
    }
}

impl fmt::Display for Seeing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rows.0)?;
        match self.window {
            Some((window, hop)) => write!(f, ":{window}/{hop}"),
            None => Ok(()),
        }
    }
}

impl Seeing {
    /// Whether what ways of explaining find of an input can be seen so, before they do.
    ///
    /// # Errors
    /// If the input is of no samples, a way's relevance is no multiple of them, or the window leaves some out.
    pub fn check(&self, input: &Input, explainers: &[Explainer]) -> Result<()> {
        if !input.axes.are_samples() {
            return Err(Error::Setting(format!(
                "--view {self}: shows relevance of samples, and the network reads {}: leave it out",
                input.axes.value
            )));
        }
        for explainer in explainers {
            let method = explainer.method();
            if !method.shares_score() {
                return Err(Error::Setting(format!(
                    "--view {self}: shows relevance that is a multiple of each sample, as of lrp, gradient-times-input and \
                     integrated-gradients; that of {method} is none: leave one of them out"
                )));
            }
            if method.reference().is_none() {
                return Err(Error::Setting(format!(
                    "--view {self}: shows relevance against one value, and that of {method} is against an array: say a number"
                )));
            }
        }
        self.view(input.axes.rate)?;
        Ok(())
    }

    fn view(&self, rate: u32) -> Result<View> {
        let (window, hop) = self.window.unwrap_or_else(|| {
            let window = (WINDOW * f64::from(rate)).round() as usize;
            (window, (window / OVERLAP).max(1))
        });
        Ok(View::new(window, hop)?)
    }

    /// An input of samples, and what ways of explaining found of it, in time and frequency: the input's levels in dB under the loudest bin of all
    /// windows, and relevance whose bins add up, in each window, to what its samples have ([`View`]).
    ///
    /// # Errors
    /// If the input is of no samples, a way's relevance is no multiple of them, or the window leaves some out.
    pub fn of(
        &self,
        input: Input,
        explainers: &[Explainer],
        answers: Vec<Answers>,
    ) -> Result<(Input, Vec<Answers>)> {
        self.check(&input, explainers)?;
        let rate = input.axes.rate;
        let view = self.view(rate)?;
        let hop = view.hop();
        let starts = (self.rows.1)(view.bins(), f64::from(rate) / 2.0);
        let row = |bin: usize| {
            let frequency = view.frequency(bin, rate);
            starts.partition_point(|start| *start <= frequency).max(1) - 1
        };
        let row_of: Vec<usize> = (0..view.bins()).map(row).collect();
        // Rows that hold no bin are not shown.
        let mut filled = row_of.clone();
        filled.dedup();
        let added = |bins: Array2<f64>| {
            let mut rows = Array2::zeros((filled.len(), bins.ncols()));
            for (bin, values) in bins.outer_iter().enumerate() {
                let place = filled.partition_point(|row| *row < row_of[bin]);
                let mut into = rows.row_mut(place);
                into += &values;
            }
            rows
        };
        let windows = input.len();
        let samples = |window: usize| -> Vec<f64> {
            let values = input.features.index_axis(Axis(0), window);
            values.iter().map(|x| f64::from(*x)).collect()
        };
        let slots = view.slots(samples(0).len());
        let shape = (windows, filled.len(), slots);
        let mut power = Array3::<f64>::zeros(shape);
        for window in 0..windows {
            let samples = samples(window);
            let seen = view.of(&samples, &samples);
            power
                .index_axis_mut(Axis(0), window)
                .assign(&added(seen.power));
        }
        let mut all = Vec::with_capacity(answers.len());
        for (explainer, mut answers) in explainers.iter().zip(answers) {
            let reference = explainer.method().reference().unwrap_or(0.0);
            let mut relevance = Array3::<f32>::zeros(shape);
            for window in 0..windows {
                let of_samples = answers.relevance.index_axis(Axis(0), window);
                let of_samples: Vec<f64> = of_samples.iter().map(|r| f64::from(*r)).collect();
                let samples = samples(window);
                let against: Vec<f64> = samples.iter().map(|x| x - reference).collect();
                let seen = view.of(&against, &of_samples);
                let found = added(seen.relevance).map(|r| *r as f32);
                relevance.index_axis_mut(Axis(0), window).assign(&found);
            }
            answers.explained = Some(answers.relevance);
            answers.relevance = relevance.into_dyn();
            all.push(answers);
        }
        let loudest = power.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let level = |power: &f64| (10.0 * (power / loudest).log10()).max(FLOOR_DB) as f32;
        let centre = |row: &usize| {
            let bins = (0..view.bins()).filter(|bin| row_of[*bin] == *row);
            let (count, sum) = bins.fold((0.0, 0.0), |(count, sum), bin| {
                (count + 1.0, sum + view.frequency(bin, rate))
            });
            sum / count
        };
        let step = hop as f64 / f64::from(rate);
        let axes = Axes {
            rate,
            first: step / 2.0,
            step,
            frames: input.axes.frames.map(|samples| view.slots(samples)),
            frequencies: filled.iter().map(centre).collect(),
            value: "level (dB)".into(),
            is_complex: false,
        };
        let heard = input.heard.map(|heard| Heard {
            places: heard
                .places
                .into_iter()
                .map(|mut place| {
                    place.start /= hop;
                    place.frames = place.frames.start / hop..place.frames.end.div_ceil(hop);
                    place
                })
                .collect(),
            audio: heard.audio,
        });
        let seen = Input {
            features: power.map(level).into_dyn(),
            heard,
            axes,
            ..input
        };
        Ok((seen, all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_at_nothing_and_rise() {
        for (name, starts) in ROWS {
            for (bins, highest) in [(257, 8000.0), (33, 4000.0), (1, 8000.0)] {
                let starts = starts(bins, highest);
                assert!(starts[0] <= 0.0, "{name}: {starts:?}");
                assert!(starts.is_sorted() && starts.iter().all(|start| *start < highest.max(1.0)));
            }
        }
    }

    #[test]
    fn views_are_said_as_they_are_written() {
        for text in ["stft", "mel", "octaves", "stft:512/128"] {
            assert_eq!(
                text.parse::<Seeing>().map(|seeing| seeing.to_string()),
                Ok(text.to_owned())
            );
        }
        for (text, told) in [
            ("cqt", "there are stft, mel, octaves"),
            ("stft:512", "mel:512/128"),
            ("stft:a/b", "is no window"),
        ] {
            let error = text.parse::<Seeing>().unwrap_err();
            assert!(error.contains(&told.replace("mel:", "stft:")), "{error}");
        }
    }
}
