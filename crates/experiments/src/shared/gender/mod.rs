//! The gender network (thesis 4.1, 4.3): AlexNet tells male from female voices by spectrograms.

pub mod data;
pub mod flipping;
pub mod heatmaps;
pub mod outcome;
pub mod training;

use std::rc::Rc;

use anyhow::Result;
use candle_core::Device;
use speechlens_eval::to_tensor;
use speechlens_lrp::{Composite, Explanation, Lrp};
use speechlens_nn::Graph;
use speechlens_report::page::Block;
use speechlens_report::thesis::Entry;

use super::Lab;
use data::{Data, Setting};
use training::Trained;

/// The thesis's rules, against full level.
pub const PRESET: &str = "thesis-gender";

/// What the two input values are called: 0 dB, the loudest, and −80 dB, the quietest.
pub fn level_name(decibels: f32) -> String {
    match decibels {
        0.0 => "0 dB (full level)".into(),
        other => format!("−{} dB (silence)", -other),
    }
}

/// The network with the rules of one preset.
pub struct Explainer {
    pub preset: &'static str,
    pub reference: f32,
    pub lrp: Lrp,
}

impl Explainer {
    pub fn new(graph: &Graph, preset: &'static str) -> Result<Self> {
        let composite = Composite::preset(preset)?;
        let reference = composite.options().reference as f32;
        Ok(Explainer {
            preset,
            reference,
            lrp: Lrp::new(graph, &composite)?,
        })
    }

    /// The explanation of some recordings for their labels.
    pub fn explain(
        &self,
        data: &data::Part,
        places: &[usize],
        device: &Device,
    ) -> Result<Explanation> {
        let labels: Vec<u32> = places.iter().map(|place| data.label(*place)).collect();
        Ok(self
            .lrp
            .explain(&to_tensor(data.dataset.read(places)?, device)?, &labels)?)
    }
}

/// The gender network and its data.
pub struct Trial {
    pub setting: Setting,
    pub data: Data,
    pub trained: Trained,
}

impl Trial {
    /// That of the run: its data are prepared and it is trained when first asked for.
    ///
    /// # Errors
    /// If the data cannot be used, or training fails.
    pub fn of(lab: &Lab) -> Result<Rc<Self>> {
        lab.once(Trial::new)
    }

    fn new(lab: &Lab) -> Result<Self> {
        let setting = Setting::new(lab.arguments);
        let data = Data::prepare(lab.arguments, &setting, lab.folder)?;
        let trained = training::train(lab, &setting, &data)?;
        Ok(Trial {
            setting,
            data,
            trained,
        })
    }
}

/// What the thesis says of a table or figure.
pub fn says(entry: &Entry) -> Block {
    Block::text(format!("What the thesis says of its own: {}", entry.says))
}
