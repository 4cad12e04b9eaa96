//! Windows with music or noise behind the speech, drawn anew each epoch.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ndarray::{ArrayD, Axis, stack};
use rayon::prelude::*;
use speechlens_audio::{Audio, resample};
use speechlens_data::background::{Backdrop, Background};
use speechlens_data::{Corpus, Recording};
use speechlens_frontend::Placement;
use speechlens_nn::train::Samples;

use crate::{Error, Result, Windows, to_tensor};

/// The sound of the recordings that windows are cut from.
pub struct Sounds {
    corpora: Vec<Box<dyn Corpus>>,
    /// By speaker and name: which corpus, and which of its recordings.
    places: HashMap<(String, String), (usize, usize)>,
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
        Sounds { corpora, places }
    }

    /// A recording at a rate.
    fn read(&self, Recording { speaker, id, .. }: &Recording, rate: u32) -> Result<Audio> {
        let key = (speaker.clone(), id.clone());
        let (corpus, index) = *self
            .places
            .get(&key)
            .ok_or_else(|| Error::Plan(format!("the sound of {id} is in none of the corpora")))?;
        let audio = self.corpora[corpus].audio(index)?;
        Ok(match audio.rate == rate {
            true => audio,
            false => Audio {
                samples: resample(&audio.samples, audio.rate, rate),
                rate,
            },
        })
    }
}

/// [`Windows`] of speech with music or noise behind it, or nothing. The samples are mixed, and the features are those of the mixture.
///
/// What is behind a window, where it begins and how loud it is follows from the background's seed, the window and the epoch:
/// training hears each window with something else in every epoch, and a test hears it as in epoch 0.
#[derive(Clone)]
pub struct NoisyWindows {
    windows: Windows,
    sounds: Arc<Sounds>,
    background: Arc<Background>,
    kinds: Vec<Option<Backdrop>>,
}

impl NoisyWindows {
    /// The windows with any of these kinds behind them, each as likely as any other; `None` is the speech alone.
    pub fn new(
        windows: Windows,
        sounds: &Arc<Sounds>,
        background: &Arc<Background>,
        kinds: &[Option<Backdrop>],
    ) -> Self {
        NoisyWindows {
            windows,
            sounds: sounds.clone(),
            background: background.clone(),
            kinds: kinds.to_vec(),
        }
    }

    /// The windows without what is behind them.
    pub fn clean(&self) -> &Windows {
        &self.windows
    }

    /// So many of the windows, or all if there are fewer, drawn by the seed, in their order.
    pub fn sample(&self, count: usize, seed: u64) -> NoisyWindows {
        NoisyWindows {
            windows: self.windows.sample(count, seed),
            ..self.clone()
        }
    }

    /// One window in an epoch, `[rows, frames]` or `[samples]`.
    ///
    /// # Errors
    /// If the recording or the background cannot be read.
    pub fn window(&self, epoch: u64, place: usize) -> Result<ArrayD<f32>> {
        let (recording, first) = self.windows.origin(place);
        let name = format!("{} from frame {first}, epoch {epoch}", recording.id);
        let Some(kind) = self.background.choose(&self.kinds, &name) else {
            return self.windows.one(place);
        };
        let Some(front_end) = self.windows.front_end(place) else {
            return Err(Error::Plan("files hold no sound to mix with".into()));
        };
        let speech = self.sounds.read(recording, front_end.rate())?;
        // Of more than the window needs nothing is computed.
        let (part, first) = match front_end.samples_of_window(first) {
            Some(part) => (part, 0),
            None => (0..speech.samples.len(), first),
        };
        let mixed = self.background.mix_part(&speech, part, kind, &name)?;
        let made = front_end
            .material(&mixed.audio, Placement::At(0))
            .and_then(|mut material| {
                let time = Axis(material.ndim() - 1);
                material.slice_axis_inplace(time, (first..).into());
                front_end.window(material)
            });
        made.map_err(|source| {
            let id = recording.id.clone();
            speechlens_data::Error::FrontEnd { id, source }.into()
        })
    }

    /// The windows at these places in an epoch, `[N, …]`.
    fn read(&self, epoch: u64, places: &[usize]) -> Result<ArrayD<f32>> {
        let windows = places.par_iter().map(|place| self.window(epoch, *place));
        let windows = windows.collect::<Result<Vec<_>>>()?;
        let views: Vec<_> = windows.iter().map(|window| window.view()).collect();
        stack(Axis(0), &views).map_err(|error| Error::Plan(error.to_string()))
    }
}

impl Samples for NoisyWindows {
    fn len(&self) -> usize {
        self.windows.len()
    }

    fn key(&self) -> String {
        let names = self
            .kinds
            .iter()
            .map(|kind| kind.map_or("none", Backdrop::name));
        let names = names.collect::<Vec<_>>().join(" ");
        let text = format!(
            "{}\n{names}\n{}",
            self.windows.key(),
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
        let labels = places.iter().map(|place| self.windows.label(*place));
        Ok((input, labels.collect()))
    }
}
