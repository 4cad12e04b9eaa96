//! Accuracy as bins of the test recordings are set to a value, in the order of an explanation and in others.

use anyhow::{Context, Result};
use candle_core::Tensor;
use speechlens_eval::flip::{Curve, Order, Plan, Point, counts, flip, relevance_by};
use speechlens_frontend::thesis::{FLOOR_DB, SIZE};
use speechlens_report::Picture;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};
use speechlens_report::thesis::{Entry, Thesis};

use super::{Explainer, Trial};
use crate::shared::Lab;

/// The values that bins are set to.
pub const VALUES: [f32; 2] = [0.0, FLOOR_DB];
/// The orders of the thesis.
pub const ORDERS: [Order; 3] = [Order::MostRelevant, Order::Random, Order::LeastRelevant];
pub const BINS: usize = SIZE * SIZE;

/// The share at which the thesis saw accuracy fall below chance, in percent.
pub fn few() -> f64 {
    Thesis::published().flipping.few
}

/// The shares of figures 6.3, 6.6 and 6.9, in percent: those of table 6.1, and from there to all bins.
pub fn shares() -> Result<Vec<f64>> {
    let thesis = Thesis::published();
    let printed = &thesis.entry("table-6.1")?.columns;
    let last = printed.last().copied().unwrap_or_default();
    let beyond = (1..=10).map(|tenth| 10.0 * f64::from(tenth));
    let beyond = beyond.filter(|percent| *percent > last);
    let mut all: Vec<f64> = printed.iter().copied().chain(beyond).collect();
    all.push(thesis.flipping.gone);
    all.sort_by(f64::total_cmp);
    Ok(all)
}

/// Headings of shares.
pub fn percent(shares: &[f64]) -> Vec<String> {
    shares.iter().map(|share| format!("{share} %")).collect()
}

/// Bins as a share of all, in percent.
pub fn share(count: usize) -> f64 {
    100.0 * count as f64 / BINS as f64
}

/// What is flipped.
pub struct What<'a> {
    pub explainers: &'a [Explainer],
    pub orders: &'a [Order],
    pub values: &'a [f32],
    /// Numbers of bins.
    pub counts: &'a [usize],
    /// At most so many test recordings.
    pub recordings: usize,
}

/// All curves: those that follow an explanation, by its reference, and the controls.
pub struct Flips {
    explained: Vec<(f32, Vec<Curve>)>,
    controls: Vec<Curve>,
    /// How many recordings were flipped.
    pub recordings: usize,
}

impl Flips {
    /// Flips the first test recordings' bins.
    pub fn measure(lab: &Lab, trial: &Trial, what: &What) -> Result<Flips> {
        let samples = &trial.data.test.dataset;
        let plan = |explained: bool| Plan {
            counts: what.counts.to_vec(),
            values: what.values.to_vec(),
            orders: (what.orders.iter().copied())
                .filter(|order| order.needs_relevance() == explained)
                .collect(),
            seed: lab.arguments.seed,
            batch: trial.setting.config.batch,
            recordings: what.recordings,
        };
        let run =
            |label: &str,
             plan: &Plan,
             explain: &dyn Fn(&Tensor, &[u32]) -> speechlens_eval::Result<Tensor>| {
                let bar = progress::bar(label, plan.passes(samples), lab.arguments.quiet);
                let done = |passes: usize| bar.set_position(passes as u64);
                let (graph, loss) = (&trial.trained.graph, trial.setting.config.loss);
                let curves = flip(graph, samples, explain, loss, plan, lab.device, &done);
                bar.finish_and_clear();
                curves
            };
        let unasked = |_: &Tensor, _: &[u32]| {
            Err(speechlens_eval::Error::Explanation(
                "none was asked for".into(),
            ))
        };
        let controls = run("flipping, controls", &plan(false), &unasked)?;
        let explained = what.explainers.iter().map(|explainer| {
            let label = format!("flipping, {}", explainer.preset);
            let explain = relevance_by(&explainer.lrp);
            Ok((explainer.reference, run(&label, &plan(true), &explain)?))
        });
        Ok(Flips {
            explained: explained.collect::<Result<_>>()?,
            controls,
            recordings: samples.recordings().len().min(what.recordings),
        })
    }

    pub fn curve(&self, reference: f32, order: Order, value: f32) -> Result<&Curve> {
        let explained = self
            .explained
            .iter()
            .find(|(of, _)| *of == reference)
            .map(|(_, curves)| curves);
        let mut curves = explained.into_iter().flatten().chain(&self.controls);
        curves
            .find(|curve| curve.order == order && curve.value == value)
            .context("a curve was not measured")
    }

    /// A curve of the thesis's setting: relevance and value at 0 dB.
    pub fn of_thesis(&self, order: Order) -> Result<&Curve> {
        self.curve(0.0, order, 0.0)
    }

    pub fn accuracy(&self, reference: f32, order: Order, value: f32, percent: f64) -> Result<f64> {
        accuracy(self.curve(reference, order, value)?, percent)
    }

    /// An entry of the thesis with the curves of its setting at some steps.
    pub fn entry(
        &self,
        entry: &Entry,
        columns: Vec<String>,
        steps: &[usize],
        files: &[&str],
    ) -> Result<Experiment> {
        let row = |order: Order| {
            let cells = accuracies(self.of_thesis(order)?, steps);
            let name = order.to_string();
            let printed = entry.row(&name, &columns);
            Ok(Row::measured(name, cells).with_thesis(printed))
        };
        Ok(Experiment {
            id: entry.id.clone(),
            title: entry.title.clone(),
            rows: ORDERS.into_iter().map(row).collect::<Result<_>>()?,
            columns,
            files: files.iter().map(|file| (*file).to_owned()).collect(),
        })
    }
}

/// A curve's point at a share of flipped bins.
pub fn point(curve: &Curve, percent: f64) -> Result<&Point> {
    let count = counts(&[percent], BINS)[0];
    let point = curve.points.iter().find(|point| point.count == count);
    point.context("a step was not measured")
}

/// A curve's accuracy in percent at a share of flipped bins.
pub fn accuracy(curve: &Curve, percent: f64) -> Result<f64> {
    Ok(100.0 * point(curve, percent)?.accuracy())
}

/// A curve's accuracy in percent at some numbers of flipped bins.
pub fn accuracies(curve: &Curve, steps: &[usize]) -> Vec<f64> {
    let points = curve.points.iter();
    let points = points.filter(|point| steps.contains(&point.count));
    points.map(|point| 100.0 * point.accuracy()).collect()
}

/// A line of a chart: accuracy in percent over some measure of the flipped bins, with the interval around it.
pub fn series(name: impl Into<String>, curve: &Curve, position: fn(usize) -> f64) -> Series {
    let points = curve.points.iter();
    let points = points.map(|point| (position(point.count), 100.0 * point.accuracy()));
    let band = curve.points.iter().map(|point| {
        let (low, high) = point.accuracy_interval();
        (position(point.count), 100.0 * low, 100.0 * high)
    });
    Series::new(name, points.collect()).with_band(band.collect())
}

/// Accuracy by the share of flipped bins.
pub fn chart(title: impl Into<String>, series: Vec<Series>) -> Result<Picture> {
    let chart = Chart {
        title: title.into(),
        axes: Axes {
            x: Axis::log_with_zero("flipped bins (%)", few(), 100.0),
            y: Axis::linear("accuracy (%)", 0.0, 100.0),
        },
        series,
    };
    Ok(chart.picture()?)
}

/// −80 dB, 0 dB.
pub fn short(decibels: f32) -> String {
    match decibels {
        0.0 => "0 dB".into(),
        other => format!("−{} dB", -other),
    }
}
