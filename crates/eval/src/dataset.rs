//! Spectrograms with labels, as networks are trained and measured on them.

use candle_core::{Device, Tensor};
use ndarray::{Array2, Array3, Axis};
use speechlens_data::{Recording, Store};
use speechlens_nn::train::Samples;

use crate::Result;

/// Spectrograms, [227, 227] in dB each, with what is known of their recordings; the label is the speaker's sex.
pub enum Dataset {
    /// Read from a feature store as they are asked for.
    Store(Store),
    /// Held in memory, `[N, frequency, time]`.
    Memory(Vec<Recording>, Array3<f32>),
}

impl Dataset {
    /// The recordings, in order.
    pub fn recordings(&self) -> &[Recording] {
        match self {
            Dataset::Store(store) => store.recordings(),
            Dataset::Memory(recordings, _) => recordings,
        }
    }

    /// The spectrograms at these places, `[N, frequency, time]` in dB.
    pub fn spectrograms(&self, places: &[usize]) -> Result<Array3<f32>> {
        Ok(match self {
            Dataset::Store(store) => store.read(places)?,
            Dataset::Memory(_, values) => values.select(Axis(0), places),
        })
    }

    /// One spectrogram, `[frequency, time]` in dB.
    pub fn spectrogram(&self, place: usize) -> Result<Array2<f32>> {
        Ok(self.spectrograms(&[place])?.index_axis_move(Axis(0), 0))
    }
}

/// `[N, H, W]` as the network reads it, `[N, 1, H, W]`.
pub fn to_tensor(values: Array3<f32>, device: &Device) -> Result<Tensor> {
    let (n, h, w) = values.dim();
    let values = values
        .as_standard_layout()
        .into_owned()
        .into_raw_vec_and_offset()
        .0;
    Ok(Tensor::from_vec(values, (n, 1, h, w), device)?)
}

impl Samples for Dataset {
    fn len(&self) -> usize {
        self.recordings().len()
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
        let labels = places
            .iter()
            .map(|place| self.recordings()[*place].sex.index() as u32);
        Ok((input, labels.collect()))
    }
}
