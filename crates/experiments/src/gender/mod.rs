//! The gender experiment (thesis 6.1): what the network that tells male from female voices listens to, and whether that
//! explanation is true.

mod faithfulness;
mod heatmaps;
mod video;

use anyhow::Result;
use speechlens_eval::flip::counts;
use speechlens_report::page::{Block, Opening, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use crate::shared::gender::data::Data;
use crate::shared::gender::flipping::{BINS, Flips, ORDERS, What, shares};
use crate::shared::gender::heatmaps::Example;
use crate::shared::gender::{Explainer, PRESET, Trial};
use crate::shared::{Findings, Lab, fit};

/// Trains, explains and tests.
pub fn run(lab: &Lab) -> Result<Findings> {
    let trial = &*Trial::of(lab)?;
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
