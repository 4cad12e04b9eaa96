//! The network as it was trained, and retrained on plain and on augmented data; how each does as bins are flipped.

use anyhow::{Context, Result};
use candle_core::Tensor;
use speechlens_attribution::Method;
use speechlens_audio::FLOOR_DB;
use speechlens_data::Sex;
use speechlens_eval::flip::{Curve, Order, Plan, counts, flip, relevance_by};
use speechlens_eval::{Augmentation, Dataset, Replacement};
use speechlens_lrp::Composite;
use speechlens_models::{Arch, Model, spectrogram_metadata};
use speechlens_nn::Graph;
use speechlens_nn::train::{Config, Samples};
use speechlens_report::progress;

use crate::fit::fit;
use crate::gender::flipping::{BINS, PERCENTAGES};
use crate::gender::{Explainer, Trial};
use crate::reproduce::{Lab, Profile};

/// What a profile decides.
pub struct Setting {
    /// The share of the bins that are replaced in the data, in percent.
    pub percent: f64,
    /// Passes over the data.
    pub epochs: u64,
}

impl Setting {
    pub fn new(profile: Profile) -> Self {
        let (percent, epochs) = match profile {
            Profile::Smoke => (0.5, 1),
            Profile::Quick => (0.5, 1),
            Profile::Full => (0.5, 100),
        };
        Setting { percent, epochs }
    }
}

/// How a network is retrained.
pub struct Recipe {
    /// As the thesis calls it.
    pub name: &'static str,
    /// In words.
    pub words: &'static str,
    /// What replaces the most relevant bins of its data, and the rules that say which these are; none for plain data.
    pub replacement: Option<(Replacement, &'static str)>,
}

/// The recipes of table 6.2, behind the network as it was trained.
pub const RECIPES: [Recipe; 4] = [
    Recipe {
        name: "plain",
        words: "retrained on the same data",
        replacement: None,
    },
    Recipe {
        name: "aug_zero",
        words: "retrained on bins set to 0 dB",
        replacement: Some((Replacement::Value(0.0), "thesis-gender")),
    },
    Recipe {
        name: "aug_mean",
        words: "retrained on bins set to the mean of their neighbours",
        replacement: Some((Replacement::NeighbourMean { radius: 1 }, "thesis-gender")),
    },
    Recipe {
        name: "aug_floor",
        words: "retrained on bins set to silence, those relevant against silence",
        replacement: Some((Replacement::Value(FLOOR_DB), "gender-silence")),
    },
];

/// What the network is called as it was trained.
pub const AS_TRAINED: &str = "as trained";

/// A network and how it does as bins are flipped.
pub struct Network {
    pub name: &'static str,
    pub graph: Graph,
    /// By its own relevance against 0 dB, set to 0: the most relevant first, and by lot.
    pub own: Vec<Curve>,
    /// In the order of the first network's relevance.
    pub first: Curve,
    /// By its own relevance against silence, set to silence.
    pub silence: Curve,
}

/// Retrains the network by every recipe and flips the test recordings' bins.
pub fn mend(lab: &Lab, trial: &Trial) -> Result<Vec<Network>> {
    let setting = Setting::new(lab.arguments.profile);
    let start = &trial.trained.graph;
    let mut graphs = vec![(AS_TRAINED, start.clone())];
    for recipe in &RECIPES {
        let data = training(lab, trial, &setting, recipe)?;
        let config = Config {
            epochs: setting.epochs,
            ..trial.setting.config.clone()
        };
        let network = format!("gender-{}", recipe.name);
        let samples: [&dyn Samples; 2] = [
            data.as_ref().unwrap_or(&trial.data.train.dataset),
            &trial.data.validation.dataset,
        ];
        let graph = fit(lab, &network, start, &config, samples)?.graph();
        let model = Model {
            arch: Arch::AlexNet,
            graph: graph.clone(),
            classes: Sex::ALL.map(|sex| sex.name().to_owned()).to_vec(),
            metadata: spectrogram_metadata("thesis"),
        };
        model.save(&lab.folder.join(format!("{network}.safetensors")))?;
        graphs.push((recipe.name, graph));
    }
    let first = Explainer::new(start, "thesis-gender")?;
    let measured = graphs
        .into_iter()
        .map(|(name, graph)| measure(lab, trial, name, graph, &first));
    measured.collect()
}

/// The data that a recipe trains on; none for the plain ones.
fn training(
    lab: &Lab,
    trial: &Trial,
    setting: &Setting,
    recipe: &Recipe,
) -> Result<Option<Dataset>> {
    let Some((replacement, preset)) = recipe.replacement else {
        return Ok(None);
    };
    let augmentation = Augmentation {
        percent: setting.percent,
        replacement,
    };
    let dataset = &trial.data.train.dataset;
    let label = format!("augmenting, {}", recipe.name);
    let bar = progress::bar(&label, dataset.len(), lab.arguments.quiet);
    let path = lab.folder.join(format!("features/{}.h5", recipe.name));
    let augmented = augmentation.store(
        dataset,
        &trial.trained.graph,
        &Method::Lrp(Composite::preset(preset)?),
        &path,
        trial.setting.config.batch,
        lab.device,
        &|done| bar.set_position(done as u64),
    )?;
    bar.finish_and_clear();
    Ok(Some(augmented))
}

fn measure(
    lab: &Lab,
    trial: &Trial,
    name: &'static str,
    graph: Graph,
    first: &Explainer,
) -> Result<Network> {
    let own = Explainer::new(&graph, "thesis-gender")?;
    let silence = Explainer::new(&graph, "gender-silence")?;
    let dataset = &trial.data.test.dataset;
    let plan = |orders: &[Order], value: f32| Plan {
        counts: counts(&PERCENTAGES, BINS),
        values: vec![value],
        orders: orders.to_vec(),
        seed: lab.arguments.seed,
        batch: trial.setting.config.batch,
        recordings: trial.setting.flipped,
    };
    let both = plan(&[Order::MostRelevant, Order::Random], 0.0);
    let plans = [
        (&own, both),
        (first, plan(&[Order::MostRelevant], 0.0)),
        (&silence, plan(&[Order::MostRelevant], FLOOR_DB)),
    ];
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
    let (silence, first) = (single()?, single()?);
    Ok(Network {
        name,
        graph,
        silence,
        first,
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

/// A curve's accuracy in percent at a share of flipped bins.
pub fn accuracy(curve: &Curve, percent: f64) -> Result<f64> {
    let count = counts(&[percent], BINS)[0];
    let point = curve.points.iter().find(|point| point.count == count);
    Ok(100.0 * point.context("a step was not measured")?.accuracy())
}
