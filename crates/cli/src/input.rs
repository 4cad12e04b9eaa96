//! How `predict`, `explain` and `features` read inputs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use speechlens_audio::{ENDINGS, is_recording};
use speechlens_data::LeftOut;
use speechlens_data::folder::entries;
use speechlens_data::left_out::{Reason, reasons};
use speechlens_explain::{Error, Input, Reader, Reading};
use speechlens_frontend::Length;
use speechlens_models::Model;

use crate::common::one_line;

/// How inputs are read.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where a recording starts among the zeros around it, in samples at the front end's rate, for networks that read some length at
    /// most; else 0.
    #[arg(long, value_name = "N")]
    offset: Option<usize>,
    /// Take silence off both ends of a recording: what is 40 dB below the loudest.
    #[arg(long)]
    trim: bool,
    /// Cut a recording at its pauses into pieces of 0.25 to 1 s, as training on long recordings does, for networks that read
    /// one second: each piece is a window.
    #[arg(long)]
    pieces: bool,
    /// From the start of one window to the next, for networks that cut recordings into windows; else they follow each other. Of
    /// windows of two seconds, 1 lets them overlap by half.
    #[arg(long, value_name = "SECONDS", value_parser = hop)]
    hop: Option<f64>,
}

fn hop(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("say a number of seconds from 0.01 to 3600".into()),
    }
}

/// A file, and what it is called below the folder that it was found in.
pub struct Found {
    pub path: PathBuf,
    pub name: PathBuf,
}

impl Found {
    /// Whether it holds features, and no sound.
    fn is_array(&self) -> bool {
        is_array(&self.path)
    }
}

fn is_array(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("npy"))
}

/// What is looked for in folders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    Recordings,
    /// Recordings, and features as `.npy` files.
    RecordingsAndArrays,
}

/// The files given, and those in the folders given, in order.
pub fn files(paths: &[PathBuf], sought: Sought) -> Result<Vec<Found>> {
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
        search(path, Path::new(""), sought, &mut found)?;
        ensure!(
            found.len() > before,
            "{}: holds no recordings ({}.{}); give a folder that does",
            path.display(),
            match sought {
                Sought::Recordings => "",
                Sought::RecordingsAndArrays => ".npy, ",
            },
            ENDINGS.join(", .")
        );
    }
    Ok(found)
}

fn search(folder: &Path, name: &Path, sought: Sought, found: &mut Vec<Found>) -> Result<()> {
    for path in entries(folder)? {
        let name = name.join(path.file_stem().unwrap_or_default());
        let is_array = || sought == Sought::RecordingsAndArrays && is_array(&path);
        if path.is_dir() {
            search(&path, &name, sought, found)?;
        } else if is_recording(&path) || is_array() {
            found.push(Found { path, name });
        }
    }
    Ok(())
}

/// Where what is made of each goes: of one, to `output`; of several, below it, by their names.
pub fn places(output: &Path, found: &[Found]) -> Result<Vec<PathBuf>> {
    if found.len() == 1 {
        return Ok(vec![output.to_owned()]);
    }
    let mut taken = BTreeSet::new();
    for Found { path, name } in found {
        ensure!(
            taken.insert(name),
            "{}: two inputs have this name; give them one by one",
            path.display()
        );
    }
    Ok(found.iter().map(|found| output.join(&found.name)).collect())
}

/// What a command's options can do about a recording that is too long; each is there or not, and given or not.
pub fn remedy(error: &speechlens_audio::Error, trim: Option<bool>, pieces: Option<bool>) -> String {
    if !matches!(error, speechlens_audio::Error::TooLong { .. }) {
        return String::new();
    }
    let options = [
        (trim, "--trim (takes silence off its ends)"),
        (pieces, "--pieces (cuts it at its pauses)"),
    ];
    let left = options
        .into_iter()
        .filter(|(given, _)| *given == Some(false));
    let left: Vec<&str> = left.map(|(_, does)| does).collect();
    match left.is_empty() {
        true => String::new(),
        false => format!(", or give {}", left.join(" or ")),
    }
}

/// What becomes of inputs that cannot be used.
#[derive(clap::Args)]
pub struct Strictness {
    /// Stop at the first input that cannot be used. Else, of several, it is told and passed over, and the status at the end is 1.
    #[arg(long)]
    strict: bool,
}

/// Several inputs, and those of them that were passed over.
pub struct Inputs {
    all: usize,
    strict: bool,
    passed_over: Vec<LeftOut>,
}

impl Strictness {
    /// So many inputs, of which none has been seen.
    pub fn inputs(&self, all: usize) -> Inputs {
        Inputs {
            all,
            strict: self.strict || all == 1,
            passed_over: Vec::new(),
        }
    }
}

impl Inputs {
    /// Whether there are more than one.
    pub fn are_several(&self) -> bool {
        self.all > 1
    }

    /// What was made of an input; or nothing, and it is told why.
    pub fn take<T>(&mut self, path: &Path, made: Result<T>) -> Result<Option<T>> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(error) if self.strict => Err(error),
            Err(error) => {
                let message = one_line(&error);
                tracing::error!("{message}; passed over");
                self.passed_over.push(LeftOut {
                    id: path.display().to_string(),
                    reason: reason(&error),
                    message,
                });
                Ok(None)
            }
        }
    }

    /// Fails if inputs were passed over.
    pub fn end(self) -> Result<()> {
        let (count, all) = (self.passed_over.len(), self.all);
        if count == 0 {
            return Ok(());
        }
        bail!(
            "{count} of {all} inputs were passed over: {}",
            reasons(&self.passed_over)
        )
    }
}

/// Why an input cannot be used.
fn reason(error: &anyhow::Error) -> Reason {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(Error::Silent { .. }) = cause.downcast_ref() {
            return Some(Reason::Silent);
        }
        // An error that is shown as its source is, is passed by where sources are walked.
        if let Some(Error::Audio(audio)) = cause.downcast_ref() {
            return Some(Reason::of(audio));
        }
        if let Some(speechlens_frontend::Error::Audio(audio)) = cause.downcast_ref() {
            return Some(Reason::of(audio));
        }
        cause.downcast_ref().map(Reason::of)
    };
    error.chain().find_map(of).unwrap_or(Reason::Misfit)
}

impl Arguments {
    /// Fails if an option is given: they are for recordings, and there is something else.
    pub fn refuse(&self, there: &str) -> Result<()> {
        let given = [
            ("offset", self.offset.is_some()),
            ("trim", self.trim),
            ("pieces", self.pieces),
            ("hop", self.hop.is_some()),
        ];
        for (option, given) in given {
            ensure!(
                !given,
                "--{option}: is for recordings, and there are {there}; leave it out"
            );
        }
        Ok(())
    }

    /// A reader for the model, of the files that were found.
    pub fn reader(&self, model: &Model, found: &[Found]) -> Result<Reader> {
        if found.iter().all(Found::is_array) {
            self.refuse("arrays only")?;
        }
        let front_end = &model.front_end;
        let (is_placed, is_cut, reads) = match front_end.length() {
            Length::Any => (false, false, "whole recordings".to_owned()),
            Length::AtMost(seconds) => (true, false, format!("{seconds} s at most")),
            Length::Exactly(seconds) => (false, true, format!("{seconds} s at a time")),
            Length::Last(seconds) => (false, false, format!("the last {seconds} s")),
            Length::Frames(frames) => {
                let seconds = frames as f64 * front_end.axes().step;
                (false, true, format!("{seconds} s at a time"))
            }
        };
        let not_for_it = [
            ("offset", self.offset.is_some() && !is_placed),
            ("pieces", self.pieces && !is_placed),
            ("hop", self.hop.is_some() && !is_cut),
        ];
        for (option, given) in not_for_it {
            ensure!(
                !given,
                "--{option}: the network reads {reads}; leave it out"
            );
        }
        ensure!(
            !self.pieces || self.offset.is_none(),
            "--offset: pieces start at the start of their second; leave it or --pieces out"
        );
        let default = Reading::default();
        let reading = Reading {
            offset: self.offset.unwrap_or(default.offset),
            trim: self.trim,
            pieces: self.pieces,
            hop: self.hop.map(|seconds| {
                let frames = (seconds / front_end.axes().step).round();
                (frames as usize).max(1)
            }),
            ..default
        };
        Ok(Reader::new(model, reading))
    }

    /// Reads a file; says what of these arguments can help if that fails.
    pub fn read(&self, reader: &Reader, path: &Path) -> Result<Input> {
        reader.read(path).map_err(|error| match &error {
            Error::Recording {
                source: speechlens_frontend::Error::Audio(source),
                ..
            } => {
                let pieces = self.offset.is_none().then_some(self.pieces);
                let message = format!("{error}{}", remedy(source, Some(self.trim), pieces));
                anyhow::Error::from(error).context(message)
            }
            _ => error.into(),
        })
    }
}
