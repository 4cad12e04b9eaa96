//! Figures 6.10, 6.12 and 6.14: heatmaps over the filterbanks of speech as it was recorded, with music and with noise.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{Device, IndexOp};
use ndarray::{Array2, Axis};
use speechlens_audio::filterbank::{HOP, RATE, frequencies};
use speechlens_eval::dataset::to_tensor;
use speechlens_eval::heatmap::checkerboard;
use speechlens_report::Picture;
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::thesis::Thesis;

use super::data::{Condition, Data};
use super::training::Trained;
use super::{Explainer, RULES};

/// The heatmaps of one set of rules.
pub struct Heatmaps {
    pub experiment: Experiment,
    /// One for each condition, with what it shows.
    pub pictures: Vec<(Picture, String)>,
}

/// Explains one held-out segment under every condition and by all rules: the first that is classified right, or the first if
/// none is.
pub fn draw(
    explainers: &[Explainer],
    data: &Data,
    trained: &Trained,
    folder: &Path,
    device: &Device,
) -> Result<Vec<Heatmaps>> {
    let place = trained.right.iter().position(|right| *right).unwrap_or(0);
    let mut all = Vec::new();
    for (explainer, rules) in explainers.iter().zip(&RULES) {
        let entry = Thesis::published().entry(rules.figures[0])?;
        let (mut panels, mut rows) = (Vec::new(), Vec::new());
        for condition in &data.conditions {
            let (filterbank, relevance, logit) = explain(explainer, condition, place, device)?;
            let seconds = filterbank.ncols() as f64 * HOP as f64 / f64::from(RATE);
            let axes = Axes::filterbank(0.0, seconds, &frequencies());
            let view = relevance.view();
            let panel = Panel::overlay(axes, filterbank.view(), view, limit(view))?;
            panels.push(panel.titled(condition.name));
            let sum: f64 = relevance.iter().map(|r| f64::from(*r)).sum();
            let cells = [logit, sum, 100.0 * checkerboard(view)];
            rows.push(Row::measured(condition.name, cells));
        }
        let file = format!("{}.png", rules.figures[0]);
        grid(&panels, panels.len())?.write_png(&folder.join(&file))?;
        let (recording, first) = data.held_out().origin(place);
        let at = first as f64 * HOP as f64 / f64::from(RATE);
        let pictures = panels
            .iter()
            .zip(&data.conditions)
            .map(|(panel, condition)| {
                let shown = format!(
                    "Heatmap over the filterbank of speaker {}, {}",
                    recording.speaker, condition.name
                );
                Ok((panel.picture()?, shown))
            });
        all.push(Heatmaps {
            pictures: pictures.collect::<Result<_>>()?,
            experiment: Experiment {
                id: entry.id.clone(),
                title: format!("{}: {}, from {at:.2} s", entry.title, recording.id),
                columns: ["logit", "sum of relevance", "checkerboard, %"]
                    .map(str::to_owned)
                    .to_vec(),
                rows,
                files: vec![file],
            },
        });
    }
    Ok(all)
}

/// A segment, its relevance for the true speaker, and that speaker's logit.
fn explain(
    explainer: &Explainer,
    condition: &Condition,
    place: usize,
    device: &Device,
) -> Result<(Array2<f32>, Array2<f32>, f64)> {
    let filterbank = condition.held_out.segment(place)?;
    let label = condition.held_out.labels().nth(place);
    let label = label.context("there is no held-out segment")?;
    let input = to_tensor(filterbank.clone().insert_axis(Axis(0)), device)?;
    let explanation = explainer.lrp.explain(&input, &[label])?;
    let values = explanation.relevance.flatten_all()?.to_vec1::<f32>()?;
    let relevance = Array2::from_shape_vec(filterbank.dim(), values)?;
    let logit: f32 = explanation.logits.i((0, label as usize))?.to_scalar()?;
    Ok((filterbank, relevance, f64::from(logit)))
}
