//! Waveforms of a list of recordings, in memory.

use ndarray::{Array2, Axis};
use speechlens_audio::{Audio, SECOND, Waveform};

use crate::Result;
use crate::corpus::{Corpus, Recording};
use crate::feature_file::Job;
use crate::left_out::LeftOut;
use crate::store::Parameters;

/// Waveforms computed at a time, before they are put into the array.
const CHUNK: usize = 256;

/// Waveforms of recordings.
pub struct Computed {
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// Their waveforms, [N, 8000], 32 kB each.
    pub values: Array2<f32>,
    /// What was asked for beside them and cannot be used.
    pub left_out: Vec<LeftOut>,
}

/// The waveforms of recordings of a corpus (`indices`). Each lies in its second where the spectrogram by the same seed has it.
/// `progress` hears the number of recordings computed so far. Recordings that cannot be used are left out.
///
/// # Errors
/// If nothing can be used; of a [strict](Corpus::is_strict) corpus, if a recording cannot be.
pub fn waveforms(
    corpus: &dyn Corpus,
    indices: &[usize],
    seed: u64,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Computed> {
    let extractor = Waveform::default();
    let parameters = Parameters {
        seed,
        ..Parameters::default()
    };
    let one = |recording: &Recording, audio: &Audio| {
        extractor.compute(audio, parameters.placement(&recording.id))
    };
    let job = Job {
        corpus,
        indices,
        progress,
    };
    let mut all = Array2::zeros((indices.len(), SECOND));
    let content = job.compute(CHUNK, one, |place, waveform| -> Result<()> {
        all.row_mut(place).assign(&waveform);
        Ok(())
    })?;
    Ok(Computed {
        recordings: content.recordings.into_iter().cloned().collect(),
        values: match content.left_out.is_empty() {
            true => all,
            false => all.select(Axis(0), &content.kept),
        },
        left_out: content.left_out,
    })
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
        assert!(all.left_out.is_empty());
        let all = all.values;
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
