//! Short-time Fourier transform and its inverse.

use std::{f64::consts::TAU, sync::Arc};

use multiversion::multiversion;
use ndarray::{Array2, ArrayView2, Axis};
pub use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner};
use rustfft::{Fft, FftPlanner};

/// A short-time Fourier transform: [`Stft::new`] has the conventions of `scipy.signal.stft`, [`Stft::with`] any others.
///
/// Plans are made once; one instance serves any number of threads.
pub struct Stft {
    window: Vec<f64>,
    hop: usize,
    conventions: Conventions,
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

/// In what transforms differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conventions {
    /// What lies before the signal and behind it.
    pub edges: Edges,
    /// Whether the end is padded with zeros to a whole frame; else what fills none is left out.
    pub whole: bool,
    /// Whether values are scaled by 1/Σwindow.
    pub scaled: bool,
}

/// What lies before a signal and behind it, for half a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edges {
    /// Nothing: the first frame begins with the signal.
    None,
    /// Zeros: frame `t` is centred on sample `t · hop`.
    Zeros,
    /// The signal mirrored at its ends, which are not repeated: likewise centred.
    Mirrored,
}

impl Stft {
    /// A transform with the conventions of `scipy.signal.stft`: a periodic Hann window of `window` samples every `hop` samples,
    /// edges padded with half a window of zeros, the end padded to a whole frame, values scaled by 1/Σwindow. (scipy shortens
    /// the window for a signal shorter than it; this does not.)
    ///
    /// # Panics
    /// Unless 0 < `hop` ≤ `window`.
    pub fn new(window: usize, hop: usize) -> Self {
        let conventions = Conventions {
            edges: Edges::Zeros,
            whole: true,
            scaled: true,
        };
        let hann = |n| 0.5 - 0.5 * (TAU * n as f64 / window as f64).cos();
        Stft::with((0..window).map(hann).collect(), hop, conventions)
    }

    /// A transform with this window, and an FFT of its length, every `hop` samples.
    ///
    /// # Panics
    /// Unless 0 < `hop` ≤ the window's length.
    pub fn with(window: Vec<f64>, hop: usize, conventions: Conventions) -> Self {
        assert!(
            0 < hop && hop <= window.len(),
            "the hop must be positive and at most the window"
        );
        Stft {
            hop,
            conventions,
            forward: FftPlanner::new().plan_fft_forward(window.len()),
            inverse: RealFftPlanner::new().plan_fft_inverse(window.len()),
            window,
        }
    }

    /// How many frequencies there are: half the window, and one.
    pub fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// How many frames a signal of `samples` samples has.
    pub fn frames(&self, samples: usize) -> usize {
        let padded = samples + 2 * self.edge();
        match (
            padded.checked_sub(self.window.len()),
            self.conventions.whole,
        ) {
            (Some(rest), true) => 1 + rest.div_ceil(self.hop),
            (Some(rest), false) => 1 + rest / self.hop,
            (None, whole) => usize::from(whole),
        }
    }

    /// How many samples lie before the signal, and behind it.
    pub fn edge(&self) -> usize {
        match self.conventions.edges {
            Edges::None => 0,
            Edges::Zeros | Edges::Mirrored => self.window.len() / 2,
        }
    }

    /// What values are divided by.
    fn divisor(&self) -> f64 {
        match self.conventions.scaled {
            true => self.window.iter().sum::<f64>(),
            false => 1.0,
        }
    }

    /// Transforms a signal; [bins, frames].
    ///
    /// Two neighbouring frames X and Y go through the FFT as one, X + iY: a real FFT of odd length would cost as much as this
    /// complex one. Of its result Z come `X[k] = (Z[k] + Z[N−k]*) / 2` and `iY[k] = (Z[k] − Z[N−k]*) / 2`.
    pub fn forward(&self, signal: &[f32]) -> Array2<Complex<f64>> {
        let (length, bins) = (self.window.len(), self.bins());
        let frames = self.frames(signal.len());
        let padded = self.padded(signal, frames);
        let first = padded.iter().position(|&s| s != 0.0);
        let last = padded.iter().rposition(|&s| s != 0.0);
        let sounding = first.unwrap_or(0)..last.map_or(0, |last| last + 1);
        let mut pair = vec![Complex::default(); length];
        let mut scratch = vec![Complex::default(); self.forward.get_inplace_scratch_len()];
        let mut out = Array2::zeros((frames, bins));
        let rows = out.as_slice_mut().expect("in standard layout");
        for (rows, start) in rows.chunks_mut(2 * bins).zip((0..).step_by(2 * self.hop)) {
            if start >= sounding.end || start + self.hop + length <= sounding.start {
                // A short recording's second has much silence.
                continue;
            }
            let (one, other) = (
                &padded[start..][..length],
                &padded[start + self.hop..][..length],
            );
            merge(one, other, &self.window, &mut pair);
            self.forward.process_with_scratch(&mut pair, &mut scratch);
            let (one, other) = rows.split_at_mut(bins);
            for k in 0..bins {
                let (z, mirrored) = (pair[k], pair[(length - k) % length].conj());
                one[k] = z + mirrored;
                if let Some(other) = other.get_mut(k) {
                    *other = (z - mirrored) * -Complex::I;
                }
            }
        }
        out.reversed_axes()
    }

    /// A signal, scaled for [`forward`](Self::forward), with what lies before it and behind it.
    fn padded(&self, signal: &[f32], frames: usize) -> Vec<f64> {
        let scale = 0.5 / self.divisor();
        let mut padded = vec![0.0; self.edge()];
        padded.extend(signal.iter().map(|&s| f64::from(s) * scale));
        if self.conventions.edges == Edges::Mirrored && !signal.is_empty() {
            let (edge, last) = (self.edge(), signal.len() - 1);
            // Back and forth, where the signal is shorter than the edge.
            let place = |n: usize| match n % (2 * last).max(1) {
                n if n > last => 2 * last - n,
                n => n.min(last),
            };
            for n in 1..=edge {
                padded[edge - n] = padded[edge + place(n)];
            }
            for n in 1..=edge {
                padded.push(padded[edge + place(last + n)]);
            }
        }
        // Room for the frame that makes an odd number of them even.
        padded.resize(padded.len().max(frames * self.hop + self.window.len()), 0.0);
        padded
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
        let scale = self.divisor() / length as f64;
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

/// Two real frames under the window as one complex one.
#[multiversion(targets("x86_64+avx2"))]
fn merge(one: &[f64], other: &[f64], window: &[f64], pair: &mut [Complex<f64>]) {
    for (((z, x), y), w) in pair.iter_mut().zip(one).zip(other).zip(window) {
        *z = Complex::new(x * w, y * w);
    }
}
