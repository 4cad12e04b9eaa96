//! The numbers of the thesis's spectrogram and waveform, of which `thesis-spectrogram` and `thesis-waveform` are made, for those who
//! compute with them.

/// Samples a second, in Hz.
pub const RATE: u32 = 8000;
/// Samples that a spectrogram or a waveform covers: one second.
pub const SECOND: usize = RATE as usize;
/// Length of the spectrogram's analysis window, in samples.
pub const WINDOW: usize = 455;
/// Samples between the centres of neighbouring frames.
pub const HOP: usize = 35;
/// Rows, and columns, of a spectrogram.
pub const SIZE: usize = 227;
/// The level of silence, in dB; the loudest bin is at 0.
pub const FLOOR_DB: f32 = -80.0;
