//! The filters of a formant synthesizer.

use std::f64::consts::PI;

/// Klatt's digital resonator (1980, Eq. 1 and 2): `y[n] = A x[n] + B y[n−1] + C y[n−2]`, gain 1 at 0 Hz.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resonator {
    a: f64,
    b: f64,
    c: f64,
    y1: f64,
    y2: f64,
}

impl Resonator {
    /// Moves the resonance, and keeps what rings.
    pub fn tune(&mut self, frequency: f64, bandwidth: f64, rate: f64) {
        let r = (-PI * bandwidth / rate).exp();
        self.b = 2.0 * r * (2.0 * PI * frequency / rate).cos();
        self.c = -r * r;
        self.a = 1.0 - self.b - self.c;
    }

    /// The next sample.
    pub fn step(&mut self, x: f64) -> f64 {
        let y = self.a * x + self.b * self.y1 + self.c * self.y2;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the closed form of the transfer function, `A / (1 − B z⁻¹ − C z⁻²)`: gain 1 at 0 Hz, and at the resonance
    /// about its quality times that of an analogue resonator, which is frequency / bandwidth.
    #[test]
    fn a_resonator_resonates() {
        let (rate, frequency, bandwidth) = (16_000.0, 500.0, 60.0);
        let gain = |hertz: f64| {
            let mut filter = Resonator::default();
            filter.tune(frequency, bandwidth, rate);
            let output: Vec<f64> = (0..16_000)
                .map(|n| filter.step((2.0 * PI * hertz * n as f64 / rate).cos()))
                .collect();
            output[8000..]
                .iter()
                .fold(0.0f64, |peak, y| peak.max(y.abs()))
        };
        assert!((gain(0.0) - 1.0).abs() < 1e-9);
        assert!((gain(frequency) / (frequency / bandwidth) - 1.0).abs() < 0.02);
        // The skirts differ a little, as the gain at 0 Hz is 1 and beyond the resonance it falls: their mean is half.
        let [below, above] =
            [-0.5, 0.5].map(|side| (gain(frequency + side * bandwidth) / gain(frequency)).powi(2));
        assert!(
            ((below + above) / 2.0 - 0.5).abs() < 0.02,
            "{below} {above}"
        );
    }
}
