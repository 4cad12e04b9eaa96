//! Figures 6.3 and 6.5, table 6.1, and what zero means: accuracy as bins are flipped.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use speechlens_audio::{FLOOR_DB, SIZE};
use speechlens_eval::flip::{Curve, Order, Plan, Point, counts, flip, relevance_by};
use speechlens_nn::Graph;
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};
use speechlens_report::thesis::Thesis;

use super::Explainer;
use super::data::{Data, Setting};
use crate::reproduce::Arguments;

/// The shares of the bins of figure 6.3 and table 6.1, in percent.
pub const PERCENTAGES: [f64; 10] = [0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 80.0, GONE];
/// The share of figure 6.4.
pub const GONE: f64 = 95.0;
/// The numbers of bins of figure 6.5.
pub const COUNTS: [usize; 7] = [0, 10, 30, 100, 258, 515, 1031];
/// The share at which the thesis saw the accuracy fall to 10.8 %.
pub const FEW: f64 = 0.5;
/// The values that bins are set to.
pub const VALUES: [f32; 2] = [0.0, FLOOR_DB];
pub const ORDERS: [Order; 4] = [
    Order::MostRelevant,
    Order::Random,
    Order::LeastRelevant,
    Order::Loudest,
];
pub const BINS: usize = SIZE * SIZE;

/// All curves: those that follow an explanation, by its reference, and the controls.
pub struct Flips {
    explained: Vec<(f32, Vec<Curve>)>,
    controls: Vec<Curve>,
    /// How many recordings were flipped.
    pub recordings: usize,
    /// The references of the explanations.
    pub references: Vec<f32>,
}

/// Flips the test recordings' bins.
pub fn measure(
    arguments: &Arguments,
    setting: &Setting,
    explainers: &[Explainer],
    graph: &Graph,
    data: &Data,
    device: &Device,
) -> Result<Flips> {
    let mut all: Vec<usize> = counts(&PERCENTAGES, BINS)
        .into_iter()
        .chain(COUNTS)
        .collect();
    all.sort_unstable();
    all.dedup();
    let plan = |explained: bool| Plan {
        counts: all.clone(),
        values: VALUES.to_vec(),
        orders: ORDERS
            .into_iter()
            .filter(|order| order.needs_relevance() == explained)
            .collect(),
        seed: arguments.seed,
        batch: setting.config.batch,
        recordings: setting.flipped,
    };
    let run = |label: &str,
               plan: &Plan,
               explain: &dyn Fn(&Tensor, &[u32]) -> speechlens_eval::Result<Tensor>| {
        let bar = progress::bar(label, plan.passes(&data.test.dataset), arguments.quiet);
        let done = |passes: usize| bar.set_position(passes as u64);
        let loss = setting.config.loss;
        let samples = &data.test.dataset;
        let curves = flip(graph, samples, explain, loss, plan, device, &done);
        bar.finish_and_clear();
        curves
    };
    let unasked = |_: &Tensor, _: &[u32]| {
        Err(speechlens_eval::Error::Explanation(
            "none was asked for".into(),
        ))
    };
    let controls = run("flipping, controls", &plan(false), &unasked)?;
    let explained = explainers.iter().map(|explainer| {
        let label = format!("flipping, {}", explainer.preset);
        let explain = relevance_by(&explainer.lrp);
        Ok((explainer.reference, run(&label, &plan(true), &explain)?))
    });
    let explained = explained.collect::<Result<Vec<_>>>()?;
    let recordings = controls[0].points[0].right.len();
    Ok(Flips {
        references: explained.iter().map(|(reference, _)| *reference).collect(),
        explained,
        controls,
        recordings,
    })
}

impl Flips {
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

    fn point(&self, reference: f32, order: Order, value: f32, percent: f64) -> Result<&Point> {
        let count = counts(&[percent], BINS)[0];
        let curve = self.curve(reference, order, value)?;
        curve
            .points
            .iter()
            .find(|point| point.count == count)
            .context("a step was not measured")
    }

    /// Which recordings are right at a share of flipped bins, set to the explanation's reference.
    pub fn right(&self, explainer: &Explainer, order: Order, percent: f64) -> Result<&[bool]> {
        Ok(&self
            .point(explainer.reference, order, explainer.reference, percent)?
            .right)
    }

    pub fn accuracy(&self, reference: f32, order: Order, value: f32, percent: f64) -> Result<f64> {
        Ok(100.0 * self.point(reference, order, value, percent)?.accuracy())
    }

    /// Accuracy in percent by order, at the given steps, for the thesis's setting: relevance and value at 0 dB.
    fn thesis_rows(&self, columns: &[String], steps: &[usize], id: &str) -> Result<Vec<Row>> {
        let entry = Thesis::published().entry(id)?;
        let row = |order: Order| {
            let curve = self.curve(0.0, order, 0.0)?;
            let measured = curve
                .points
                .iter()
                .filter(|point| steps.contains(&point.count));
            let cells = measured.map(|point| 100.0 * point.accuracy());
            Ok(Row::measured(order.to_string(), cells)
                .with_thesis(entry.row(&order.to_string(), columns)))
        };
        ORDERS.into_iter().map(row).collect()
    }

    fn of_thesis(
        &self,
        id: &str,
        columns: Vec<String>,
        steps: &[usize],
        files: Vec<String>,
    ) -> Result<Experiment> {
        let entry = Thesis::published().entry(id)?;
        let rows = self.thesis_rows(&columns, steps, id)?;
        Ok(Experiment {
            id: id.into(),
            title: entry.title.clone(),
            columns,
            rows,
            files,
        })
    }

    /// The mean probability of the true sex in percent, for the thesis's setting.
    fn probability(&self, columns: Vec<String>, steps: &[usize]) -> Result<Experiment> {
        let row = |order: Order| {
            let points = self.curve(0.0, order, 0.0)?.points.iter();
            let points = points.filter(|point| steps.contains(&point.count));
            Ok(Row::measured(
                order.to_string(),
                points.map(|point| 100.0 * point.mean_probability()),
            ))
        };
        Ok(Experiment {
            id: "probability".into(),
            title: "Mean probability of the true sex in percent, as bins are set to 0".into(),
            columns,
            rows: ORDERS.into_iter().map(row).collect::<Result<_>>()?,
            files: Vec::new(),
        })
    }

    /// The entries for results.json.
    pub fn experiments(&self) -> Result<Vec<Experiment>> {
        let percent: Vec<String> = PERCENTAGES
            .iter()
            .map(|percent| format!("{percent} %"))
            .collect();
        let shares = counts(&PERCENTAGES, BINS);
        let numbers = COUNTS.iter().map(|count| format!("{count} bins")).collect();
        Ok(vec![
            self.of_thesis(
                "figure-6.3",
                percent.clone(),
                &shares,
                vec!["figure-6.3.png".into()],
            )?,
            self.of_thesis("table-6.1", percent.clone(), &shares, Vec::new())?,
            self.probability(percent, &shares)?,
            self.of_thesis(
                "figure-6.5",
                numbers,
                &COUNTS,
                vec!["figure-6.5.png".into()],
            )?,
            self.references(
                "references",
                format!("Accuracy in percent with {FEW} % of the bins changed"),
                |flips, r, order, v| flips.accuracy(r, order, v, FEW),
            )?,
            self.references(
                "references-area",
                format!("Area under the accuracy from 0 to {GONE} % of the bins, in percent"),
                |flips, r, order, v| Ok(100.0 * flips.curve(r, order, v)?.area()),
            )?,
            self.references(
                "references-probability",
                format!(
                    "Mean probability of the true sex, in percent, with {FEW} % of the bins changed"
                ),
                |flips, r, order, v| Ok(100.0 * flips.point(r, order, v, FEW)?.mean_probability()),
            )?,
        ])
    }

    /// A number for both references, both values and every order.
    fn references(
        &self,
        id: &str,
        title: String,
        number: impl Fn(&Flips, f32, Order, f32) -> Result<f64>,
    ) -> Result<Experiment> {
        let (mut rows, mut files) = (Vec::new(), Vec::new());
        for (reference, _) in &self.explained {
            for value in VALUES {
                files.push(references_file(*reference, value));
                let cells = ORDERS.map(|order| number(self, *reference, order, value));
                let cells = cells.into_iter().collect::<Result<Vec<_>>>()?;
                let name = format!(
                    "relevance against {}, bins set to {}",
                    short(*reference),
                    short(value)
                );
                rows.push(Row::measured(name, cells));
            }
        }
        let columns = ORDERS.map(|order| order.to_string()).to_vec();
        Ok(Experiment {
            id: id.into(),
            title,
            columns,
            rows,
            files,
        })
    }
}

/// The chart of a reference and a value.
pub fn references_file(reference: f32, value: f32) -> String {
    format!("references-{}-{}.png", reference.abs(), value.abs())
}

/// −80 dB, 0 dB.
pub fn short(decibels: f32) -> String {
    match decibels {
        0.0 => "0 dB".into(),
        other => format!("−{} dB", -other),
    }
}
