//! What becomes of a corpus's recordings: their features in the run's stores, and what is said of those that cannot be used.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use speechlens_data::left_out::summary;
use speechlens_data::{Corpus, Error, FeatureStore, LeftOut};
use speechlens_frontend::FrontEnd;
use speechlens_report::progress;

use super::Arguments;

/// The error with what can be done about recordings that are too long.
pub fn explained(arguments: &Arguments, error: Error) -> anyhow::Error {
    match remedy(arguments, &error.left_out()) {
        remedy if remedy.is_empty() => error.into(),
        remedy => anyhow!("{error}{remedy}"),
    }
}

fn remedy(arguments: &Arguments, left_out: &[LeftOut]) -> String {
    let names = arguments.preparation().left_to_try(left_out);
    let options: Vec<String> = names.iter().map(|name| format!("--{name}")).collect();
    match options.is_empty() {
        true => String::new(),
        false => format!("; {} can make them fit", options.join(" or ")),
    }
}

/// The features of recordings of a corpus, computed or from the run's stores, with the places of all.
pub fn features(
    arguments: &Arguments,
    corpus: &dyn Corpus,
    indices: &[usize],
    front_end: &FrontEnd,
    (label, path): (&str, &Path),
) -> Result<(Arc<FeatureStore>, Vec<usize>)> {
    let bar = progress::bar(label, indices.len(), arguments.quiet);
    let done = |done: usize| bar.set_position(done as u64);
    let making = (front_end, arguments.seed);
    let store = FeatureStore::open_or_compute(path, corpus, indices, making, &done);
    bar.finish_and_clear();
    let store = store.map_err(|error| explained(arguments, error))?;
    let places = (0..store.recordings().len()).collect();
    Ok((Arc::new(store), places))
}

/// What is left out and why, in words that follow the data's description; nothing if all is used. It is told on standard error too.
pub fn told(arguments: &Arguments, corpus: &dyn Corpus, left_out: &[LeftOut]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let told = format!(
        "left out are {}{}",
        summary(left_out),
        remedy(arguments, left_out)
    );
    if !arguments.quiet {
        eprintln!("{}: {told}", corpus.name());
    }
    format!("; {told}")
}
