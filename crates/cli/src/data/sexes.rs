//! Windows of men and women, who are strangers: of corpora, stores, and AudioMNIST's preprocessed files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use speechlens_data::split::check_both;
use speechlens_data::{
    Corpus, Error, FeatureStore, LeftOut, Part, Recording, Sex, Speakers, Split, hdf5_layout,
    held_out,
};
use speechlens_eval::Windows;
use speechlens_frontend::FrontEnd;
use speechlens_models::Model;
use speechlens_report::progress;

use super::{Arguments, refuse_single, usable};
use crate::common::Common;

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

    fn split(&self, data: &str, recordings: &[Recording], common: &Common) -> Result<Split> {
        Split::draw(recordings, Speakers::All, self.sizes(), common.seed)
            .with_context(|| data.to_owned())
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
