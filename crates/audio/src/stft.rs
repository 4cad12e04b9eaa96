//! Short-time Fourier transform and its inverse.

use std::{f64::consts::TAU, sync::Arc};

use ndarray::{Array2, ArrayView2, Axis};
pub use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// A short-time Fourier transform with the conventions of `scipy.signal.stft`.
///
/// A periodic Hann window, edges padded with half a window of zeros, the end padded to a whole frame, values scaled by
/// 1/Σwindow. Frame `t` is centred on sample `t · hop`. (scipy shortens the window for a signal shorter than it; this does
/// not.) Plans are made once; one instance serves any number of threads.
pub struct Stft {
    window: Vec<f64>,
    hop: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

impl Stft {
    /// A transform with a window, and an FFT, of `window` samples, every `hop` samples.
    ///
    /// # Panics
    /// Unless 0 < `hop` ≤ `window`.
    pub fn new(window: usize, hop: usize) -> Self {
        assert!(
            0 < hop && hop <= window,
            "the hop must be positive and at most the window"
        );
        let mut planner = RealFftPlanner::new();
        Stft {
            window: (0..window)
                .map(|n| 0.5 - 0.5 * (TAU * n as f64 / window as f64).cos())
                .collect(),
            hop,
            forward: planner.plan_fft_forward(window),
            inverse: planner.plan_fft_inverse(window),
        }
    }

    /// How many frequencies there are: half the window, and one.
    pub fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// How many frames a signal of `samples` samples has.
    pub fn frames(&self, samples: usize) -> usize {
        let padded = samples + 2 * self.edge();
        1 + padded.saturating_sub(self.window.len()).div_ceil(self.hop)
    }

    fn edge(&self) -> usize {
        self.window.len() / 2
    }

    /// Transforms a signal; [bins, frames].
    pub fn forward(&self, signal: &[f32]) -> Array2<Complex<f64>> {
        let frames = self.frames(signal.len());
        let mut padded = vec![0.0; (frames - 1) * self.hop + self.window.len()];
        for (to, &from) in padded[self.edge()..].iter_mut().zip(signal) {
            *to = f64::from(from);
        }
        let scale = 1.0 / self.window.iter().sum::<f64>();
        let mut time = self.forward.make_input_vec();
        let mut spectrum = self.forward.make_output_vec();
        let mut scratch = self.forward.make_scratch_vec();
        let mut out = Array2::zeros((frames, self.bins()));
        for (t, mut row) in out.axis_iter_mut(Axis(0)).enumerate() {
            for ((to, from), w) in time
                .iter_mut()
                .zip(&padded[t * self.hop..])
                .zip(&self.window)
            {
                *to = from * w;
            }
            self.forward
                .process_with_scratch(&mut time, &mut spectrum, &mut scratch)
                .expect("buffers fit the plan");
            for (to, from) in row.iter_mut().zip(&spectrum) {
                *to = from * scale;
            }
        }
        out.reversed_axes()
    }

    /// The signal of `samples` samples whose transform is nearest to `spectrum` [bins, frames] in the sense of least
    /// squares: weighted overlap-add (Griffin and Lim 1984, Eq. 6). It undoes [`forward`](Self::forward).
    ///
    /// Samples that no frame covers are 0.
    ///
    /// # Panics
    /// If `spectrum` does not have [`bins`](Self::bins) rows.
    pub fn inverse(&self, spectrum: ArrayView2<Complex<f64>>, samples: usize) -> Vec<f32> {
        assert_eq!(spectrum.nrows(), self.bins(), "rows of the spectrum");
        let length = self.window.len();
        let covered = (spectrum.ncols() * self.hop + length).max(samples + self.edge());
        let (mut sum, mut weight) = (vec![0.0; covered], vec![0.0; covered]);
        // The scale of `forward` undone, and the FFT's own.
        let scale = self.window.iter().sum::<f64>() / length as f64;
        let mut frame = self.inverse.make_input_vec();
        let mut time = self.inverse.make_output_vec();
        let mut scratch = self.inverse.make_scratch_vec();
        for (t, column) in spectrum.axis_iter(Axis(1)).enumerate() {
            for (to, from) in frame.iter_mut().zip(column) {
                *to = from * scale;
            }
            // A real signal has no phase at the ends of its spectrum; the plan refuses one.
            frame[0].im = 0.0;
            if length.is_multiple_of(2) {
                frame[length / 2].im = 0.0;
            }
            self.inverse
                .process_with_scratch(&mut frame, &mut time, &mut scratch)
                .expect("buffers fit the plan");
            let at = t * self.hop;
            for (i, (value, w)) in time.iter().zip(&self.window).enumerate() {
                sum[at + i] += value * w;
                weight[at + i] += w * w;
            }
        }
        let signal = sum.iter().zip(&weight).skip(self.edge()).take(samples);
        signal
            .map(|(s, &w)| if w > 1e-10 { (s / w) as f32 } else { 0.0 })
            .collect()
    }
}
