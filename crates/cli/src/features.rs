//! `speechlens features`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use ndarray::{Array, ArrayD, Axis, RemoveAxis, stack};
use speechlens_audio::silence::{TRIM_DB, is_silent, pieces, trim};
use speechlens_audio::{Audio, Crop, Filterbank, Placement, Spectrogram, Waveform, filterbank};
use speechlens_report::npy;

use crate::common::check_writable;
use crate::input::{self, Kinds, remedy};

/// Turn recordings into what networks read.
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
struct Files {
    /// Recordings (.wav, .flac, .mp3, .m4a, .ogg, .opus, .webm, .aiff, .sph and others), and folders of them.
    #[arg(required = true)]
    audio: Vec<PathBuf>,
    /// Where to write the array, a NumPy file; of several recordings the folder of theirs, which are named after them.
    #[arg(short, long, value_name = "OUT.npy|DIR")]
    output: PathBuf,
    #[command(flatten)]
    strictness: input::Strictness,
}

/// How a recording becomes one of a second.
#[derive(clap::Args)]
struct Second {
    /// Where the recording starts in the second of zeros, in samples at 8 kHz.
    #[arg(long, default_value_t = 0, value_name = "N", conflicts_with = "pieces")]
    offset: usize,
    /// Take silence off both ends: what is 40 dB below the loudest.
    #[arg(long)]
    trim: bool,
    /// Cut the recording at its pauses into pieces of 0.25 to 1 s, as training on long recordings does: an array of N of them.
    #[arg(long)]
    pieces: bool,
}

#[derive(clap::Args)]
struct SpectrogramArguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    second: Second,
    /// Which 227 of the 230 frames are kept: `thesis` cuts the last three, `audiomnist` the first two and the last.
    #[arg(long, default_value_t, value_parser = clap::value_parser!(Crop), value_name = "thesis|audiomnist")]
    crop: Crop,
}

#[derive(clap::Args)]
struct WaveformArguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    second: Second,
}

#[derive(clap::Args)]
struct FbankArguments {
    #[command(flatten)]
    files: Files,
    /// Leave each band's mean over the recording as it is; otherwise it is set to 0, which takes away the level and the
    /// colour of the microphone. Networks expect it at 0.
    #[arg(long)]
    no_mean_norm: bool,
}

/// A recording; says if it is silent.
fn read(path: &Path) -> Result<Audio> {
    let audio = speechlens_audio::read(path)?;
    if is_silent(&audio.samples) {
        tracing::warn!(
            "{}: is silent: all its samples are the same",
            path.display()
        );
    }
    Ok(audio)
}

impl Second {
    /// What is made of a recording, or of its pieces; errors name the file.
    fn of<D: RemoveAxis>(
        &self,
        path: &Path,
        make: impl Fn(&Audio, Placement) -> speechlens_audio::Result<Array<f32, D>>,
    ) -> Result<ArrayD<f32>> {
        let audio = read(path)?;
        let audio = match self.trim {
            true => trim(&audio, TRIM_DB),
            false => audio,
        };
        ensure!(
            !self.pieces || !pieces(&audio).is_empty(),
            "{}: holds no sound of at least 0.05 s; record it again",
            path.display()
        );
        let made = || match self.pieces {
            false => Ok(make(&audio, Placement::At(self.offset))?.into_dyn()),
            true => {
                let pieces = pieces(&audio).into_iter();
                let made = pieces.map(|piece| make(&audio.slice(piece), Placement::At(0)));
                let made: Vec<Array<f32, D>> = made.collect::<speechlens_audio::Result<_>>()?;
                let views: Vec<_> = made.iter().map(|made| made.view().into_dyn()).collect();
                // There is no piece to stack, or all are of one shape.
                stack(Axis(0), &views).map_err(|_| speechlens_audio::Error::NoSamples)
            }
        };
        made().map_err(|error| {
            let ends = match self.trim {
                true => ", without its silent ends",
                false => "",
            };
            let remedy = remedy(
                &error,
                Some(self.trim),
                (self.offset == 0).then_some(self.pieces),
            );
            let message = format!("{}{ends}: {error}{remedy}", path.display());
            anyhow::Error::from(error).context(message)
        })
    }
}

impl Files {
    /// Writes what is made of each.
    fn write(&self, make: impl Fn(&Path) -> Result<ArrayD<f32>>) -> Result<()> {
        let found = input::files(&self.audio, Kinds::Recordings)?;
        let places = input::places(&self.output, &found)?;
        let mut inputs = self.strictness.inputs(found.len());
        for (found, place) in found.iter().zip(places) {
            let mut place = place.into_os_string();
            if inputs.are_several() {
                place.push(".npy");
            }
            let place = PathBuf::from(place);
            let Some(features) = inputs.take(&found.path, make(&found.path))? else {
                continue;
            };
            check_writable(&place)?;
            npy::write(&place, features.view())?;
            tracing::info!("{}: {:?}", place.display(), features.shape());
        }
        inputs.end()
    }
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.kind {
        Kind::Spectrogram(SpectrogramArguments {
            files,
            second,
            crop,
        }) => {
            let spectrogram = Spectrogram::new(*crop);
            files.write(|path| {
                second.of(path, |audio, at| Ok(spectrogram.compute(audio, at)?.values))
            })
        }
        Kind::Waveform(WaveformArguments { files, second }) => {
            let waveform = Waveform::default();
            files.write(|path| second.of(path, |audio, at| waveform.compute(audio, at)))
        }
        Kind::Fbank(FbankArguments {
            files,
            no_mean_norm,
        }) => {
            let filterbank = Filterbank::new();
            files.write(|path| {
                let features = filterbank.compute(&read(path)?);
                let mut features = features.with_context(|| path.display().to_string())?;
                if !no_mean_norm {
                    filterbank::subtract_mean(features.view_mut());
                }
                Ok(features.into_dyn())
            })
        }
    }
}
