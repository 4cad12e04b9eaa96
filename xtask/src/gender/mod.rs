//! The gender experiment (thesis 4.1, 4.3, 6.1): AlexNet tells male from female voices by spectrograms; what it listens to,
//! and whether that explanation is true.

pub mod data;
mod faithfulness;
pub mod flipping;
pub mod heatmaps;
pub mod training;
mod video;

use anyhow::Result;
use candle_core::Device;
use speechlens_eval::dataset::to_tensor;
use speechlens_lrp::{Composite, Explanation, Lrp};
use speechlens_nn::Graph;
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use crate::fit;
use crate::reproduce::{Findings, Lab};
use data::{Data, Setting};
use training::Trained;

/// The thesis's rules, against full level; the same rules against silence.
pub const PRESETS: [&str; 2] = ["thesis-gender", "gender-silence"];

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
    let (arguments, folder, device) = (lab.arguments, lab.folder, lab.device);
    let Trial {
        setting,
        data,
        trained,
    } = lab.gender()?;
    let graph = &trained.graph;
    let explainers = PRESETS
        .iter()
        .map(|preset| Explainer::new(graph, preset))
        .collect::<Result<Vec<_>>>()?;

    let mut experiments = Vec::new();
    let mut sections = vec![trained.section(setting, data)?];
    experiments.extend(trained.experiments(data)?);
    fit::chart(&trained.history)?.write_png(&folder.join("training.png"))?;

    let heatmaps = heatmaps::draw(&explainers, data, trained, folder, device)?;
    sections.extend(heatmaps.sections);
    experiments.extend(heatmaps.experiments);

    let flips = flipping::measure(arguments, setting, &explainers, graph, data, device)?;
    let gone = heatmaps::almost_gone(&explainers[0], &flips, data, folder, device)?;
    let [faithful, references] = faithfulness::sections(&flips, data, folder)?;
    let video = video::draw(lab, lab.gender()?, &explainers[0])?;
    sections.extend([
        faithful,
        video.0,
        gone.0,
        references,
        padding_section(data)?,
    ]);
    experiments.extend(flips.experiments()?);
    experiments.push(gone.1);
    experiments.push(video.1);
    experiments.push(padding(data)?);

    let lead = faithfulness::lead(&flips, data)?;
    Ok(Findings {
        experiments,
        sections,
        lead,
        data: data.description.clone(),
    })
}

/// How many frames are padding, by sex.
fn padding(data: &Data) -> Result<Experiment> {
    let printed = &Thesis::published().fact("padding-frames")?.values;
    let rows = data
        .padding_by_sex()
        .into_iter()
        .map(|(sex, frames)| Row::measured(sex, [frames]));
    let mut rows: Vec<Row> = rows.collect();
    rows.push(
        Row::not_measured(
            "one sex and the other, as printed",
            "which is which is not recorded here",
        )
        .with_thesis(Some(vec![
            format!("{} and {}", printed[0], printed[1]).into(),
        ])),
    );
    Ok(Experiment {
        id: "padding".into(),
        title: "Frames of padding, on average".into(),
        columns: vec!["frames of 227".into()],
        rows,
        files: Vec::new(),
    })
}

fn padding_section(data: &Data) -> Result<Section> {
    let printed = &Thesis::published().fact("padding-frames")?.values;
    let alone = 100.0 * data.accuracy_of_padding_alone();
    Ok(Section {
        id: "padding".into(),
        title: "Could the network count silence?".into(),
        blocks: vec![
            Block::text(format!(
                "Each recording lies in one second of zeros. If one sex speaks shorter, the length of the padding gives it \
                 away. The thesis found {} frames against {} and suspects such a shortcut.",
                printed[0], printed[1]
            )),
            Block::table(
                Table::from(&padding(data)?),
                "Frames whose centre lies outside of the recording, all parts together.",
            ),
            Block::text(format!(
                "The best threshold on the number of padding frames, chosen on the training recordings, is right on \
                 {alone:.1} % of the test recordings; guessing is right on half of them."
            )),
        ],
    })
}
