//! What networks are asked about: recordings, and arrays of features.

use std::ops::Range;
use std::path::Path;

use ndarray::{Array2, ArrayD, ArrayViewD, Axis, s, stack};
use speechlens_audio::silence::{TRIM_DB, is_silent, pieces, trim};
use speechlens_audio::{
    Audio, Crop, Filterbank, HOP, Placement, RATE, SECOND, SIZE, Spectrogram, Waveform, filterbank,
    frequencies, read_at_most, resample, times,
};
use speechlens_models::resnet34::{BANDS, FRAMES};
use speechlens_models::{Features, Model};
use speechlens_report::npy;

use crate::{Error, Result};

/// How recordings are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Where a recording of at most a second starts in its second of zeros, in samples at 8 kHz; spectrograms and waveforms
    /// only. Pieces start at 0.
    pub offset: usize,
    /// Whether silence is taken off both ends: what is 40 dB below the loudest.
    pub trim: bool,
    /// Whether a recording is cut at its pauses into pieces of 0.25 to 1 s, as training on long recordings does; spectrograms
    /// and waveforms only.
    pub pieces: bool,
    /// Frames of 10 ms from the start of one window to the next; filterbanks only.
    pub hop: usize,
    /// The longest recording, in seconds.
    pub longest: f64,
}

impl Default for Reading {
    /// Whole recordings from the start of their second; windows of a filterbank that follow each other; at most five minutes.
    fn default() -> Self {
        Reading {
            offset: 0,
            trim: false,
            pieces: false,
            hop: FRAMES,
            longest: 300.0,
        }
    }
}

/// One input as the network reads it: N windows.
pub struct Input {
    /// What it is called: the file.
    pub name: String,
    /// Its features, `[N, H, W]`, or waveforms, `[N, T]`.
    pub features: ArrayD<f32>,
    /// Which of the N are silent: what the network answers to them means nothing. Never all of them.
    pub silent: Vec<bool>,
    /// Whether the input itself was one of the N, or a recording of a second.
    pub single: bool,
    /// Of a recording: what the network heard, and where the windows lie in it.
    pub heard: Option<Heard>,
    /// What a frame and a row are.
    pub grid: Grid,
}

/// A recording as the network heard it.
pub struct Heard {
    /// The sound at the network's sampling rate; of a recording of a second, that second with its zeros.
    pub audio: Audio,
    /// A window's place in it, one for each.
    pub places: Vec<Place>,
}

/// Where a window lies in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The recording's frame at which `frames` begin.
    pub start: usize,
    /// Those of the window that hold the recording; the others are padding.
    pub frames: Range<usize>,
}

/// The axes of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The time of the first frame, in seconds.
    pub first: f64,
    /// From one frame to the next, in seconds.
    pub step: f64,
    /// The frequency of each row, in Hz; none for a waveform.
    pub frequencies: Vec<f64>,
}

impl Grid {
    /// The time of a frame, in seconds.
    pub fn time(&self, frame: usize) -> f64 {
        self.first + self.step * frame as f64
    }
}

/// Reads inputs for a network.
pub struct Reader {
    features: Kind,
    reading: Reading,
    grid: Grid,
}

enum Kind {
    Spectrogram(Box<Spectrogram>),
    Waveform(Box<Waveform>),
    Filterbank {
        filterbank: Box<Filterbank>,
        /// Whether the mean of each band is 0 over the recording, and not over each segment.
        whole: bool,
    },
}

impl Reader {
    /// A reader for what the model reads.
    ///
    /// # Errors
    /// If the model's metadata name no crop there is.
    pub fn new(model: &Model, reading: Reading) -> Result<Reader> {
        let seconds = |samples: usize, rate: u32| samples as f64 / f64::from(rate);
        let (features, grid) = match model.features() {
            Features::Spectrogram => {
                let crop: Crop = match model.metadata.get("crop") {
                    Some(crop) => crop.parse()?,
                    None => Crop::default(),
                };
                let grid = Grid {
                    first: times(crop)[0],
                    step: seconds(HOP, RATE),
                    frequencies: frequencies(),
                };
                (Kind::Spectrogram(Box::new(Spectrogram::new(crop))), grid)
            }
            Features::Waveform => {
                let grid = Grid {
                    first: 0.0,
                    step: seconds(1, RATE),
                    frequencies: Vec::new(),
                };
                (Kind::Waveform(Box::default()), grid)
            }
            Features::Filterbank => {
                let normalization = model.metadata.get("normalization");
                let features = Kind::Filterbank {
                    filterbank: Box::new(Filterbank::new()),
                    whole: normalization.is_some_and(|over| over == "utterance"),
                };
                let grid = Grid {
                    first: filterbank::times(1)[0],
                    step: seconds(filterbank::HOP, filterbank::RATE),
                    frequencies: filterbank::frequencies(),
                };
                (features, grid)
            }
        };
        Ok(Reader {
            features,
            reading,
            grid,
        })
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
        let (expected, remedy): (&[usize], _) = match self.features {
            Kind::Spectrogram(_) => (
                &[SIZE, SIZE],
                "make one with `speechlens features spectrogram`",
            ),
            Kind::Waveform(_) => (&[SECOND], "make one with `speechlens features waveform`"),
            Kind::Filterbank { .. } => (
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
            [count, one @ ..] if *count > 0 && one == expected => Input {
                name: name.to_owned(),
                silent: features.outer_iter().map(is_constant).collect(),
                features,
                single,
                heard: None,
                grid: self.grid.clone(),
            }
            .with_sound(),
            _ => {
                let sizes: Vec<String> = expected.iter().map(ToString::to_string).collect();
                let sizes = sizes.join(", ");
                Err(Error::input(
                    name,
                    format!("the network reads [{sizes}] or [N, {sizes}], not {shape:?}; {remedy}"),
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
        let input = match &self.features {
            Kind::Filterbank { filterbank, whole } => {
                self.segments(name.to_owned(), &audio, filterbank, *whole)
            }
            _ if self.reading.pieces => self.pieces(name.to_owned(), &audio),
            _ => self.second(name.to_owned(), &audio),
        };
        input.map_err(|mut error| {
            if let (true, Error::Input { name, .. } | Error::Recording { name, .. }) =
                (self.reading.trim, &mut error)
            {
                name.push_str(", without its silent ends");
            }
            error
        })
    }

    /// The features of at most a second.
    fn of_a_second(&self, name: &str, audio: &Audio, placement: Placement) -> Result<ArrayD<f32>> {
        let features = match &self.features {
            Kind::Spectrogram(spectrogram) => spectrogram
                .compute(audio, placement)
                .map(|placed| placed.values.into_dyn()),
            Kind::Waveform(waveform) => waveform
                .compute(audio, placement)
                .map(|waveform| waveform.into_dyn()),
            Kind::Filterbank { filterbank, .. } => filterbank
                .compute(audio)
                .map(|features| features.into_dyn()),
        };
        features.map_err(|error| Error::recording(name, error))
    }

    fn second(&self, name: String, audio: &Audio) -> Result<Input> {
        let offset = self.reading.offset;
        let features = self.of_a_second(&name, audio, Placement::At(offset))?;
        let frames = features.shape()[features.ndim() - 1];
        let mut samples = vec![0.0; offset];
        samples.extend(resample(&audio.samples, audio.rate, RATE));
        samples.resize(SECOND, 0.0);
        Ok(Input {
            name,
            features: features.insert_axis(Axis(0)),
            silent: vec![false],
            single: true,
            heard: Some(Heard {
                audio: Audio {
                    samples,
                    rate: RATE,
                },
                places: vec![Place {
                    start: 0,
                    frames: 0..frames,
                }],
            }),
            grid: self.grid.clone(),
        })
    }

    fn pieces(&self, name: String, audio: &Audio) -> Result<Input> {
        let ranges = pieces(audio);
        if ranges.is_empty() {
            let problem = "holds no sound of at least 0.05 s; record it again";
            return Err(Error::input(&name, problem));
        }
        let mut features = Vec::with_capacity(ranges.len());
        let mut places = Vec::with_capacity(ranges.len());
        for range in ranges {
            let seconds = |sample: usize| sample as f64 / f64::from(audio.rate);
            let start = seconds(range.start);
            let length = seconds(range.len());
            let window = self.of_a_second(&name, &audio.slice(range), Placement::At(0))?;
            let all = window.shape()[window.ndim() - 1];
            // The frames that are centred on the piece.
            let end = ((length - self.grid.first) / self.grid.step)
                .ceil()
                .max(1.0);
            places.push(Place {
                start: (start / self.grid.step).round() as usize,
                frames: 0..(end as usize).min(all),
            });
            features.push(window);
        }
        let views: Vec<_> = features.iter().map(|window| window.view()).collect();
        let features = stack(Axis(0), &views).map_err(|error| Error::input(&name, error))?;
        Ok(Input {
            silent: vec![false; features.len_of(Axis(0))],
            features,
            single: false,
            heard: Some(Heard {
                audio: Audio {
                    samples: resample(&audio.samples, audio.rate, RATE),
                    rate: RATE,
                },
                places,
            }),
            grid: self.grid.clone(),
            name,
        })
    }

    /// Windows of two seconds that begin every hop. The last one ends with the recording.
    fn segments(
        &self,
        name: String,
        audio: &Audio,
        filterbank: &Filterbank,
        whole: bool,
    ) -> Result<Input> {
        let features = filterbank.compute(audio);
        let mut features: Array2<f32> = features.map_err(|error| Error::recording(&name, error))?;
        let frames = features.ncols();
        if frames < FRAMES {
            let needed = (FRAMES - 1) * filterbank::HOP + filterbank::FRAME;
            let problem = format!(
                "has {frames} frames of 10 ms, and the network reads {FRAMES} at a time: give at least {:.3} s",
                needed as f64 / f64::from(filterbank::RATE)
            );
            return Err(Error::input(&name, problem));
        }
        if whole {
            filterbank::subtract_mean(features.view_mut());
        }
        let last = frames - FRAMES;
        let mut starts: Vec<usize> = (0..last).step_by(self.reading.hop.max(1)).collect();
        starts.push(last);
        let mut all = ndarray::Array3::zeros((starts.len(), features.nrows(), FRAMES));
        for (mut segment, start) in all.outer_iter_mut().zip(&starts) {
            segment.assign(&features.slice(s![.., *start..start + FRAMES]));
            if !whole {
                filterbank::subtract_mean(segment);
            }
        }
        let place = |start| Place {
            start,
            frames: 0..FRAMES,
        };
        let sample = |frame: usize| {
            let seconds = (frame * filterbank::HOP) as f64 / f64::from(filterbank::RATE);
            (seconds * f64::from(audio.rate)).round() as usize
        };
        let heard = |start: &usize| {
            let end = sample(start + FRAMES).min(audio.samples.len());
            &audio.samples[sample(*start).min(end)..end]
        };
        Input {
            name,
            features: all.into_dyn(),
            silent: starts.iter().map(|start| is_silent(heard(start))).collect(),
            single: false,
            heard: Some(Heard {
                audio: Audio {
                    samples: resample(&audio.samples, audio.rate, filterbank::RATE),
                    rate: filterbank::RATE,
                },
                places: starts.into_iter().map(place).collect(),
            }),
            grid: self.grid.clone(),
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
                let start = place.start as f64 * self.grid.step;
                (start, start + place.frames.len() as f64 * self.grid.step)
            }
            None => {
                let frames = self.features.shape()[self.features.ndim() - 1];
                (0.0, frames as f64 * self.grid.step)
            }
        }
    }
}
