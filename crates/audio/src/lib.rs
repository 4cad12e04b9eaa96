//! Samples in and out, resampling, short-time Fourier transform, decibel spectrogram.
