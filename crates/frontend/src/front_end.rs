use std::ops::Range;
use std::path::Path;

use ndarray::{ArrayD, Axis, stack};
use serde::{Deserialize, Serialize};
use speechlens_audio::silence::{is_silent, pieces};
use speechlens_audio::{Audio, Resampler};

use crate::stages::{self, Planned};
use crate::{Axes, Error, Length, Placement, Result, Signal};

/// The front ends of known networks, by name.
pub const NAMED: &[(&str, &str)] = &[
    (
        "thesis-spectrogram",
        include_str!("../named/thesis-spectrogram.toml"),
    ),
    (
        "audiomnist-spectrogram",
        include_str!("../named/audiomnist-spectrogram.toml"),
    ),
    (
        "thesis-waveform",
        include_str!("../named/thesis-waveform.toml"),
    ),
    ("thesis-fbank", include_str!("../named/thesis-fbank.toml")),
    (
        "kaldi-fbank-80",
        include_str!("../named/kaldi-fbank-80.toml"),
    ),
    (
        "whisper-log-mel",
        include_str!("../named/whisper-log-mel.toml"),
    ),
    ("librosa-mel", include_str!("../named/librosa-mel.toml")),
    (
        "thesis-fbank-recording",
        include_str!("../named/thesis-fbank-recording.toml"),
    ),
    ("fbank", include_str!("../named/fbank.toml")),
    ("samples", include_str!("../named/samples.toml")),
    ("crepe", include_str!("../named/crepe.toml")),
    ("dnsmos", include_str!("../named/dnsmos.toml")),
    ("ge2e-mel", include_str!("../named/ge2e-mel.toml")),
    ("silero", include_str!("../named/silero.toml")),
    ("smart-turn", include_str!("../named/smart-turn.toml")),
];

/// What each of [`NAMED`] is: the words that its file begins with.
pub fn about() -> impl Iterator<Item = (&'static str, String)> {
    NAMED.iter().map(|(name, text)| {
        let words = text.lines().map_while(|line| line.strip_prefix("# "));
        (*name, words.collect::<Vec<_>>().join(" "))
    })
}

/// A front end as it stands in TOML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    rate: u32,
    length: Length,
    #[serde(skip_serializing_if = "Option::is_none")]
    silence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounds: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<Framing>,
    #[serde(default)]
    stage: Vec<toml::Table>,
}

/// How samples are cut into the frames that a network reads whose first axis is time. It is done in the network's graph, so that
/// relevance is of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framing {
    /// Samples from the first of one frame to the first of the next.
    pub hop: usize,
    /// Zeros before the recording.
    #[serde(default)]
    pub before: usize,
}

/// From a recording to what a network reads.
pub struct FrontEnd {
    description: Description,
    /// What is done to a whole recording, or to each piece of a given length.
    before: Vec<(String, Planned)>,
    /// What is done to each window.
    after: Vec<(String, Planned)>,
    axes: Axes,
    /// Whether each frame of its material is made of the samples around it alone.
    is_local: bool,
    resampler: Resampler,
}

/// How a recording is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Where a recording that is shorter than the front end's length lies among zeros, in samples at its rate.
    pub placement: Placement,
    /// Whether a recording that may have some length at most is cut at its pauses into pieces of 0.25 to 1 s, which begin at the
    /// beginning, as training on long recordings does.
    pub pieces: bool,
    /// From one window to the next, in frames of the features; else windows follow each other.
    pub hop: Option<usize>,
}

impl Default for Reading {
    /// Whole, from the first sample on; windows that follow each other.
    fn default() -> Self {
        Reading {
            placement: Placement::At(0),
            pieces: false,
            hop: None,
        }
    }
}

/// What a network gets of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The features, `[N, rows, frames]`, or samples, `[N, samples]`.
    pub windows: ArrayD<f32>,
    /// Where each window lies.
    pub places: Vec<Place>,
    /// Which windows are of a part of the recording without sound: all its samples are the same.
    pub silent: Vec<bool>,
    /// The sound that they stand for, with its zeros, at the front end's rate.
    pub sound: Audio,
}

/// Where a window lies in the sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The sound's frame, or sample, with which the window begins.
    pub start: usize,
    /// The frames, or samples, of the window that are of the sound; the others are padding which the sound does not have.
    pub frames: Range<usize>,
    /// The samples of the sound that the recording itself is among those of the window; the others are zeros.
    pub samples: Range<usize>,
}

impl FrontEnd {
    /// One of [`NAMED`], or of a TOML file.
    ///
    /// # Errors
    /// If there is neither, or the file is no front end; it is named.
    pub fn load(name: &str) -> Result<Self> {
        if let Some((_, text)) = NAMED.iter().find(|(known, _)| *known == name) {
            return FrontEnd::parse(text);
        }
        let path = Path::new(name);
        if !path.exists() && path.extension().is_none() {
            return Err(Error::Unknown {
                name: name.to_owned(),
                known: NAMED.iter().map(|(name, _)| *name).collect(),
            });
        }
        let text = std::fs::read_to_string(path).map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        FrontEnd::parse(&text).map_err(|source| Error::File {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Of TOML: `rate` in Hz; [`length`](Length); `[[stage]]`s in order, each with its name, `op`, and its parameters; and if they
    /// are known the value that stands for `silence`, and the `bounds` of all values; of networks whose first axis is time, how samples
    /// become [`frames`](Framing).
    ///
    /// # Errors
    /// If a stage is not there or cannot follow the one before; it is named.
    pub fn parse(text: &str) -> Result<Self> {
        let described =
            toml::from_str(text).map_err(|error| Error::Toml(error.message().to_owned()))?;
        FrontEnd::new(described)
    }

    /// It without its stages of a name.
    ///
    /// # Errors
    /// If it has none, or others cannot do without.
    pub fn without(&self, op: &str) -> Result<Self> {
        let mut description = self.description.clone();
        let is_other =
            |stage: &toml::Table| stage.get("op").and_then(toml::Value::as_str) != Some(op);
        description.stage.retain(is_other);
        match description.stage.len() == self.description.stage.len() {
            true => Err(Error::Setting(format!("has no stage `{op}` to leave out"))),
            false => FrontEnd::new(description),
        }
    }

    /// It, of a network that begins at what its graph makes of the features, which has these axes.
    ///
    /// # Errors
    /// Never of what was parsed.
    pub fn inside(&self, axes: Axes, silence: Option<f64>) -> Result<FrontEnd> {
        let mut description = self.description.clone();
        (description.silence, description.bounds) = (silence, None);
        let mut inside = FrontEnd::new(description)?;
        inside.axes = axes;
        Ok(inside)
    }

    /// How the network's graph cuts samples into frames, and the front end of a network that does.
    ///
    /// # Errors
    /// Never of what was parsed.
    pub fn framing(&self) -> Result<Option<(Framing, FrontEnd)>> {
        let mut description = self.description.clone();
        let framing = description.frames.take();
        let cut = framing.map(|framing| Ok((framing, FrontEnd::new(description)?)));
        cut.transpose()
    }

    fn new(description: Description) -> Result<Self> {
        if description.rate == 0 {
            return Err(Error::Setting("a rate of 0 Hz: give the network's".into()));
        }
        if let Some(problem) = description.length.problem(description.rate) {
            return Err(Error::Setting(problem.into()));
        }
        let samples = description.length.samples(description.rate);
        let mut axes = Axes::samples(description.rate, samples);
        let (mut before, mut after) = (Vec::new(), Vec::<(String, Planned)>::new());
        let mut is_local = true;
        for (index, stage) in description.stage.iter().enumerate() {
            let mut parameters = stage.clone();
            let op = parameters.remove("op");
            let op = op
                .as_ref()
                .and_then(toml::Value::as_str)
                .unwrap_or_default();
            let at = |problem: String| Error::Stage {
                number: index + 1,
                op: op.to_owned(),
                problem,
            };
            let stage = stages::make(op, parameters).map_err(at)?;
            let planned = stage.plan(&axes).map_err(at)?;
            axes = planned.axes.clone();
            match (planned.of_window, after.is_empty()) {
                (true, _) => after.push((op.to_owned(), planned)),
                (false, true) => {
                    is_local &= stage.is_local();
                    before.push((op.to_owned(), planned));
                }
                (false, false) => {
                    return Err(at(
                        "stands behind a stage of windows: put it before them".into()
                    ));
                }
            }
        }
        if let Length::Frames(frames) = description.length {
            axes.frames = Some(frames);
        }
        match description.frames {
            Some(Framing { hop: 0, .. }) => {
                return Err(Error::Setting(
                    "frames with a hop of 0: give 1 or more".into(),
                ));
            }
            Some(_) if !axes.are_samples() => {
                let problem =
                    "frames are of samples, and its last stage gives frequencies: leave one out";
                return Err(Error::Setting(problem.into()));
            }
            _ => {}
        }
        Ok(FrontEnd {
            description,
            before,
            after,
            axes,
            is_local,
            resampler: Resampler::default(),
        })
    }

    /// It as TOML, which [`FrontEnd::parse`] reads.
    ///
    /// # Errors
    /// Never of what was parsed.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(&self.description).map_err(|error| Error::Toml(error.to_string()))
    }

    /// What it is called, if it is one of [`NAMED`].
    pub fn name(&self) -> Option<&'static str> {
        let is_it = |text: &str| {
            toml::from_str(text).is_ok_and(|known: Description| known == self.description)
        };
        let named = NAMED.iter().find(|(_, text)| is_it(text));
        named.map(|(name, _)| *name)
    }

    /// Samples a second that it works on, in Hz.
    pub fn rate(&self) -> u32 {
        self.description.rate
    }

    /// How much of a recording one input is.
    pub fn length(&self) -> Length {
        self.description.length
    }

    /// What rows, columns and values are.
    pub fn axes(&self) -> &Axes {
        &self.axes
    }

    /// The value that stands for silence, if there is one.
    pub fn silence(&self) -> Option<f64> {
        self.description.silence
    }

    /// Between which all values lie, if that is known.
    pub fn bounds(&self) -> Option<[f64; 2]> {
        self.description.bounds
    }

    /// The shape of one input: rows (if it has any) and frames, or samples; none where it is the recording's.
    pub fn shape(&self) -> Vec<Option<usize>> {
        let rows = self.axes.frequencies.len();
        let rows = (rows > 0).then_some(Some(rows));
        rows.into_iter().chain([self.axes.frames]).collect()
    }

    /// The features of a recording.
    ///
    /// # Errors
    /// If it is empty or not finite, or too short or too long for the front end.
    pub fn compute(&self, audio: &Audio, reading: &Reading) -> Result<Heard> {
        audio.check()?;
        let samples = self.resampler.of(audio, self.rate());
        match self.description.length {
            Length::Any => self.whole(audio, samples),
            Length::AtMost(_) if reading.pieces => self.pieced(audio, samples),
            Length::AtMost(seconds) => self.placed(audio, samples, seconds, reading.placement),
            Length::Exactly(_) => self.cut(audio, samples, reading.hop),
            Length::Last(_) => self.last_part(audio, samples),
            Length::Frames(frames) => self.slid(audio, samples, frames, reading.hop),
        }
    }

    /// What windows are cut from, which takes most of the work and can be kept: `[samples]` at its rate, among zeros where it has
    /// some length at most; where windows are of so many frames, the features of the whole recording, `[rows, frames]`, before
    /// what is done to each window. It may be too short for a window.
    ///
    /// # Errors
    /// As [`FrontEnd::compute`].
    pub fn material(&self, audio: &Audio, placement: Placement) -> Result<ArrayD<f32>> {
        audio.check()?;
        let samples = self.resampler.of(audio, self.rate());
        let signal = Signal::Samples(samples);
        Ok(match (self.description.length, signal) {
            (Length::AtMost(seconds), Signal::Samples(recording)) => {
                let (samples, _) = self.place(audio, &recording, seconds, placement)?;
                Signal::Samples(samples)
            }
            (Length::Frames(_), signal) => Self::run(&self.before, signal)?,
            (_, signal) => signal,
        }
        .into_array())
    }

    /// Of a front end that takes some length at most: the recording's samples at its rate, and the first one's place among the zeros
    /// around them; none of others. It can be kept in place of the [material](FrontEnd::material), which
    /// [`FrontEnd::among_zeros`] makes of it.
    ///
    /// # Errors
    /// As [`FrontEnd::compute`].
    pub fn placed_at(
        &self,
        audio: &Audio,
        placement: Placement,
    ) -> Result<Option<(Vec<f32>, usize)>> {
        let Length::AtMost(seconds) = self.description.length else {
            return Ok(None);
        };
        audio.check()?;
        let samples = self.resampler.of(audio, self.rate());
        let (_, range) = self.place(audio, &samples, seconds, placement)?;
        Ok(Some((samples, range.start)))
    }

    /// The material of a recording that begins at a place among zeros.
    ///
    /// # Errors
    /// If it reaches past them.
    pub fn among_zeros(&self, recording: &[f32], start: usize) -> Result<ArrayD<f32>> {
        let mut samples = vec![0.0; self.samples()];
        let place = samples.get_mut(start..start.saturating_add(recording.len()));
        match place {
            Some(place) => place.copy_from_slice(recording),
            None => {
                let problem = "reaches past the length that the network hears at a time";
                return Err(Error::Recording(problem.into()));
            }
        }
        Ok(Signal::Samples(samples).into_array())
    }

    /// The samples or frames with which windows of so long [material](FrontEnd::material) begin; `hop` is in frames of the features,
    /// else they follow each other.
    ///
    /// # Errors
    /// If it is too short for one.
    pub fn starts(&self, material: usize, hop: Option<usize>) -> Result<Vec<usize>> {
        Ok(match self.description.length {
            Length::Any | Length::AtMost(_) => vec![0],
            Length::Last(_) => vec![material.saturating_sub(self.samples())],
            Length::Exactly(_) => {
                let length = self.samples();
                let hop = hop.map_or(length, |frames| (frames * self.frame()).clamp(1, length));
                let windows = material.saturating_sub(length).div_ceil(hop) + 1;
                (0..windows).map(|window| window * hop).collect()
            }
            Length::Frames(frames) => {
                let last = self.last(material, frames)?;
                let hop = hop.unwrap_or(frames).max(1);
                (0..last).step_by(hop).chain([last]).collect()
            }
        })
    }

    /// How many samples or frames of its [material](FrontEnd::material) a window takes; none where it is all there are.
    pub fn extent(&self) -> Option<usize> {
        match self.description.length {
            Length::Frames(frames) => Some(frames),
            length => length.samples(self.rate()),
        }
    }

    /// The samples at its rate of which the window is made that begins with this frame of its [material](FrontEnd::material); none if
    /// others of the recording have a say.
    pub fn samples_of_window(&self, frame: usize) -> Option<Range<usize>> {
        let Length::Frames(frames) = self.description.length else {
            return None;
        };
        let samples = |seconds: f64| (seconds * f64::from(self.rate())).round() as usize;
        let start = frame * self.frame();
        let end = start + (frames - 1) * self.frame() + samples(2.0 * self.axes.first);
        self.is_local.then_some(start..end)
    }

    /// The features of one window of its [material](FrontEnd::material), of the first samples or frames of what is given; samples
    /// that it lacks are zeros.
    ///
    /// # Errors
    /// If it lacks frames.
    pub fn window(&self, mut material: ArrayD<f32>) -> Result<ArrayD<f32>> {
        let wrong = |material: &ArrayD<f32>| {
            let shape = material.shape();
            Error::Recording(format!(
                "gave {shape:?}, which is no window of its material"
            ))
        };
        match (self.description.length, self.extent()) {
            (Length::Frames(_), Some(frames)) => {
                if material.shape().last().is_none_or(|there| *there < frames) {
                    return Err(wrong(&material));
                }
                let time = Axis(material.ndim() - 1);
                material.slice_axis_inplace(time, (0..frames).into());
                let signal = match material.ndim() {
                    1 => Signal::Samples(material.iter().copied().collect()),
                    _ => Signal::Plane(
                        material
                            .into_dimensionality()
                            .map_err(|error| Error::Recording(error.to_string()))?,
                    ),
                };
                Ok(Self::run(&self.after, signal)?.into_array())
            }
            (_, samples) => {
                if material.ndim() != 1 {
                    return Err(wrong(&material));
                }
                let values: Vec<f32> = material.iter().copied().collect();
                self.through(match samples {
                    Some(samples) => self.filled(values, samples),
                    None => values,
                })
            }
        }
    }

    /// The samples from one frame to the next.
    fn frame(&self) -> usize {
        let frame = self.axes.step * f64::from(self.rate());
        frame.round().max(1.0) as usize
    }

    /// The last frame of `all` with which a window of so many can begin.
    fn last(&self, all: usize, frames: usize) -> Result<usize> {
        all.checked_sub(frames).ok_or_else(|| {
            let needed = (frames - 1) as f64 * self.axes.step + 2.0 * self.axes.first;
            Error::Recording(format!(
                "has {all} frames of {} ms, and the network reads {frames} at a time: give at least {needed:.3} s",
                (self.axes.step * 1e6).round() / 1e3
            ))
        })
    }

    fn run(stages: &[(String, Planned)], signal: Signal) -> Result<Signal> {
        stages
            .iter()
            .try_fold(signal, |signal, (_, stage)| (stage.run)(signal))
    }

    fn through(&self, samples: Vec<f32>) -> Result<ArrayD<f32>> {
        let signal = Self::run(&self.before, Signal::Samples(samples))?;
        Ok(Self::run(&self.after, signal)?.into_array())
    }

    /// `first` is the recording's sample with which the sound begins; below 0 if zeros stand before it.
    fn heard(
        &self,
        audio: &Audio,
        windows: Vec<ArrayD<f32>>,
        places: Vec<Place>,
        (samples, first): (Vec<f32>, i64),
    ) -> Result<Heard> {
        // Resampling rings into silence: it is told by the recording's own samples.
        let at = |sample: usize| {
            let seconds = (sample as i64 + first).max(0) as f64 / f64::from(self.rate());
            ((seconds * f64::from(audio.rate)).round() as usize).min(audio.samples.len())
        };
        let silent = places.iter().map(|place| {
            let (start, end) = (at(place.samples.start), at(place.samples.end));
            is_silent(&audio.samples[start.min(end)..end])
        });
        let silent = silent.collect();
        let views: Vec<_> = windows.iter().map(|window| window.view()).collect();
        let windows =
            stack(Axis(0), &views).map_err(|error| Error::Recording(error.to_string()))?;
        Ok(Heard {
            windows,
            places,
            silent,
            sound: Audio {
                samples,
                rate: self.rate(),
            },
        })
    }

    /// So many samples: zeros where there are fewer, before those of the last part of a recording and behind others.
    fn filled(&self, mut samples: Vec<f32>, count: usize) -> Vec<f32> {
        let there = samples.len();
        samples.resize(count, 0.0);
        if let (Length::Last(_), Some(zeros)) = (self.description.length, count.checked_sub(there))
        {
            samples.rotate_right(zeros);
        }
        samples
    }

    /// The last part of a recording, behind zeros if it is shorter.
    fn last_part(&self, audio: &Audio, mut samples: Vec<f32>) -> Result<Heard> {
        let (recorded, length) = (samples.len(), self.samples());
        let sound = self.filled(samples.split_off(recorded.saturating_sub(length)), length);
        let window = self.through(sound.clone())?;
        let place = Place {
            start: 0,
            frames: 0..frames(&window),
            samples: length.saturating_sub(recorded)..length,
        };
        let first = recorded as i64 - length as i64;
        self.heard(audio, vec![window], vec![place], (sound, first))
    }

    fn whole(&self, audio: &Audio, samples: Vec<f32>) -> Result<Heard> {
        let window = self.through(samples.clone())?;
        let place = Place {
            start: 0,
            frames: 0..frames(&window),
            samples: 0..samples.len(),
        };
        self.heard(audio, vec![window], vec![place], (samples, 0))
    }

    /// A recording among zeros, and its samples there.
    fn place(
        &self,
        audio: &Audio,
        recording: &[f32],
        seconds: f64,
        placement: Placement,
    ) -> Result<(Vec<f32>, Range<usize>)> {
        let length = self.samples();
        if audio.seconds() > seconds || recording.len() > length {
            let error = speechlens_audio::Error::TooLong {
                seconds: audio.seconds(),
                most: seconds,
            };
            return Err(error.into());
        }
        let start = placement.offset(recording.len(), length, self.rate())?;
        let range = start..start + recording.len();
        let mut samples = vec![0.0; length];
        samples[range.clone()].copy_from_slice(recording);
        Ok((samples, range))
    }

    fn placed(
        &self,
        audio: &Audio,
        recording: Vec<f32>,
        seconds: f64,
        placement: Placement,
    ) -> Result<Heard> {
        let (samples, range) = self.place(audio, &recording, seconds, placement)?;
        let window = self.through(samples.clone())?;
        let place = Place {
            start: 0,
            frames: 0..frames(&window),
            samples: range.clone(),
        };
        let first = -(range.start as i64);
        self.heard(audio, vec![window], vec![place], (samples, first))
    }

    /// Windows of a recording's pieces.
    fn pieced(&self, audio: &Audio, samples: Vec<f32>) -> Result<Heard> {
        let ranges = pieces(audio);
        if ranges.is_empty() {
            let problem = "holds no sound of at least 0.05 s; record it again";
            return Err(Error::Recording(problem.into()));
        }
        let (mut windows, mut places) = (Vec::new(), Vec::new());
        for range in ranges {
            let at = |sample: usize| sample as f64 / f64::from(audio.rate);
            let start = at(range.start);
            let first = (start * f64::from(self.rate())).round() as usize;
            let length = at(range.len());
            let mut piece = self.resampler.of(&audio.slice(range), self.rate());
            let last = (first + piece.len()).min(samples.len());
            piece.resize(self.samples(), 0.0);
            let window = self.through(piece)?;
            // The frames that are centred on the piece.
            let centred = ((length - self.axes.first) / self.axes.step)
                .ceil()
                .max(1.0) as usize;
            places.push(Place {
                start: (start / self.axes.step).round() as usize,
                frames: 0..centred.min(frames(&window)),
                samples: first..last,
            });
            windows.push(window);
        }
        self.heard(audio, windows, places, (samples, 0))
    }

    /// How many samples an input is made of, where that is fixed.
    fn samples(&self) -> usize {
        let length = self.description.length;
        length.samples(self.rate()).unwrap_or_default()
    }

    fn cut(&self, audio: &Audio, mut samples: Vec<f32>, hop: Option<usize>) -> Result<Heard> {
        let (recorded, length, frame) = (samples.len(), self.samples(), self.frame());
        let starts = self.starts(recorded, hop)?;
        samples.resize(starts.last().unwrap_or(&0) + length, 0.0);
        let all = starts
            .iter()
            .map(|start| self.through(samples[*start..start + length].to_vec()));
        let all = all.collect::<Result<Vec<_>>>()?;
        let places = starts.into_iter().zip(&all).map(|(start, window)| Place {
            start: start / frame,
            frames: 0..frames(window),
            samples: start..recorded.min(start + length),
        });
        let places = places.collect();
        self.heard(audio, all, places, (samples, 0))
    }

    fn slid(
        &self,
        audio: &Audio,
        samples: Vec<f32>,
        frames: usize,
        hop: Option<usize>,
    ) -> Result<Heard> {
        let signal = Self::run(&self.before, Signal::Samples(samples.clone()))?;
        let starts = self.starts(signal.frames(), hop)?;
        let window = |start: &usize| {
            let window = signal.cut(*start..*start + frames);
            Ok(Self::run(&self.after, window)?.into_array())
        };
        let windows = starts.iter().map(window).collect::<Result<_>>()?;
        let sample = |frame: usize| {
            let seconds = frame as f64 * self.axes.step;
            ((seconds * f64::from(self.rate())).round() as usize).min(samples.len())
        };
        let place = |start: &usize| Place {
            start: *start,
            frames: 0..frames,
            samples: sample(*start)..sample(*start + frames),
        };
        let places = starts.iter().map(place).collect();
        self.heard(audio, windows, places, (samples, 0))
    }
}

/// How many frames, or samples, a window has.
fn frames(window: &ArrayD<f32>) -> usize {
    window.shape().last().copied().unwrap_or(0)
}

impl std::fmt::Debug for FrontEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.description.fmt(f)
    }
}
