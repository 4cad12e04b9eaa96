//! The decibel spectrogram that the gender network reads.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
};

use ndarray::{Array2, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::{Audio, Error, Result, Stft, resample};

/// Samples a second after resampling, and the samples that a spectrogram covers: one second.
pub const RATE: u32 = 8000;
/// Rows, and columns, of a spectrogram.
pub const SIZE: usize = 227;
/// The level of silence, in dB; the loudest bin is at 0.
pub const FLOOR_DB: f32 = -80.0;
/// Length of the analysis window, in samples at 8 kHz.
pub const WINDOW: usize = 455;
/// Samples between the centres of neighbouring frames at 8 kHz.
pub const HOP: usize = 35;

const SECOND: usize = RATE as usize;
/// Smallest amplitude told from silence (librosa's `amin`).
const SMALLEST: f64 = 1e-5;

/// Which 227 of the 230 frames are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Crop {
    /// The first 227, as in the thesis.
    #[default]
    Thesis,
    /// All but the first two and the last one, as in AudioMNIST's own preprocessing.
    AudioMnist,
}

impl Crop {
    fn first_frame(self) -> usize {
        match self {
            Crop::Thesis => 0,
            Crop::AudioMnist => 2,
        }
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Crop::Thesis => "thesis",
            Crop::AudioMnist => "audiomnist",
        })
    }
}

impl FromStr for Crop {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "thesis" => Ok(Crop::Thesis),
            "audiomnist" => Ok(Crop::AudioMnist),
            _ => Err(Error::Crop(name.into())),
        }
    }
}

/// Where a recording shorter than a second starts in its second of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// At this sample at 8 kHz.
    At(usize),
    /// At a sample drawn with this seed, each that fits as likely as any other.
    Random(u64),
}

impl Placement {
    fn offset(self, samples: usize) -> Result<usize> {
        match self {
            Placement::At(offset) if offset > SECOND - samples => {
                Err(Error::Offset { offset, samples })
            }
            Placement::At(offset) => Ok(offset),
            Placement::Random(seed) => {
                Ok(ChaCha8Rng::seed_from_u64(seed).random_range(0..=SECOND - samples))
            }
        }
    }
}

/// A spectrogram, and where in it the recording lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Levels in dB between [`FLOOR_DB`] and 0; [frequency, time], both [`SIZE`]. Row 0 is 0 Hz.
    pub values: Array2<f32>,
    /// The recording's first sample in the second, at 8 kHz.
    pub offset: usize,
    /// The recording's length in samples at 8 kHz.
    pub samples: usize,
}

/// Makes spectrograms; holds the window and the FFT plan, and serves any number of threads.
///
/// In this order: to 8 kHz by the FFT method; placed in a zero vector of 8000 samples; short-time Fourier transform
/// (periodic Hann window of 455, hop 35, see [`Stft`]), 228 × 230; the top frequency and three frames cut
/// ([`Crop`]); `20·log10(a / max a)` with a at least 1e-5 and the result at least −80. This is what scipy and
/// `librosa.amplitude_to_db(ref=np.max)` give; silence, like there, is 0 dB everywhere.
pub struct Spectrogram {
    stft: Stft,
    crop: Crop,
}

impl Spectrogram {
    /// An extractor that keeps the frames of `crop`.
    pub fn new(crop: Crop) -> Self {
        Spectrogram {
            stft: Stft::new(WINDOW, HOP),
            crop,
        }
    }

    /// The spectrogram of a recording of at most one second.
    ///
    /// # Errors
    /// If the recording is empty, longer than a second at 8 kHz, not finite, or does not fit at its place.
    pub fn compute(&self, audio: &Audio, placement: Placement) -> Result<Placed> {
        if audio.rate == 0 {
            return Err(Error::NoRate);
        }
        if audio.samples.is_empty() {
            return Err(Error::NoSamples);
        }
        if audio.samples.len() > audio.rate as usize {
            return Err(Error::TooLong {
                seconds: audio.seconds(),
            });
        }
        if let Some(index) = audio.samples.iter().position(|s| !s.is_finite()) {
            return Err(Error::NonFiniteSample(index));
        }
        let recording = resample(&audio.samples, audio.rate, RATE);
        let samples = recording.len();
        let offset = placement.offset(samples)?;
        let mut second = vec![0.0; SECOND];
        second[offset..offset + samples].copy_from_slice(&recording);

        let first = self.crop.first_frame();
        let spectrum = self.stft.forward(&second);
        let amplitude = spectrum
            .slice(s![..SIZE, first..first + SIZE])
            .map(|z| z.norm());
        Ok(Placed {
            values: decibel(&amplitude),
            offset,
            samples,
        })
    }

    /// The spectrograms of many recordings, in parallel and in their order.
    ///
    /// `load` gives an item's sound and place; it runs on the worker threads, so that it may as well read files.
    /// `progress` hears how many are done so far, from any thread. A spectrogram takes 206 kB; split what does not fit
    /// in memory.
    ///
    /// # Errors
    /// One of those that occurred.
    pub fn compute_all<T, E>(
        &self,
        items: &[T],
        load: impl Fn(&T) -> std::result::Result<(Audio, Placement), E> + Sync,
        progress: &(dyn Fn(usize) + Sync),
    ) -> std::result::Result<Vec<Placed>, E>
    where
        T: Sync,
        E: From<Error> + Send,
    {
        let done = AtomicUsize::new(0);
        let compute = |item| {
            let (audio, placement) = load(item)?;
            let placed = self.compute(&audio, placement)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(placed)
        };
        items.par_iter().map(compute).collect()
    }
}

/// `librosa.amplitude_to_db(ref=np.max)`. The result is in standard layout.
fn decibel(amplitude: &Array2<f64>) -> Array2<f32> {
    let loudest = amplitude.iter().fold(SMALLEST, |max, &a| max.max(a));
    Array2::from_shape_fn(amplitude.dim(), |at| {
        let level = 20.0 * (amplitude[at].max(SMALLEST) / loudest).log10();
        (level as f32).max(FLOOR_DB)
    })
}

/// The frequency of each row, in Hz.
pub fn frequencies() -> Vec<f64> {
    (0..SIZE)
        .map(|k| k as f64 * f64::from(RATE) / WINDOW as f64)
        .collect()
}

/// The time on which each column's frame is centred, in seconds.
pub fn times(crop: Crop) -> Vec<f64> {
    centres(crop)
        .map(|sample| sample as f64 / f64::from(RATE))
        .collect()
}

/// How many of the 227 frames are padding: centred on a sample outside of the recording, which lies at
/// `offset .. offset + samples` of the second. (Such a frame may still see an end of the recording through half its
/// window, 28 ms.)
pub fn padding_frames(offset: usize, samples: usize, crop: Crop) -> usize {
    let recording = offset..offset + samples;
    centres(crop)
        .filter(|centre| !recording.contains(centre))
        .count()
}

fn centres(crop: Crop) -> impl Iterator<Item = usize> {
    (crop.first_frame()..crop.first_frame() + SIZE).map(|frame| frame * HOP)
}
