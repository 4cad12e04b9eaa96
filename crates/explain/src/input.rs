//! What networks are asked about: recordings, and arrays of features.

use std::iter;
use std::path::Path;
use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD, Axis};
use speechlens_audio::silence::{TRIM_DB, is_silent, trim};
use speechlens_audio::{Audio, read_at_most};
use speechlens_frontend::{Axes, FrontEnd, Place, Placement};
use speechlens_models::Model;
use speechlens_report::npy;

use crate::{Error, Result};

/// How recordings are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Where a recording that is shorter than the front end's length starts among zeros, in samples at its rate. Pieces start at 0.
    pub offset: usize,
    /// Whether silence is taken off both ends: what is 40 dB below the loudest.
    pub trim: bool,
    /// Whether a recording is cut at its pauses into pieces of 0.25 to 1 s, as training on long recordings does; for front ends of
    /// at most a second.
    pub pieces: bool,
    /// Frames from the start of one window to the next; else windows follow each other. For front ends that cut recordings into
    /// windows.
    pub hop: Option<usize>,
    /// The longest recording, in seconds.
    pub longest: f64,
}

impl Default for Reading {
    /// Whole recordings from the start; windows that follow each other; at most five minutes.
    fn default() -> Self {
        Reading {
            offset: 0,
            trim: false,
            pieces: false,
            hop: None,
            longest: 300.0,
        }
    }
}

/// One input as the network reads it: N windows.
#[derive(Clone)]
pub struct Input {
    /// What it is called: the file.
    pub name: String,
    /// Its features, `[N, H, W]`, or waveforms, `[N, T]`.
    pub features: ArrayD<f32>,
    /// Which of the N are silent: what the network answers to them means nothing. Never all of them.
    pub silent: Vec<bool>,
    /// Whether the input itself was one of the N, or a recording that is not cut.
    pub single: bool,
    /// Of a recording: what the network heard, and where the windows lie in it.
    pub heard: Option<Heard>,
    /// What rows, columns and values are.
    pub axes: Axes,
    /// The node inside the network that gives it, if it is not what the network reads.
    pub at: Option<String>,
}

/// A recording as the network heard it.
#[derive(Clone)]
pub struct Heard {
    /// The sound at the network's sampling rate, with the zeros that were put around it.
    pub audio: Audio,
    /// A window's place in it, one for each.
    pub places: Vec<Place>,
}

/// Reads inputs for a network.
pub struct Reader {
    front_end: Arc<FrontEnd>,
    /// The shape of an input of the network, its one channel left out.
    shape: Vec<Option<usize>>,
    reading: Reading,
}

impl Reader {
    /// A reader for what the model reads.
    pub fn new(model: &Model, reading: Reading) -> Reader {
        let shape = model.graph.architecture().input_shape();
        Reader {
            front_end: model.front_end.clone(),
            shape: shape.strip_prefix(&[Some(1)]).unwrap_or(shape).to_vec(),
            reading,
        }
    }

    /// Reads a recording, or an `.npy` file of features.
    ///
    /// # Errors
    /// If it cannot be read, or is not what the network takes; the file is named.
    pub fn read(&self, path: &Path) -> Result<Input> {
        let name = path.display().to_string();
        let is_array = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
        match is_array {
            true => self.array(&name, npy::read(path)?),
            false => self.audio(&name, read_at_most(path, self.reading.longest)?),
        }
    }

    /// Features as they are.
    ///
    /// # Errors
    /// If they are not of the network's input's shape `[H, W]`, or many such, or all values are the same.
    pub fn array(&self, name: &str, array: ArrayD<f32>) -> Result<Input> {
        let single = array.ndim() == self.shape.len();
        let shape = array.shape().to_vec();
        let features = match single {
            true => array.insert_axis(Axis(0)),
            false => array,
        };
        let is_read = |one: &[usize]| {
            one.len() == self.shape.len()
                && iter::zip(one, &self.shape).all(|(own, reads)| reads.is_none_or(|n| n == *own))
        };
        match features.shape() {
            [count, one @ ..] if *count > 0 && is_read(one) => Input {
                name: name.to_owned(),
                silent: features.outer_iter().map(is_constant).collect(),
                features,
                single,
                heard: None,
                axes: self.front_end.axes().clone(),
                at: None,
            }
            .with_sound(),
            _ => {
                let size = |size: &Option<usize>| size.map_or("any".to_owned(), |n| n.to_string());
                let sizes: Vec<String> = self.shape.iter().map(size).collect();
                let sizes = sizes.join(", ");
                let front_end = self.front_end.name().unwrap_or("FRONTEND.toml");
                Err(Error::input(
                    name,
                    format!(
                        "the network reads [{sizes}] or [N, {sizes}], not {shape:?}; make it with `speechlens features {front_end}`, or \
                         give the recording itself"
                    ),
                ))
            }
        }
    }

    /// A recording.
    ///
    /// # Errors
    /// If it is silent, or too short or too long for the network.
    pub fn audio(&self, name: &str, audio: Audio) -> Result<Input> {
        if !audio.samples.is_empty() && is_silent(&audio.samples) {
            return Err(Error::Silent {
                name: name.to_owned(),
            });
        }
        let audio = match self.reading.trim {
            true => trim(&audio, TRIM_DB),
            false => audio,
        };
        let reading = speechlens_frontend::Reading {
            placement: Placement::At(self.reading.offset),
            pieces: self.reading.pieces,
            hop: self.reading.hop,
        };
        let heard = self.front_end.compute(&audio, &reading).map_err(|source| {
            let ends = match self.reading.trim {
                true => ", without its silent ends",
                false => "",
            };
            Error::Recording {
                name: format!("{name}{ends}"),
                source,
            }
        })?;
        let is_cut = self.reading.pieces || self.front_end.length().is_cut();
        Input {
            name: name.to_owned(),
            features: heard.windows,
            silent: heard.silent,
            single: !is_cut,
            heard: Some(Heard {
                audio: heard.sound,
                places: heard.places,
            }),
            axes: self.front_end.axes().clone(),
            at: None,
        }
        .with_sound()
    }
}

/// Whether all values are the same.
fn is_constant(values: ArrayViewD<f32>) -> bool {
    let first = values.first().copied();
    values.iter().all(|value| Some(*value) == first)
}

impl Input {
    /// Itself, unless all windows are silent.
    fn with_sound(self) -> Result<Self> {
        match self.silent.iter().all(|silent| *silent) {
            true => Err(Error::Silent { name: self.name }),
            false => Ok(self),
        }
    }

    /// The windows that are not silent.
    pub fn sounding(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|window| !self.silent[*window])
    }

    /// How many windows there are.
    pub fn len(&self) -> usize {
        self.features.len_of(Axis(0))
    }

    /// Whether there are none; never so.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From when to when a window lies in the recording, in seconds.
    pub fn span(&self, window: usize) -> (f64, f64) {
        match &self.heard {
            Some(heard) => {
                let place = &heard.places[window];
                let start = place.start as f64 * self.axes.step;
                (start, start + place.frames.len() as f64 * self.axes.step)
            }
            None => {
                let frames = self.features.shape()[self.features.ndim() - 1];
                (0.0, frames as f64 * self.axes.step)
            }
        }
    }
}
