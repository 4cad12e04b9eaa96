//! Colour maps: data in `assets/colormaps`, looked up between 0 and 1.

use serde::Deserialize;
use std::sync::LazyLock;

/// A red, green and blue value in sRGB.
pub type Rgb = [u8; 3];

/// Colours at equal distances along [0, 1], straight lines in sRGB between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Colormap {
    stops: Vec<[f32; 3]>,
}

static LEVEL: LazyLock<Colormap> =
    LazyLock::new(|| Colormap::built_in(include_str!("../assets/colormaps/level.json")));
static GREY: LazyLock<Colormap> =
    LazyLock::new(|| Colormap::built_in(include_str!("../assets/colormaps/grey.json")));
static RELEVANCE: LazyLock<Colormap> =
    LazyLock::new(|| Colormap::built_in(include_str!("../assets/colormaps/relevance.json")));

impl Colormap {
    /// Perceptually even, dark to bright: a spectrogram on its own.
    pub fn level() -> &'static Self {
        &LEVEL
    }

    /// White to dark grey: a spectrogram with colours over it.
    pub fn grey() -> &'static Self {
        &GREY
    }

    /// Diverging around 0.5: blue speaks against, white is nothing, red speaks for.
    pub fn relevance() -> &'static Self {
        &RELEVANCE
    }

    /// The colour at `t`; below 0 and above 1 the ends.
    pub fn at(&self, t: f32) -> Rgb {
        let last = self.stops.len() - 1;
        let place = t.clamp(0.0, 1.0) * last as f32;
        let low = (place as usize).min(last - 1);
        let share = place - low as f32;
        std::array::from_fn(|c| {
            let (a, b) = (self.stops[low][c], self.stops[low + 1][c]);
            (a + (b - a) * share).round() as u8
        })
    }

    fn built_in(json: &str) -> Self {
        #[derive(Deserialize)]
        struct File {
            stops: Vec<String>,
        }
        let file: File = serde_json::from_str(json).expect("assets/colormaps holds valid JSON");
        let stops: Vec<_> = file.stops.iter().map(|hex| channels(hex)).collect();
        assert!(stops.len() > 1, "a colour map has at least two colours");
        Self { stops }
    }
}

/// `#rrggbb` as three numbers up to 255.
fn channels(hex: &str) -> [f32; 3] {
    std::array::from_fn(|c| {
        let digits = hex.get(1 + 2 * c..3 + 2 * c).expect("a colour is #rrggbb");
        u8::from_str_radix(digits, 16).expect("a colour is #rrggbb") as f32
    })
}

/// `over` painted on `under` with the given opacity in [0, 1].
pub(crate) fn blend(under: Rgb, over: Rgb, opacity: f32) -> Rgb {
    std::array::from_fn(|c| {
        let (a, b) = (under[c] as f32, over[c] as f32);
        (a + (b - a) * opacity.clamp(0.0, 1.0)).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.2.
    fn luminance(rgb: Rgb) -> f32 {
        let linear = rgb.map(|v| {
            let v = v as f32 / 255.0;
            if v <= 0.04045 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn magma_equals_matplotlib() {
        // The floats of matplotlib's colormaps['magma'](i), rounded to 8 bits.
        let reference = [
            (0, [0, 0, 4]),
            (51, [59, 15, 112]),
            (100, [137, 40, 129]),
            (128, [183, 55, 121]),
            (200, [253, 152, 105]),
            (255, [252, 253, 191]),
        ];
        for (index, expected) in reference {
            let found = Colormap::level().at(index as f32 / 255.0);
            for c in 0..3 {
                assert!(
                    found[c].abs_diff(expected[c]) <= 1,
                    "{index}: {found:?}, not {expected:?}"
                );
            }
        }
    }

    #[test]
    fn lightness_runs_one_way_and_the_diverging_map_is_white_at_zero() {
        let steps: Vec<f32> = (0..=100).map(|i| i as f32 / 100.0).collect();
        let run =
            |map: &Colormap| -> Vec<f32> { steps.iter().map(|&t| luminance(map.at(t))).collect() };
        assert!(run(Colormap::level()).windows(2).all(|w| w[0] < w[1]));
        assert!(run(Colormap::grey()).windows(2).all(|w| w[0] > w[1]));
        let diverging = run(Colormap::relevance());
        assert!(diverging[..=50].windows(2).all(|w| w[0] < w[1]));
        assert!(diverging[50..].windows(2).all(|w| w[0] > w[1]));
        assert_eq!(Colormap::relevance().at(0.5), [255, 255, 255]);
        let [red, _, blue] = Colormap::relevance().at(0.9);
        assert!(red > blue, "red speaks for");
        let [red, _, blue] = Colormap::relevance().at(0.1);
        assert!(blue > red, "blue speaks against");
    }

    #[test]
    fn the_ends_hold_and_blending_is_linear() {
        assert_eq!(Colormap::grey().at(-3.0), Colormap::grey().at(0.0));
        assert_eq!(Colormap::grey().at(9.0), Colormap::grey().at(1.0));
        assert_eq!(blend([0, 100, 255], [200, 100, 55], 0.25), [50, 100, 205]);
    }
}
