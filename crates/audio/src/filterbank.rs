//! The mel filterbank that the speaker network reads.
//!
//! Kaldi's `compute-fbank-feats --dither=0` with 64 bands: every 10 ms, the logarithm of a 25 ms frame's power in 64
//! overlapping triangles, equally wide on the mel scale, m = 1127 ln(1 + f / 700 Hz), which is about how we hear pitch.

use std::f64::consts::TAU;
use std::sync::{Arc, Mutex, PoisonError};

use multiversion::multiversion;
use ndarray::{Array2, ArrayViewMut2};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::resample::{self, Resampler};
use crate::{Audio, Error, Result};

/// Rows of the speaker network's filterbank.
pub const BANDS: usize = 64;
/// Samples a second after resampling.
pub const RATE: u32 = 16_000;
/// Samples of a frame at 16 kHz: 25 ms.
pub const FRAME: usize = 400;
/// Samples between the starts of neighbouring frames at 16 kHz: 10 ms.
pub const HOP: usize = 160;

/// Points of the transform: a frame, and zeros.
const POINTS: usize = 512;
/// The part of a sample that is taken from the next one.
const PREEMPHASIS: f64 = 0.97;
/// Full scale: features are those of 16-bit integers.
const SCALE: f64 = 32_768.0;
/// The least power told from silence.
const FLOOR: f64 = f32::EPSILON as f64;

/// Makes filterbanks. It holds plan, window and buffers and serves any number of threads, so make one for many recordings.
///
/// In this order: to 16 kHz ([`resample`](crate::resample())); samples as 16-bit integers, in float; whole frames only; of
/// each frame the mean taken off, pre-emphasis `x[i] − 0.97 x[i − 1]`, Povey's window (Hann's to the power of 0.85), power
/// of an FFT of 512 points, 64 mel triangles from 20 Hz to 8 kHz, natural logarithm of at least the f32 epsilon.
///
/// Computed in double precision. Kaldi's single precision differs from it by thousandths where a band is far weaker than the
/// rest of its frame.
pub struct Filterbank {
    resampler: Resampler,
    window: Vec<f64>,
    fft: Arc<dyn RealToComplex<f64>>,
    bands: Bands,
    triangles: Vec<Triangle>,
    /// As many as threads were at work at a time.
    idle: Mutex<Vec<Workspace>>,
}

/// Bands that are equally wide on the mel scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    /// How many there are.
    pub count: usize,
    /// Where the lowest begins, in Hz.
    pub lowest: f64,
    /// Where the highest ends, in Hz.
    pub highest: f64,
}

impl Default for Bands {
    /// Those of the speaker network.
    fn default() -> Self {
        Bands {
            count: BANDS,
            lowest: 20.0,
            highest: f64::from(RATE) / 2.0,
        }
    }
}

impl Bands {
    /// Where band `number` begins, in mel; it has its centre where the next begins, and ends where the one after that does.
    fn edge(&self, number: usize) -> f64 {
        let [lowest, highest] = [self.lowest, self.highest].map(mel);
        lowest + (highest - lowest) * number as f64 / (self.count + 1) as f64
    }

    /// The frequency on which each band is centred, in Hz.
    pub fn frequencies(&self) -> Vec<f64> {
        let hertz = |mel: f64| 700.0 * ((mel / 1127.0).exp() - 1.0);
        (1..=self.count)
            .map(|number| hertz(self.edge(number)))
            .collect()
    }
}

/// A band's weights for the points of the transform, from the first one that has any.
struct Triangle {
    first: usize,
    weights: Vec<f64>,
}

/// Buffers for one thread.
#[derive(Default)]
struct Workspace {
    resampling: resample::Workspace,
    recording: Vec<f32>,
    frame: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    power: Vec<f64>,
}

impl Default for Filterbank {
    fn default() -> Self {
        Filterbank::new()
    }
}

impl Filterbank {
    /// An extractor of the speaker network's bands.
    pub fn new() -> Self {
        Filterbank::with(Bands::default())
    }

    /// An extractor of other bands.
    pub fn with(bands: Bands) -> Self {
        let hann = |n| 0.5 - 0.5 * (TAU * n as f64 / (FRAME - 1) as f64).cos();
        Filterbank {
            resampler: Resampler::default(),
            window: (0..FRAME).map(|n| hann(n).powf(0.85)).collect(),
            fft: RealFftPlanner::new().plan_fft_forward(POINTS),
            triangles: (0..bands.count)
                .map(|band| Triangle::new(&bands, band))
                .collect(),
            bands,
            idle: Mutex::default(),
        }
    }

    /// The filterbank of a recording: f32 [bands, [`frames`]], natural logarithms of power, in standard layout. Row 0
    /// is the lowest band. No mean is taken off, see [`subtract_mean`].
    ///
    /// # Errors
    /// If the recording is empty, not finite, or shorter than a frame.
    pub fn compute(&self, audio: &Audio) -> Result<Array2<f32>> {
        audio.check()?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = idle().pop().unwrap_or_default();
        let features = self.compute_in(&mut workspace, audio);
        idle().push(workspace);
        features
    }

    fn compute_in(&self, w: &mut Workspace, audio: &Audio) -> Result<Array2<f32>> {
        let rates = (audio.rate, RATE);
        self.resampler
            .resample(&audio.samples, rates, &mut w.resampling, &mut w.recording);
        let frames = frames(w.recording.len());
        if frames == 0 {
            return Err(Error::TooShort {
                seconds: audio.seconds(),
            });
        }
        w.frame.resize(POINTS, 0.0);
        w.spectrum.resize(POINTS / 2 + 1, Complex::default());
        w.scratch
            .resize(self.fft.get_scratch_len(), Complex::default());
        w.power.resize(POINTS / 2, 0.0);
        let mut features = Array2::zeros((self.bands.count, frames));
        let bands = features.as_slice_mut().expect("in standard layout");
        for t in 0..frames {
            let samples = &w.recording[t * HOP..][..FRAME];
            prepare(samples, &self.window, &mut w.frame[..FRAME]);
            // The FFT leaves its own there.
            w.frame[FRAME..].fill(0.0);
            self.fft
                .process_with_scratch(&mut w.frame, &mut w.spectrum, &mut w.scratch)
                .expect("buffers fit the plan");
            for (power, z) in w.power.iter_mut().zip(&w.spectrum) {
                *power = z.norm_sqr();
            }
            for (band, triangle) in self.triangles.iter().enumerate() {
                bands[band * frames + t] = triangle.sum(&w.power).max(FLOOR).ln() as f32;
            }
        }
        Ok(features)
    }
}

/// A frame without its mean, with pre-emphasis, under the window.
#[multiversion(targets("x86_64+avx2+fma"))]
fn prepare(samples: &[f32], window: &[f64], frame: &mut [f64]) {
    let mut lanes = [0.0; 16];
    for samples in samples.as_chunks::<16>().0 {
        for (sum, &s) in lanes.iter_mut().zip(samples) {
            *sum += f64::from(s);
        }
    }
    let mean = lanes.iter().sum::<f64>() / FRAME as f64;
    // The window is 0 at the first sample, which has none before it.
    frame[0] = 0.0;
    for ((to, pair), w) in frame[1..]
        .iter_mut()
        .zip(samples.windows(2))
        .zip(&window[1..])
    {
        let [before, now] = [pair[0], pair[1]].map(|s| f64::from(s) - mean);
        *to = (now - PREEMPHASIS * before) * (w * SCALE);
    }
}

impl Triangle {
    fn new(bands: &Bands, band: usize) -> Self {
        let [left, right] = [band, band + 2].map(|number| bands.edge(number));
        let weight = |point: usize| {
            let m = mel(point as f64 * f64::from(RATE) / POINTS as f64);
            // Rising and falling sides alike; below 0 outside of the triangle.
            (m - left).min(right - m) / ((right - left) / 2.0)
        };
        let within = |point: &usize| weight(*point) > 0.0;
        let first = (0..POINTS / 2).find(within).unwrap_or(0);
        let weights = (first..POINTS / 2).take_while(within).map(weight);
        Triangle {
            first,
            weights: weights.collect(),
        }
    }

    fn sum(&self, power: &[f64]) -> f64 {
        let power = &power[self.first..];
        self.weights.iter().zip(power).map(|(w, p)| w * p).sum()
    }
}

fn mel(hertz: f64) -> f64 {
    1127.0 * (1.0 + hertz / 700.0).ln()
}

/// How many frames a recording of `samples` samples at 16 kHz has: whole ones only.
pub fn frames(samples: usize) -> usize {
    match samples.checked_sub(FRAME) {
        Some(rest) => 1 + rest / HOP,
        None => 0,
    }
}

/// The frequency on which each of the speaker network's bands is centred, in Hz.
pub fn frequencies() -> Vec<f64> {
    Bands::default().frequencies()
}

/// The time on which each of so many frames is centred, in seconds.
pub fn times(frames: usize) -> Vec<f64> {
    let centre = |number: usize| (number * HOP + FRAME / 2) as f64;
    (0..frames)
        .map(|number| centre(number) / f64::from(RATE))
        .collect()
}

/// Sets the mean of each band over the frames to 0: takes off what the microphone and the level add alike to all of a
/// recording. `features`: [bands, frames], of a recording or a segment of one.
pub fn subtract_mean(mut features: ArrayViewMut2<f32>) {
    for mut band in features.rows_mut() {
        let sum: f64 = band.iter().copied().map(f64::from).sum();
        let mean = (sum / band.len() as f64) as f32;
        band -= mean;
    }
}
