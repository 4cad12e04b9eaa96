//! The network as it was trained, and retrained on plain and on augmented data; how each does as bins are flipped.

use anyhow::{Context, Result};
use candle_core::Tensor;
use speechlens_data::Sex;
use speechlens_eval::flip::{Curve, Order, Plan, counts, flip, relevance_by};
use speechlens_eval::to_tensor;
use speechlens_eval::{Augmentation, Replacement};
use speechlens_models::{Model, alexnet};
use speechlens_nn::Graph;
use speechlens_nn::train::{Config, Samples};
use speechlens_report::progress;
use speechlens_report::thesis::Thesis;

use crate::shared::fit::fit;
use crate::shared::gender::flipping::{BINS, shares};
use crate::shared::gender::{Explainer, PRESET, Trial};
use crate::shared::recipes::{Job, RECIPES};
use crate::shared::{Lab, Profile};

/// What a profile decides.
pub struct Setting {
    /// The share of the bins that are replaced in the data, in percent.
    pub percent: f64,
    /// Passes over the data.
    pub epochs: u64,
    /// Recordings whose bins are flipped.
    flipped: usize,
}

impl Setting {
    pub fn new(profile: Profile) -> Self {
        let thesis = Thesis::published();
        let (epochs, flipped) = match profile {
            Profile::Smoke => (1, 2),
            Profile::Quick => (1, 40),
            Profile::Full => (thesis.mending.epochs, thesis.flipping.recordings),
        };
        Setting {
            percent: thesis.mending.percent,
            epochs,
            flipped,
        }
    }
}

/// The recipes whose networks are trained, and what these are called: two are the thesis's.
pub const MENDED: [(&str, &str); 5] = [
    ("aug_zero", AUG_ZERO),
    ("aug_mean", AUG_MEAN),
    ("plain", "plain"),
    ("zero_lot", "zero_lot"),
    ("mixed", "mixed"),
];
/// The network as it was trained.
pub const ALEXNET: &str = "AlexNet";
/// Retrained on zeroed bins.
pub const AUG_ZERO: &str = "AlexNet_aug_zero";
/// Retrained on neighbourhood means.
pub const AUG_MEAN: &str = "AlexNet_aug_mean";
/// The three networks of the thesis.
pub const OF_THESIS: [&str; 3] = [ALEXNET, AUG_ZERO, AUG_MEAN];

/// A network and how it does as bins are flipped.
pub struct Network {
    pub name: &'static str,
    pub graph: Graph,
    /// By its own relevance against 0 dB, set to 0: the most relevant first, and by lot.
    pub own: Vec<Curve>,
    /// In the order of the first network's relevance.
    pub first: Curve,
    /// How many of the test recordings it tells right, in percent, that the first network's relevance for the true sex has marked
    /// with 0 dB, and for the other sex: who reads the marks is right on the first and wrong on the second.
    pub marked: [f64; 2],
}

/// Retrains the network by every recipe and flips the test recordings' bins.
pub fn mend(lab: &Lab, trial: &Trial) -> Result<Vec<Network>> {
    let setting = Setting::new(lab.arguments.profile);
    let start = &trial.trained.graph;
    let mut graphs = vec![(ALEXNET, start.clone())];
    for (of_recipe, name) in MENDED {
        let recipe = RECIPES.iter().find(|recipe| recipe.name == of_recipe);
        let recipe = recipe.with_context(|| format!("there is no recipe {of_recipe}"))?;
        let dataset = &trial.data.train.dataset;
        let label = format!("augmenting, {}", recipe.name);
        let bar = progress::bar(&label, dataset.len(), lab.arguments.quiet);
        let path = lab.folder.join(format!("features/{}.h5", recipe.name));
        let job = Job {
            dataset,
            graph: start,
            percent: setting.percent,
            seed: lab.arguments.seed,
            batch: trial.setting.config.batch,
            device: lab.device,
        };
        let data = recipe.data(&job, &path, &|done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        let config = Config {
            epochs: setting.epochs,
            ..trial.setting.config.clone()
        };
        let network = format!("gender-{}", recipe.name);
        let samples: [&dyn Samples; 2] = [
            data.as_ref().unwrap_or(dataset),
            &trial.data.validation.dataset,
        ];
        let graph = fit(lab, &network, start, &config, samples)?.graph();
        let model = Model::of(&alexnet::NETWORK, graph.clone(), Sex::names())?;
        model.save(&lab.folder.join(format!("{network}.safetensors")))?;
        graphs.push((name, graph));
    }
    let first = Explainer::new(start, PRESET)?;
    let measured = graphs
        .into_iter()
        .map(|(name, graph)| measure(lab, trial, name, graph, &first));
    measured.collect()
}

fn measure(
    lab: &Lab,
    trial: &Trial,
    name: &'static str,
    graph: Graph,
    first: &Explainer,
) -> Result<Network> {
    let own = Explainer::new(&graph, PRESET)?;
    let dataset = &trial.data.test.dataset;
    let steps = counts(&shares()?, BINS);
    let plan = |orders: &[Order]| Plan {
        counts: steps.clone(),
        values: vec![0.0],
        orders: orders.to_vec(),
        seed: lab.arguments.seed,
        batch: trial.setting.config.batch,
        recordings: Setting::new(lab.arguments.profile).flipped,
    };
    let both = plan(&[Order::MostRelevant, Order::Random]);
    let plans = [(&own, both), (first, plan(&[Order::MostRelevant]))];
    let passes = plans.iter().map(|(_, plan)| plan.passes(dataset)).sum();
    let bar = progress::bar(&format!("flipping, {name}"), passes, lab.arguments.quiet);
    let mut curves = Vec::new();
    for (explainer, plan) in &plans {
        let before = bar.position();
        let explain: &dyn Fn(&Tensor, &[u32]) -> _ = &relevance_by(&explainer.lrp);
        curves.push(flip(
            &graph,
            dataset,
            explain,
            trial.setting.config.loss,
            plan,
            lab.device,
            &|passes| bar.set_position(before + passes as u64),
        )?);
    }
    bar.finish_and_clear();
    let mut single = || {
        let curves = curves.pop();
        curves
            .and_then(|mut curves| curves.pop())
            .context("a curve was not measured")
    };
    let of_first = single()?;
    let marked = [false, true].map(|other| marked(lab, trial, &graph, first, other));
    let [by_true, by_other] = marked;
    Ok(Network {
        marked: [by_true?, by_other?],
        name,
        graph,
        first: of_first,
        own: curves.pop().unwrap_or_default(),
    })
}

impl Network {
    /// The curve of its own relevance, or that by lot.
    pub fn curve(&self, order: Order) -> Result<&Curve> {
        let mut curves = self.own.iter();
        curves
            .find(|curve| curve.order == order)
            .context("a curve was not measured")
    }
}

/// The accuracy in percent on test recordings that are marked for the true sex or for the other.
fn marked(lab: &Lab, trial: &Trial, graph: &Graph, first: &Explainer, other: bool) -> Result<f64> {
    let setting = Setting::new(lab.arguments.profile);
    let dataset = &trial.data.test.dataset;
    let augmentation = Augmentation {
        percent: setting.percent,
        replacement: Replacement::Value(0.0),
    };
    let places: Vec<usize> = (0..dataset.len().min(setting.flipped)).collect();
    let mut right = 0;
    for places in places.chunks(trial.setting.config.batch) {
        let labels: Vec<u32> = places.iter().map(|place| dataset.label(*place)).collect();
        let targets = labels
            .iter()
            .map(|label| if other { 1 - label } else { *label });
        let targets: Vec<u32> = targets.collect();
        let values = augmentation.of_places(dataset, places, &targets, &first.lrp, lab.device)?;
        let logits = graph.forward(&to_tensor(values, lab.device)?)?;
        let answers = logits.argmax(1)?.to_vec1::<u32>()?;
        right += answers.iter().zip(&labels).filter(|(a, l)| a == l).count();
    }
    Ok(100.0 * right as f64 / places.len() as f64)
}
