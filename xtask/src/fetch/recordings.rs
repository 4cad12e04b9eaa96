//! Whether AudioMNIST is whole, from its recordings.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;
use speechlens_data::{Corpus, audiomnist};
use speechlens_report::progress;

/// Counts the recordings and their speakers, and reads every one.
///
/// # Errors
/// What is missing, or which recording cannot be read.
pub fn check(folder: &Path, recordings: usize, speakers: usize, quiet: bool) -> Result<(), String> {
    let corpus = audiomnist::open(folder).map_err(|error| error.to_string())?;
    let all = corpus.recordings();
    let found: BTreeSet<_> = all.iter().map(|recording| &recording.speaker).collect();
    if (all.len(), found.len()) != (recordings, speakers) {
        return Err(format!(
            "it has {} recordings of {} speakers, where {recordings} of {speakers} are expected",
            all.len(),
            found.len()
        ));
    }
    let bar = progress::bar("reading the recordings", all.len(), quiet);
    let read = (0..all.len()).into_par_iter().try_for_each(|index| {
        bar.inc(1);
        corpus.audio(index).map(drop)
    });
    bar.finish_and_clear();
    read.map_err(|error| error.to_string())
}
