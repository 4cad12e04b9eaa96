//! What `train`, `evaluate` and `augment` read: corpora, split by speaker or for each speaker, feature stores, and AudioMNIST's
//! preprocessed files.

mod classes;
mod sexes;
mod speakers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail, ensure};
use speechlens_data::left_out::summary;
use speechlens_data::{Cache, Corpus, Error, FeatureStore, LeftOut, Preparation, Sizes};
use speechlens_eval::Windows;
use speechlens_frontend::FrontEnd;
use speechlens_models::Model;
use speechlens_nn::train::Samples;
use speechlens_report::progress::{self, DecimalBytes, ProgressBar};

use crate::common::{Common, at_least_one};
pub use classes::ClassData;
pub use sexes::classes_of_sexes;
pub use speakers::SpeakerData;

/// Where data come from.
#[derive(clap::Args)]
pub struct Arguments {
    /// Each the folder of AudioMNIST, LibriSpeech, LibriTTS, one of their subsets, or VoxCeleb, the word `synthetic`, a table of
    /// labels (.csv), a feature store (.h5), or a folder of AudioMNIST's preprocessed files (AlexNet_D_NN_R.hdf5).
    ///
    /// Your own digits can be read as AudioMNIST: DIR/SPEAKER/DIGIT_SPEAKER_REPETITION.wav and DIR/audioMNIST_meta.txt,
    /// {"SPEAKER": {"gender": "female"}, …}; your own speech as LibriSpeech: DIR/SUBSET/SPEAKER/CHAPTER/*.wav and
    /// DIR/SPEAKERS.TXT, lines of `SPEAKER | F`. Any format and sampling rate will do.
    ///
    /// For the gender task each is split by speaker, by the seed: two thirds of the speakers for training, a sixth each for
    /// validation and test; as many recordings of men as of women. For the speaker task the last fifth of each speaker's recordings
    /// is held out, or the last third of a single one. Recordings that cannot be used are left out and told, and those of speakers
    /// whose sex no table tells, where that is the class.
    ///
    /// Anything else by a table of labels, CSV: a line of titles, `path,label`, and if they are known `speaker` and `split` (train,
    /// validation or test), in any order; then a line for each recording, its path relative to the table's folder. It is split as
    /// it says, else by speaker, else by recording.
    data: Vec<String>,
    /// At most so many recordings: for training, and half as many for validation and test; of known speakers, and to augment, in all,
    /// of each speaker in turn.
    #[arg(long, value_parser = at_least_one, value_name = "N")]
    limit: Option<usize>,
    /// Take silence off both ends of a recording, before anything else: what is 40 dB below the loudest.
    #[arg(long)]
    trim: bool,
    /// Cut words that are longer than a second at their pauses into pieces of 0.25 to 1 s. Utterances of LibriSpeech, LibriTTS and
    /// VoxCeleb are cut so in any case.
    #[arg(long)]
    pieces: bool,
    /// Stop at the first recording that cannot be used, rather than leave it out.
    #[arg(long)]
    strict: bool,
    /// Where features are kept, which are computed once; else in a folder of the user's (see `speechlens cache`).
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl Arguments {
    /// Ends the program as bad use does, if no data are given.
    pub fn require(&self) {
        if self.data.is_empty() {
            let message = "no data are given: <DATA>..., see --help\n";
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, message).exit();
        }
    }

    /// The features of some recordings of a corpus, computed or as they are kept.
    fn computed(
        &self,
        corpus: &dyn Corpus,
        name: &str,
        indices: &[usize],
        front_end: &FrontEnd,
        common: &Common,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<(Arc<FeatureStore>, Vec<usize>)> {
        let label = format!("features, {name}");
        let bar = progress::bar(&label, indices.len(), common.quiet);
        let done = |done: usize| bar.set_position(done as u64);
        let (folder, name) = (self.kept_in()?, format!("{}-{name}", file_name(corpus)));
        let making = (front_end, common.seed);
        let store = FeatureStore::cached((&folder, &name), corpus, indices, making, &done);
        let told = store.as_ref();
        let told = told.map(|store| (store.recordings().len(), store.path()));
        tell_of_store(&bar, &label, told);
        let store = store.map_err(|error| self.explained(error))?;
        left_out.extend(store.left_out().iter().cloned());
        let places = (0..store.recordings().len()).collect();
        Ok((Arc::new(store), places))
    }

    /// Fails if what is for recordings is asked of features.
    fn refuse_preparation(&self, data: &str) -> Result<()> {
        ensure!(
            !self.trim && !self.pieces,
            "{data}: holds features, and --trim and --pieces are for recordings: leave them out"
        );
        Ok(())
    }

    /// The data, if they are recordings or folders of them, and none of them tells labels.
    pub fn unlabelled(&self) -> Result<Option<Vec<PathBuf>>> {
        let paths = self.data.iter().map(PathBuf::from);
        let is_unlabelled = |path: &PathBuf| path.is_dir() || speechlens_audio::is_recording(path);
        let paths = paths.map(|path| is_unlabelled(&path).then_some(path));
        let Some(paths) = paths.collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let of_labelled = [
            ("limit", self.limit.is_some()),
            ("pieces", self.pieces),
            ("store", self.store.is_some()),
        ];
        for (option, is_given) in of_labelled {
            ensure!(
                !is_given,
                "--{option}: is for data with labels, and there are recordings alone; leave it out"
            );
        }
        Ok(Some(paths))
    }

    /// How many data are given.
    pub fn count(&self) -> usize {
        self.data.len()
    }

    /// What is done to recordings before anything else, by name.
    pub fn done_to_recordings(&self) -> impl Iterator<Item = &'static str> {
        let all = [("trim", self.trim), ("pieces", self.pieces)];
        all.into_iter()
            .filter(|(_, is_asked)| *is_asked)
            .map(|(name, _)| name)
    }

    /// How the recordings are made ready.
    pub fn preparation(&self) -> Preparation {
        Preparation {
            trim: self.trim,
            pieces: self.pieces,
            strict: self.strict,
        }
    }

    /// Where features are kept.
    fn kept_in(&self) -> Result<PathBuf> {
        match &self.store {
            Some(folder) => Ok(folder.clone()),
            None => Ok(Cache::of_user()?.folder().to_owned()),
        }
    }

    fn sizes(&self) -> Sizes {
        match self.limit {
            Some(limit) => Sizes::at_most(limit, limit.div_ceil(2), limit.div_ceil(2)),
            None => Sizes::all(),
        }
    }

    /// Says what is left out and why, once for each of the data; or fails, if nothing may be.
    fn tell(&self, data: &str, left_out: &[LeftOut]) -> Result<()> {
        if let (true, Some(first)) = (self.strict, left_out.first()) {
            bail!("{}", first.message);
        }
        tell_left_out(data, left_out, &self.remedy(left_out));
        Ok(())
    }

    /// What can be done about recordings that are too long.
    fn remedy(&self, left_out: &[LeftOut]) -> String {
        let names = self.preparation().left_to_try(left_out);
        let options: Vec<String> = names.iter().map(|name| format!("--{name}")).collect();
        match options.is_empty() {
            true => String::new(),
            false => format!("; {} can make them fit", options.join(" or ")),
        }
    }

    /// The error with what this command can do about it.
    fn explained(&self, error: Error) -> anyhow::Error {
        match self.remedy(&error.left_out()) {
            remedy if remedy.is_empty() => error.into(),
            remedy => anyhow!("{error}{remedy}"),
        }
    }
}

/// The thesis's own data sets, which are split as the thesis has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OfThesis {
    /// Men and women, who are strangers.
    Sexes,
    /// Known speakers.
    Speakers,
}

/// Which of the thesis's data sets a network was made for; none if it reads another front end's features, or tells what a table
/// of labels says, or digits.
pub fn of_thesis(model: &Model) -> Option<OfThesis> {
    let classes = model.classes();
    let are_digits = classes.len() == 10
        && classes
            .iter()
            .zip('0'..)
            .all(|(own, digit)| own.chars().eq([digit]));
    if model.training()["task"].is_string() || are_digits {
        return None;
    }
    match model.front_end.name()? {
        "thesis-spectrogram" | "audiomnist-spectrogram" | "thesis-waveform" => {
            Some(OfThesis::Sexes)
        }
        "thesis-fbank" | "thesis-fbank-recording" => Some(OfThesis::Speakers),
        _ => None,
    }
}

/// Fails if there is no window because all recordings are too short for one.
fn usable(windows: &Windows, too_short: &[LeftOut]) -> Result<()> {
    match windows.is_empty() && !too_short.is_empty() {
        true => Err(Error::NothingUsable(too_short.to_vec()).into()),
        false => Ok(()),
    }
}

/// A corpus's name as one of files.
fn file_name(corpus: &dyn Corpus) -> String {
    corpus.name().to_lowercase().replace(' ', "-")
}

/// Ends the bar, and says what a store holds and how large it is: in its place, if it was shown because something was computed.
fn tell_of_store<E>(bar: &ProgressBar, label: &str, store: Result<(usize, &Path), E>) {
    if let Ok((recordings, path)) = store {
        let bytes = path.metadata().map_or(0, |about| about.len());
        let line = format!(
            "{label}: {recordings} recordings, {} in {}",
            DecimalBytes(bytes),
            path.display()
        );
        match bar.is_hidden() || bar.position() == 0 {
            true => tracing::info!("{line}"),
            false => bar.println(line),
        }
    }
    bar.finish_and_clear();
}

/// Says what of the data is left out and why.
pub fn tell_left_out(data: &str, left_out: &[LeftOut], remedy: &str) {
    if !left_out.is_empty() {
        tracing::warn!("{data}: left out are {}{remedy}", summary(left_out));
    }
    for one in left_out {
        tracing::info!("{}", one.message);
    }
}

/// Fails if a file is plainly not what is wanted: a recording, or a table of speakers.
fn refuse_single(path: &Path) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let name = path.display();
    let within = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let is_table = |ending: &str| {
        path.extension()
            .is_some_and(|own| own.eq_ignore_ascii_case(ending))
    };
    ensure!(
        !speechlens_audio::is_recording(path),
        "{name}: a single recording; give the folder of the corpus that it is of"
    );
    ensure!(
        !["txt", "tsv", "csv", "json", "md"]
            .into_iter()
            .any(is_table),
        "{name}: a table or text, and no recordings; give the folder: {}",
        within.display()
    );
    Ok(())
}
