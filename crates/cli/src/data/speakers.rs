//! Segments of known speakers.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use speechlens_data::{Corpus, FeatureStore, HeldOut, LeftOut, Recording, held_out};
use speechlens_eval::Windows;
use speechlens_frontend::FrontEnd;
use speechlens_models::resnet34::FRAMES;

use super::{Arguments, refuse_single, tell_left_out};
use crate::common::Common;

/// Frames between the starts of segments to train on: a speaker is heard at many places.
const TRAINING_HOP: usize = 25;
/// Frames between the starts of segments to test on: no sound counts twice.
const TEST_HOP: usize = FRAMES;

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

/// Filterbanks of whole recordings.
struct Utterances {
    store: Arc<FeatureStore>,
    /// The places in the store of the recordings that are asked for.
    places: Vec<usize>,
    left_out: Vec<LeftOut>,
    /// What they were computed from, if it is at hand.
    corpus: Option<Box<dyn Corpus>>,
}

impl Arguments {
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
