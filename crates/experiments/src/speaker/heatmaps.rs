//! Figures 6.10, 6.12 and 6.14: heatmaps over the filterbanks of speech with music, above, and with noise, below.

use std::path::Path;

use anyhow::Result;
use candle_core::{Device, IndexOp};
use ndarray::{Array2, Axis};
use speechlens_audio::filterbank::{HOP, RATE, frequencies};
use speechlens_eval::heatmap::checkerboard;
use speechlens_eval::to_tensor;
use speechlens_report::Picture;
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::thesis::Thesis;

use super::{Explainer, RULES};
use crate::shared::speaker::data::{Condition, Data};
use crate::shared::speaker::training::Trained;

/// The heatmaps of one set of rules.
pub struct Heatmaps {
    pub experiment: Experiment,
    /// Music above noise.
    pub picture: Picture,
    /// What it shows.
    pub shown: String,
    /// Whether the network is right on what is shown.
    pub is_right: bool,
}

/// Explains one held-out segment under every condition and by all rules: the first that is classified right whatever is behind
/// it, or the first if none is.
pub fn draw(
    explainers: &[Explainer],
    data: &Data,
    trained: &Trained,
    folder: &Path,
    device: &Device,
) -> Result<Vec<Heatmaps>> {
    let right = trained.right.iter().position(|right| *right);
    let place = right.unwrap_or(0);
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
        // The thesis's figures have no speech alone, the first of the conditions.
        let picture = grid(&panels[1..], 1)?;
        picture.write_png(&folder.join(&file))?;
        let (recording, first) = data.held_out().clean().origin(place);
        let at = first as f64 * HOP as f64 / f64::from(RATE);
        all.push(Heatmaps {
            picture,
            is_right: right.is_some(),
            shown: format!(
                "Heatmaps over the filterbank of two seconds of speaker {}, with music above and with noise below",
                recording.speaker
            ),
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
    let filterbank = condition.held_out.window(0, place)?;
    let filterbank: Array2<f32> = filterbank.into_dimensionality()?;
    let label = condition.held_out.clean().label(place);
    let input = to_tensor(filterbank.clone().insert_axis(Axis(0)), device)?;
    let explanation = explainer.lrp.explain(&input, &[label])?;
    let values = explanation.relevance.flatten_all()?.to_vec1::<f32>()?;
    let relevance = Array2::from_shape_vec(filterbank.dim(), values)?;
    let logit: f32 = explanation.logits.i((0, label as usize))?.to_scalar()?;
    Ok((filterbank, relevance, f64::from(logit)))
}
