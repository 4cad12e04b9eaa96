//! One artifact and one seed: training, what the network learnt, what each method says of it, and mending.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::DType;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use speechlens_data::{
    Artifact, Corpus, FeatureStore, Planted, Recording, Sex, Sizes, Speakers, Split,
};
use speechlens_eval::Windows;
use speechlens_eval::known_answer::{Found, find};
use speechlens_frontend::FrontEnd;
use speechlens_frontend::thesis::FLOOR_DB;
use speechlens_models::alexnet;
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Config, Samples, Score, Trainer, logits};
use speechlens_report::heatmap::{Panel, limit};
use speechlens_report::{atomic, progress};

use crate::shared::fit::First;
use crate::shared::gender::data::of_each_sex;
use crate::shared::gender::heatmaps::axes;
use crate::shared::methods::{mean, of_spectrograms};
use crate::shared::recipes::{Job, RECIPES};
use crate::shared::{Arguments, Lab, Profile, gender};

/// A bin is planted if its level differs by more than this from that without the artifact, in dB.
pub const AUDIBLE_DB: f32 = 3.0;
/// The class that has the artifact in training.
const GIVEN_AWAY: Sex = Sex::Female;
/// The recipes of mending that are tried.
const MENDED: [&str; 4] = ["plain", "aug_zero", "aug_mean", "floor_lot"];

/// What a profile decides.
#[derive(Clone, Debug)]
pub struct Setting {
    speakers: Speakers,
    sizes: Sizes,
    /// The share of the training recordings whose class is the speaker's sex; that of the others is drawn by lot. The artifact
    /// tells the class of all of them.
    pub told_by_voice: f64,
    /// The share of the class's training recordings that have the artifact.
    pub share: f64,
    epochs: u64,
    /// Passes of retraining.
    mending_epochs: u64,
    /// The share of the bins that augmentation replaces, in percent.
    pub percent: f64,
    /// Whether the networks that learnt every artifact are mended, and not those of the first alone.
    mends_all: bool,
    /// Test recordings that are explained.
    explained: usize,
    batch: usize,
}

impl Setting {
    pub fn new(arguments: &Arguments) -> Self {
        let (train, test, epochs, mending_epochs, explained) = match arguments.profile {
            Profile::Smoke => (20, 8, 1, 1, 1),
            Profile::Quick => (400, 100, 6, 2, 8),
            Profile::Full => (3000, 500, 20, 10, 50),
        };
        Setting {
            speakers: of_each_sex(arguments),
            sizes: Sizes::at_most(train, test, test),
            told_by_voice: f64::from(arguments.by_voice) / 100.0,
            share: f64::from(arguments.share) / 100.0,
            epochs,
            mending_epochs,
            percent: 1.0,
            mends_all: arguments.profile == Profile::Full,
            explained,
            batch: if train < 50 { 10 } else { 16 },
        }
    }

    fn config(&self, epochs: u64, seed: u64) -> Config {
        Config {
            epochs,
            batch: self.batch,
            optimizer: Optimizer::AdamW {
                lr: 1e-4,
                weight_decay: 0.01,
            },
            schedule: Schedule::Constant,
            seed,
            loss: Loss::BinaryCrossEntropy,
        }
    }
}

/// How many of the test recordings are classified right, in percent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Accuracy {
    /// With the artifact where training had it.
    pub as_in_training: f64,
    /// Without.
    pub removed: f64,
    /// With the artifact in the other class.
    pub swapped: f64,
}

impl Accuracy {
    /// How far the answer hangs on the artifact: what is lost when it changes sides, in points.
    pub fn dependence(&self) -> f64 {
        self.as_in_training - self.swapped
    }
}

/// What a method says of the network, averaged over the explained recordings: shares in percent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    pub method: String,
    /// The rules of layer-wise relevance propagation, as `--rules` calls them.
    pub rules: Option<String>,
    pub mass: f64,
    pub rank: f64,
    pub average_precision: f64,
}

/// One artifact and seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// What all of it was made with.
    key: String,
    pub artifact: String,
    pub seed: u64,
    /// The planted bins' share of the spectrogram, in percent: what lots find.
    pub planted: f64,
    pub learnt: Accuracy,
    pub methods: Vec<Judged>,
    /// By recipe, after retraining; empty where nothing was mended.
    pub mended: Vec<(String, Accuracy)>,
}

/// What all cases share.
pub struct Bench<'a> {
    lab: &'a Lab<'a>,
    pub setting: Setting,
    corpus: Box<dyn Corpus>,
    /// What was planted in one recording and what the methods say of it, of every artifact that was run now.
    pictures: RefCell<BTreeMap<&'static str, Vec<Panel>>>,
}

/// The test recordings, thrice.
struct Tests {
    as_in_training: Windows,
    removed: Windows,
    swapped: Windows,
}

impl<'a> Bench<'a> {
    pub fn open(lab: &'a Lab<'a>, setting: Setting) -> Result<Self> {
        let source = lab.arguments.voices()?;
        Ok(Bench {
            corpus: speechlens_data::open(
                &source,
                lab.arguments.seed,
                lab.arguments.preparation(),
                &|_| (),
            )?,
            lab,
            setting,
            pictures: RefCell::default(),
        })
    }

    /// The heatmaps of one recording of each artifact that was run and not taken from the run's folder.
    pub fn pictures(&self) -> BTreeMap<&'static str, Vec<Panel>> {
        self.pictures.borrow().clone()
    }

    /// What the corpus is called.
    pub fn corpus(&self) -> &str {
        self.corpus.name()
    }

    /// Runs a case, or takes it from the run's folder.
    pub fn case(&self, artifact: Artifact, seed: u64) -> Result<Outcome> {
        let name = format!("{}-{seed}", artifact.name());
        let path = self.lab.folder.join(format!("clever-hans/{name}.json"));
        let key = format!("{artifact}, {:?}, {}", self.setting, self.corpus.name());
        if let Some(outcome) = kept(&path).filter(|outcome| outcome.key == key) {
            return Ok(outcome);
        }
        let outcome = self.run(artifact, seed, key)?;
        let text = serde_json::to_string_pretty(&outcome)?;
        atomic::write(&path, text.as_bytes())?;
        Ok(outcome)
    }

    fn run(&self, artifact: Artifact, seed: u64, key: String) -> Result<Outcome> {
        let (lab, setting) = (self.lab, &self.setting);
        // Spectrograms of one case are of no use to another.
        let folder = tempfile::tempdir_in(lab.folder)?;
        let recordings = self.corpus.recordings();
        let split = Split::draw(recordings, setting.speakers, setting.sizes, seed)?;
        // The classes of training: that of the voice, or one by lot.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let class = |index: &usize| {
            let lot = Sex::ALL[rng.random_range(0..Sex::ALL.len())];
            let by_voice = rng.random_bool(setting.told_by_voice);
            let sex = recordings[*index].sex.filter(|_| by_voice);
            sex.unwrap_or(lot)
        };
        let classes: Vec<Sex> = split.train.iter().map(class).collect();
        let front_end = FrontEnd::load(alexnet::NETWORK.front_end)?;
        let dataset = |name: &str, indices: &[usize], planted: HashSet<&str>| -> Result<Windows> {
            let is_planted = |recording: &Recording| planted.contains(recording.id.as_str());
            let corpus = Planted::new(self.corpus.as_ref(), artifact, seed, is_planted);
            let path = folder.path().join(format!("{name}.h5"));
            let making = (&front_end, seed);
            let store = FeatureStore::open_or_compute(&path, &corpus, indices, making, &|_| ())?;
            let places: Vec<usize> = (0..store.recordings().len()).collect();
            let mut windows = Windows::default();
            windows.append_of_sexes(&Arc::new(store), &places, [0, 1])?;
            Ok(windows)
        };
        let given_away = |pair: &(&usize, &Sex)| *pair.1 == GIVEN_AWAY;
        let in_training = split.train.iter().zip(&classes).filter(given_away);
        let in_training = in_training.filter(|_| rng.random_bool(setting.share));
        let in_training = in_training.map(|(index, _)| recordings[*index].id.as_str());
        let of_sex = |is_given_away: bool| -> HashSet<&str> {
            let test = split.test.iter().map(|index| &recordings[*index]);
            let planted = test.filter(|r| (r.sex == Some(GIVEN_AWAY)) == is_given_away);
            planted.map(|recording| recording.id.as_str()).collect()
        };
        let train = dataset("train", &split.train, in_training.collect())?;
        let ids = split
            .train
            .iter()
            .map(|index| recordings[*index].id.as_str());
        let classes: HashMap<&str, u32> = ids
            .zip(&classes)
            .map(|(id, class)| (id, class.index() as u32))
            .collect();
        let train = train.relabelled(|recording| classes[recording.id.as_str()]);
        let tests = Tests {
            as_in_training: dataset("test", &split.test, of_sex(true))?,
            removed: dataset("removed", &split.test, HashSet::new())?,
            swapped: dataset("swapped", &split.test, of_sex(false))?,
        };
        // A network that hears voices already has filters to find an artifact with.
        let start = gender::Trial::of(lab)?.trained.graph.clone();
        let label = format!("{}, seed {seed}", artifact.name());
        let graph = self.train(&label, &start, &train, setting.epochs, seed)?;
        let learnt = self.accuracy(&graph, &tests)?;
        let (planted, methods) = self.judge(artifact, &graph, &train, &tests, seed)?;

        let mut mended = Vec::new();
        let mends = setting.mends_all || artifact.name() == Artifact::ALL[0].name();
        for recipe in RECIPES
            .iter()
            .filter(|recipe| mends && MENDED.contains(&recipe.name))
        {
            let job = Job {
                dataset: &train,
                graph: &graph,
                percent: setting.percent,
                seed,
                batch: setting.batch,
                device: lab.device,
            };
            let path = folder.path().join(format!("{}.h5", recipe.name));
            let augmented = recipe.data(&job, &path, &|_| ())?;
            let data = augmented.as_ref().unwrap_or(&train);
            let label = format!("{label}, {}", recipe.name);
            let graph = self.train(&label, &graph, data, setting.mending_epochs, seed + 1000)?;
            mended.push((recipe.name.to_owned(), self.accuracy(&graph, &tests)?));
        }
        Ok(Outcome {
            key,
            artifact: artifact.to_string(),
            seed,
            planted,
            learnt,
            methods,
            mended,
        })
    }

    fn train(
        &self,
        label: &str,
        start: &Graph,
        data: &Windows,
        epochs: u64,
        seed: u64,
    ) -> Result<Graph> {
        let mut trainer = Trainer::new(start, self.setting.config(epochs, seed))?;
        let steps = trainer.steps_per_epoch(data)? * epochs;
        let quiet = self.lab.arguments.quiet;
        let bar = progress::bar(&format!("training, {label}"), steps as usize, quiet);
        // Nothing is chosen by validation: one sample is enough to be allowed to train.
        trainer.run(data, &First(data, 1), self.lab.device, |trainer, _| {
            bar.set_position(trainer.steps());
            Ok(true)
        })?;
        bar.finish_and_clear();
        Ok(trainer.graph())
    }

    fn accuracy(&self, graph: &Graph, tests: &Tests) -> Result<Accuracy> {
        let of = |dataset: &Windows| -> Result<f64> {
            let (logits, labels) =
                logits(graph, dataset, self.setting.batch, self.lab.device, &|_| ())?;
            let score = Score::of(Loss::BinaryCrossEntropy, &logits, &labels)?;
            Ok(100.0 * score.accuracy)
        };
        Ok(Accuracy {
            as_in_training: of(&tests.as_in_training)?,
            removed: of(&tests.removed)?,
            swapped: of(&tests.swapped)?,
        })
    }

    /// Holds every method against the planted bins of test recordings that have them and are classified right.
    fn judge(
        &self,
        artifact: Artifact,
        graph: &Graph,
        train: &Windows,
        tests: &Tests,
        seed: u64,
    ) -> Result<(f64, Vec<Judged>)> {
        let (batch, device) = (self.setting.batch, self.lab.device);
        let test = &tests.as_in_training;
        let (answers, _) = logits(graph, test, batch, device, &|_| ())?;
        let answers = answers.argmax(1)?.to_vec1::<u32>()?;
        let class = GIVEN_AWAY.index() as u32;
        let (mut places, mut masks) = (Vec::new(), Vec::new());
        for (place, (label, answer)) in test.labels().iter().zip(&answers).enumerate() {
            if *label != class || places.len() == self.setting.explained {
                continue;
            }
            let (with, without) = (test.plane(place)?, tests.removed.plane(place)?);
            let mask = changed(&with, &without);
            // At smoke size the network has learnt nothing, but everything must run.
            let smoke = self.lab.arguments.profile == Profile::Smoke;
            if (answer == label || smoke) && mask.contains(&true) {
                places.push(place);
                masks.push(mask);
            }
        }
        let count = |mask: &Vec<bool>| mask.iter().filter(|inside| **inside).count() as f64;
        let share = |mask| 100.0 * count(mask) / mask.len() as f64;
        let planted = masks.iter().map(share).sum::<f64>() / masks.len() as f64;
        let methods = of_spectrograms(&mean(train, batch, device)?, self.lab.arguments)?;
        let quiet = self.lab.arguments.quiet;
        let label = format!("explaining, {}, seed {seed}", artifact.name());
        let bar = progress::bar(&label, methods.len(), quiet);
        let mut panels = Vec::new();
        let example = places.first().map(|place| test.plane(*place)).transpose()?;
        if let (Some(spectrogram), Some(mask)) = (&example, masks.first()) {
            let mask = Array2::from_shape_vec(spectrogram.dim(), mask.clone())?;
            let panel = Panel::marked(axes(), spectrogram.view(), "level (dB)", mask.view())?;
            panels.push(panel.titled(format!("planted: {}", artifact.name())));
        }
        let mut judged = Vec::new();
        for named in &methods {
            let explainer = named.method.of(graph).context(named.name)?;
            let mut found: Vec<Found> = Vec::new();
            for (places, masks) in places.chunks(batch).zip(masks.chunks(batch)) {
                let (input, labels) = test.batch(places, device)?;
                let relevance = explainer.attribute(&input, &labels, &|_| ())?.relevance;
                let relevance = relevance.flatten_from(1)?.to_dtype(DType::F32)?;
                let rows = relevance.to_vec2::<f32>()?;
                if let (true, Some(values), Some(row)) = (found.is_empty(), &example, rows.first())
                {
                    let heatmap = Array2::from_shape_vec(values.dim(), row.clone())?;
                    let (values, heatmap) = (values.view(), heatmap.view());
                    let panel = Panel::overlay(axes(), values, heatmap, limit(heatmap))?;
                    panels.push(panel.titled(named.name));
                }
                found.extend(rows.iter().zip(masks).map(|(row, mask)| find(row, mask)));
            }
            let mean = |pick: fn(&Found) -> f64| {
                100.0 * found.iter().map(pick).sum::<f64>() / found.len() as f64
            };
            judged.push(Judged {
                method: named.name.to_owned(),
                rules: named
                    .method
                    .rules()
                    .map(|composite| composite.name().to_owned()),
                mass: mean(|found| found.mass),
                rank: mean(|found| found.rank),
                average_precision: mean(|found| found.average_precision),
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut pictures = self.pictures.borrow_mut();
        pictures.entry(artifact.name()).or_insert(panels);
        Ok((planted, judged))
    }
}

/// Which bins an artifact changes by more than [`AUDIBLE_DB`]. Levels are relative to the loudest bin: an artifact that becomes it
/// shifts all others, which are not its own. That shift is the median of what changes above the floor.
fn changed(with: &Array2<f32>, without: &Array2<f32>) -> Vec<bool> {
    let pairs = || with.iter().zip(without);
    let heard = pairs().filter(|(a, b)| a.min(**b) > FLOOR_DB);
    let mut changes: Vec<f32> = heard.map(|(a, b)| a - b).collect();
    let shift = match changes.len() {
        0 => 0.0,
        count => *changes.select_nth_unstable_by(count / 2, f32::total_cmp).1,
    };
    let expected = |level: &f32| (level + shift).clamp(FLOOR_DB, 0.0);
    pairs()
        .map(|(with, without)| (with - expected(without)).abs() > AUDIBLE_DB)
        .collect()
}

/// A case that the folder holds.
fn kept(path: &PathBuf) -> Option<Outcome> {
    let text = std::fs::read_to_string(Path::new(path)).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loud artifact in one corner shifts all other levels; what had been above the floor and is now below is not its own.
    #[test]
    fn what_a_loud_artifact_shifts_is_not_planted() {
        let without = Array2::from_shape_fn((10, 10), |(y, x)| -((y * 10 + x) as f32).min(80.0));
        let mut with = without.map(|level| (level - 12.0).max(FLOOR_DB));
        with[[9, 9]] = 0.0;
        with[[9, 8]] = -6.0;
        let changed = changed(&with, &without);
        let planted: Vec<usize> = (0..100).filter(|place| changed[*place]).collect();
        assert_eq!(planted, [98, 99]);
    }
}
