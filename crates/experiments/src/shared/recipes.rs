//! How a network is retrained: on which data.

use std::path::Path;

use anyhow::Result;
use candle_core::Device;
use speechlens_attribution::methods;
use speechlens_data::Sex;
use speechlens_eval::augment::by_lot;
use speechlens_eval::{Augmentation, Replacement, Windows};
use speechlens_frontend::thesis::FLOOR_DB;
use speechlens_lrp::Composite;
use speechlens_nn::Graph;
use speechlens_nn::train::Samples;

/// How a network is retrained.
pub struct Recipe {
    /// What tables call it: `aug_zero` and the like are the thesis's names.
    pub name: &'static str,
    /// In words.
    pub words: &'static str,
    /// What is done to its data; none for plain data.
    pub augmented: Option<Augmented>,
}

/// What is done to the data.
pub struct Augmented {
    /// What replaces the most relevant bins.
    replacement: Replacement,
    /// The rules that say which these are.
    preset: &'static str,
    /// Whether they are those of the true class, or of a class by lot.
    of_true_class: bool,
    /// Whether the network is trained on the plain data too.
    beside_plain: bool,
}

/// Every recipe.
pub const RECIPES: [Recipe; 6] = [
    Recipe {
        name: "plain",
        words: "retrained on the same data",
        augmented: None,
    },
    Recipe {
        name: "aug_zero",
        words: "retrained on bins set to 0 dB",
        augmented: Some(Augmented {
            replacement: Replacement::Value(0.0),
            preset: "thesis-gender",
            of_true_class: true,
            beside_plain: false,
        }),
    },
    Recipe {
        name: "aug_mean",
        words: "retrained on bins set to the mean of their neighbours",
        augmented: Some(Augmented {
            replacement: Replacement::NeighbourMean { radius: 1 },
            preset: "thesis-gender",
            of_true_class: true,
            beside_plain: false,
        }),
    },
    Recipe {
        name: "zero_lot",
        words: "retrained on bins set to 0 dB, those most relevant for a sex drawn by lot",
        augmented: Some(Augmented {
            replacement: Replacement::Value(0.0),
            preset: "thesis-gender",
            of_true_class: false,
            beside_plain: false,
        }),
    },
    Recipe {
        name: "mixed",
        words: "retrained on the same data, and beside them on those of zero_lot",
        augmented: Some(Augmented {
            replacement: Replacement::Value(0.0),
            preset: "thesis-gender",
            of_true_class: false,
            beside_plain: true,
        }),
    },
    Recipe {
        name: "floor_lot",
        words: "retrained on bins set to silence, those most relevant against silence for a sex drawn by lot",
        augmented: Some(Augmented {
            replacement: Replacement::Value(FLOOR_DB),
            preset: "gender-silence",
            of_true_class: false,
            beside_plain: false,
        }),
    },
];

/// Data that are to be augmented by a network's relevance.
pub struct Job<'a> {
    pub dataset: &'a Windows,
    pub graph: &'a Graph,
    /// The share of the bins that are replaced, in percent.
    pub percent: f64,
    /// Draws the classes by lot.
    pub seed: u64,
    pub batch: usize,
    pub device: &'a Device,
}

impl Recipe {
    /// The data that the recipe trains on, in a store at `path`; none for the plain ones. `progress` is told how many are done.
    pub fn data(
        &self,
        job: &Job,
        path: &Path,
        progress: &dyn Fn(usize),
    ) -> Result<Option<Windows>> {
        let Some(augmented) = &self.augmented else {
            return Ok(None);
        };
        let augmentation = Augmentation {
            percent: job.percent,
            replacement: augmented.replacement,
        };
        let targets = match augmented.of_true_class {
            true => job.dataset.labels(),
            false => by_lot(job.dataset.len(), Sex::ALL.len(), job.seed),
        };
        let mut data = augmentation.store(
            job.dataset,
            &targets,
            job.graph,
            &methods::Lrp(Composite::preset(augmented.preset)?),
            path,
            job.batch,
            job.device,
            progress,
        )?;
        if augmented.beside_plain {
            data.extend(job.dataset);
        }
        Ok(Some(data))
    }
}
