//! The speaker experiment (thesis 6.3): three sets of rules for the network that tells speakers apart, what their heatmaps look
//! like, and whether they are true.

mod flipping;
mod heatmaps;
mod story;

pub use flipping::ORDERS;

use std::path::Path;

use anyhow::{Context, Result};
use speechlens_lrp::{Composite, Lrp, PRESETS};
use speechlens_nn::Graph;

use crate::shared::speaker::Trial;
use crate::shared::{Findings, Lab, fit};
use flipping::Of;

/// A set of rules: what it is called here, its preset, and the figures of its heatmaps and of its curves.
pub struct RuleSet {
    name: &'static str,
    /// Its preset.
    pub preset: &'static str,
    figures: [&'static str; 2],
}

/// The thesis's.
pub const RULES: [RuleSet; 3] = [
    RuleSet {
        name: "LRP-0",
        preset: "thesis-speaker-zero",
        figures: ["figure-6.10", "figure-6.11"],
    },
    RuleSet {
        name: "ε",
        preset: "thesis-speaker-epsilon",
        figures: ["figure-6.12", "figure-6.13"],
    },
    RuleSet {
        name: "ε and γ",
        preset: "thesis-speaker-epsilon-gamma",
        figures: ["figure-6.14", "figure-6.15"],
    },
];

/// The network with one set of rules.
struct Explainer {
    name: String,
    lrp: Lrp,
}

impl Explainer {
    fn new(graph: &Graph, rules: &RuleSet) -> Result<Self> {
        let composite = Composite::preset(rules.preset)?;
        Ok(Explainer {
            name: rules.name.into(),
            lrp: Lrp::new(graph, &composite).context(rules.preset)?,
        })
    }

    /// The ε rules with the captions' ε: the thesis prints 0.5 in its text and 0.8 in its captions.
    fn of_captions(graph: &Graph) -> Result<Self> {
        let name = "thesis-speaker-epsilon";
        let preset = PRESETS.iter().find(|(preset, _)| *preset == name);
        let (_, text) = preset.context("there is no preset for ε")?;
        let text = text.replace("epsilon = 0.5", "epsilon = 0.8");
        let composite = Composite::parse(&text, Path::new("thesis-speaker-epsilon, ε = 0.8"))?;
        Ok(Explainer {
            name: "ε = 0.8".into(),
            lrp: Lrp::new(graph, &composite)?,
        })
    }
}

/// Trains, explains and tests.
pub fn run(lab: &Lab) -> Result<Findings> {
    let (arguments, folder, device) = (lab.arguments, lab.folder, lab.device);
    let Trial {
        setting,
        data,
        trained,
    } = &*Trial::of(lab)?;
    fit::chart(&trained.history)?.write_png(&folder.join("speaker-training.png"))?;
    let explainers = RULES
        .iter()
        .map(|rules| Explainer::new(&trained.graph, rules))
        .collect::<Result<Vec<_>>>()?;
    let of_captions = Explainer::of_captions(&trained.graph)?;
    let heatmaps = heatmaps::draw(&explainers, data, trained, folder, device)?;
    let all: Vec<&Explainer> = explainers.iter().chain([&of_captions]).collect();
    let flip = |of, segments| {
        flipping::measure(
            arguments,
            setting,
            &all,
            &trained.graph,
            (of, segments),
            device,
        )
    };
    let of_training = flip(Of::Training, &data.flipped_of_training)?;
    let held_out = flip(Of::HeldOut, &data.flipped)?;
    let mut experiments = vec![trained.experiment()];
    experiments.extend(heatmaps.iter().map(|heatmaps| heatmaps.experiment.clone()));
    experiments.extend(of_training.experiments()?);
    experiments.extend(held_out.experiments()?);
    Ok(Findings {
        lead: story::lead(trained, &held_out, data)?,
        sections: story::sections(
            trained,
            setting,
            data,
            heatmaps,
            [&of_training, &held_out],
            folder,
        )?,
        experiments,
        data: data.description.clone(),
        ..Findings::default()
    })
}
