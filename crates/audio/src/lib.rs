//! Recordings in, features out: everything SpeechLens does with sound before a network sees it.
//!
//! [`read`] takes WAV, AIFF, NIST SPHERE, FLAC, MP3, AAC in MP4, Vorbis and Opus in Ogg and WebM, and more, and mixes them down to
//! one channel; [`write_wav`] writes.
//! What features are made by is [`resample`], [`Stft`], levels in [`decibel`], [`mel`] bands, and [`Filterbank`], the
//! logarithmic mel bands that the speaker network reads, 64 every 10 ms; front ends put them together. [`silence`] trims
//! recordings and cuts long ones at their pauses. [`Masking`] makes heard what a network attends to, and [`View`] shows
//! relevance of samples in time and frequency.
//!
//! ```
//! use speechlens_audio::{Audio, Stft, read, resample, write_wav};
//!
//! # fn main() -> speechlens_audio::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("tone.wav");
//! // Half a second of a 500 Hz tone at 16 kHz.
//! let tone = (0..8000).map(|i| 0.5 * (i as f32 * 500.0 * std::f32::consts::TAU / 16000.0).sin());
//! write_wav(&path, &Audio { samples: tone.collect(), rate: 16000 })?;
//!
//! let audio = read(&path)?;
//! let spectrum = Stft::new(400, 100).forward(&resample(&audio.samples, audio.rate, 8000));
//! assert_eq!(spectrum.dim(), (201, 41)); // frequency × time
//!
//! // The loudest bin lies at 500 Hz: bins are 20 Hz apart.
//! let power = spectrum.map(|z| z.norm_sqr());
//! let ((row, _), _) = power.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
//! assert_eq!(row, 25);
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
pub mod silence;
mod stft;
mod view;
mod write;

pub use audio::Audio;
pub use decibel::decibel;
pub use error::{Error, Result};
pub use filterbank::Filterbank;
pub use masking::Masking;
pub use read::{ENDINGS, LONGEST, is_recording, read, read_at_most, read_bytes};
pub use resample::{Resampler, resample};
pub use stft::{Complex, Conventions, Edges, Stft};
pub use view::{Seen, View};
pub use write::{to_writer, write_wav};
