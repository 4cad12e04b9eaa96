//! The decibel spectrogram that the gender network reads.

use std::sync::{Mutex, PoisonError};

use multiversion::multiversion;
use ndarray::Array2;

use crate::decibel::decibel;
use crate::second::{self, Placement, RATE, Seconds};
use crate::stft::{self, Stft};
use crate::{Audio, Error, Result};

/// Rows, and columns, of a spectrogram.
pub const SIZE: usize = 227;
/// The level of silence, in dB; the loudest bin is at 0.
pub const FLOOR_DB: f32 = -80.0;
/// Length of the analysis window, in samples at 8 kHz.
pub const WINDOW: usize = 455;
/// Samples between the centres of neighbouring frames at 8 kHz.
pub const HOP: usize = 35;

/// Smallest amplitude told from silence (librosa's `amin`).
const SMALLEST: f32 = 1e-5;

/// Which 227 of the 230 frames are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase", parse_err_ty = Error, parse_err_fn = no_crop)]
pub enum Crop {
    /// The first 227, as in the thesis.
    #[default]
    Thesis,
    /// All but the first two and the last one, as in AudioMNIST's own preprocessing.
    AudioMnist,
}

fn no_crop(name: &str) -> Error {
    Error::Crop(name.into())
}

impl Crop {
    fn first_frame(self) -> usize {
        match self {
            Crop::Thesis => 0,
            Crop::AudioMnist => 2,
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

/// Makes spectrograms. It holds plans, window and buffers and serves any number of threads, so make one for many
/// recordings.
///
/// In this order: to 8 kHz by the FFT method; placed in a zero vector of 8000 samples; short-time Fourier transform
/// (periodic Hann window of 455, hop 35, see [`Stft`]), 228 × 230; the top frequency and three frames cut
/// ([`Crop`]); `20·log10(a / max a)` with a at least 1e-5 and the result at least −80. This is what scipy and
/// `librosa.amplitude_to_db(ref=np.max)` give; silence, like there, is 0 dB everywhere.
pub struct Spectrogram {
    seconds: Seconds,
    stft: Stft,
    crop: Crop,
    /// As many as threads were at work at a time.
    idle: Mutex<Vec<Workspace>>,
}

/// Buffers for one thread.
#[derive(Default)]
struct Workspace {
    second: second::Workspace,
    stft: stft::Workspace,
    power: Vec<f32>,
}

impl Spectrogram {
    /// An extractor that keeps the frames of `crop`.
    pub fn new(crop: Crop) -> Self {
        Spectrogram {
            seconds: Seconds::default(),
            stft: Stft::new(WINDOW, HOP),
            crop,
            idle: Mutex::default(),
        }
    }

    /// The spectrogram of a recording of at most one second.
    ///
    /// # Errors
    /// If the recording is empty, longer than a second at 8 kHz, not finite, or does not fit at its place.
    pub fn compute(&self, audio: &Audio, placement: Placement) -> Result<Placed> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workspace = idle().pop().unwrap_or_default();
        let placed = self.compute_in(&mut workspace, audio, placement);
        idle().push(workspace);
        placed
    }

    fn compute_in(&self, w: &mut Workspace, audio: &Audio, placement: Placement) -> Result<Placed> {
        let (second, recording) = self.seconds.place(audio, placement, &mut w.second)?;
        let first = self.crop.first_frame();
        let frames = first..first + SIZE;
        self.stft
            .power(second, frames, SIZE, &mut w.stft, &mut w.power);
        decibel(&mut w.power, SMALLEST * SMALLEST, FLOOR_DB);
        Ok(Placed {
            values: transposed(&w.power),
            offset: recording.start,
            samples: recording.len(),
        })
    }
}

/// From [time, frequency] to [frequency, time] in standard layout.
#[multiversion(targets("x86_64+avx2"))]
fn transposed(levels: &[f32]) -> Array2<f32> {
    const TILE: usize = 8;
    let mut values = Array2::zeros((SIZE, SIZE));
    let out = values.as_slice_mut().expect("in standard layout");
    // A tile goes through registers; the last one of a line overlaps its neighbour.
    let starts = || (0..SIZE - TILE).step_by(TILE).chain([SIZE - TILE]);
    for row in starts() {
        for column in starts() {
            let mut tile = [[0.0; TILE]; TILE];
            for (i, line) in tile.iter_mut().enumerate() {
                line.copy_from_slice(&levels[(column + i) * SIZE + row..][..TILE]);
            }
            for i in 0..TILE {
                let line: [f32; TILE] = std::array::from_fn(|j| tile[j][i]);
                out[(row + i) * SIZE + column..][..TILE].copy_from_slice(&line);
            }
        }
    }
    values
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
