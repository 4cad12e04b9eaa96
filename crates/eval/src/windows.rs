//! Windows of any front end's features with the recording's class, as any classifier is trained and measured on them.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ndarray::{ArrayD, Axis, stack};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use speechlens_data::{FeatureStore, Recording, Stretch, Window};
use speechlens_frontend::FrontEnd;
use speechlens_nn::train::Samples;

use crate::dataset::to_tensor;
use crate::{Error, Result};

/// Windows of features, `[rows, frames]` or `[samples]` each, with what is known of their recordings; the label is the place of the
/// recording's class in a list. They are read as they are asked for.
#[derive(Clone, Default)]
pub struct Windows {
    windows: Vec<(Arc<FeatureStore>, Window, u32)>,
}

impl Windows {
    /// Puts the windows of some of a store's recordings, by their places in it, behind those that are there; `hop` frames after each
    /// other, or one after another.
    ///
    /// # Errors
    /// If a recording has no class, or another than those listed.
    pub fn append(
        &mut self,
        store: &Arc<FeatureStore>,
        places: &[usize],
        hop: Option<usize>,
        classes: &[String],
    ) -> Result<()> {
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
    ) -> Result<()> {
        self.append_by(store, places, None, |recording| match recording.sex {
            Some(sex) => Ok(of_sexes[sex.index()]),
            None => {
                let speaker = recording.speaker.clone();
                Err(speechlens_data::Error::UnknownSex(vec![speaker]).into())
            }
        })
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
                (store.clone(), Window { recording, start }, label)
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
    ) -> Result<()> {
        for place in places {
            let label = label(&store.recordings()[*place])?;
            let windows = store.windows(*place, hop)?.into_iter();
            self.windows
                .extend(windows.map(|window| (store.clone(), window, label)));
        }
        Ok(())
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

    /// The recording of a window, and the first of its samples or frames.
    pub fn origin(&self, place: usize) -> (&Recording, usize) {
        let (store, window, _) = &self.windows[place];
        (&store.recordings()[window.recording], window.start)
    }

    /// The recordings that they are of, each once.
    pub fn recordings(&self) -> Vec<&Recording> {
        let mut all: Vec<&Recording> = Vec::new();
        for (store, window, _) in &self.windows {
            let own = &store.recordings()[window.recording];
            // Those of one recording are beside each other.
            if !all.last().is_some_and(|last| std::ptr::eq(*last, own)) {
                all.push(own);
            }
        }
        all
    }

    /// The front end that makes a window.
    pub fn front_end(&self, place: usize) -> &FrontEnd {
        self.windows[place].0.front_end()
    }

    /// The class of one window.
    pub fn label(&self, place: usize) -> u32 {
        self.windows[place].2
    }

    /// The classes of the windows.
    pub fn labels(&self) -> Vec<u32> {
        self.windows.iter().map(|(_, _, label)| *label).collect()
    }

    /// The windows at these places, `[N, …]`.
    pub fn read(&self, places: &[usize]) -> Result<ArrayD<f32>> {
        let mut all = Vec::with_capacity(places.len());
        // Neighbours mostly are of one store, which reads them in parallel.
        for some in
            places.chunk_by(|one, two| Arc::ptr_eq(&self.windows[*one].0, &self.windows[*two].0))
        {
            let own: Vec<Window> = some.iter().map(|place| self.windows[*place].1).collect();
            all.extend(self.windows[some[0]].0.read(&own)?);
        }
        let views: Vec<_> = all.iter().map(|window| window.view()).collect();
        stack(Axis(0), &views).map_err(|error| Error::Plan(error.to_string()))
    }

    /// The feature store that all of them are of, and which of its windows they are; none if they come from several.
    pub fn store(&self) -> Option<(&Arc<FeatureStore>, Vec<Window>)> {
        let (store, ..) = self.windows.first()?;
        let windows = self.windows.iter();
        let own = windows.map(|(own, window, _)| Arc::ptr_eq(own, store).then_some(*window));
        Some((store, own.collect::<Option<_>>()?))
    }
}

impl Samples for Windows {
    fn len(&self) -> usize {
        self.windows.len()
    }

    fn key(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for (place, (store, window, label)) in self.windows.iter().enumerate() {
            let id = &self.origin(place).0.id;
            let text = format!("{id} {} {label} {}\n", window.start, store.key());
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
        let labels = places.iter().map(|place| self.windows[*place].2);
        Ok((input, labels.collect()))
    }
}
