//! Waveforms of a list of recordings, in memory.

use ndarray::Array2;
use speechlens_audio::{SECOND, Waveform};

use crate::corpus::{Corpus, Recording};
use crate::feature_file::Job;
use crate::store::Parameters;
use crate::{Error, Result};

/// Waveforms computed at a time, before they are put into the array.
const CHUNK: usize = 256;

/// The waveforms of recordings of a corpus (`indices`), [N, 8000], 32 kB each. Each lies in its second where the spectrogram by the
/// same seed has it. `progress` hears the number of recordings computed so far.
///
/// # Errors
/// If a recording cannot be read, or has no waveform.
pub fn waveforms(
    corpus: &dyn Corpus,
    indices: &[usize],
    seed: u64,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Array2<f32>> {
    let extractor = Waveform::default();
    let parameters = Parameters {
        seed,
        ..Parameters::default()
    };
    let one = |recording: &Recording, index: usize| {
        let placement = parameters.placement(&recording.id);
        let waveform = extractor.compute(&corpus.audio(index)?, placement);
        waveform.map_err(|source| Error::Features {
            id: recording.id.clone(),
            source,
        })
    };
    let job = Job {
        corpus,
        indices,
        progress,
    };
    let mut all = Array2::zeros((indices.len(), SECOND));
    job.compute(CHUNK, one, |place, waveform| -> Result<()> {
        all.row_mut(place).assign(&waveform);
        Ok(())
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Synthetic;

    #[test]
    fn are_those_of_the_audio_crate_in_the_order_asked_for() {
        let corpus = Synthetic::new(2, 5, 1);
        let indices = [17, 3, 4];
        let all = waveforms(&corpus, &indices, 5, &|_| ()).unwrap();
        assert_eq!(all.dim(), (3, SECOND));
        let parameters = Parameters {
            seed: 5,
            ..Parameters::default()
        };
        for (row, index) in all.outer_iter().zip(indices) {
            let placement = parameters.placement(&corpus.recordings()[index].id);
            let audio = corpus.audio(index).unwrap();
            let expected = Waveform::default().compute(&audio, placement).unwrap();
            assert_eq!(row, expected);
        }
    }
}
