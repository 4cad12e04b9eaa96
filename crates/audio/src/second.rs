//! A recording in one second of zeros at 8 kHz, which the spectrogram and the waveform are made of.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::resample::{self, Resampler};
use crate::{Audio, Error, Result};

/// Samples a second after resampling, in Hz.
pub const RATE: u32 = 8000;
/// Samples that a spectrogram or a waveform covers: one second.
pub const SECOND: usize = RATE as usize;

/// Where a recording that is shorter than what is made of it starts among zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// At this sample, at the rate to which it is resampled.
    At(usize),
    /// At a sample drawn with this seed, each that fits as likely as any other.
    Random(u64),
}

impl Placement {
    /// Where a recording of `samples` samples starts among `most` of them, at `rate` Hz; no more than there are.
    ///
    /// # Errors
    /// If it would reach past the end.
    pub fn offset(self, samples: usize, most: usize, rate: u32) -> Result<usize> {
        let last = most.saturating_sub(samples);
        match self {
            Placement::At(offset) if offset > last => Err(Error::Offset {
                offset,
                samples,
                rate,
                last,
            }),
            Placement::At(offset) => Ok(offset),
            Placement::Random(seed) => Ok(ChaCha8Rng::seed_from_u64(seed).random_range(0..=last)),
        }
    }
}

/// Puts recordings in their seconds. It holds plans, so make one for many recordings and share it between threads.
#[derive(Default)]
pub struct Seconds {
    resampler: Resampler,
}

/// Buffers of [`Seconds`] for one thread.
#[derive(Default)]
pub(crate) struct Workspace {
    resampling: resample::Workspace,
    recording: Vec<f32>,
    second: Vec<f32>,
}

impl Seconds {
    /// The recording at 8 kHz, by the FFT method, and the sample of its second at which it begins.
    ///
    /// # Errors
    /// If the recording is empty, longer than a second, not finite, or does not fit at its place.
    pub fn recording(&self, audio: &Audio, placement: Placement) -> Result<(Vec<f32>, usize)> {
        let mut w = Workspace::default();
        let (_, range) = self.place(audio, placement, &mut w)?;
        Ok((w.recording, range.start))
    }

    /// The second, and where in it the recording lies: to 8 kHz by the FFT method, then into a zero vector of 8000 samples.
    ///
    /// # Errors
    /// If the recording is empty, longer than a second, not finite, or does not fit at its place.
    pub(crate) fn place<'w>(
        &self,
        audio: &Audio,
        placement: Placement,
        w: &'w mut Workspace,
    ) -> Result<(&'w [f32], Range<usize>)> {
        audio.check()?;
        if audio.samples.len() > audio.rate as usize {
            return Err(Error::TooLong {
                seconds: audio.seconds(),
                most: 1.0,
            });
        }
        let rates = (audio.rate, RATE);
        self.resampler
            .resample(&audio.samples, rates, &mut w.resampling, &mut w.recording);
        let offset = placement.offset(w.recording.len(), SECOND, RATE)?;
        let range = offset..offset + w.recording.len();
        w.second.clear();
        w.second.resize(SECOND, 0.0);
        w.second[range.clone()].copy_from_slice(&w.recording);
        Ok((&w.second, range))
    }
}
