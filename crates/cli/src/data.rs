//! What `train` and `evaluate` read: corpora split by speaker, feature stores, and AudioMNIST's preprocessed files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ndarray::{Array3, Axis};
use speechlens_audio::{Crop, SIZE};
use speechlens_data::{Parameters, Recording, Sizes, Speakers, Split, Store, hdf5_layout};
use speechlens_eval::Dataset;
use speechlens_report::progress;

use crate::common::{Common, at_least_one};

/// Where data come from.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of AudioMNIST or LibriSpeech, the word `synthetic`, a feature store (.h5), or a folder of AudioMNIST's
    /// preprocessed files (AlexNet_D_NN_R.hdf5). Corpora are split by speaker, 50/25/25 %, by the seed.
    #[arg(required = true)]
    data: Vec<String>,
    /// At most so many recordings for training, and half as many for validation and test.
    #[arg(long, value_parser = at_least_one, value_name = "N")]
    limit: Option<usize>,
    /// Where spectrograms are kept; they are computed once.
    #[arg(long, value_name = "DIR", default_value = "features")]
    store: PathBuf,
}

/// A part of the data.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// For training.
    Train,
    /// Watched while training.
    Validation,
    /// Speakers that training never heard.
    Test,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        }
    }
}

impl Arguments {
    /// The recordings of some parts, in their order. A store, or preprocessed files, is split like a corpus.
    pub fn read(&self, parts: &[Part], crop: Crop, common: &Common) -> Result<Vec<Dataset>> {
        let [data] = self.data.as_slice() else {
            bail!(
                "{} data were given; give one corpus, store or folder",
                self.data.len()
            );
        };
        let path = Path::new(data);
        if path.is_file() {
            let store = Store::open(path)?;
            let split = self.split(data, store.recordings(), common)?;
            return parts
                .iter()
                .map(|part| pick(&split, *part, &store))
                .collect();
        }
        if path.is_dir() && !hdf5_layout::list(path)?.is_empty() {
            return self.preprocessed(data, parts, common);
        }
        let reading = progress::counter("reading recordings", common.quiet);
        let corpus =
            speechlens_data::open(data, common.seed, &|done| reading.set_position(done as u64))?;
        reading.finish_and_clear();
        let split = self.split(data, corpus.recordings(), common)?;
        let part = |part: &Part| {
            let indices = part.of(&split);
            let bar = progress::bar(
                &format!("spectrograms, {}", part.name()),
                indices.len(),
                common.quiet,
            );
            let path = self.store.join(format!(
                "{}-{}.h5",
                corpus.name().to_lowercase().replace(' ', "-"),
                part.name()
            ));
            let parameters = Parameters {
                crop,
                seed: common.seed,
            };
            let store =
                Store::open_or_compute(&path, corpus.as_ref(), indices, parameters, &|done| {
                    bar.set_position(done as u64);
                });
            bar.finish_and_clear();
            Ok(Dataset::Store(store?))
        };
        parts.iter().map(part).collect()
    }

    fn split(&self, data: &str, recordings: &[Recording], common: &Common) -> Result<Split> {
        let sizes = match self.limit {
            Some(limit) => Sizes::at_most(limit, limit.div_ceil(2), limit.div_ceil(2)),
            None => Sizes::all(),
        };
        Split::draw(recordings, Speakers::All, sizes, common.seed).with_context(|| data.to_owned())
    }

    fn preprocessed(&self, folder: &str, parts: &[Part], common: &Common) -> Result<Vec<Dataset>> {
        let files = hdf5_layout::list(Path::new(folder))?;
        let bar = progress::bar("reading spectrograms", files.len(), common.quiet);
        let (mut recordings, mut values) = (Vec::new(), Array3::zeros((files.len(), SIZE, SIZE)));
        for (file, mut row) in files.iter().zip(values.outer_iter_mut()) {
            let (recording, spectrogram) = hdf5_layout::read(file)?;
            row.assign(&spectrogram);
            recordings.push(recording);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let split = self.split(folder, &recordings, common)?;
        let part = |part: &Part| {
            let indices = part.of(&split);
            let chosen = indices
                .iter()
                .map(|index| recordings[*index].clone())
                .collect();
            Ok(Dataset::Memory(chosen, values.select(Axis(0), indices)))
        };
        parts.iter().map(part).collect()
    }
}

impl Part {
    fn of(self, split: &Split) -> &[usize] {
        match self {
            Part::Train => &split.train,
            Part::Validation => &split.validation,
            Part::Test => &split.test,
        }
    }
}

fn pick(split: &Split, part: Part, store: &Store) -> Result<Dataset> {
    let indices = part.of(split);
    let chosen = indices
        .iter()
        .map(|index| store.recordings()[*index].clone())
        .collect();
    Ok(Dataset::Memory(chosen, store.read(indices)?))
}
