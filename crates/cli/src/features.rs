//! `speechlens features`

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Subcommand;
use ndarray::{Array1, Array2};
use speechlens_audio::silence::{TRIM_DB, trim};
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
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: usize,
    /// Take silence off both ends: what is 40 dB below the loudest.
    #[arg(long)]
    trim: bool,
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

impl Second {
    /// What is made of a recording; errors name the file.
    fn of<T>(
        &self,
        path: &Path,
        make: impl Fn(&Audio, Placement) -> speechlens_audio::Result<T>,
    ) -> Result<T> {
        let audio = speechlens_audio::read(path)?;
        let audio = match self.trim {
            true => trim(&audio, TRIM_DB),
            false => audio,
        };
        make(&audio, Placement::At(self.offset)).map_err(|error| {
            let ends = match self.trim {
                true => ", without its silent ends",
                false => "",
            };
            let remedy = remedy(&error, Some(self.trim), None);
            anyhow!("{}{ends}: {error}{remedy}", path.display())
        })
    }
}

impl Files {
    /// Writes what is made of each.
    fn write<D: ndarray::Dimension>(
        &self,
        make: impl Fn(&Path) -> Result<ndarray::Array<f32, D>>,
    ) -> Result<()> {
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
                let placed = second.of(path, |audio, at| spectrogram.compute(audio, at))?;
                Ok(placed.values)
            })
        }
        Kind::Waveform(WaveformArguments { files, second }) => {
            let waveform = Waveform::default();
            files.write(|path| -> Result<Array1<f32>> {
                second.of(path, |audio, at| waveform.compute(audio, at))
            })
        }
        Kind::Fbank(FbankArguments {
            files,
            no_mean_norm,
        }) => {
            let filterbank = Filterbank::new();
            files.write(|path| -> Result<Array2<f32>> {
                let audio = speechlens_audio::read(path)?;
                let features = filterbank.compute(&audio);
                let mut features =
                    features.map_err(|error| anyhow!("{}: {error}", path.display()))?;
                if !no_mean_norm {
                    filterbank::subtract_mean(features.view_mut());
                }
                Ok(features)
            })
        }
    }
}
