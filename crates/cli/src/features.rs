//! `speechlens features`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use speechlens_audio::silence::{TRIM_DB, trim};
use speechlens_audio::{Audio, Crop, Placed, Placement, Spectrogram};
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
    let mut audio = speechlens_audio::read(path)?;
    if trimmed {
        audio = trim(&audio, TRIM_DB);
    }
    let placed = Spectrogram::new(crop)
        .compute(&audio, placement)
        .with_context(|| match trimmed {
            true => format!("{}, without its silent ends", path.display()),
            false => path.display().to_string(),
        })?;
    Ok((audio, placed))
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Kind::Spectrogram(arguments) = &arguments.kind;
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
