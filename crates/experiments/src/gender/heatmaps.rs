//! Figures 6.1 and 6.2: what the network listens to, drawn over spectrograms, and the bins that matter most.

use anyhow::Result;
use speechlens_eval::flip::counts;
use speechlens_report::heatmap::grid;
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use crate::shared::Lab;
use crate::shared::gender::flipping::BINS;
use crate::shared::gender::heatmaps::{Example, Top, overlays, top_columns};
use crate::shared::gender::{Explainer, Trial, says};

/// Figure 6.1.
pub fn heatmaps(
    lab: &Lab,
    trial: &Trial,
    explainer: &Explainer,
    examples: &[Example],
) -> Result<(Experiment, Block, Section)> {
    let entry = Thesis::published().entry("figure-6.1")?;
    let (experiment, figure) = overlays(lab, trial, explainer, examples, &entry.id, &entry.title)?;
    let mut numbered = figure.clone();
    if let Block::Figure { caption, .. } = &mut numbered {
        *caption = format!("{}: {caption}", entry.number());
    }
    let section = Section {
        id: entry.id.clone(),
        title: "What the network listens to".into(),
        blocks: vec![
            Block::text(
                "Relevance says how much each bin of the spectrogram speaks for the speaker's true sex (red) or against it (blue). \
                 It is carried from the network's answer back to the input, layer by layer.",
            ),
            numbered,
            says(entry),
            Block::table(
                Table::from(&experiment),
                "What the bins' relevance adds up to. The rest of the logit stays with the biases and with ε.",
            ),
        ],
    };
    Ok((experiment, figure, section))
}

/// Figure 6.2.
pub fn most_relevant(
    lab: &Lab,
    trial: &Trial,
    explainer: &Explainer,
    examples: &[Example],
) -> Result<(Experiment, Section)> {
    let thesis = Thesis::published();
    let entry = thesis.entry("figure-6.2")?;
    let marked = thesis.flipping.marked;
    let (mut panels, mut pictures, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for example in examples {
        let (relevance, _) = example.relevance(lab, trial, explainer)?;
        let top = Top::of(&example.spectrogram, &relevance);
        let panel = top.panel(&example.spectrogram)?.titled(example.title());
        rows.push(Row::measured(example.sex.name(), top.cells()));
        let alt = format!(
            "The most relevant bins set to 0 in the spectrogram of a {} speaker",
            example.sex
        );
        pictures.push((panel.picture()?, alt));
        panels.push(panel);
    }
    let file = "figure-6.2.png".to_owned();
    grid(&panels, 2)?.write_png(&lab.folder.join(&file))?;
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns: top_columns(),
        rows,
        files: vec![file],
    };
    let blocks = vec![
        Block::Figure {
            pictures,
            caption: format!(
                "{} These are {} of {BINS} bins, by the rules `{}`.",
                entry.caption(),
                counts(&[marked], BINS)[0],
                explainer.preset
            ),
        },
        says(entry),
        Block::table(
            Table::from(&experiment),
            "How much of the positive relevance lies on these bins, and where they lie. Padding: frames at −80 dB throughout.",
        ),
    ];
    let section = Section {
        id: entry.id.clone(),
        title: format!("The {marked} % that matters most"),
        blocks,
    };
    Ok((experiment, section))
}
