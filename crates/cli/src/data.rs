//! What `train` and `evaluate` read: corpora, split by speaker or for each speaker, feature stores, and AudioMNIST's
//! preprocessed files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use speechlens_audio::Crop;
use speechlens_data::{
    Corpus, FilterbankStore, HeldOut, Parameters, Recording, Sizes, Speakers, Split, Store,
    hdf5_layout, held_out,
};
use speechlens_eval::segments::{FRAMES, Normalization, Segments};
use speechlens_eval::{Dataset, Waveforms};
use speechlens_report::progress;

use crate::common::{Common, at_least_one};

/// Frames between the starts of segments to train on: a speaker is heard at many places.
const TRAINING_HOP: usize = 25;
/// Frames between the starts of segments to test on: no sound counts twice.
const TEST_HOP: usize = FRAMES;

/// Where data come from.
#[derive(clap::Args)]
pub struct Arguments {
    /// Each the folder of AudioMNIST, LibriSpeech, one of its subsets, or VoxCeleb, the word `synthetic`, a feature store (.h5),
    /// or a folder of AudioMNIST's preprocessed files (AlexNet_D_NN_R.hdf5).
    ///
    /// For the gender task each is split by speaker, by the seed: two thirds of the speakers for training, a sixth each for
    /// validation and test. For the speaker task the last fifth of each speaker's recordings is held out, or the last third of
    /// a single one.
    #[arg(required = true)]
    data: Vec<String>,
    /// At most so many recordings: gender, for training, and half as many for validation and test; speaker, in all, of each
    /// speaker in turn.
    #[arg(long, value_parser = at_least_one, value_name = "N")]
    limit: Option<usize>,
    /// Where spectrograms and filterbanks are kept; they are computed once.
    #[arg(long, value_name = "DIR", default_value = "features")]
    store: PathBuf,
}

/// The data of the speaker task.
pub struct SpeakerData {
    /// The speakers.
    pub classes: Vec<String>,
    /// For training.
    pub training: Segments,
    /// Speech of the same speakers that training does not hear.
    pub held_out: Segments,
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
    /// The recordings of some parts, in their order. Each of the data is split by itself.
    pub fn read(&self, parts: &[Part], crop: Crop, common: &Common) -> Result<Vec<Dataset>> {
        let mut all: Vec<Dataset> = parts.iter().map(|_| Dataset::default()).collect();
        for data in &self.data {
            for (all, part) in all
                .iter_mut()
                .zip(self.read_one(data, parts, crop, common)?)
            {
                all.append(part);
            }
        }
        Ok(all)
    }

    /// All recordings, of every part.
    pub fn read_whole(&self, crop: Crop, common: &Common) -> Result<Dataset> {
        let [data] = self.data.as_slice() else {
            bail!("give one corpus or feature store at a time");
        };
        ensure!(
            self.limit.is_none(),
            "{data}: all of it is read: leave --limit out"
        );
        let path = Path::new(data);
        if path.is_file() {
            let store = Store::open(path)?;
            check_crop(data, store.crop(), crop)?;
            return whole(store);
        }
        if path.is_dir() && !hdf5_layout::list(path)?.is_empty() {
            check_crop(data, Crop::AudioMnist, crop)?;
            return Ok(Dataset::of_files(labelled(data, common)?)?);
        }
        let corpus = open(data, common)?;
        let indices: Vec<usize> = (0..corpus.recordings().len()).collect();
        whole(self.spectrograms(corpus.as_ref(), "all", &indices, crop, common)?)
    }

    fn read_one(
        &self,
        data: &str,
        parts: &[Part],
        crop: Crop,
        common: &Common,
    ) -> Result<Vec<Dataset>> {
        let path = Path::new(data);
        if path.is_file() {
            let store = Arc::new(Store::open(path)?);
            check_crop(data, store.crop(), crop)?;
            let split = self.split(data, store.recordings(), common)?;
            let pick = |part: &Part| Ok(Dataset::of_store(&store, part.of(&split))?);
            return parts.iter().map(pick).collect();
        }
        if path.is_dir() && !hdf5_layout::list(path)?.is_empty() {
            // Its authors cut the spectrograms so.
            check_crop(data, Crop::AudioMnist, crop)?;
            return self.preprocessed(data, parts, common);
        }
        let corpus = open(data, common)?;
        let split = self.split(data, corpus.recordings(), common)?;
        let part = |part: &Part| {
            let indices = part.of(&split);
            whole(self.spectrograms(corpus.as_ref(), part.name(), indices, crop, common)?)
        };
        parts.iter().map(part).collect()
    }

    /// As [`Arguments::read`], the recordings' waveforms; they are kept in memory.
    pub fn waveforms(&self, parts: &[Part], common: &Common) -> Result<Vec<Waveforms>> {
        let mut all: Vec<Waveforms> = parts.iter().map(|_| Waveforms::default()).collect();
        for data in &self.data {
            let path = Path::new(data);
            ensure!(
                !(path.is_file() || path.is_dir() && !hdf5_layout::list(path)?.is_empty()),
                "{data}: holds spectrograms, and the network reads waveforms: give the recordings"
            );
            let corpus = open(data, common)?;
            let split = self.split(data, corpus.recordings(), common)?;
            for (all, part) in all.iter_mut().zip(parts) {
                let indices = part.of(&split);
                let label = format!("waveforms, {}", part.name());
                let bar = progress::bar(&label, indices.len(), common.quiet);
                let progress = |done: usize| bar.set_position(done as u64);
                let waveforms =
                    Waveforms::compute(corpus.as_ref(), indices, common.seed, &progress);
                bar.finish_and_clear();
                all.append(waveforms?);
            }
        }
        Ok(all)
    }

    /// Spectrograms of some recordings, computed or as they are kept.
    fn spectrograms(
        &self,
        corpus: &dyn Corpus,
        name: &str,
        indices: &[usize],
        crop: Crop,
        common: &Common,
    ) -> Result<Store> {
        let bar = progress::bar(
            &format!("spectrograms, {name}"),
            indices.len(),
            common.quiet,
        );
        let corpus_name = corpus.name().to_lowercase().replace(' ', "-");
        let path = self.store.join(format!("{corpus_name}-{name}.h5"));
        let parameters = Parameters {
            crop,
            seed: common.seed,
        };
        let done = |done: usize| bar.set_position(done as u64);
        let store = Store::open_or_compute(&path, corpus, indices, parameters, &done);
        bar.finish_and_clear();
        Ok(store?)
    }

    fn split(&self, data: &str, recordings: &[Recording], common: &Common) -> Result<Split> {
        let sizes = match self.limit {
            Some(limit) => Sizes::at_most(limit, limit.div_ceil(2), limit.div_ceil(2)),
            None => Sizes::all(),
        };
        Split::draw(recordings, Speakers::All, sizes, common.seed).with_context(|| data.to_owned())
    }

    fn preprocessed(&self, folder: &str, parts: &[Part], common: &Common) -> Result<Vec<Dataset>> {
        let labelled = labelled(folder, common)?;
        let recordings: Vec<Recording> = labelled
            .iter()
            .map(|(_, recording)| recording.clone())
            .collect();
        let split = self.split(folder, &recordings, common)?;
        let pick = |part: &Part| {
            let files = part.of(&split).iter();
            Ok(Dataset::of_files(
                files.map(|index| labelled[*index].clone()).collect(),
            )?)
        };
        parts.iter().map(pick).collect()
    }

    /// Segments of known speakers. Each of the data is split by itself, and has speakers of its own.
    pub fn speakers(&self, normalization: Normalization, common: &Common) -> Result<SpeakerData> {
        let mut all = SpeakerData {
            classes: Vec::new(),
            training: Segments::new(normalization),
            held_out: Segments::new(normalization),
        };
        for data in &self.data {
            let store = Arc::new(self.filterbanks(data, common)?);
            let split = HeldOut::split(store.recordings(), &store.frames(), FRAMES)
                .with_context(|| data.to_owned())?;
            let again = split
                .speakers
                .iter()
                .find(|name| all.classes.contains(name));
            if let Some(speaker) = again {
                bail!("{data}: speaker {speaker} is in the data before it too: give each once");
            }
            if !split.too_short.is_empty() {
                tracing::warn!(
                    "{data}: {} of {} speakers are left out, who have no {FRAMES} frames in a row to train or to test on: {}",
                    split.too_short.len(),
                    split.too_short.len() + split.speakers.len(),
                    split.too_short.join(", ")
                );
            }
            all.classes.extend(split.speakers);
            all.training
                .append(&store, &split.train, TRAINING_HOP, &all.classes)?;
            all.held_out
                .append(&store, &split.test, TEST_HOP, &all.classes)?;
        }
        Ok(all)
    }

    fn filterbanks(&self, data: &str, common: &Common) -> Result<FilterbankStore> {
        let path = Path::new(data);
        if path.is_file() {
            ensure!(
                self.limit.is_none(),
                "{data}: a store is read whole: leave --limit out"
            );
            return Ok(FilterbankStore::open(path)?);
        }
        let corpus = speechlens_data::open_utterances(data, common.seed)?;
        let recordings = corpus.recordings();
        let indices = held_out::in_turn(recordings, self.limit.unwrap_or(recordings.len()));
        let bar = progress::bar("filterbanks", indices.len(), common.quiet);
        // By the folder: subsets of one corpus are computed once each.
        let folder = path.file_name().unwrap_or(corpus.name().as_ref());
        let name = folder.to_string_lossy().to_lowercase() + "-filterbanks.h5";
        let store = FilterbankStore::open_or_compute(
            &self.store.join(name),
            corpus.as_ref(),
            &indices,
            &|done| bar.set_position(done as u64),
        );
        bar.finish_and_clear();
        Ok(store?)
    }
}

/// The recordings of at most a second that are called so.
fn open(data: &str, common: &Common) -> Result<Box<dyn Corpus>> {
    let reading = progress::counter("reading recordings", common.quiet);
    let corpus =
        speechlens_data::open(data, common.seed, &|done| reading.set_position(done as u64))?;
    reading.finish_and_clear();
    Ok(corpus)
}

fn whole(store: Store) -> Result<Dataset> {
    let places: Vec<usize> = (0..store.len()).collect();
    Ok(Dataset::of_store(&Arc::new(store), &places)?)
}

/// AudioMNIST's preprocessed files with what they say of their recordings.
fn labelled(folder: &str, common: &Common) -> Result<Vec<(PathBuf, Recording)>> {
    let files = hdf5_layout::list(Path::new(folder))?;
    let bar = progress::bar("reading labels", files.len(), common.quiet);
    let labelled = files.into_iter().map(|file| {
        let recording = hdf5_layout::recording(&file)?;
        bar.inc(1);
        Ok((file, recording))
    });
    let labelled = labelled.collect();
    bar.finish_and_clear();
    labelled
}

/// Fails if spectrograms that are there already were cut otherwise than asked for.
fn check_crop(data: &str, is: Crop, asked: Crop) -> Result<()> {
    if is != asked {
        bail!("{data}: its spectrograms have the crop {is}, not {asked}: train with --crop {is}");
    }
    Ok(())
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
