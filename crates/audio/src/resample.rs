//! Resampling by the Fourier method.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Resamples by cutting or extending the spectrum, with `ceil(len · to / from)` samples out.
///
/// This is `librosa.resample(res_type="scipy")`, that is `scipy.signal.resample`: the signal counts as periodic, and where
/// the shorter of the two lengths is even, its Nyquist bin is doubled on the way down and halved on the way up. Computed
/// in double precision.
///
/// # Panics
/// If a rate is 0.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    let mut out = Vec::new();
    let mut workspace = Workspace::default();
    Resampler::default().resample(samples, (from, to), &mut workspace, &mut out);
    out
}

/// Resamples many recordings; keeps FFT plans.
#[derive(Default)]
pub(crate) struct Resampler {
    plans: Mutex<HashMap<(usize, usize), Plans>>,
}

/// From samples to a spectrum, and from a spectrum to as many samples as there shall be.
type Plans = (Arc<dyn RealToComplex<f64>>, Arc<dyn ComplexToReal<f64>>);

/// Plans kept; one takes up to a few megabytes.
const KEPT: usize = 16;

/// Buffers of a [`Resampler`] for one thread.
#[derive(Default)]
pub(crate) struct Workspace {
    time: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    cut: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

impl Resampler {
    fn plans(&self, length: usize, resampled: usize) -> Plans {
        let kept = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plans) = kept().get(&(length, resampled)) {
            return plans.clone();
        }
        // Unlocked, since it may take longer than resampling does.
        let mut planner = RealFftPlanner::new();
        let plans: Plans = (
            planner.plan_fft_forward(length),
            planner.plan_fft_inverse(resampled),
        );
        let mut kept = kept();
        if kept.len() == KEPT {
            kept.clear();
        }
        kept.insert((length, resampled), plans.clone());
        plans
    }

    /// As [`resample`], into `out`.
    pub fn resample(
        &self,
        samples: &[f32],
        (from, to): (u32, u32),
        workspace: &mut Workspace,
        out: &mut Vec<f32>,
    ) {
        assert!(from > 0 && to > 0, "sampling rates must be positive");
        out.clear();
        if from == to || samples.is_empty() {
            out.extend(samples);
            return;
        }
        let length = samples.len();
        let resampled = (length as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
        let (forward, inverse) = self.plans(length, resampled);
        let zero = Complex::default();
        let Workspace {
            time,
            spectrum,
            cut,
            scratch,
        } = workspace;
        let most = forward.get_scratch_len().max(inverse.get_scratch_len());
        scratch.resize(most.max(scratch.len()), zero);

        time.clear();
        time.extend(samples.iter().map(|&s| f64::from(s)));
        spectrum.resize(length / 2 + 1, zero);
        forward
            .process_with_scratch(time, spectrum, scratch)
            .expect("buffers fit the plan");

        let shorter = length.min(resampled);
        let nyquist = shorter / 2;
        cut.clear();
        cut.extend_from_slice(&spectrum[..=nyquist]);
        cut.resize(resampled / 2 + 1, zero);
        if shorter.is_multiple_of(2) && length != resampled {
            cut[nyquist] *= if resampled < length { 2.0 } else { 0.5 };
        }
        // The spectrum of a real signal is real at both ends; scipy ignores what is left there, the plan refuses it.
        cut[0].im = 0.0;
        if resampled.is_multiple_of(2) {
            cut[resampled / 2].im = 0.0;
        }
        time.resize(resampled, 0.0);
        inverse
            .process_with_scratch(cut, time, scratch)
            .expect("buffers fit the plan");
        out.extend(time.iter().map(|s| (s / length as f64) as f32));
    }
}
