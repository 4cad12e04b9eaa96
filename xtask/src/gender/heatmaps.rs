//! Figures 6.1, 6.2 and 6.4: what the network listens to, drawn over spectrograms.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{Device, IndexOp};
use ndarray::Array2;
use speechlens_audio::{RATE, SIZE, WINDOW, frequencies, times};
use speechlens_data::{Parameters, Sex};
use speechlens_eval::flip::{Order, counts, ranking};
use speechlens_nn::train::Samples;
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Cell, Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use super::data::Data;
use super::flipping::{Flips, GONE};
use super::training::Trained;
use super::{Explainer, level_name};

/// The share of the bins that figure 6.2 marks.
const MARKED: f64 = 1.0;
/// The frequency that parts low from high in the numbers beside figure 6.1: above F0 and the first formants' bulk.
const LOW_HZ: f64 = 1000.0;

/// Figures for the page and for results.json.
pub struct Heatmaps {
    pub sections: Vec<Section>,
    pub experiments: Vec<Experiment>,
}

/// One explained recording.
struct Example {
    sex: Sex,
    id: String,
    spectrogram: Array2<f32>,
    /// By explainer.
    relevance: Vec<Array2<f32>>,
    logit: f32,
}

/// The axes of a spectrogram.
pub fn axes() -> Axes {
    let seconds = times(Parameters::default().crop)
        .last()
        .copied()
        .unwrap_or(1.0);
    Axes::spectrogram(seconds, SIZE as f64 * f64::from(RATE) / WINDOW as f64)
}

/// `[frequency, time]`
pub fn matrix(tensor: &candle_core::Tensor) -> Result<Array2<f32>> {
    let (rows, columns) = tensor.dims2()?;
    Ok(Array2::from_shape_vec(
        (rows, columns),
        tensor.flatten_all()?.to_vec1()?,
    )?)
}

/// Whether each bin is among the first `count` of an order.
pub fn mask(
    order: Order,
    spectrogram: &Array2<f32>,
    relevance: &Array2<f32>,
    count: usize,
) -> Array2<bool> {
    let flat = |array: &Array2<f32>| array.iter().copied().collect::<Vec<_>>();
    let mut mask = Array2::from_elem(spectrogram.dim(), false);
    for place in &ranking(order, &flat(spectrogram), &flat(relevance), 0, 0)[..count] {
        mask[(*place as usize / SIZE, *place as usize % SIZE)] = true;
    }
    mask
}

/// Draws the first test recording of each sex that is classified right, or the first if none is.
pub fn draw(
    explainers: &[Explainer],
    data: &Data,
    trained: &Trained,
    folder: &Path,
    device: &Device,
) -> Result<Heatmaps> {
    let recordings = data.test.dataset.recordings();
    let example = |sex: Sex| -> Result<Example> {
        let of_sex = || {
            (0..data.test.dataset.len()).filter(move |place| recordings[*place].sex == Some(sex))
        };
        let place = of_sex()
            .find(|place| trained.is_right(data, *place))
            .or_else(|| of_sex().next());
        let place = place.with_context(|| format!("the test has no {sex} recording"))?;
        let explanations = explainers
            .iter()
            .map(|e| e.explain(&data.test, &[place], device))
            .collect::<Result<Vec<_>>>()?;
        Ok(Example {
            sex,
            id: recordings[place].id.clone(),
            spectrogram: data.test.dataset.spectrogram(place)?,
            relevance: explanations
                .iter()
                .map(|e| matrix(&e.relevance.i((0, 0))?))
                .collect::<Result<_>>()?,
            logit: explanations[0].logits.i((0, sex.index()))?.to_scalar()?,
        })
    };
    let examples = [example(Sex::Female)?, example(Sex::Male)?];
    let (first, first_section) = overlays(explainers, &examples, folder)?;
    let (second, second_section) = most_relevant(&explainers[0], &examples, folder)?;
    Ok(Heatmaps {
        sections: vec![first_section, second_section],
        experiments: vec![first, second],
    })
}

fn overlays(
    explainers: &[Explainer],
    examples: &[Example],
    folder: &Path,
) -> Result<(Experiment, Section)> {
    let entry = Thesis::published().entry("figure-6.1")?;
    let rows_below = frequencies().iter().filter(|hz| **hz < LOW_HZ).count();
    let mut blocks = vec![Block::text(
        "Relevance says how much each bin of the spectrogram speaks for the speaker's true sex (red) or against it (blue). It \
         is carried from the network's answer back to the input, layer by layer.",
    )];
    let (mut rows, mut files) = (Vec::new(), Vec::new());
    for (index, explainer) in explainers.iter().enumerate() {
        let panel = |example: &Example| -> Result<Panel> {
            let relevance = example.relevance[index].view();
            let panel = Panel::overlay(
                axes(),
                example.spectrogram.view(),
                relevance,
                limit(relevance),
            )?;
            Ok(panel.titled(format!("{}, recording {}", example.sex, example.id)))
        };
        let panels = examples.iter().map(panel).collect::<Result<Vec<_>>>()?;
        let file = format!("figure-6.1-{}.png", explainer.preset);
        grid(&panels, 2)?.write_png(&folder.join(&file))?;
        files.push(file);
        let pictures = panels.iter().zip(examples).map(|(panel, example)| {
            Ok((
                panel.picture()?,
                format!("Heatmap over the spectrogram of a {} speaker", example.sex),
            ))
        });
        blocks.push(Block::Figure {
            pictures: pictures.collect::<Result<_>>()?,
            caption: format!(
                "Rules `{}`: relevance against {}.",
                explainer.preset,
                level_name(explainer.reference)
            ),
        });
        for example in examples {
            let relevance = &example.relevance[index];
            let positive = |part: ndarray::ArrayView2<f32>| {
                part.iter().map(|r| f64::from(r.max(0.0))).sum::<f64>()
            };
            let low = positive(relevance.slice(ndarray::s![..rows_below, ..]));
            let cells = [
                f64::from(example.logit),
                relevance.iter().map(|r| f64::from(*r)).sum(),
                100.0 * low / positive(relevance.view()),
            ];
            rows.push(Row::measured(
                format!("{}, {}", example.sex, explainer.preset),
                cells,
            ));
        }
    }
    let columns = [
        "logit of the true sex",
        "sum of relevance",
        "positive relevance below 1 kHz, %",
    ]
    .map(str::to_owned)
    .to_vec();
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns,
        rows,
        files,
    };
    blocks.push(Block::table(
        Table::from(&experiment),
        "What the bins' relevance adds up to. The rest of the logit stays with the biases and with ε.",
    ));
    Ok((
        experiment,
        Section {
            id: entry.id.clone(),
            title: "What the network listens to".into(),
            blocks,
        },
    ))
}

fn most_relevant(
    explainer: &Explainer,
    examples: &[Example],
    folder: &Path,
) -> Result<(Experiment, Section)> {
    let entry = Thesis::published().entry("figure-6.2")?;
    let count = counts(&[MARKED], SIZE * SIZE)[0];
    let (mut panels, mut pictures, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for example in examples {
        let relevance = &example.relevance[0];
        let mask = mask(Order::MostRelevant, &example.spectrogram, relevance, count);
        let panel = Panel::marked(
            axes(),
            example.spectrogram.view(),
            "level (dB)",
            mask.view(),
        )?
        .titled(format!("{}, recording {}", example.sex, example.id));
        let positive = |kept: bool| {
            let bins = relevance
                .iter()
                .zip(&mask)
                .filter(|(_, marked)| kept || **marked);
            bins.map(|(r, _)| f64::from(r.max(0.0))).sum::<f64>()
        };
        rows.push(Row::measured(
            example.sex.name(),
            [100.0 * positive(false) / positive(true)],
        ));
        let alt = format!(
            "The most relevant bins marked in the spectrogram of a {} speaker",
            example.sex
        );
        pictures.push((panel.picture()?, alt));
        panels.push(panel);
    }
    let file = "figure-6.2.png".to_owned();
    grid(&panels, 2)?.write_png(&folder.join(&file))?;
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns: vec!["share of the positive relevance, %".into()],
        rows,
        files: vec![file],
    };
    let blocks = vec![
        Block::Figure {
            pictures,
            caption: format!(
                "The {MARKED} % most relevant bins ({count} of {}), rules `{}`.",
                SIZE * SIZE,
                explainer.preset
            ),
        },
        Block::table(
            Table::from(&experiment),
            "How much of the positive relevance lies on these bins.",
        ),
    ];
    Ok((
        experiment,
        Section {
            id: entry.id.clone(),
            title: format!("The {MARKED} % that matters most"),
            blocks,
        },
    ))
}

/// Figure 6.4: a recording that is still classified right with 95 % of its bins gone, the least relevant first.
pub fn almost_gone(
    explainer: &Explainer,
    flips: &Flips,
    data: &Data,
    folder: &Path,
    device: &Device,
) -> Result<(Section, Experiment)> {
    let entry = Thesis::published().entry("figure-6.4")?;
    let right = |percent| flips.right(explainer, Order::LeastRelevant, percent);
    let still: Vec<bool> = right(0.0)?
        .iter()
        .zip(right(GONE)?)
        .map(|(before, after)| *before && *after)
        .collect();
    let before = right(0.0)?.iter().filter(|right| **right).count();
    let share = 100.0 * still.iter().filter(|right| **right).count() as f64 / before as f64;
    let mut files = Vec::new();
    let text = format!(
        "Of the recordings that are classified right, {share:.1} % still are with {GONE} % of the bins set to {}, the least \
         relevant for the true sex first: the {} most relevant bins are left to the network.",
        level_name(explainer.reference),
        SIZE * SIZE - counts(&[GONE], SIZE * SIZE)[0],
    );
    let mut blocks = vec![Block::text(text)];
    match still.iter().position(|right| *right) {
        None => blocks.push(Block::Note(
            "There is no recording that is still classified right.".into(),
        )),
        Some(place) => {
            let recording = &data.test.dataset.recordings()[place];
            let explanation = explainer.explain(&data.test, &[place], device)?;
            let spectrogram = data.test.dataset.spectrogram(place)?;
            let relevance = matrix(&explanation.relevance.i((0, 0))?)?;
            let mask = mask(
                Order::LeastRelevant,
                &spectrogram,
                &relevance,
                counts(&[GONE], SIZE * SIZE)[0],
            );
            let panels = [
                Panel::spectrogram(axes(), spectrogram.view(), "level (dB)")?
                    .titled(format!("recording {}", recording.id)),
                Panel::removed(axes(), spectrogram.view(), "level (dB)", mask.view())?
                    .titled("what is left of it"),
            ];
            let file = "figure-6.4.png".to_owned();
            grid(&panels, 2)?.write_png(&folder.join(&file))?;
            files.push(file);
            blocks.push(Block::Figure {
                pictures: vec![
                    (panels[0].picture()?, "A whole spectrogram".into()),
                    (panels[1].picture()?, "The same spectrogram with almost all of its bins gone".into()),
                ],
                caption: "A recording before, and with almost all of its bins gone: still classified right.".into(),
            });
        }
    }
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns: vec!["still right, % of those right before".into()],
        rows: vec![Row::measured(
            format!("{GONE} % gone, lrp_rev"),
            [Cell::from(share)],
        )],
        files,
    };
    let section = Section {
        id: entry.id.clone(),
        title: format!("{GONE} % of the bins gone"),
        blocks,
    };
    Ok((section, experiment))
}
