//! Windows of any front end's features with the recording's class, as any classifier is trained and measured on them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ndarray::{Array, Array2, ArrayD, Axis, Dimension, stack};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use speechlens_data::{FeatureStore, LeftOut, Recording, Stretch, Window, hdf5_layout};
use speechlens_frontend::FrontEnd;
use speechlens_nn::train::Samples;

use crate::{Error, Result};

/// Windows of features, `[rows, frames]` or `[samples]` each, with what is known of their recordings; the label is the place of the
/// recording's class in a list. They are read as they are asked for.
#[derive(Clone, Default)]
pub struct Windows {
    windows: Vec<(Source, u32)>,
}

#[derive(Clone)]
enum Source {
    Store(Arc<FeatureStore>, Window),
    /// A file in the layout of AudioMNIST's preprocessing, and what it says of its recording.
    File(Arc<(PathBuf, Recording)>),
}

impl Windows {
    /// Puts the windows of some of a store's recordings, by their places in it, behind those that are there; `hop` frames after each
    /// other, or one after another. Gives the recordings that are too short for one.
    ///
    /// # Errors
    /// If a recording has no class, or another than those listed.
    pub fn append(
        &mut self,
        store: &Arc<FeatureStore>,
        places: &[usize],
        hop: Option<usize>,
        classes: &[String],
    ) -> Result<Vec<LeftOut>> {
        let labels: HashMap<&String, u32> = classes.iter().zip(0..).collect();
        self.append_by(store, places, hop, |recording| {
            let label = recording.class.as_ref().and_then(|class| labels.get(class));
            label.copied().ok_or_else(|| {
                let class = recording.class.as_deref().unwrap_or("none");
                let first: Vec<&str> = classes.iter().map(String::as_str).take(3).collect();
                let more = if classes.len() > 3 { ", …" } else { "" };
                Error::Plan(format!(
                    "recording {} has the class `{class}`, and the network's are {}{more}: give recordings of these",
                    recording.id,
                    first.join(", ")
                ))
            })
        })
    }

    /// The same, labelled by the classes that a network has for men and for women.
    ///
    /// # Errors
    /// If the sex of a speaker is not known.
    pub fn append_of_sexes(
        &mut self,
        store: &Arc<FeatureStore>,
        places: &[usize],
        of_sexes: [u32; 2],
    ) -> Result<Vec<LeftOut>> {
        self.append_by(store, places, None, |recording| of_sex(recording, of_sexes))
    }

    /// Cuts stretches of a store's recordings into windows that begin every `hop` frames; the label is the place of the speaker among
    /// the classes.
    ///
    /// # Errors
    /// If a speaker is in no class.
    pub fn append_stretches(
        &mut self,
        store: &Arc<FeatureStore>,
        stretches: &[Stretch],
        hop: usize,
        classes: &[String],
    ) -> Result<()> {
        let labels: HashMap<&String, u32> = classes.iter().zip(0..).collect();
        let extent = store.front_end().extent().unwrap_or(usize::MAX);
        for Stretch { recording, frames } in stretches {
            let speaker = &store.recordings()[*recording].speaker;
            let label = *labels.get(speaker).ok_or_else(|| {
                Error::Plan(format!(
                    "speaker {speaker} is none of the {} classes",
                    classes.len()
                ))
            })?;
            let starts = frames.clone().step_by(hop.max(1));
            let whole = starts.take_while(|start| start.saturating_add(extent) <= frames.end);
            self.windows.extend(whole.map(|start| {
                let recording = *recording;
                (
                    Source::Store(store.clone(), Window { recording, start }),
                    label,
                )
            }));
        }
        Ok(())
    }

    fn append_by(
        &mut self,
        store: &Arc<FeatureStore>,
        places: &[usize],
        hop: Option<usize>,
        label: impl Fn(&Recording) -> Result<u32>,
    ) -> Result<Vec<LeftOut>> {
        let mut left_out = Vec::new();
        for place in places {
            let recording = &store.recordings()[*place];
            let label = label(recording)?;
            match store.windows(*place, hop) {
                Ok(windows) => self.windows.extend(
                    windows
                        .into_iter()
                        .map(|window| (Source::Store(store.clone(), window), label)),
                ),
                Err(error) => match LeftOut::about(&recording.id, &error) {
                    Some(too_short) => left_out.push(too_short),
                    None => return Err(error.into()),
                },
            }
        }
        Ok(left_out)
    }

    /// So many of the windows, or all if there are fewer, drawn by the seed, in their order.
    pub fn sample(&self, count: usize, seed: u64) -> Windows {
        let mut places: Vec<usize> = (0..self.windows.len()).collect();
        places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        places.truncate(count);
        places.sort_unstable();
        let windows = places.iter().map(|place| self.windows[*place].clone());
        Windows {
            windows: windows.collect(),
        }
    }

    /// Files in the layout of AudioMNIST's preprocessing, with what they say of their recordings, labelled by the classes that a network
    /// has for men and for women.
    ///
    /// # Errors
    /// If the sex of a speaker is not known.
    pub fn append_files(
        &mut self,
        files: Vec<(PathBuf, Recording)>,
        of_sexes: [u32; 2],
    ) -> Result<()> {
        for file in files {
            let label = of_sex(&file.1, of_sexes)?;
            self.windows.push((Source::File(Arc::new(file)), label));
        }
        Ok(())
    }

    /// The same windows with other classes, by their recordings.
    pub fn relabelled(mut self, label: impl Fn(&Recording) -> u32) -> Windows {
        let labels: Vec<u32> = (0..self.windows.len())
            .map(|place| label(self.origin(place).0))
            .collect();
        for ((_, own), label) in self.windows.iter_mut().zip(labels) {
            *own = label;
        }
        self
    }

    /// Puts others behind these.
    pub fn extend(&mut self, others: &Windows) {
        self.windows.extend_from_slice(&others.windows);
    }

    /// The recording of a window, and the first of its samples or frames.
    pub fn origin(&self, place: usize) -> (&Recording, usize) {
        match &self.windows[place].0 {
            Source::Store(store, window) => (&store.recordings()[window.recording], window.start),
            Source::File(file) => (&file.1, 0),
        }
    }

    /// The recordings that they are of, each once.
    pub fn recordings(&self) -> Vec<&Recording> {
        let mut all: Vec<&Recording> = Vec::new();
        for place in 0..self.windows.len() {
            let own = self.origin(place).0;
            // Those of one recording are beside each other.
            if !all.last().is_some_and(|last| std::ptr::eq(*last, own)) {
                all.push(own);
            }
        }
        all
    }

    /// The front end that makes a window; none of a file.
    pub fn front_end(&self, place: usize) -> Option<&FrontEnd> {
        match &self.windows[place].0 {
            Source::Store(store, _) => Some(store.front_end()),
            Source::File(_) => None,
        }
    }

    /// The class of one window.
    pub fn label(&self, place: usize) -> u32 {
        self.windows[place].1
    }

    /// The classes of the windows.
    pub fn labels(&self) -> Vec<u32> {
        self.windows.iter().map(|(_, label)| *label).collect()
    }

    /// One window.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn one(&self, place: usize) -> Result<ArrayD<f32>> {
        match &self.windows[place].0 {
            Source::Store(store, window) => Ok(store.one(*window)?),
            Source::File(file) => Ok(hdf5_layout::read(&file.0)?.1.into_dyn()),
        }
    }

    /// One window of a front end that has rows, `[rows, frames]`.
    ///
    /// # Errors
    /// If it cannot be read, or is of samples.
    pub fn plane(&self, place: usize) -> Result<Array2<f32>> {
        let plane = self.one(place)?.into_dimensionality();
        plane.map_err(|error| Error::Plan(error.to_string()))
    }

    /// The windows at these places, `[N, …]`, in parallel.
    ///
    /// # Errors
    /// If one cannot be read, or they are of different shapes.
    pub fn read(&self, places: &[usize]) -> Result<ArrayD<f32>> {
        let all = places.par_iter().map(|place| self.one(*place));
        let all = all.collect::<Result<Vec<_>>>()?;
        let views: Vec<_> = all.iter().map(|window| window.view()).collect();
        stack(Axis(0), &views).map_err(|error| Error::Plan(error.to_string()))
    }

    /// The feature store that all of them are of, and which of its windows they are; none if they come from several, or from files.
    pub fn store(&self) -> Option<(&Arc<FeatureStore>, Vec<Window>)> {
        let of = |(source, _): &'_ (Source, u32)| match source {
            Source::Store(store, window) => Some((Arc::as_ptr(store), *window)),
            Source::File(_) => None,
        };
        let (Source::Store(store, _), _) = self.windows.first()? else {
            return None;
        };
        let own = self.windows.iter().map(|one| {
            let (own, window) = of(one)?;
            (own == Arc::as_ptr(store)).then_some(window)
        });
        Some((store, own.collect::<Option<_>>()?))
    }

    /// The same windows and labels in a store that was derived from theirs.
    pub(crate) fn derived(&self, own: &[Window], store: &Arc<FeatureStore>) -> Windows {
        // A derived store has the recordings of its windows in their order in the other.
        let mut kept: Vec<usize> = own.iter().map(|window| window.recording).collect();
        kept.sort_unstable();
        kept.dedup();
        let windows = own.iter().zip(&self.windows).map(|(window, (_, label))| {
            let recording = kept.partition_point(|one| *one < window.recording);
            let window = Window {
                recording,
                ..*window
            };
            (Source::Store(store.clone(), window), *label)
        });
        Windows {
            windows: windows.collect(),
        }
    }
}

/// The class that a network has for the speaker's sex.
fn of_sex(recording: &Recording, of_sexes: [u32; 2]) -> Result<u32> {
    match recording.sex {
        Some(sex) => Ok(of_sexes[sex.index()]),
        None => {
            let speaker = recording.speaker.clone();
            Err(speechlens_data::Error::UnknownSex(vec![speaker]).into())
        }
    }
}

/// Features `[N, …]` as the network reads them, `[N, 1, …]`.
pub fn to_tensor<D: Dimension>(values: Array<f32, D>, device: &Device) -> Result<Tensor> {
    let mut shape = values.shape().to_vec();
    shape.insert(1, 1);
    let values = values
        .as_standard_layout()
        .into_owned()
        .into_raw_vec_and_offset()
        .0;
    Ok(Tensor::from_vec(values, shape, device)?)
}

impl Samples for Windows {
    fn len(&self) -> usize {
        self.windows.len()
    }

    fn key(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for (place, (source, label)) in self.windows.iter().enumerate() {
            let (recording, start) = self.origin(place);
            let key = match source {
                Source::Store(store, _) => store.key(),
                Source::File(_) => "",
            };
            let text = format!("{} {start} {label} {key}\n", recording.id);
            hash.update(text.as_bytes());
        }
        hash.finalize().to_hex().to_string()
    }

    fn batch(
        &self,
        places: &[usize],
        device: &Device,
    ) -> speechlens_nn::Result<(Tensor, Vec<u32>)> {
        let input = self
            .read(places)
            .and_then(|values| to_tensor(values, device))
            .map_err(|error| speechlens_nn::Error::Samples(error.to_string()))?;
        let labels = places.iter().map(|place| self.label(*place));
        Ok((input, labels.collect()))
    }
}
