//! Recordings to WAV files.

use std::{
    io::{self, BufWriter, Seek, Write},
    path::Path,
};

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::{Audio, Error, Result};

/// Writes 16-bit PCM. The file appears whole or not at all; missing folders are made.
///
/// Samples beyond full scale are clipped.
///
/// # Errors
/// If a sample is not finite, or the file cannot be written.
pub fn write_wav(path: impl AsRef<Path>, audio: &Audio) -> Result<()> {
    let path = path.as_ref();
    if let Some(index) = audio.samples.iter().position(|s| !s.is_finite()) {
        return Err(Error::NonFinite {
            path: path.into(),
            index,
        });
    }
    speechlens_atomic::write(path, |file| {
        to_writer(BufWriter::new(file.as_file_mut()), audio)
    })
    .map_err(|source| Error::Write {
        path: path.into(),
        source,
    })
}

/// Writes a 16-bit PCM WAV stream, clipped at full scale.
///
/// # Errors
/// If the writer fails, the sampling rate is 0, or the recording is longer than a WAV file can be (4 GiB).
pub fn to_writer(writer: impl Write + Seek, audio: &Audio) -> io::Result<()> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: audio.rate,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    if audio.rate == 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "its sampling rate is 0 Hz",
        ));
    }
    let write = || {
        let mut wav = WavWriter::new(writer, spec)?;
        for sample in &audio.samples {
            // `as` saturates, which clips.
            wav.write_sample((sample * 32768.0).round() as i16)?;
        }
        wav.finalize()
    };
    write().map_err(|e| match e {
        hound::Error::IoError(e) => e,
        e => io::Error::other(e),
    })
}
