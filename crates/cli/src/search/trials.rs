//! Recordings as questions by which rules are measured.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use speechlens_audio::silence::{TRIM_DB, trim};
use speechlens_audio::{Audio, read_at_most, resample};
use speechlens_eval::gain::Patches;
use speechlens_eval::search::{self, Measure, Trial};
use speechlens_explain::halves::{Halves, Voices, samples_of_half};
use speechlens_explain::{Asked, Input, Reader, Reading, embedding, logits, to_tensor};
use speechlens_frontend::Length;
use speechlens_models::{Embedding, Model, Task};
use speechlens_report::progress::ProgressBar;

use super::By;
use crate::common::of_model;
use crate::input::{self, Found, Inputs};

/// What networks that hear any length are asked about: so many seconds, from the middle.
const SECONDS: f64 = 5.0;

/// The side of a patch of samples, in seconds, where there are [`LEAST`] of them.
const PATCH: f64 = 0.01;

/// Patches of samples, at least.
const LEAST: usize = 32;

/// Patches along each axis of features.
const ALONG: usize = 16;

/// How many trials may be made for each that is wanted.
const TRIED: usize = 5;

/// Recordings by side, and what is asked about them.
pub struct Trials<'a> {
    /// The network, and its file.
    pub model: (&'a Model, &'a Path),
    /// How recordings are read.
    pub reading: &'a input::Arguments,
    reader: Reader,
    device: &'a Device,
    found: &'a [Found],
    /// By recording: the folder below what was given, or itself.
    groups: Vec<&'a Path>,
    /// Which choose and which test, in the order in which they are taken.
    sides: [Vec<usize>; 2],
}

/// The folder directly below what was given that a recording lies in, or the recording itself.
fn group(found: &Found) -> &Path {
    let below = found.name.components().count().saturating_sub(1);
    found.path.ancestors().nth(below).unwrap_or(&found.path)
}

impl<'a> Trials<'a> {
    /// Of these recordings; the seed decides which choose.
    pub fn new(
        model: (&'a Model, &'a Path),
        reading: &'a input::Arguments,
        found: &'a [Found],
        (device, seed): (&'a Device, u64),
    ) -> Result<Self> {
        let mut groups: Vec<&Path> = found.iter().map(group).collect();
        if groups.windows(2).all(|pair| pair[0] == pair[1]) {
            groups = found.iter().map(|found| found.path.as_path()).collect();
        }
        Ok(Trials {
            reader: reading.reader(model.0, found)?,
            model,
            reading,
            device,
            found,
            sides: search::halves(&groups, seed),
            groups,
        })
    }

    /// What was asked for, or what suits the network and the recordings.
    pub fn measure(&self, asked: Option<By>) -> Result<By> {
        let is_embedding = self.model.0.task == Task::Embedding;
        let has_pairs = |side: &Vec<usize>| {
            let is_of_several = |place: &&usize| self.others(side, **place, true).next().is_some();
            let of_several = side.iter().filter(is_of_several);
            let groups: BTreeSet<&Path> = of_several.map(|place| self.groups[*place]).collect();
            groups.len() >= 2
        };
        let can = is_embedding && self.sides.iter().all(has_pairs);
        if asked == Some(By::Halves) {
            ensure!(
                is_embedding,
                "--by halves: is for networks whose task is `embedding`, and this one's is `{}`: leave it out",
                self.model.0.task.name()
            );
            ensure!(
                can,
                "--by halves: takes four speakers or more with two recordings or more: give a folder that holds a folder for each"
            );
        }
        Ok(asked.unwrap_or(if can { By::Halves } else { By::Gain }))
    }

    /// The recordings of a side but this one: those of its speaker, or those of others.
    fn others(&self, side: &[usize], place: usize, same: bool) -> impl Iterator<Item = usize> {
        let is_of = move |other: &usize| (self.groups[*other] == self.groups[place]) == same;
        side.iter()
            .copied()
            .filter(move |other| *other != place && is_of(other))
    }

    /// The trials of both sides, at most so many each.
    pub fn both(
        &self,
        by: By,
        most: usize,
        given: &mut Inputs,
        bar: &ProgressBar,
    ) -> Result<[Vec<Trial>; 2]> {
        let mut of = |side: &[usize]| -> Result<Vec<Trial>> {
            let tries = match by {
                By::Gain => side.len(),
                By::Halves => TRIED * most,
            };
            let mut trials = Vec::new();
            for number in 0..tries {
                if trials.len() == most {
                    break;
                }
                let place = side[number % side.len()];
                let made = match by {
                    By::Gain => {
                        let read = self.input(place);
                        let input = bar.suspend(|| given.take(&self.found[place].path, read))?;
                        input
                            .map(|input| self.gain(side, place, input))
                            .transpose()?
                    }
                    By::Halves => self.halves(side, number)?,
                };
                bar.inc(u64::from(made.is_some()));
                trials.extend(made);
            }
            Ok(trials)
        };
        let [choosing, testing] = &self.sides;
        Ok([of(choosing)?, of(testing)?])
    }

    /// A recording as the network hears it; of one that hears any length so many seconds.
    fn input(&self, place: usize) -> Result<Input> {
        let input = self.reading.read(&self.reader, &self.found[place].path)?;
        let is_any = self.model.0.front_end.length() == Length::Any;
        let Some(heard) = input.heard.as_ref().filter(|_| is_any) else {
            return Ok(input);
        };
        let Audio { samples, rate } = &heard.audio;
        let count = ((SECONDS * f64::from(*rate)) as usize).min(samples.len());
        let start = (samples.len() - count) / 2;
        let audio = Audio {
            samples: samples[start..start + count].to_vec(),
            rate: *rate,
        };
        Ok(self.reader.audio(&input.name, audio)?)
    }

    /// What the network answers the most surely in a recording; of embeddings, how similar it is to another of the speaker, or to itself.
    fn gain(&self, side: &[usize], place: usize, input: Input) -> Result<Trial> {
        let ((model, path), device) = (self.model, self.device);
        let blamed = |error| of_model(path, error);
        let mut asked = Asked::default();
        if model.task == Task::Embedding {
            let other = self
                .others(side, place, true)
                .find_map(|other| self.input(other).ok());
            if let Some(other) = other {
                asked.against = Some(Embedding {
                    name: "the speaker's other".into(),
                    embedding: embedding(model, &other, device).map_err(blamed)?,
                });
            }
        }
        let asks = asked.of(model, &input, device).map_err(blamed)?;
        let all = logits(&asks, &input, device).map_err(blamed)?;
        let sure = |window: &usize| {
            let own = &all[*window];
            asks.value(own, asks.task.foremost(own))
        };
        let window = input.sounding().max_by(|a, b| sure(a).total_cmp(&sure(b)));
        let window = window.with_context(|| format!("{}: is silent", input.name))?;
        let shape = input.features.shape()[1..].to_vec();
        let sides: Vec<usize> = match (input.axes.are_samples(), shape.as_slice()) {
            (true, [samples]) => {
                let side = (PATCH / input.axes.step).round() as usize;
                vec![side.min(samples.div_ceil(LEAST))]
            }
            _ => shape.iter().map(|length| length.div_ceil(ALONG)).collect(),
        };
        let windows = to_tensor(&model.graph, input.features, device)?;
        let nothing = model.front_end.silence().unwrap_or(0.0) as f32;
        Ok(Trial {
            graph: asks.graph.clone(),
            input: windows.narrow(0, window, 1)?,
            target: asks.task.foremost(&all[window]) as u32,
            measure: Measure::Gain(Patches::new(&shape, &sides), nothing),
        })
    }

    /// A recording of two voices; none where one is too short, or the network does not tell them apart.
    fn halves(&self, side: &[usize], number: usize) -> Result<Option<Trial>> {
        let one = side[number % side.len()];
        let other_of = |place: usize| self.others(side, place, true).next();
        let strangers = self.others(side, one, false);
        let strangers: Vec<usize> = strangers
            .filter(|place| other_of(*place).is_some())
            .collect();
        if strangers.is_empty() {
            return Ok(None);
        }
        // Another in every round.
        let stranger = strangers[(number + number / side.len()) % strangers.len()];
        let half = samples_of_half(self.model.0);
        let voice = |place: usize, count: usize| -> Option<Vec<f32>> {
            let samples = self.samples(&self.found[place].path);
            let samples = samples.inspect_err(|error| tracing::debug!("{error:#}"));
            samples.ok()?.get(..count).map(<[f32]>::to_vec)
        };
        let voices = || -> Option<Voices> {
            Some(Voices {
                own: voice(one, half)?,
                strange: voice(stranger, half)?,
                is_first: number.is_multiple_of(2),
                compared: voice(other_of(one)?, 2 * half)?,
                rather_than: Some(voice(other_of(stranger)?, 2 * half)?),
            })
        };
        let Some(voices) = voices() else {
            return Ok(None);
        };
        let made = Halves::new((self.model.0, &self.reader), &voices, self.device);
        let made = made.map_err(|error| of_model(self.model.1, error))?;
        Ok(made.map(|halves| Trial {
            graph: halves.asks.graph,
            input: halves.input,
            target: 0,
            measure: Measure::Known(halves.known),
        }))
    }

    /// A recording at the network's rate, without its silent ends.
    fn samples(&self, path: &Path) -> Result<Vec<f32>> {
        let audio = trim(&read_at_most(path, Reading::default().longest)?, TRIM_DB);
        let rate = self.model.0.front_end.axes().rate;
        Ok(resample(&audio.samples, audio.rate, rate))
    }
}
