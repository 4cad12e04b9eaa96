//! What `predict` and `explain` read: recordings, and arrays of features.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ndarray::{Array3, ArrayD, Axis, Ix3};
use speechlens_audio::{Crop, Placement, SIZE};
use speechlens_models::Model;
use speechlens_report::npy;

use crate::features;

/// How inputs are read.
#[derive(clap::Args)]
pub struct Arguments {
    /// Recordings (.wav, .flac, .mp3, .m4a, .ogg), or .npy files that hold the network's features, [H, W] or [N, H, W].
    #[arg(required = true)]
    pub input: Vec<PathBuf>,
    /// Where a recording starts in its second of zeros, in samples at 8 kHz.
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
    /// Its features, `[N, H, W]`.
    pub features: Array3<f32>,
    /// Whether the file itself was `[H, W]`, or a recording, and not `[N, H, W]`.
    pub single: bool,
}

impl Arguments {
    /// Reads every input for the model.
    pub fn read(&self, model: &Model) -> Result<Vec<Input>> {
        let crop: Crop = match model.metadata.get("crop") {
            Some(crop) => crop.parse().context("the model's metadata")?,
            None => Crop::default(),
        };
        self.input
            .iter()
            .map(|path| self.read_one(path, crop))
            .collect()
    }

    fn read_one(&self, path: &Path, crop: Crop) -> Result<Input> {
        let array: ArrayD<f32> = match path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
        {
            true => npy::read(path)?,
            false => features::spectrogram(path, Placement::At(self.offset), crop, self.trim)?
                .1
                .values
                .into_dyn(),
        };
        let single = array.ndim() == 2;
        let array = if single {
            array.insert_axis(Axis(0))
        } else {
            array
        };
        let shape = array.shape().to_vec();
        match array.into_dimensionality::<Ix3>() {
            Ok(features)
                if features.dim().1 == SIZE && features.dim().2 == SIZE && features.dim().0 > 0 =>
            {
                Ok(Input {
                    path: path.to_owned(),
                    features,
                    single,
                })
            }
            _ => bail!(
                "{}: the network reads [{SIZE}, {SIZE}] or [N, {SIZE}, {SIZE}], not {:?}; make one with `speechlens \
                 features spectrogram`",
                path.display(),
                if single { &shape[1..] } else { &shape[..] }
            ),
        }
    }
}
