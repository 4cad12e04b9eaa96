//! Recordings in, features out: everything SpeechLens does with sound before a network sees it.
//!
//! [`read`] takes WAV, AIFF, NIST SPHERE, FLAC, MP3, AAC in MP4, Vorbis and Opus in Ogg and WebM, and more, and mixes them down to
//! one channel; [`write_wav`] writes.
//! [`Spectrogram`] turns one second of sound into the 227 × 227 decibel image that the gender network reads: resampled
//! to 8 kHz ([`resample`]), placed in a second of zeros, transformed ([`Stft`]), scaled to −80 … 0 dB. [`Waveform`] is that second
//! itself, as AudioNet reads it. [`Filterbank`] turns
//! any length of it into the logarithmic mel bands that the speaker network reads, 64 every 10 ms. [`silence`] trims
//! recordings and cuts long ones at their pauses. [`Masking`] makes heard what a network attends to.
//!
//! ```
//! use speechlens_audio::{Audio, Crop, Placement, Spectrogram, read, write_wav};
//!
//! # fn main() -> speechlens_audio::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("tone.wav");
//! // Half a second of a 500 Hz tone at 16 kHz.
//! let tone = (0..8000).map(|i| 0.5 * (i as f32 * 500.0 * std::f32::consts::TAU / 16000.0).sin());
//! write_wav(&path, &Audio { samples: tone.collect(), rate: 16000 })?;
//!
//! let audio = read(&path)?;
//! let spectrogram = Spectrogram::new(Crop::Thesis);
//! let placed = spectrogram.compute(&audio, Placement::Random(7))?;
//! assert_eq!(placed.values.dim(), (227, 227)); // frequency × time, in dB
//!
//! // The loudest bin is 0 dB, and lies at 500 Hz.
//! let ((row, _), level) = placed.values.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
//! assert_eq!(*level, 0.0);
//! assert!((speechlens_audio::frequencies()[row] - 500.0).abs() < 10.0);
//!
//! // Kaldi's filterbank; what level and microphone do goes away with each band's mean.
//! use speechlens_audio::{Filterbank, filterbank};
//! let mut features = Filterbank::new().compute(&audio)?;
//! assert_eq!(features.dim(), (64, 48)); // band × frame
//! filterbank::subtract_mean(features.view_mut());
//! # Ok(())
//! # }
//! ```
//!
//! Extractors hold their plans and windows, so make one and share it between threads.

mod audio;
mod decibel;
mod error;
pub mod filterbank;
mod fourier;
mod masking;
pub mod mel;
mod read;
mod resample;
mod second;
pub mod silence;
mod spectrogram;
mod stft;
mod waveform;
mod write;

pub use audio::Audio;
pub use decibel::decibel;
pub use error::{Error, Result};
pub use filterbank::Filterbank;
pub use masking::Masking;
pub use read::{ENDINGS, LONGEST, is_recording, read, read_at_most, read_bytes};
pub use resample::{Resampler, resample};
pub use second::{Placement, RATE, SECOND, Seconds};
pub use spectrogram::{
    Crop, FLOOR_DB, HOP, Placed, SIZE, Spectrogram, WINDOW, frequencies, padding_frames, times,
};
pub use stft::{Complex, Conventions, Edges, Stft, hann};
pub use waveform::{Waveform, quantile};
pub use write::{to_writer, write_wav};
