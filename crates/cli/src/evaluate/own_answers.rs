//! Flipping on recordings that nobody has labelled: what the network answers to each is what its explanation is tested on.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use speechlens_data::Preparation;
use speechlens_eval::flip::{Curve, Plan, counts, flip, relevance_by};
use speechlens_explain::{Asked, Input, Reader, Reading, Settings, to_tensor};
use speechlens_models::Model;
use speechlens_nn::train::Samples;
use speechlens_report::progress;

use crate::common::{Common, one_line};
use crate::input::{self, Sought};

/// Windows of a recording, and what the network answers to each.
struct Answered {
    windows: Tensor,
    answers: Vec<u32>,
}

impl Samples for Answered {
    fn len(&self) -> usize {
        self.answers.len()
    }

    /// Nothing is trained on them.
    fn key(&self) -> String {
        String::new()
    }

    fn batch(&self, places: &[usize], _: &Device) -> speechlens_nn::Result<(Tensor, Vec<u32>)> {
        let rows: Vec<u32> = places.iter().map(|place| *place as u32).collect();
        let rows = Tensor::new(rows, self.windows.device())?;
        let answers = places.iter().map(|place| self.answers[*place]);
        Ok((self.windows.index_select(&rows, 0)?, answers.collect()))
    }
}

/// So many windows of these recordings as evenly spread as can be, flipped as the plan says but for its counts: recordings may
/// differ in length, and `percentages` of the bins of each are flipped. How many windows there were, and of how many bins each, if all
/// have as many.
pub fn flip_recordings(
    paths: &[PathBuf],
    model: &Model,
    settings: &Settings,
    (plan, percentages): (&Plan, &[f64]),
    preparation: &Preparation,
    common: &Common,
) -> Result<(Vec<Curve>, usize, Option<usize>)> {
    let device = common.device()?;
    let found = input::files(paths, Sought::Recordings)?;
    let wanted = plan.recordings.min(found.len());
    let each = plan.recordings.div_ceil(wanted.max(1));
    let spread = (0..wanted).map(|place| &found[place * found.len() / wanted]);
    let reading = Reading {
        trim: preparation.trim,
        ..Reading::default()
    };
    let reader = Reader::new(model, reading);
    let bar = progress::bar("flipping, recordings", wanted, common.quiet);
    let (mut all, mut windows, mut bins) = (Vec::<Curve>::new(), 0, Vec::new());
    for recording in spread {
        bar.inc(1);
        let input = match reader.read(&recording.path) {
            Ok(input) => input,
            Err(error) if preparation.strict => return Err(error.into()),
            Err(error) => {
                let told = one_line(&error.into());
                bar.suspend(|| tracing::warn!("{told}; passed over"));
                continue;
            }
        };
        let asked = Asked::default().of(model, &input, &device)?;
        let samples = answered(&asked, &input, each, &device)?;
        let own = samples.windows.elem_count() / samples.len();
        let method = settings.method(&asked)?;
        let attribute = method.of(&asked.graph)?;
        let plan = Plan {
            counts: counts(percentages, own),
            batch: asked.graph.architecture().batch().unwrap_or(plan.batch),
            ..plan.clone()
        };
        let curves = flip(
            &asked.graph,
            &samples,
            &relevance_by(attribute.as_ref()),
            asked.task.probability().map(|p| p.loss()),
            &plan,
            &device,
            &|_| (),
        )
        .with_context(|| recording.path.display().to_string())?;
        windows += samples.len();
        bins.push(own);
        if all.is_empty() {
            all = curves;
            continue;
        }
        for (all, more) in all.iter_mut().zip(curves) {
            for (all, more) in all.points.iter_mut().zip(more.points) {
                all.right.extend(more.right);
                all.probability.extend(more.probability);
            }
        }
    }
    bar.finish_and_clear();
    ensure!(!all.is_empty(), "no recording could be used");
    let same = bins.windows(2).all(|pair| pair[0] == pair[1]);
    Ok((all, windows, bins.first().copied().filter(|_| same)))
}

/// At most so many of its windows, evenly spread, without silent ones.
fn answered(model: &Model, input: &Input, most: usize, device: &Device) -> Result<Answered> {
    let sounding: Vec<usize> = input.sounding().collect();
    let count = sounding.len().min(most);
    let rows = (0..count).map(|place| sounding[place * sounding.len() / count] as u32);
    let rows = Tensor::new(rows.collect::<Vec<_>>(), device)?;
    let windows = to_tensor(&model.graph, input.features.clone(), device)?;
    let windows = windows.index_select(&rows, 0)?;
    let outputs = model.graph.forward(&windows)?.to_vec2::<f32>()?;
    let answers = outputs.iter().map(|own| model.task.foremost(own) as u32);
    Ok(Answered {
        answers: answers.collect(),
        windows,
    })
}
