//! What `predict` and `explain` read: recordings, and arrays of features.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ndarray::{Array2, Array3, ArrayD, Axis, s};
use speechlens_audio::silence::{TRIM_DB, trim};
use speechlens_audio::{Crop, Filterbank, Placement, SECOND, SIZE, filterbank};
use speechlens_models::resnet34::{BANDS, FRAMES};
use speechlens_models::{Features, Model};
use speechlens_report::npy;

use crate::features;

/// How inputs are read.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where a recording starts in its second of zeros, in samples at 8 kHz; spectrograms and waveforms only.
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: usize,
    /// Take silence off both ends of a recording: what is 40 dB below the loudest.
    #[arg(long)]
    trim: bool,
}

/// One input file as the network reads it.
pub struct Input {
    /// The file.
    pub path: PathBuf,
    /// Its features, `[N, H, W]`, or waveforms, `[N, T]`.
    pub features: ArrayD<f32>,
    /// Whether the file itself was one of the N, or a recording of a second.
    pub single: bool,
    /// Where each of the N begins in the recording, in seconds; 0 in an array.
    pub starts: Vec<f64>,
}

impl Arguments {
    /// Reads every input for the model.
    pub fn read(&self, paths: &[PathBuf], model: &Model) -> Result<Vec<Input>> {
        let reader = match model.features() {
            Features::Spectrogram => Reader::Spectrogram(match model.metadata.get("crop") {
                Some(crop) => crop.parse().context("the model's metadata")?,
                None => Crop::default(),
            }),
            Features::Waveform => Reader::Waveform,
            Features::Filterbank => {
                if self.offset != 0 {
                    bail!("--offset: the network reads whole recordings; leave it out");
                }
                let normalization = model.metadata.get("normalization");
                Reader::Filterbank {
                    filterbank: Box::new(Filterbank::new()),
                    whole: normalization.is_some_and(|over| over == "utterance"),
                }
            }
        };
        let paths = paths.iter();
        paths.map(|path| self.read_one(path, &reader)).collect()
    }

    fn read_one(&self, path: &Path, reader: &Reader) -> Result<Input> {
        let npy = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
        match reader {
            _ if npy => read_array(path, reader),
            Reader::Spectrogram(crop) => {
                let placement = Placement::At(self.offset);
                let (_, placed) = features::spectrogram(path, placement, *crop, self.trim)?;
                Ok(Input::of_a_second(path, placed.values.into_dyn()))
            }
            Reader::Waveform => {
                let placement = Placement::At(self.offset);
                let waveform = features::waveform(path, placement, self.trim)?;
                Ok(Input::of_a_second(path, waveform.into_dyn()))
            }
            Reader::Filterbank { filterbank, whole } => {
                let mut audio = speechlens_audio::read(path)?;
                if self.trim {
                    audio = trim(&audio, TRIM_DB);
                }
                let features = filterbank
                    .compute(&audio)
                    .with_context(|| path.display().to_string())?;
                let (features, starts) =
                    segments(features, *whole).with_context(|| path.display().to_string())?;
                Ok(Input {
                    path: path.to_owned(),
                    features: features.into_dyn(),
                    single: false,
                    starts,
                })
            }
        }
    }
}

impl Input {
    fn of_a_second(path: &Path, features: ArrayD<f32>) -> Self {
        Input {
            path: path.to_owned(),
            features: features.insert_axis(Axis(0)),
            single: true,
            starts: vec![0.0],
        }
    }
}

/// How recordings become what the network reads.
enum Reader {
    Spectrogram(Crop),
    Waveform,
    Filterbank {
        filterbank: Box<Filterbank>,
        /// Whether the mean of each band is 0 over the recording, and not over each segment.
        whole: bool,
    },
}

/// Seconds between neighbouring frames of a filterbank.
pub const FRAME_SECONDS: f64 = filterbank::HOP as f64 / filterbank::RATE as f64;

/// A recording's filterbank as segments that follow each other, and where they begin, in seconds. The last one ends with the
/// recording.
fn segments(mut features: Array2<f32>, whole: bool) -> Result<(Array3<f32>, Vec<f64>)> {
    let frames = features.ncols();
    if frames < FRAMES {
        let needed = ((FRAMES - 1) * filterbank::HOP + filterbank::FRAME) as f64;
        bail!(
            "has {frames} frames of 10 ms, and the network reads {FRAMES} at a time: give at least {:.3} s",
            needed / f64::from(filterbank::RATE)
        );
    }
    if whole {
        filterbank::subtract_mean(features.view_mut());
    }
    let starts = (0..frames.div_ceil(FRAMES)).map(|n| (n * FRAMES).min(frames - FRAMES));
    let starts: Vec<usize> = starts.collect();
    let mut all = Array3::zeros((starts.len(), features.nrows(), FRAMES));
    for (mut segment, start) in all.outer_iter_mut().zip(&starts) {
        segment.assign(&features.slice(s![.., *start..start + FRAMES]));
        if !whole {
            filterbank::subtract_mean(segment);
        }
    }
    let seconds = |start: usize| start as f64 * FRAME_SECONDS;
    Ok((all, starts.into_iter().map(seconds).collect()))
}

/// An array as it is.
fn read_array(path: &Path, reader: &Reader) -> Result<Input> {
    let array = npy::read(path)?;
    let (expected, remedy): (&[usize], _) = match reader {
        Reader::Spectrogram(_) => (
            &[SIZE, SIZE],
            "make one with `speechlens features spectrogram`",
        ),
        Reader::Waveform => (&[SECOND], "make one with `speechlens features waveform`"),
        Reader::Filterbank { .. } => (
            &[BANDS, FRAMES],
            "cut it into segments, or give the recording itself",
        ),
    };
    let single = array.ndim() == expected.len();
    let shape = array.shape().to_vec();
    let features = match single {
        true => array.insert_axis(Axis(0)),
        false => array,
    };
    match features.shape() {
        [count, one @ ..] if *count > 0 && one == expected => Ok(Input {
            path: path.to_owned(),
            single,
            starts: vec![0.0; features.shape()[0]],
            features,
        }),
        _ => {
            let sizes: Vec<String> = expected.iter().map(ToString::to_string).collect();
            let sizes = sizes.join(", ");
            bail!(
                "{}: the network reads [{sizes}] or [N, {sizes}], not {shape:?}; {remedy}",
                path.display()
            )
        }
    }
}
