//! The gender experiment (thesis 4.1, 4.3, 6.1): AlexNet tells male from female voices by spectrograms; what it listens to,
//! and whether that explanation is true.

pub mod data;
mod faithfulness;
pub mod first_percent;
pub mod flipping;
pub mod heatmaps;
pub mod references;
pub mod training;
mod video;

use anyhow::Result;
use candle_core::Device;
use speechlens_eval::dataset::to_tensor;
use speechlens_eval::flip::counts;
use speechlens_lrp::{Composite, Explanation, Lrp};
use speechlens_nn::Graph;
use speechlens_report::page::{Block, Opening, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::{Entry, Thesis};

use crate::fit;
use crate::reproduce::{Findings, Lab};
use data::{Data, Setting};
use flipping::{BINS, Flips, ORDERS, What, shares};
use heatmaps::Example;
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
    preset: &'static str,
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
        Ok(self.lrp.explain(
            &to_tensor(data.dataset.spectrograms(places)?, device)?,
            &labels,
        )?)
    }
}

/// The gender network and its data.
pub struct Trial {
    pub setting: Setting,
    pub data: Data,
    pub trained: Trained,
}

impl Trial {
    /// Prepares the data and trains.
    pub fn new(lab: &Lab) -> Result<Self> {
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

/// Trains, explains and tests.
pub fn run(lab: &Lab) -> Result<Findings> {
    let trial = lab.gender()?;
    let Trial {
        setting,
        data,
        trained,
    } = trial;
    let explainer = &Explainer::new(&trained.graph, PRESET)?;
    fit::chart(&trained.history)?.write_png(&lab.folder.join("training.png"))?;
    let examples = &Example::of_each_sex(trial)?;
    let (heatmaps, picture, what) = heatmaps::heatmaps(lab, trial, explainer, examples)?;
    let (most, most_section) = heatmaps::most_relevant(lab, trial, explainer, examples)?;

    let flips = Flips::measure(
        lab,
        trial,
        &What {
            explainers: std::slice::from_ref(explainer),
            orders: &ORDERS,
            values: &[0.0],
            counts: &counts(&shares()?, BINS),
            recordings: setting.flipped,
        },
    )?;
    let (curves, faithful) = faithfulness::curves(trial, &flips, lab)?;
    let (gone, gone_section) = faithfulness::almost_gone(lab, trial, explainer, &flips)?;
    let (video_section, video) = video::draw(lab, trial, explainer)?;
    let padding = padding(data);
    let network = trained.experiments(setting, data, &explainer.lrp);

    Ok(Findings {
        opening: Opening {
            headlines: faithfulness::headlines(trial, &flips)?,
            blocks: vec![picture],
        },
        sections: vec![
            what,
            most_section,
            faithful,
            video_section,
            gone_section,
            padding_section(data, &padding),
            trained.section(&network)?,
        ],
        experiments: [
            network.to_vec(),
            vec![heatmaps, most],
            curves,
            vec![gone, video, padding],
        ]
        .concat(),
        lead: String::new(),
        data: data.description.clone(),
    })
}

/// What the thesis says of a table or figure.
pub fn says(entry: &Entry) -> Block {
    Block::text(format!("What the thesis says of its own: {}", entry.says))
}

/// How many frames are padding, by sex.
fn padding(data: &Data) -> Experiment {
    let thesis = &Thesis::published().gender;
    let printed = |sex: &str| match sex {
        "male" => thesis.padding_male,
        _ => thesis.padding_female,
    };
    let rows = data.padding_by_sex().into_iter().map(|(sex, frames)| {
        Row::measured(sex, [frames]).with_thesis(Some(vec![printed(sex).into()]))
    });
    Experiment {
        id: "padding".into(),
        title: "Frames of padding, on average".into(),
        columns: vec![format!("frames of {}", thesis.frames)],
        rows: rows.collect(),
        files: Vec::new(),
    }
}

fn padding_section(data: &Data, padding: &Experiment) -> Section {
    let thesis = &Thesis::published().gender;
    let alone = 100.0 * data.accuracy_of_padding_alone();
    Section {
        id: "padding".into(),
        title: "Could the network count silence?".into(),
        blocks: vec![
            Block::text(format!(
                "Each recording lies in one second of zeros. If one sex speaks shorter, the length of the padding gives it \
                 away. The thesis found {} frames in men's recordings and {} in women's, and suspects such a shortcut.",
                thesis.padding_male, thesis.padding_female
            )),
            Block::table(
                Table::from(padding),
                "Frames whose centre lies outside of the recording, all parts together.",
            ),
            Block::text(format!(
                "The best threshold on the number of padding frames, chosen on the training recordings, is right on \
                 {alone:.1} % of the test recordings; guessing is right on half of them."
            )),
        ],
    }
}
