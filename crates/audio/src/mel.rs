//! Mel bands over the frequencies of a spectrum, as librosa and torchaudio have them. (Kaldi's, whose sides are straight on the
//! mel scale and not in Hz, are [`filterbank`](crate::filterbank)'s.)

use ndarray::Array2;

/// A formula for how high a tone sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// `2595 log10(1 + f / 700 Hz)` (O'Shaughnessy 1987), which HTK has.
    Htk,
    /// Straight up to 1 kHz, 15 mel of 200/3 Hz each, logarithmic above, 27 mel to the factor of 6.4 (Slaney 1998, "Auditory Toolbox").
    Slaney,
}

const SLANEY_STEP: f64 = 200.0 / 3.0;
const SLANEY_CORNER: f64 = 1000.0;
/// The natural logarithm of the factor from one mel to the next above the corner.
fn slaney_growth() -> f64 {
    6.4f64.ln() / 27.0
}

impl Scale {
    /// From Hz to mel.
    pub fn mel(self, hertz: f64) -> f64 {
        match self {
            Scale::Htk => 2595.0 * (1.0 + hertz / 700.0).log10(),
            Scale::Slaney if hertz < SLANEY_CORNER => hertz / SLANEY_STEP,
            Scale::Slaney => {
                SLANEY_CORNER / SLANEY_STEP + (hertz / SLANEY_CORNER).ln() / slaney_growth()
            }
        }
    }

    /// From mel to Hz.
    pub fn hertz(self, mel: f64) -> f64 {
        let corner = SLANEY_CORNER / SLANEY_STEP;
        match self {
            Scale::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
            Scale::Slaney if mel < corner => mel * SLANEY_STEP,
            Scale::Slaney => SLANEY_CORNER * ((mel - corner) * slaney_growth()).exp(),
        }
    }

    /// The edges of `count` bands between two frequencies, in Hz, equally far apart in mel: band `n` rises from edge `n` to edge `n + 1`
    /// and falls to edge `n + 2`.
    pub fn edges(self, count: usize, lowest: f64, highest: f64) -> Vec<f64> {
        let [lowest, highest] = [lowest, highest].map(|hertz| self.mel(hertz));
        let edge = |n| self.hertz(lowest + (highest - lowest) * n as f64 / (count + 1) as f64);
        (0..count + 2).map(edge).collect()
    }
}

/// The weights of triangular bands with these edges for frequencies in Hz, [bands, frequencies]: 1 at the centre, or of the same area
/// each (`2 / width`, Slaney's) if `equal_areas`.
pub fn triangles(edges: &[f64], frequencies: &[f64], equal_areas: bool) -> Array2<f64> {
    let bands = edges.len().saturating_sub(2);
    Array2::from_shape_fn((bands, frequencies.len()), |(band, frequency)| {
        let [left, centre, right] = [edges[band], edges[band + 1], edges[band + 2]];
        let hertz = frequencies[frequency];
        let rising = (hertz - left) / (centre - left);
        let falling = (right - hertz) / (right - centre);
        let area = match equal_areas {
            true => 2.0 / (right - left),
            false => 1.0,
        };
        rising.min(falling).max(0.0) * area
    })
}
