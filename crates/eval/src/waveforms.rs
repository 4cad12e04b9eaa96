//! Waveforms with labels, as AudioNet is trained and measured on them.

use candle_core::{Device, Tensor};
use ndarray::{Array2, ArrayView1, Axis};
use speechlens_audio::SECOND;
use speechlens_data::{Corpus, LeftOut, Recording, waveforms};
use speechlens_nn::train::Samples;

use crate::Result;
use crate::dataset::{classes, labels, to_tensor};

/// Waveforms, `[8000]` each, with what is known of their recordings; the label is the speaker's sex. They are kept in memory, 32 kB
/// each.
pub struct Waveforms {
    recordings: Vec<Recording>,
    /// Of each recording.
    labels: Vec<u32>,
    /// `[N, 8000]`
    values: Array2<f32>,
    left_out: Vec<LeftOut>,
}

impl Default for Waveforms {
    /// No recordings yet.
    fn default() -> Self {
        Waveforms {
            recordings: Vec::new(),
            labels: Vec::new(),
            values: Array2::zeros((0, SECOND)),
            left_out: Vec::new(),
        }
    }
}

impl Waveforms {
    /// The waveforms of some recordings of a corpus; see [`waveforms()`].
    ///
    /// # Errors
    /// If the sex of a speaker is not known, or no recording can be used.
    pub fn compute(
        corpus: &dyn Corpus,
        indices: &[usize],
        seed: u64,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self> {
        for index in indices {
            labels(std::slice::from_ref(&corpus.recordings()[*index]))?;
        }
        let computed = waveforms(corpus, indices, seed, progress)?;
        Ok(Waveforms {
            labels: labels(&computed.recordings)?,
            values: computed.values,
            recordings: computed.recordings,
            left_out: computed.left_out,
        })
    }

    /// The same recordings in the classes that a network has for men and for women.
    ///
    /// # Errors
    /// If the sex of a speaker is not known.
    pub fn classified(self, of_sexes: [u32; 2]) -> Result<Self> {
        let labels = classes(&self.recordings, of_sexes)?;
        Ok(Waveforms { labels, ..self })
    }

    /// Puts another set's recordings behind these.
    pub fn append(&mut self, mut other: Waveforms) {
        self.recordings.append(&mut other.recordings);
        self.labels.append(&mut other.labels);
        self.left_out.append(&mut other.left_out);
        self.values
            .append(Axis(0), other.values.view())
            .expect("waveforms are of one length");
    }

    /// The recordings, in order.
    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// What was asked for beside them and cannot be used.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The classes of the recordings: 0 male, 1 female, unless they were given others.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// One waveform, `[8000]`.
    pub fn waveform(&self, place: usize) -> ArrayView1<'_, f32> {
        self.values.row(place)
    }
}

impl Samples for Waveforms {
    fn len(&self) -> usize {
        self.recordings.len()
    }

    fn key(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for (recording, waveform) in self.recordings.iter().zip(self.values.outer_iter()) {
            hash.update(recording.id.as_bytes()).update(b"\n");
            for sample in waveform {
                hash.update(&sample.to_le_bytes());
            }
        }
        hash.finalize().to_hex().to_string()
    }

    fn batch(
        &self,
        places: &[usize],
        device: &Device,
    ) -> speechlens_nn::Result<(Tensor, Vec<u32>)> {
        let input = to_tensor(self.values.select(Axis(0), places), device)
            .map_err(|error| speechlens_nn::Error::Samples(error.to_string()))?;
        let labels = places.iter().map(|place| self.labels[*place]);
        Ok((input, labels.collect()))
    }
}
