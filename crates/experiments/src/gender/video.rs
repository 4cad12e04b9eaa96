//! The flipping video: a spectrogram that loses its most relevant bins, and what the network says of it.

use anyhow::{Context, Result};
use candle_core::{Device, IndexOp, Tensor};
use ndarray::Array2;
use speechlens_eval::flip::{Order, counts, ranking};
use speechlens_frontend::thesis::SIZE;
use speechlens_report::animation::Animation;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::heatmap::Panel;
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Experiment, Row};

use crate::shared::Lab;
use crate::shared::gender::flipping::BINS;
use crate::shared::gender::heatmaps::{axes, matrix};
use crate::shared::gender::{Explainer, Trial, level_name};

/// The shares of the bins that are gone, in percent.
const PERCENTAGES: [f64; 16] = [
    0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.5, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 65.0, 80.0, 95.0,
];
const ORDERS: [Order; 3] = [Order::MostRelevant, Order::Random, Order::LeastRelevant];
const MILLISECONDS: u16 = 700;
const FILE: &str = "flipping.png";

/// The video of the first recording that is classified right.
pub fn draw(lab: &Lab, trial: &Trial, explainer: &Explainer) -> Result<(Section, Experiment)> {
    let (data, trained) = (&trial.data, &trial.trained);
    let recordings = data.test.dataset.recordings();
    let place = (0..recordings.len()).find(|place| trained.is_right(data, *place));
    let place = place.unwrap_or(0);
    let spectrogram = data.test.dataset.plane(place)?;
    let explanation = explainer.explain(&data.test, &[place], lab.device)?;
    let relevance = matrix(&explanation.relevance.i((0, 0))?)?;
    let flat = |array: &Array2<f32>| array.iter().copied().collect::<Vec<f32>>();
    let (input, relevance) = (flat(&spectrogram), flat(&relevance));
    let steps = counts(&PERCENTAGES, BINS);
    let probability = |order: Order| -> Result<(Vec<u32>, Vec<f64>)> {
        let order = ranking(order, &input, &relevance, lab.arguments.seed, place);
        let mut flipped = Vec::with_capacity(steps.len() * BINS);
        for count in &steps {
            let start = flipped.len();
            flipped.extend_from_slice(&input);
            for bin in &order[..*count] {
                flipped[start + *bin as usize] = explainer.reference;
            }
        }
        let probabilities = classify(lab.device, trial, flipped, data.test.label(place))?;
        Ok((order, probabilities))
    };
    let answers = ORDERS
        .into_iter()
        .map(|order| Ok((order, probability(order)?)))
        .collect::<Result<Vec<_>>>()?;
    let (order, _) = &answers.first().context("there are orders")?.1;
    let mut frames = Vec::new();
    for (step, count) in steps.iter().enumerate() {
        let mut mask = Array2::from_elem((SIZE, SIZE), false);
        for bin in &order[..*count] {
            mask[(*bin as usize / SIZE, *bin as usize % SIZE)] = true;
        }
        let panel = Panel::removed(axes(), spectrogram.view(), "level (dB)", mask.view())?
            .titled(format!("recording {}", recordings[place].id));
        let series = answers.iter().map(|(order, (_, probabilities))| {
            let points = PERCENTAGES.iter().zip(probabilities).take(step + 1);
            Series::new(
                order.to_string(),
                points.map(|(x, p)| (*x, 100.0 * p)).collect(),
            )
        });
        let chart = Chart {
            title: format!("The network's answer, {} % gone", PERCENTAGES[step]),
            axes: Axes {
                x: Axis::log_with_zero("flipped bins (%)", 0.1, 95.0),
                y: Axis::linear("probability of the true sex (%)", 0.0, 100.0),
            },
            series: series.collect(),
        };
        frames.push(panel.picture()?.beside(&chart.picture()?));
    }
    let animation = Animation::new(&frames, MILLISECONDS)?;
    animation.write(&lab.folder.join(FILE))?;
    let rows = answers.iter().map(|(order, (_, probabilities))| {
        Row::measured(order.to_string(), probabilities.iter().map(|p| 100.0 * p))
    });
    let experiment = Experiment {
        id: "flipping-video".into(),
        title:
            "The probability of the true sex of one recording, in percent, as its bins are flipped"
                .into(),
        columns: PERCENTAGES
            .iter()
            .map(|percent| format!("{percent} %"))
            .collect(),
        rows: rows.collect(),
        files: vec![FILE.into()],
    };
    let section = Section {
        id: "flipping-video".into(),
        title: "Watch it forget".into(),
        blocks: vec![Block::Animation {
            animation,
            alt: "A spectrogram loses its most relevant bins, and the probability of the true sex is drawn beside it".into(),
            caption: format!(
                "The most relevant bins of one recording set to {}, more and more of them, and the probability of its true sex; beside it \
                 the same by lot and with the least relevant first.",
                level_name(explainer.reference)
            ),
        }],
    };
    Ok((section, experiment))
}

/// The probability of a class for inputs behind each other.
fn classify(device: &Device, trial: &Trial, inputs: Vec<f32>, class: u32) -> Result<Vec<f64>> {
    let inputs = Tensor::from_vec(inputs, (PERCENTAGES.len(), 1, SIZE, SIZE), device)?;
    let logits = trial.trained.graph.forward(&inputs)?.to_vec2::<f32>()?;
    let loss = trial.setting.config.loss;
    let probability = |logits: &Vec<f32>| f64::from(loss.probability(logits, class as usize));
    Ok(logits.iter().map(probability).collect())
}
