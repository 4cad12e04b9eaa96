//! How `predict`, `explain` and `serve` read inputs.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use speechlens_audio::{ENDINGS, filterbank, is_recording};
use speechlens_data::folder::entries;
use speechlens_explain::{Input, Reader, Reading};
use speechlens_models::Model;

/// How inputs are read.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where a recording starts in its second of zeros, in samples at 8 kHz; spectrograms and waveforms only.
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: usize,
    /// Take silence off both ends of a recording: what is 40 dB below the loudest.
    #[arg(long)]
    trim: bool,
    /// Cut a recording at its pauses into pieces of 0.25 to 1 s, as training on long recordings does, for networks that read
    /// one second: each piece is a window.
    #[arg(long)]
    pieces: bool,
    /// From the start of one window of two seconds to the next, for networks that read filterbanks: 1 lets them overlap by half.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = hop)]
    hop: f64,
}

fn hop(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=2.0).contains(&seconds) => Ok(seconds),
        _ => Err("say a number of seconds from 0.01 to 2".into()),
    }
}

/// A file, and what it is called below the folder that it was found in.
pub struct Found {
    pub path: PathBuf,
    pub name: PathBuf,
}

/// The files given, and those in the folders given, in order.
pub fn files(paths: &[PathBuf]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            let name = Path::new(path.file_stem().unwrap_or_default()).to_owned();
            found.push(Found {
                path: path.clone(),
                name,
            });
            continue;
        }
        let before = found.len();
        search(path, Path::new(""), &mut found)?;
        ensure!(
            found.len() > before,
            "{}: holds no recordings (.npy, .{}); give a folder that does",
            path.display(),
            ENDINGS.join(", .")
        );
    }
    Ok(found)
}

fn search(folder: &Path, name: &Path, found: &mut Vec<Found>) -> Result<()> {
    for path in entries(folder)? {
        let name = name.join(path.file_stem().unwrap_or_default());
        let is_array = || {
            path.extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("npy"))
        };
        if path.is_dir() {
            search(&path, &name, found)?;
        } else if is_recording(&path) || is_array() {
            found.push(Found { path, name });
        }
    }
    Ok(())
}

impl Arguments {
    /// A reader for the model.
    pub fn reader(&self, model: &Model) -> Result<Reader> {
        let frames = self.hop * f64::from(filterbank::RATE) / filterbank::HOP as f64;
        let reading = Reading {
            offset: self.offset,
            trim: self.trim,
            pieces: self.pieces,
            hop: frames.round() as usize,
            ..Reading::default()
        };
        Ok(Reader::new(model, reading)?)
    }

    /// Reads every file for the model.
    pub fn read<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a PathBuf>,
        model: &Model,
    ) -> Result<Vec<Input>> {
        let reader = self.reader(model)?;
        let paths = paths.into_iter();
        paths.map(|path| Ok(reader.read(path)?)).collect()
    }
}
