//! What `train`, `evaluate` and `augment` read: corpora, split by speaker or for each speaker, feature stores, and AudioMNIST's
//! preprocessed files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use speechlens_data::left_out::summary;
use speechlens_data::split::check_both;
use speechlens_data::task::{self, classes};
use speechlens_data::{
    Cache, Corpus, Error, FeatureStore, HeldOut, LeftOut, Part, Preparation, Recording, Sex, Sizes,
    Speakers, Split, hdf5_layout, held_out,
};
use speechlens_eval::Windows;
use speechlens_frontend::FrontEnd;
use speechlens_models::Model;
use speechlens_models::resnet34::FRAMES;
use speechlens_nn::train::Samples;
use speechlens_report::progress::{self, DecimalBytes, ProgressBar};

use crate::common::{Common, at_least_one};

/// Frames between the starts of segments to train on: a speaker is heard at many places.
const TRAINING_HOP: usize = 25;
/// Frames between the starts of segments to test on: no sound counts twice.
const TEST_HOP: usize = FRAMES;

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

/// The data of the speaker task.
pub struct SpeakerData {
    /// The speakers.
    pub classes: Vec<String>,
    /// For training.
    pub training: Windows,
    /// Speech of the same speakers that training does not hear.
    pub held_out: Windows,
    /// The corpora that they are from; a feature store has none.
    pub corpora: Vec<Box<dyn Corpus>>,
}

/// The data of a classifier of any classes.
pub struct ClassData {
    /// The classes, sorted.
    pub classes: Vec<String>,
    /// What was asked for, in its order.
    pub parts: Vec<Windows>,
}

/// Recordings with classes: a corpus, or a store of their features.
enum Labelled {
    Corpus(Box<dyn Corpus>),
    Store(Arc<FeatureStore>),
}

impl Labelled {
    fn recordings(&self) -> &[Recording] {
        match self {
            Labelled::Corpus(corpus) => corpus.recordings(),
            Labelled::Store(store) => store.recordings(),
        }
    }

    fn left_out(&self) -> &[LeftOut] {
        match self {
            Labelled::Corpus(corpus) => corpus.left_out(),
            Labelled::Store(store) => store.left_out(),
        }
    }
}

/// Filterbanks of whole recordings.
struct Utterances {
    store: Arc<FeatureStore>,
    /// The places in the store of the recordings that are asked for.
    places: Vec<usize>,
    left_out: Vec<LeftOut>,
    /// What they were computed from, if it is at hand.
    corpus: Option<Box<dyn Corpus>>,
}

/// Recordings of men and women with features, or that can have them.
struct Source {
    recordings: Vec<Recording>,
    left_out: Vec<LeftOut>,
    form: Form,
}

enum Form {
    Store(Arc<FeatureStore>),
    /// AudioMNIST's preprocessed files, one for each recording.
    Files(Vec<PathBuf>),
    Corpus(Box<dyn Corpus>),
}

impl Arguments {
    /// Ends the program as bad use does, if no data are given.
    pub fn require(&self) {
        if self.data.is_empty() {
            let message = "no data are given: <DATA>..., see --help\n";
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, message).exit();
        }
    }

    /// Windows of some parts of recordings with classes, so many frames after each other, or one after another; of the `table` if
    /// no data are given. Each of the data is split by itself. The network's classes, if it is there already.
    pub fn windows(
        &self,
        table: Option<&Path>,
        parts: &[(Part, Option<usize>)],
        front_end: &FrontEnd,
        known: Option<&[String]>,
        common: &Common,
    ) -> Result<ClassData> {
        let sources = self.labelled(table, front_end, common)?;
        let recordings = sources.iter().flat_map(|(_, source)| source.recordings());
        let classes = match known {
            Some(classes) => classes.to_vec(),
            None => classes(&recordings.cloned().collect::<Vec<_>>()),
        };
        let mut all: Vec<Windows> = parts.iter().map(|_| Windows::default()).collect();
        let wanted: Vec<Part> = parts.iter().map(|(part, _)| *part).collect();
        for (data, source) in &sources {
            let split = Split::of_classes(source.recordings(), &wanted, self.sizes(), common.seed);
            let split = split.with_context(|| data.clone())?;
            let mut left_out = source.left_out().to_vec();
            for (windows, (part, hop)) in all.iter_mut().zip(parts) {
                let (name, indices) = (part.name(), split.part(*part));
                let (store, places) =
                    self.features(source, name, indices, front_end, common, &mut left_out)?;
                let too_short = windows.append(&store, &places, *hop, &classes);
                let too_short = too_short.with_context(|| data.clone())?;
                usable(windows, &too_short)?;
                left_out.extend(too_short);
            }
            self.tell(data, &left_out)?;
        }
        Ok(ClassData {
            classes,
            parts: all,
        })
    }

    /// One after another, the windows of all recordings with classes, of every part.
    pub fn all_windows(
        &self,
        front_end: &FrontEnd,
        classes: &[String],
        common: &Common,
    ) -> Result<Windows> {
        let sources = self.labelled(None, front_end, common)?;
        let [(data, source)] = sources.as_slice() else {
            bail!("give one corpus, table of labels or feature store at a time");
        };
        let mut left_out = source.left_out().to_vec();
        let limit = self.limit.unwrap_or(source.recordings().len());
        let indices = held_out::in_turn(source.recordings(), limit, |one| one.class.is_some());
        let (store, places) =
            self.features(source, "all", &indices, front_end, common, &mut left_out)?;
        let mut windows = Windows::default();
        let too_short = windows.append(&store, &places, None, classes);
        let too_short = too_short.with_context(|| data.clone())?;
        usable(&windows, &too_short)?;
        left_out.extend(too_short);
        self.tell(data, &left_out)?;
        Ok(windows)
    }

    /// The data with classes, with what each is called.
    fn labelled(
        &self,
        table: Option<&Path>,
        front_end: &FrontEnd,
        common: &Common,
    ) -> Result<Vec<(String, Labelled)>> {
        let mut names = self.data.clone();
        if let (Some(table), true) = (table, names.is_empty()) {
            names.push(table.display().to_string());
        }
        let open = |data: String| {
            let path = Path::new(&data);
            let has_ending = |ending: &str| {
                let own = path.extension();
                own.is_some_and(|own| own.eq_ignore_ascii_case(ending))
            };
            let reading = progress::counter("reading recordings", common.quiet);
            let done = |done: usize| reading.set_position(done as u64);
            ensure!(
                table.is_none() || has_ending("csv") || path.is_file(),
                "{data}: with --task LABELS.csv, give tables of labels or feature stores, or nothing for the table's own recordings"
            );
            let source = if has_ending("csv") {
                Labelled::Corpus(
                    task::open(path, self.preparation(), &done)
                        .map_err(|error| self.explained(error))?,
                )
            } else if path.is_file() {
                refuse_single(path)?;
                self.refuse_preparation(&data)?;
                let store = FeatureStore::open(path)?.of_front_end(front_end)?;
                Labelled::Store(Arc::new(store))
            } else {
                let digits = task::open_digits(&data, common.seed, self.preparation(), &done);
                Labelled::Corpus(digits.map_err(|error| self.explained(error))?)
            };
            reading.finish_and_clear();
            Ok((data, source))
        };
        names.into_iter().map(open).collect()
    }

    /// The features of some recordings, and their places in the store; what of them cannot be used joins what is left out.
    fn features(
        &self,
        source: &Labelled,
        name: &str,
        indices: &[usize],
        front_end: &FrontEnd,
        common: &Common,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<(Arc<FeatureStore>, Vec<usize>)> {
        match source {
            Labelled::Store(store) => Ok((store.clone(), indices.to_vec())),
            Labelled::Corpus(corpus) => {
                self.computed(corpus.as_ref(), name, indices, front_end, common, left_out)
            }
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

    /// The recordings of some parts, in their order, in the classes that a network has for men and for women. Each of the data is split
    /// by itself.
    pub fn read(
        &self,
        parts: &[Part],
        front_end: &FrontEnd,
        of_sexes: [u32; 2],
        common: &Common,
    ) -> Result<Vec<Windows>> {
        let mut all: Vec<Windows> = parts.iter().map(|_| Windows::default()).collect();
        for data in &self.data {
            let mut source = self.source(data, front_end, common)?;
            let split = self.split(data, &source.recordings, common)?;
            source.left_out.extend(split.left_out.iter().cloned());
            for (all, part) in all.iter_mut().zip(parts) {
                let (name, indices) = (part.name(), split.part(*part));
                let of_part =
                    self.of_source(&mut source, name, indices, front_end, of_sexes, common)?;
                check_both(of_part.recordings(), name).with_context(|| data.to_owned())?;
                all.extend(&of_part);
            }
            self.tell(data, &source.left_out)?;
        }
        Ok(all)
    }

    /// All recordings, of every part.
    pub fn read_whole(
        &self,
        front_end: &FrontEnd,
        of_sexes: [u32; 2],
        common: &Common,
    ) -> Result<Windows> {
        let [data] = self.data.as_slice() else {
            bail!("give one corpus or feature store at a time");
        };
        let mut source = self.source(data, front_end, common)?;
        let unknown = |recording: &&Recording| recording.sex.is_none();
        let unknown = source.recordings.iter().filter(unknown);
        let unknown: Vec<LeftOut> = unknown.map(LeftOut::without_sex).collect();
        source.left_out.extend(unknown);
        let limit = self.limit.unwrap_or(source.recordings.len());
        let known = |recording: &Recording| recording.sex.is_some();
        let indices = held_out::in_turn(&source.recordings, limit, known);
        if let (true, Some(one)) = (indices.is_empty(), source.recordings.first()) {
            return Err(Error::UnknownSex(vec![one.speaker.clone()]).into());
        }
        let all = self.of_source(&mut source, "all", &indices, front_end, of_sexes, common)?;
        self.tell(data, &source.left_out)?;
        Ok(all)
    }

    /// What `data` stands for, with such features.
    fn source(&self, data: &str, front_end: &FrontEnd, common: &Common) -> Result<Source> {
        let path = Path::new(data);
        let files = match path.is_dir() {
            true => hdf5_layout::list(path)?,
            false => Vec::new(),
        };
        ensure!(
            files.is_empty() || !front_end.axes().are_samples(),
            "{data}: holds spectrograms, and the network reads waveforms: give the recordings"
        );
        if !files.is_empty() {
            self.refuse_preparation(data)?;
        }
        if path.is_file() {
            refuse_single(path)?;
            self.refuse_preparation(data)?;
            let store = FeatureStore::open(path)?;
            check_crop(data, store.front_end(), front_end)?;
            let store = store.of_front_end(front_end)?;
            return Ok(Source {
                recordings: store.recordings().to_vec(),
                left_out: store.left_out().to_vec(),
                form: Form::Store(Arc::new(store)),
            });
        }
        if !files.is_empty() {
            // Its authors cut the spectrograms so.
            check_crop(data, &FrontEnd::load("audiomnist-spectrogram")?, front_end)?;
            let bar = progress::bar("reading labels", files.len(), common.quiet);
            let done = |done: usize| bar.set_position(done as u64);
            let labelled = hdf5_layout::labelled(files, self.strict, &done);
            bar.finish_and_clear();
            let labelled = labelled?;
            return Ok(Source {
                recordings: labelled.recordings,
                left_out: labelled.left_out,
                form: Form::Files(labelled.files),
            });
        }
        let corpus = self.open(data, common)?;
        Ok(Source {
            recordings: corpus.recordings().to_vec(),
            left_out: corpus.left_out().to_vec(),
            form: Form::Corpus(corpus),
        })
    }

    /// Some recordings of a source; what of them cannot be used joins what the source leaves out.
    fn of_source(
        &self,
        source: &mut Source,
        name: &str,
        indices: &[usize],
        front_end: &FrontEnd,
        of_sexes: [u32; 2],
        common: &Common,
    ) -> Result<Windows> {
        let mut windows = Windows::default();
        let too_short = match &source.form {
            Form::Store(store) => windows.append_of_sexes(store, indices, of_sexes)?,
            Form::Files(files) => {
                let of = |&index: &usize| (files[index].clone(), source.recordings[index].clone());
                windows.append_files(indices.iter().map(of).collect(), of_sexes)?;
                Vec::new()
            }
            Form::Corpus(corpus) => {
                let (store, places) = self.computed(
                    corpus.as_ref(),
                    name,
                    indices,
                    front_end,
                    common,
                    &mut source.left_out,
                )?;
                windows.append_of_sexes(&store, &places, of_sexes)?
            }
        };
        usable(&windows, &too_short)?;
        source.left_out.extend(too_short);
        Ok(windows)
    }

    /// The recordings that are called so, of which each is to last a second at most.
    fn open(&self, data: &str, common: &Common) -> Result<Box<dyn Corpus>> {
        let reading = progress::counter("reading recordings", common.quiet);
        let done = |done: usize| reading.set_position(done as u64);
        let corpus = speechlens_data::open(data, common.seed, self.preparation(), &done);
        reading.finish_and_clear();
        corpus.map_err(|error| self.explained(error))
    }

    /// Where features are kept.
    fn kept_in(&self) -> Result<PathBuf> {
        match &self.store {
            Some(folder) => Ok(folder.clone()),
            None => Ok(Cache::of_user()?.folder().to_owned()),
        }
    }

    fn split(&self, data: &str, recordings: &[Recording], common: &Common) -> Result<Split> {
        Split::draw(recordings, Speakers::All, self.sizes(), common.seed)
            .with_context(|| data.to_owned())
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

    /// Segments of known speakers. Each of the data is split by itself, and has speakers of its own.
    pub fn speakers(&self, front_end: &FrontEnd, common: &Common) -> Result<SpeakerData> {
        ensure!(
            !self.pieces,
            "--pieces: the network reads two seconds at a time of whole recordings; leave it out"
        );
        let mut all = SpeakerData {
            classes: Vec::new(),
            training: Windows::default(),
            held_out: Windows::default(),
            corpora: Vec::new(),
        };
        for data in &self.data {
            let Utterances {
                store,
                places,
                mut left_out,
                corpus,
            } = self.filterbanks(data, front_end, common)?;
            all.corpora.extend(corpus);
            let frames = store.lengths();
            let recordings = places
                .iter()
                .map(|place| store.recordings()[*place].clone());
            let frames: Vec<usize> = places.iter().map(|place| frames[*place]).collect();
            let mut split = HeldOut::split(&recordings.collect::<Vec<_>>(), &frames, FRAMES)
                .with_context(|| data.to_owned())?;
            for stretch in split.train.iter_mut().chain(&mut split.test) {
                stretch.recording = places[stretch.recording];
            }
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
            left_out.extend(split.left_out);
            tell_left_out(data, &left_out, "");
            all.classes.extend(split.speakers);
            all.training
                .append_stretches(&store, &split.train, TRAINING_HOP, &all.classes)?;
            all.held_out
                .append_stretches(&store, &split.test, TEST_HOP, &all.classes)?;
        }
        Ok(all)
    }

    fn filterbanks(&self, data: &str, front_end: &FrontEnd, common: &Common) -> Result<Utterances> {
        let limited = |recordings: &[Recording]| {
            let limit = self.limit.unwrap_or(recordings.len());
            held_out::in_turn(recordings, limit, |_| true)
        };
        let path = Path::new(data);
        if path.is_file() {
            refuse_single(path)?;
            self.refuse_preparation(data)?;
            let store = Arc::new(FeatureStore::open(path)?.of_front_end(front_end)?);
            ensure!(
                !store.is_derived(),
                "{data}: holds windows that were changed, and known speakers are learnt from windows cut anew in every pass: give \
                 the store that it was made of"
            );
            return Ok(Utterances {
                places: limited(store.recordings()),
                left_out: store.left_out().to_vec(),
                store,
                corpus: None,
            });
        }
        let corpus = speechlens_data::open_utterances(data, common.seed, self.preparation())?;
        let indices = limited(corpus.recordings());
        let mut left_out = corpus.left_out().to_vec();
        let (store, places) = self.computed(
            corpus.as_ref(),
            "filterbanks",
            &indices,
            front_end,
            common,
            &mut left_out,
        )?;
        Ok(Utterances {
            places,
            left_out,
            store,
            corpus: Some(corpus),
        })
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

/// The classes that a network has for men and for women, by their names; an error if it tells anything else.
pub fn classes_of_sexes(path: &Path, model: &Model) -> Result<[u32; 2]> {
    let known = Sex::ALL.map(Sex::name);
    let place = |name: &str| model.classes().iter().position(|class| class == name);
    if let ([Some(male), Some(female)], 2) = (known.map(place), model.classes().len()) {
        return Ok([male as u32, female as u32]);
    }
    let first: Vec<&str> = model.classes().iter().map(String::as_str).take(3).collect();
    let more = if model.classes().len() > 3 {
        ", …"
    } else {
        ""
    };
    let remedy = match model.classes().len() {
        2 => {
            "if these are other names for them, import it again with --classes male,female, or female,male"
        }
        _ => "give a network that was trained on them",
    };
    bail!(
        "{}: its {} classes are {}{more}, and those of the data are {}; {remedy}",
        path.display(),
        model.classes().len(),
        first.join(", "),
        known.join(" and "),
    )
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

/// Fails if spectrograms are cut otherwise than the network's.
fn check_crop(data: &str, own: &FrontEnd, network: &FrontEnd) -> Result<()> {
    let crop = |front_end: &FrontEnd| front_end.name()?.strip_suffix("-spectrogram");
    if let (Some(own), Some(network)) = (crop(own), crop(network)) {
        ensure!(
            own == network,
            "{data}: its spectrograms have the crop {own}, not {network}: train with --crop {own}"
        );
    }
    Ok(())
}
