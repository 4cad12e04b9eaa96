//! Axes: a label, a range, a scale, and the ticks that follow from them.

use crate::number;

/// How values lie along an axis.
#[derive(Debug, Clone, PartialEq)]
enum Scale {
    Linear,
    /// Logarithmic; zero, which has no logarithm, stands at the left end, `gap` before the first value.
    Log {
        gap: f64,
    },
    /// Bands of equal height, lying on these values.
    Bands(Vec<f64>),
}

/// How near ticks of bands may come to each other: their values are round, not their places.
const TICK_DISTANCE: f64 = 0.07;
/// Ticks of bands: the middles of octaves by their names, in Hz.
const OCTAVES: [f64; 10] = [
    31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0,
];
/// The part of a logarithmic axis between zero and its first value.
const ZERO_GAP: f64 = 0.08;

/// One axis of a picture or chart: its label with the unit, and the values at its ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    label: String,
    start: f64,
    end: f64,
    scale: Scale,
}

impl Axis {
    /// A linear axis from `start` to `end`; `label` names the quantity and its unit.
    pub fn linear(label: impl Into<String>, start: f64, end: f64) -> Self {
        Self {
            label: label.into(),
            start,
            end,
            scale: Scale::Linear,
        }
    }

    /// A logarithmic axis from `start`, which is above 0, to `end`. Zero is shown at the left end, apart from the rest.
    pub fn log_with_zero(label: impl Into<String>, start: f64, end: f64) -> Self {
        Self {
            scale: Scale::Log { gap: ZERO_GAP },
            ..Self::log(label, start, end)
        }
    }

    /// A logarithmic axis from `start`, which is above 0, to `end`.
    pub fn log(label: impl Into<String>, start: f64, end: f64) -> Self {
        Self {
            label: label.into(),
            start: start.max(f64::MIN_POSITIVE),
            end,
            scale: Scale::Log { gap: 0.0 },
        }
    }

    /// An axis of bands of equal height, in the order of the values that they lie on, which are above 0 and rise.
    fn bands(label: impl Into<String>, values: &[f64]) -> Self {
        Self {
            label: label.into(),
            start: values.first().map_or(1.0, |v| v.max(f64::MIN_POSITIVE)),
            end: values.last().copied().unwrap_or(1.0),
            scale: Scale::Bands(values.to_vec()),
        }
    }

    /// The same axis, its ends this much higher.
    pub(crate) fn moved(&self, distance: f64) -> Self {
        Self {
            start: self.start + distance,
            end: self.end + distance,
            ..self.clone()
        }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The same axis, long enough to hold `values`.
    pub(crate) fn including(&self, values: impl Iterator<Item = f64>) -> Self {
        let log = matches!(self.scale, Scale::Log { .. });
        let mut axis = self.clone();
        for value in values.filter(|v| v.is_finite() && !(log && *v <= 0.0)) {
            axis.start = axis.start.min(value);
            axis.end = axis.end.max(value);
        }
        if axis.start >= axis.end {
            axis.end = axis.start + axis.start.abs().max(1.0);
        }
        axis
    }

    /// Where `value` lies: 0 at the start, 1 at the end; `None` for what the axis cannot show.
    pub(crate) fn position(&self, value: f64) -> Option<f64> {
        let position = match &self.scale {
            Scale::Linear => (value - self.start) / (self.end - self.start),
            Scale::Log { gap } if value == 0.0 && *gap > 0.0 => 0.0,
            Scale::Log { gap } => {
                let along = (value / self.start).ln() / (self.end / self.start).ln();
                gap + (1.0 - gap) * along
            }
            Scale::Bands(values) => {
                let pair = values
                    .windows(2)
                    .position(|p| (p[0]..=p[1]).contains(&value))?;
                let [below, above] = [values[pair], values[pair + 1]];
                let along = (value - below) / (above - below);
                (pair as f64 + 0.5 + along) / values.len() as f64
            }
        };
        let slack = 1e-9;
        (-slack..=1.0 + slack)
            .contains(&position)
            .then_some(position)
    }

    /// Round values along the axis, with their positions and labels.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let values = match &self.scale {
            Scale::Linear => linear_ticks(self.start, self.end),
            Scale::Bands(_) => return self.band_ticks(),
            Scale::Log { gap } => {
                let zero = (*gap > 0.0).then_some(0.0);
                zero.into_iter()
                    .chain(log_ticks(self.start, self.end))
                    .collect()
            }
        };
        values
            .into_iter()
            .filter_map(|v| Some((self.position(v)?, tick_label(v))))
            .collect()
    }

    /// Ticks of bands: the octaves that have room below the next.
    fn band_ticks(&self) -> Vec<(f64, String)> {
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for value in OCTAVES.into_iter().rev() {
            let Some(position) = self.position(value) else {
                continue;
            };
            let next = ticks.last().map_or(f64::INFINITY, |(next, _)| *next);
            if next - position >= TICK_DISTANCE {
                ticks.push((position, tick_label(value)));
            }
        }
        ticks.reverse();
        ticks
    }
}

/// The two axes of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Axes {
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
}

impl Axes {
    /// A spectrogram: `seconds` long, from 0 to `top_hz`; frequency in kHz from 2 kHz on, else in Hz.
    pub fn spectrogram(seconds: f64, top_hz: f64) -> Self {
        let y = match top_hz >= 2000.0 {
            true => Axis::linear("frequency (kHz)", 0.0, top_hz / 1000.0),
            false => Axis::linear("frequency (Hz)", 0.0, top_hz),
        };
        Self {
            x: Axis::linear("time (s)", 0.0, seconds),
            y,
        }
    }

    /// The same, so many seconds later.
    pub fn later(self, seconds: f64) -> Self {
        Self {
            x: self.x.moved(seconds),
            ..self
        }
    }

    /// Bands from `start` to `end` seconds, which lie on these frequencies in Hz.
    pub fn filterbank(start: f64, end: f64, frequencies: &[f64]) -> Self {
        Self {
            x: Axis::linear("time (s)", start, end),
            y: Axis::bands("frequency (Hz)", frequencies),
        }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten: about five of them.
fn linear_ticks(start: f64, end: f64) -> Vec<f64> {
    let rough = (end - start) / 5.0;
    if !(rough.is_finite() && rough > 0.0) {
        return vec![start];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .min_by(|a, b| (a / rough).ln().abs().total_cmp(&(b / rough).ln().abs()))
        .unwrap_or(rough);
    let slack = 1e-9;
    let (first, last) = (
        (start / step - slack).ceil() as i64,
        (end / step + slack).floor() as i64,
    );
    (first..=last).map(|i| round_to(i as f64 * step)).collect()
}

/// Powers of ten; with 2 and 5 times them where there are few.
fn log_ticks(start: f64, end: f64) -> Vec<f64> {
    let decades = (end / start).log10();
    let multiples: &[f64] = match decades < 2.5 {
        true => &[1.0, 2.0, 5.0],
        false => &[1.0],
    };
    let (first, last) = (start.log10().floor() as i32, end.log10().ceil() as i32);
    (first..=last)
        .flat_map(|p| multiples.iter().map(move |m| round_to(m * 10f64.powi(p))))
        .collect()
}

/// Takes away what rounding left behind the twelfth digit: 0.30000000000000004 is 0.3.
fn round_to(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}

fn tick_label(value: f64) -> String {
    if value.abs() >= 10_000.0 && value.abs() < 1e6 && value % 100.0 == 0.0 {
        return format!("{}k", number::significant(value / 1000.0, 4));
    }
    number::significant(value, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(&Axis::linear("", 0.0, 1.0)),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(
            labels(&Axis::linear("", -80.0, 0.0)),
            ["−80", "−60", "−40", "−20", "0"]
        );
        assert_eq!(
            labels(&Axis::linear("", 0.0, 20000.0)),
            ["0", "5000", "10k", "15k", "20k"]
        );
        assert_eq!(
            labels(&Axis::log_with_zero("", 1.0, 50000.0)),
            ["0", "1", "10", "100", "1000", "10k"]
        );
        assert_eq!(
            labels(&Axis::log("", 0.5, 20.0)),
            ["0.5", "1", "2", "5", "10", "20"]
        );
    }

    #[test]
    fn a_logarithmic_axis_places_equal_ratios_at_equal_distances() {
        let axis = Axis::log("", 1.0, 10_000.0);
        assert!((axis.position(100.0).expect("shown") - 0.5).abs() < 1e-12);
        assert_eq!(axis.position(0.0), None);
        let zero = Axis::log_with_zero("", 1.0, 10_000.0);
        assert_eq!(zero.position(0.0), Some(0.0));
        assert_eq!(zero.position(1.0), Some(ZERO_GAP));
        assert_eq!(zero.position(10_000.0), Some(1.0));
        assert_eq!(zero.position(-1.0), None);
    }

    #[test]
    fn bands_lie_in_rows_whatever_their_distance() {
        let centres: Vec<f64> = (0..8).map(|band| 100.0 * 2f64.powi(band)).collect();
        let axis = Axis::bands("", &centres);
        for (row, centre) in centres.iter().enumerate() {
            let position = axis.position(*centre).expect("shown");
            assert!((position - (row as f64 + 0.5) / 8.0).abs() < 1e-12);
        }
        assert!((axis.position(150.0).expect("shown") - 1.0 / 8.0).abs() < 1e-12);
        assert_eq!((axis.position(99.0), axis.position(12_801.0)), (None, None));
        assert_eq!(
            labels(&axis),
            ["125", "250", "500", "1000", "2000", "4000", "8000"]
        );
        // 500 would stand in the way of 1000 among bands that are equally far from each other.
        let axis = Axis::bands("", &[100.0, 2500.0, 5000.0, 7500.0, 10_000.0]);
        assert_eq!(labels(&axis), ["125", "1000", "2000", "4000", "8000"]);
        // Three decades have more than their powers of ten.
        let centres: Vec<f64> = (0..30).map(|band| 20.0 * 1.25f64.powi(band)).collect();
        assert_eq!(labels(&Axis::bands("", &centres)).len(), 9);
    }

    #[test]
    fn what_is_later_has_later_times() {
        let axes = Axes::spectrogram(1.0, 4000.0);
        let later = axes.clone().later(2.0);
        assert_eq!(labels(&later.x), ["2", "2.2", "2.4", "2.6", "2.8", "3"]);
        assert_eq!(later.y, axes.y);
    }

    #[test]
    fn an_axis_grows_to_its_data() {
        let axis = Axis::linear("", 0.0, 1.0).including([0.5, 3.0, f64::NAN].into_iter());
        assert_eq!(axis.position(3.0), Some(1.0));
        let flat = Axis::linear("", 2.0, 2.0).including(std::iter::empty());
        assert!(flat.position(2.0).is_some());
    }
}
