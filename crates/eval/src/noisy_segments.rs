//! Segments with music or noise behind the speech, drawn anew each epoch.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ndarray::{Array2, Array3, Axis, s};
use rayon::prelude::*;
use speechlens_audio::filterbank::{BANDS, FRAME, HOP, RATE, subtract_mean};
use speechlens_audio::{Audio, Filterbank, resample};
use speechlens_data::background::{Backdrop, Background};
use speechlens_data::{Corpus, Recording};
use speechlens_nn::train::Samples;

use crate::dataset::to_tensor;
use crate::segments::{FRAMES, Normalization, Segments};
use crate::{Error, Result};

/// The sound of the recordings that segments are cut from.
pub struct Sounds {
    corpora: Vec<Box<dyn Corpus>>,
    /// By speaker and name: which corpus, and which of its recordings.
    places: HashMap<(String, String), (usize, usize)>,
    filterbank: Filterbank,
}

impl Sounds {
    /// That of some corpora, each with speakers of its own.
    pub fn new(corpora: Vec<Box<dyn Corpus>>) -> Self {
        let mut places = HashMap::new();
        for (number, corpus) in corpora.iter().enumerate() {
            for (index, Recording { speaker, id, .. }) in corpus.recordings().iter().enumerate() {
                places.insert((speaker.clone(), id.clone()), (number, index));
            }
        }
        Sounds {
            corpora,
            places,
            filterbank: Filterbank::new(),
        }
    }

    /// A recording at the filterbank's rate.
    fn read(&self, Recording { speaker, id, .. }: &Recording) -> Result<Audio> {
        let key = (speaker.clone(), id.clone());
        let (corpus, index) = *self
            .places
            .get(&key)
            .ok_or_else(|| Error::Plan(format!("the sound of {id} is in none of the corpora")))?;
        let audio = self.corpora[corpus].audio(index)?;
        let samples = match audio.rate {
            RATE => audio.samples,
            rate => resample(&audio.samples, rate, RATE),
        };
        Ok(Audio {
            samples,
            rate: RATE,
        })
    }
}

/// Segments of [64, 200], as [`Segments`] has them, of speech with music or noise behind it, or nothing. The samples are mixed,
/// and the filterbank is that of the mixture.
///
/// What is behind a segment, where it begins and how loud it is follows from the background's seed, the segment and the epoch:
/// training hears each segment with something else in every epoch, and a test hears it as in epoch 0.
#[derive(Clone)]
pub struct NoisySegments {
    segments: Segments,
    sounds: Arc<Sounds>,
    background: Arc<Background>,
    kinds: Vec<Option<Backdrop>>,
}

impl NoisySegments {
    /// The segments with any of these kinds behind them, each as likely as any other; `None` is the speech alone.
    pub fn new(
        segments: Segments,
        sounds: &Arc<Sounds>,
        background: &Arc<Background>,
        kinds: &[Option<Backdrop>],
    ) -> Self {
        NoisySegments {
            segments,
            sounds: sounds.clone(),
            background: background.clone(),
            kinds: kinds.to_vec(),
        }
    }

    /// The segments without what is behind them.
    pub fn clean(&self) -> &Segments {
        &self.segments
    }

    /// So many of the segments, or all if there are fewer, drawn by the seed, in their order.
    pub fn sample(&self, count: usize, seed: u64) -> NoisySegments {
        NoisySegments {
            segments: self.segments.sample(count, seed),
            ..self.clone()
        }
    }

    /// One segment in an epoch, `[band, frame]`.
    ///
    /// # Errors
    /// If the recording or the background cannot be read.
    pub fn segment(&self, epoch: u64, place: usize) -> Result<Array2<f32>> {
        let (recording, first) = self.segments.origin(place);
        let name = format!("{} from frame {first}, epoch {epoch}", recording.id);
        let Some(kind) = self.background.choose(&self.kinds, &name) else {
            return self.segments.segment(place);
        };
        let speech = self.sounds.read(recording)?;
        // Frames are computed each from its own samples.
        let (part, first) = match self.segments.normalization() {
            Normalization::Segment => {
                let start = first * HOP;
                (start..start + (FRAMES - 1) * HOP + FRAME, 0)
            }
            Normalization::Utterance => (0..speech.samples.len(), first),
        };
        let mixed = self.background.mix_part(&speech, part, kind, &name)?;
        let filterbank = self.sounds.filterbank.compute(&mixed.audio);
        let mut values = filterbank.map_err(speechlens_data::Error::from)?;
        subtract_mean(values.view_mut());
        Ok(values.slice_move(s![.., first..first + FRAMES]))
    }

    /// The segments at these places in an epoch, `[N, band, frame]`.
    fn read(&self, epoch: u64, places: &[usize]) -> Result<Array3<f32>> {
        let segments = places.par_iter().map(|place| self.segment(epoch, *place));
        let segments = segments.collect::<Result<Vec<_>>>()?;
        let mut all = Array3::zeros((places.len(), BANDS, FRAMES));
        for (mut values, segment) in all.axis_iter_mut(Axis(0)).zip(segments) {
            values.assign(&segment);
        }
        Ok(all)
    }
}

impl Samples for NoisySegments {
    fn len(&self) -> usize {
        self.segments.len()
    }

    fn key(&self) -> String {
        let names = self
            .kinds
            .iter()
            .map(|kind| kind.map_or("none", Backdrop::name));
        let names = names.collect::<Vec<_>>().join(" ");
        let text = format!(
            "{}\n{names}\n{}",
            self.segments.key(),
            self.background.fingerprint()
        );
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    fn batch(
        &self,
        places: &[usize],
        device: &Device,
    ) -> speechlens_nn::Result<(Tensor, Vec<u32>)> {
        self.batch_of_epoch(0, places, device)
    }

    fn batch_of_epoch(
        &self,
        epoch: u64,
        places: &[usize],
        device: &Device,
    ) -> speechlens_nn::Result<(Tensor, Vec<u32>)> {
        let input = self
            .read(epoch, places)
            .and_then(|values| to_tensor(values, device))
            .map_err(|error| speechlens_nn::Error::Samples(error.to_string()))?;
        let labels = places.iter().map(|place| self.segments.label(*place));
        Ok((input, labels.collect()))
    }
}
