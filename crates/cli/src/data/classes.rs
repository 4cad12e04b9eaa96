//! Windows of any classes: of tables of labels, of a corpus's digits, of stores.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use speechlens_data::task::{self, classes};
use speechlens_data::{Corpus, FeatureStore, LeftOut, Part, Recording, Split, held_out};
use speechlens_eval::Windows;
use speechlens_frontend::FrontEnd;
use speechlens_report::progress;

use super::{Arguments, refuse_single, usable};
use crate::common::Common;

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

impl Arguments {
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
}
