//! `speechlens features`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use ndarray::Array1;
use speechlens_audio::silence::{TRIM_DB, trim};
use speechlens_audio::{
    Audio, Crop, Filterbank, Placed, Placement, Spectrogram, Waveform, filterbank,
};
use speechlens_report::npy;

/// Turn a recording into what networks read.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// The decibel spectrogram of one second, f32 [227, 227], frequency × time: mono, 8 kHz, Hann window of 455 samples,
    /// hop 35, in dB below the loudest bin, floor −80 dB. Row 0 is 0 Hz.
    Spectrogram(SpectrogramArguments),
    /// The waveform of one second, f32 [8000]: mono, 8 kHz, its 95th percentile at 1, as AudioMNIST's preprocessing has it.
    Waveform(WaveformArguments),
    /// The mel filterbank, f32 [64, frames], band × time: mono, 16 kHz, frames of 25 ms every 10 ms, the natural logarithm of
    /// the power in 64 mel bands from 20 Hz to 8 kHz, as Kaldi's compute-fbank-feats --dither=0 has it. Row 0 is the
    /// lowest band.
    Fbank(FbankArguments),
}

#[derive(clap::Args)]
struct SpectrogramArguments {
    /// The recording: WAV, FLAC, MP3, AAC in MP4, Ogg Vorbis; at most one second.
    audio: PathBuf,
    /// Where to write the array, a NumPy file.
    #[arg(short, long, value_name = "OUT.npy")]
    output: PathBuf,
    /// Where the recording starts in the second of zeros, in samples at 8 kHz.
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: usize,
    #[command(flatten)]
    cut: Cut,
}

#[derive(clap::Args)]
struct WaveformArguments {
    /// The recording: WAV, FLAC, MP3, AAC in MP4, Ogg Vorbis; at most one second.
    audio: PathBuf,
    /// Where to write the array, a NumPy file.
    #[arg(short, long, value_name = "OUT.npy")]
    output: PathBuf,
    /// Where the recording starts in the second of zeros, in samples at 8 kHz.
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: usize,
    /// Take silence off both ends: what is 40 dB below the loudest.
    #[arg(long)]
    trim: bool,
}

#[derive(clap::Args)]
struct FbankArguments {
    /// The recording: WAV, FLAC, MP3, AAC in MP4, Ogg Vorbis; 25 ms or longer.
    audio: PathBuf,
    /// Where to write the array, a NumPy file.
    #[arg(short, long, value_name = "OUT.npy")]
    output: PathBuf,
    /// Leave each band's mean over the recording as it is; otherwise it is set to 0, which takes away the level and the
    /// colour of the microphone. Networks expect it at 0.
    #[arg(long)]
    no_mean_norm: bool,
}

/// How a recording becomes a spectrogram.
#[derive(clap::Args)]
pub struct Cut {
    /// Which 227 of the 230 frames are kept: `thesis` cuts the last three, `audiomnist` the first two and the last.
    #[arg(long, default_value_t, value_parser = clap::value_parser!(Crop), value_name = "thesis|audiomnist")]
    pub crop: Crop,
    /// Take silence off both ends: what is 40 dB below the loudest.
    #[arg(long)]
    pub trim: bool,
}

/// The spectrogram of a recording; errors name the file.
pub fn spectrogram(
    path: &Path,
    placement: Placement,
    crop: Crop,
    trimmed: bool,
) -> Result<(Audio, Placed)> {
    let audio = recording(path, trimmed)?;
    let placed = Spectrogram::new(crop)
        .compute(&audio, placement)
        .with_context(|| named(path, trimmed))?;
    Ok((audio, placed))
}

/// The waveform of a recording; errors name the file.
pub fn waveform(path: &Path, placement: Placement, trimmed: bool) -> Result<Array1<f32>> {
    Waveform::default()
        .compute(&recording(path, trimmed)?, placement)
        .with_context(|| named(path, trimmed))
}

fn recording(path: &Path, trimmed: bool) -> Result<Audio> {
    let audio = speechlens_audio::read(path)?;
    Ok(match trimmed {
        true => trim(&audio, TRIM_DB),
        false => audio,
    })
}

fn named(path: &Path, trimmed: bool) -> String {
    match trimmed {
        true => format!("{}, without its silent ends", path.display()),
        false => path.display().to_string(),
    }
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.kind {
        Kind::Spectrogram(arguments) => write_spectrogram(arguments),
        Kind::Waveform(arguments) => write_waveform(arguments),
        Kind::Fbank(arguments) => write_fbank(arguments),
    }
}

fn write_spectrogram(arguments: &SpectrogramArguments) -> Result<()> {
    let placement = Placement::At(arguments.offset);
    let (_, placed) = spectrogram(
        &arguments.audio,
        placement,
        arguments.cut.crop,
        arguments.cut.trim,
    )?;
    npy::write(&arguments.output, placed.values.view())?;
    tracing::info!(
        "{}: {} samples at 8 kHz from {}",
        arguments.output.display(),
        placed.samples,
        placed.offset
    );
    Ok(())
}

fn write_waveform(arguments: &WaveformArguments) -> Result<()> {
    let placement = Placement::At(arguments.offset);
    let waveform = waveform(&arguments.audio, placement, arguments.trim)?;
    Ok(npy::write(&arguments.output, waveform.view())?)
}

fn write_fbank(arguments: &FbankArguments) -> Result<()> {
    let audio = speechlens_audio::read(&arguments.audio)?;
    let mut features = Filterbank::new()
        .compute(&audio)
        .with_context(|| arguments.audio.display().to_string())?;
    if !arguments.no_mean_norm {
        filterbank::subtract_mean(features.view_mut());
    }
    npy::write(&arguments.output, features.view())?;
    tracing::info!(
        "{}: {} frames of {:.3} s",
        arguments.output.display(),
        features.ncols(),
        audio.seconds()
    );
    Ok(())
}
