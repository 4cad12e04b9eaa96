//! `speechlens features`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ndarray::{ArrayD, Axis};
use speechlens_audio::silence::{TRIM_DB, is_silent, trim};
use speechlens_frontend::{Error, FrontEnd, Length, Placement, Reading};
use speechlens_report::npy;

use crate::common::check_writable;
use crate::crop::Crop;
use crate::input::{self, Sought, remedy};

const FILE: &str = "\
A TOML file has a rate, a length and stages:
  rate = 16000
  length = { frames = 200 }     # or \"any\", { at-most = SECONDS }, { exactly = SECONDS }
  silence = 0.0                 # the value that stands for silence, if there is one

  [[stage]]
  op = \"fbank\"                  # affine, clip, crop, decibel, fbank, log, mel, normalize, power, quantile, stft
  bands = 80

  [[stage]]
  op = \"normalize\"              # the mean of each band; deviation = true for standard deviation 1
  over = \"window\"               # or \"recording\"";

/// The front ends there are, and how to write one.
fn help() -> String {
    let named = speechlens_frontend::about().map(|(name, about)| format!("{name}: {about}\n"));
    let named: String = named.collect();
    format!("Front ends (spectrogram and waveform stand for thesis-…):\n{named}\n{FILE}")
}

/// Turn recordings into what networks read.
#[derive(clap::Args)]
#[command(after_long_help = help(), after_help = "`--help` lists the front ends, and says what a TOML file holds.")]
pub struct Arguments {
    /// What to make of them: the name of a front end, or a TOML file.
    #[arg(value_name = "FRONTEND|FRONTEND.toml")]
    front_end: String,
    /// Recordings (.wav, .flac, .mp3, .m4a, .ogg, .opus, .webm, .aiff, .sph and others), and folders of them.
    #[arg(required = true)]
    audio: Vec<PathBuf>,
    /// Where to write the array, a NumPy file; of several recordings the folder of theirs, which are named after them.
    #[arg(short, long, value_name = "OUT.npy|DIR")]
    output: PathBuf,
    /// Where a recording that is shorter than the front end's length starts among zeros, in samples at its rate.
    #[arg(long, value_name = "N", conflicts_with = "pieces")]
    offset: Option<usize>,
    /// Take silence off both ends: what is 40 dB below the loudest.
    #[arg(long)]
    trim: bool,
    /// Cut the recording at its pauses into pieces of 0.25 to 1 s, as training on long recordings does: an array of N of them. For
    /// front ends of a second.
    #[arg(long)]
    pieces: bool,
    /// Seconds from the start of one window to the next; else windows follow each other. For front ends that cut recordings into
    /// windows.
    #[arg(long, value_name = "SECONDS")]
    hop: Option<f64>,
    /// Which 227 of the 230 frames are kept. For `spectrogram`.
    #[arg(long, value_enum)]
    crop: Option<Crop>,
    /// Leave each band's mean as it is; otherwise it is set to 0, which takes away the level and the colour of the microphone.
    /// Networks expect it at 0.
    #[arg(long)]
    no_mean_norm: bool,
    #[command(flatten)]
    strictness: input::Strictness,
}

impl Arguments {
    fn front_end(&self) -> Result<FrontEnd> {
        let name = match (self.front_end.as_str(), self.crop) {
            ("spectrogram" | "thesis-spectrogram", Some(crop)) => crop.front_end(),
            ("spectrogram", _) => "thesis-spectrogram",
            ("waveform", _) => "thesis-waveform",
            (name, _) => name,
        };
        ensure!(
            self.crop.is_none() || name.ends_with("-spectrogram"),
            "--crop: {name} is not cropped; leave it out, or give the stage `crop` in a TOML file"
        );
        let front_end = FrontEnd::load(name)?;
        let front_end = match self.no_mean_norm {
            true => front_end
                .without("normalize")
                .with_context(|| format!("--no-mean-norm: {name}"))?,
            false => front_end,
        };
        let is_placed = matches!(front_end.length(), Length::AtMost(_));
        for (given, option) in [
            (self.offset.is_some(), "--offset"),
            (self.pieces, "--pieces"),
        ] {
            ensure!(
                !given || is_placed,
                "{option}: {name} has no length that a recording has at most; leave it out"
            );
        }
        let is_cut = front_end.length().is_cut();
        ensure!(
            self.hop.is_none() || is_cut,
            "--hop: {name} cuts recordings into no windows; leave it out"
        );
        ensure!(
            self.hop.is_none_or(|seconds| seconds > 0.0),
            "--hop: give more than 0 seconds"
        );
        Ok(front_end)
    }

    /// What is made of a recording; errors name the file.
    fn make(&self, front_end: &FrontEnd, path: &Path) -> Result<ArrayD<f32>> {
        let audio = speechlens_audio::read(path)?;
        if is_silent(&audio.samples) {
            tracing::warn!(
                "{}: is silent: all its samples are the same",
                path.display()
            );
        }
        let audio = match self.trim {
            true => trim(&audio, TRIM_DB),
            false => audio,
        };
        let reading = Reading {
            placement: Placement::At(self.offset.unwrap_or(0)),
            pieces: self.pieces,
            hop: self.hop.map(|seconds| {
                let frames = (seconds / front_end.axes().step).round();
                (frames as usize).max(1)
            }),
        };
        let windows = match front_end.compute(&audio, &reading) {
            Ok(heard) => heard.windows,
            Err(error) => {
                let ends = match self.trim {
                    true => ", without its silent ends",
                    false => "",
                };
                let remedy = match &error {
                    Error::Audio(error) => {
                        let pieces = self.offset.is_none().then_some(self.pieces);
                        remedy(error, Some(self.trim), pieces)
                    }
                    _ => String::new(),
                };
                let message = format!("{}{ends}: {error}{remedy}", path.display());
                return Err(anyhow::Error::from(error).context(message));
            }
        };
        let is_one = !front_end.length().is_cut() && !self.pieces;
        Ok(match is_one {
            true => windows.index_axis_move(Axis(0), 0),
            false => windows,
        })
    }
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments) -> Result<()> {
    let front_end = arguments.front_end()?;
    let found = input::files(&arguments.audio, Sought::Recordings)?;
    let places = input::places(&arguments.output, &found)?;
    let mut inputs = arguments.strictness.inputs(found.len());
    for (found, place) in found.iter().zip(places) {
        let mut place = place.into_os_string();
        if inputs.are_several() {
            place.push(".npy");
        }
        let place = PathBuf::from(place);
        let made = arguments.make(&front_end, &found.path);
        let Some(features) = inputs.take(&found.path, made)? else {
            continue;
        };
        check_writable(&place)?;
        npy::write(&place, features.view())?;
        tracing::info!("{}: {:?}", place.display(), features.shape());
    }
    inputs.end()
}
