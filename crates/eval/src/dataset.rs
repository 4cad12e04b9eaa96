//! Spectrograms with labels, as networks are trained and measured on them.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ndarray::{Array, Array2, Array3, Axis, Dimension};
use rayon::prelude::*;
use speechlens_audio::SIZE;
use speechlens_data::{Error, Recording, Store, hdf5_layout};
use speechlens_nn::train::Samples;

use crate::Result;

/// Spectrograms, [227, 227] in dB each, with what is known of their recordings; the label is the speaker's sex. They are read
/// as they are asked for.
#[derive(Clone, Default)]
pub struct Dataset {
    recordings: Vec<Recording>,
    /// Of each recording.
    labels: Vec<u32>,
    /// Of each recording.
    sources: Vec<Source>,
}

/// The classes of recordings: their speakers' sex.
pub(crate) fn labels(recordings: &[Recording]) -> Result<Vec<u32>> {
    let label = |recording: &Recording| match recording.sex {
        Some(sex) => Ok(sex.index() as u32),
        None => Err(Error::UnknownSex(vec![recording.speaker.clone()])),
    };
    Ok(recordings.iter().map(label).collect::<Result<_, _>>()?)
}

/// The same, of a network that has other classes for men and women than the sexes' own.
pub(crate) fn classes(recordings: &[Recording], of_sexes: [u32; 2]) -> Result<Vec<u32>> {
    let class = |sex: u32| of_sexes[sex as usize];
    Ok(labels(recordings)?.into_iter().map(class).collect())
}

#[derive(Clone)]
enum Source {
    /// This place of a feature store.
    Store(Arc<Store>, usize),
    /// A file in the layout of AudioMNIST's preprocessing.
    File(PathBuf),
}

impl Dataset {
    fn new(recordings: Vec<Recording>, sources: Vec<Source>) -> Result<Self> {
        Ok(Dataset {
            labels: labels(&recordings)?,
            recordings,
            sources,
        })
    }

    /// Some recordings of a feature store, by their places in it.
    ///
    /// # Errors
    /// If the sex of a speaker is not known.
    pub fn of_store(store: &Arc<Store>, places: &[usize]) -> Result<Self> {
        let of = |place: &usize| {
            let recording = store.recordings()[*place].clone();
            (recording, Source::Store(store.clone(), *place))
        };
        let (recordings, sources) = places.iter().map(of).unzip();
        Dataset::new(recordings, sources)
    }

    /// Files in the layout of AudioMNIST's preprocessing, with what they say of their recordings.
    ///
    /// # Errors
    /// If the sex of a speaker is not known.
    pub fn of_files(files: Vec<(PathBuf, Recording)>) -> Result<Self> {
        let of = |(file, recording)| (recording, Source::File(file));
        let (recordings, sources) = files.into_iter().map(of).unzip();
        Dataset::new(recordings, sources)
    }

    /// The same recordings with other classes.
    ///
    /// # Errors
    /// If there is not one a recording.
    pub fn relabelled(self, labels: Vec<u32>) -> Result<Self> {
        if labels.len() != self.recordings.len() {
            let (labels, recordings) = (labels.len(), self.recordings.len());
            let problem = format!("there are {labels} classes for {recordings} recordings");
            return Err(crate::Error::Plan(problem));
        }
        Ok(Dataset { labels, ..self })
    }

    /// The same recordings in the classes that a network has for men and for women.
    ///
    /// # Errors
    /// If the sex of a speaker is not known.
    pub fn classified(self, of_sexes: [u32; 2]) -> Result<Self> {
        let labels = classes(&self.recordings, of_sexes)?;
        Ok(Dataset { labels, ..self })
    }

    /// Puts another data set's recordings behind these.
    pub fn append(&mut self, mut other: Dataset) {
        self.recordings.append(&mut other.recordings);
        self.labels.append(&mut other.labels);
        self.sources.append(&mut other.sources);
    }

    /// The recordings, in order.
    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// The classes of the recordings: 0 male, 1 female, unless they were given others.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The spectrograms at these places, `[N, frequency, time]` in dB.
    pub fn spectrograms(&self, places: &[usize]) -> Result<Array3<f32>> {
        let mut all = Array3::zeros((places.len(), SIZE, SIZE));
        let pairs: Vec<_> = all.axis_iter_mut(Axis(0)).zip(places).collect();
        pairs.into_par_iter().try_for_each(|(mut values, place)| {
            match &self.sources[*place] {
                Source::Store(store, place) => {
                    values.assign(&store.read(&[*place])?.index_axis(Axis(0), 0));
                }
                Source::File(file) => values.assign(&hdf5_layout::read(file)?.1),
            }
            Ok::<_, Error>(())
        })?;
        Ok(all)
    }

    /// The feature store that holds all of them, and their places in it; none if they come from several, or from files.
    pub fn store(&self) -> Option<(&Arc<Store>, Vec<usize>)> {
        let mut found: Option<&Arc<Store>> = None;
        let mut places = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let Source::Store(store, place) = source else {
                return None;
            };
            if !Arc::ptr_eq(found.get_or_insert(store), store) {
                return None;
            }
            places.push(*place);
        }
        Some((found?, places))
    }

    /// One spectrogram, `[frequency, time]` in dB.
    pub fn spectrogram(&self, place: usize) -> Result<Array2<f32>> {
        Ok(self.spectrograms(&[place])?.index_axis_move(Axis(0), 0))
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

impl Samples for Dataset {
    fn len(&self) -> usize {
        self.recordings.len()
    }

    fn key(&self) -> String {
        let mut hash = blake3::Hasher::new();
        let labelled = self.recordings.iter().zip(&self.labels);
        for ((recording, label), source) in labelled.zip(&self.sources) {
            hash.update(recording.id.as_bytes()).update(b"\n");
            hash.update(&label.to_le_bytes());
            if let Source::Store(store, _) = source {
                hash.update(store.key().as_bytes());
            }
        }
        hash.finalize().to_hex().to_string()
    }

    fn batch(
        &self,
        places: &[usize],
        device: &Device,
    ) -> speechlens_nn::Result<(Tensor, Vec<u32>)> {
        let input = self
            .spectrograms(places)
            .and_then(|values| to_tensor(values, device))
            .map_err(|error| speechlens_nn::Error::Samples(error.to_string()))?;
        let labels = places.iter().map(|place| self.labels[*place]);
        Ok((input, labels.collect()))
    }
}
