//! Resampling by the Fourier method.

use realfft::num_complex::Complex;

use crate::Audio;
use crate::fourier::{self, Fourier};

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

/// Resamples many recordings, as [`resample`] does: it makes plans once, and serves any number of threads.
#[derive(Default)]
pub struct Resampler {
    fourier: Fourier,
}

/// Buffers of a [`Resampler`] for one thread.
#[derive(Default)]
pub(crate) struct Workspace {
    time: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    fourier: fourier::Workspace,
}

impl Resampler {
    /// The samples of a recording at another rate, in Hz.
    ///
    /// # Panics
    /// If a rate is 0.
    pub fn of(&self, audio: &Audio, rate: u32) -> Vec<f32> {
        let (mut out, mut workspace) = (Vec::new(), Workspace::default());
        self.resample(&audio.samples, (audio.rate, rate), &mut workspace, &mut out);
        out
    }

    /// As [`resample`], into `out`.
    pub(crate) fn resample(
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
        let Workspace {
            time,
            spectrum,
            fourier,
        } = workspace;
        time.clear();
        time.extend(samples.iter().map(|&s| f64::from(s)));
        let shorter = length.min(resampled);
        let nyquist = shorter / 2;
        self.fourier.forward(time, nyquist + 1, spectrum, fourier);
        if shorter.is_multiple_of(2) && length != resampled {
            spectrum[nyquist] *= if resampled < length { 2.0 } else { 0.5 };
        }
        spectrum.resize(resampled / 2 + 1, Complex::default());
        self.fourier.inverse(spectrum, resampled, time, fourier);
        out.extend(time.iter().map(|s| (s / length as f64) as f32));
    }
}
