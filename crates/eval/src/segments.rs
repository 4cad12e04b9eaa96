//! Segments of filterbanks with the speaker's class, as speaker networks are trained and measured on them.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ndarray::{Array2, Array3, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use speechlens_audio::filterbank::{BANDS, subtract_mean};
use speechlens_data::{FilterbankStore, Recording, Stretch};
use speechlens_nn::train::Samples;

use crate::dataset::to_tensor;
use crate::{Error, Result};

/// Frames of a segment: two seconds.
pub const FRAMES: usize = 200;

/// Over what the mean of each band is set to 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = no_normalization)]
pub enum Normalization {
    /// Over the segment.
    #[default]
    Segment,
    /// Over the recording that it is cut from.
    Utterance,
}

fn no_normalization(name: &str) -> String {
    format!("`{name}` is neither segment nor utterance")
}

/// Segments of [64, 200], log mel filterbanks with a mean of 0 in each band, with what is known of their recordings; the label
/// is the speaker's place in a list of classes. They are read as they are asked for.
#[derive(Clone, Default)]
pub struct Segments {
    segments: Vec<Segment>,
    normalization: Normalization,
}

#[derive(Clone)]
struct Segment {
    store: Arc<FilterbankStore>,
    recording: usize,
    first: usize,
    label: u32,
}

impl Segments {
    /// No segments yet.
    pub fn new(normalization: Normalization) -> Self {
        Segments {
            segments: Vec::new(),
            normalization,
        }
    }

    /// Cuts stretches of a store's recordings into segments that begin every `hop` frames, and puts them behind those that are
    /// there.
    ///
    /// # Errors
    /// If a speaker is in no class.
    pub fn append(
        &mut self,
        store: &Arc<FilterbankStore>,
        stretches: &[Stretch],
        hop: usize,
        classes: &[String],
    ) -> Result<()> {
        let places: HashMap<&String, u32> = classes.iter().zip(0..).collect();
        for Stretch { recording, frames } in stretches {
            let speaker = &store.recordings()[*recording].speaker;
            let label = *places.get(speaker).ok_or_else(|| {
                Error::Plan(format!(
                    "speaker {speaker} is none of the {} classes",
                    classes.len()
                ))
            })?;
            let firsts = frames.clone().step_by(hop.max(1));
            let whole = firsts.take_while(|first| first + FRAMES <= frames.end);
            self.segments.extend(whole.map(|first| Segment {
                store: store.clone(),
                recording: *recording,
                first,
                label,
            }));
        }
        Ok(())
    }

    /// So many of the segments, or all if there are fewer, drawn by the seed, in their order.
    pub fn sample(&self, count: usize, seed: u64) -> Segments {
        let mut places: Vec<usize> = (0..self.segments.len()).collect();
        places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        places.truncate(count);
        places.sort_unstable();
        let segments = places.iter().map(|place| self.segments[*place].clone());
        Segments {
            segments: segments.collect(),
            normalization: self.normalization,
        }
    }

    /// Over what the mean of each band is set to 0.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// The recording from which a segment is cut, and its first frame.
    pub fn origin(&self, place: usize) -> (&Recording, usize) {
        let segment = &self.segments[place];
        (
            &segment.store.recordings()[segment.recording],
            segment.first,
        )
    }

    /// The classes of the segments.
    pub fn labels(&self) -> impl Iterator<Item = u32> {
        self.segments.iter().map(|segment| segment.label)
    }

    /// The class of one segment.
    pub fn label(&self, place: usize) -> u32 {
        self.segments[place].label
    }

    /// One segment, `[band, frame]`.
    pub fn segment(&self, place: usize) -> Result<Array2<f32>> {
        let Segment {
            store,
            recording,
            first,
            ..
        } = &self.segments[place];
        let mut values = store.read(*recording, *first..first + FRAMES)?;
        match self.normalization {
            Normalization::Segment => subtract_mean(values.view_mut()),
            Normalization::Utterance => {
                values -= &store.mean(*recording).insert_axis(Axis(1));
            }
        }
        Ok(values)
    }

    /// The segments at these places, `[N, band, frame]`.
    pub fn read(&self, places: &[usize]) -> Result<Array3<f32>> {
        let mut all = Array3::zeros((places.len(), BANDS, FRAMES));
        for (mut values, place) in all.axis_iter_mut(Axis(0)).zip(places) {
            values.assign(&self.segment(*place)?);
        }
        Ok(all)
    }
}

impl Samples for Segments {
    fn len(&self) -> usize {
        self.segments.len()
    }

    fn key(&self) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(self.normalization.to_string().as_bytes());
        for (place, segment) in self.segments.iter().enumerate() {
            let (recording, first) = self.origin(place);
            let text = format!(
                "\n{} {first} {} {}",
                recording.id,
                segment.label,
                segment.store.key()
            );
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
