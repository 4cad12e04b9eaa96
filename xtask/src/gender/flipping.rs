//! Figures 6.3 and 6.5, table 6.1, and what zero means: accuracy as bins are flipped.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use speechlens_audio::{FLOOR_DB, SIZE};
use speechlens_eval::flip::{Curve, Order, Plan, Point, counts, flip};
use speechlens_nn::Graph;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;
use speechlens_report::{Picture, progress};

use super::data::{Data, Setting};
use super::{Explainer, level_name};
use crate::reproduce::Arguments;

/// The shares of the bins of figure 6.3 and table 6.1, in percent.
const PERCENTAGES: [f64; 10] = [0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 80.0, GONE];
/// The share of figure 6.4.
pub const GONE: f64 = 95.0;
/// The numbers of bins of figure 6.5.
const COUNTS: [usize; 7] = [0, 10, 30, 100, 258, 515, 1031];
/// The share at which the thesis saw the accuracy fall to 10.8 %.
const FEW: f64 = 0.5;
/// The values that bins are set to.
const VALUES: [f32; 2] = [0.0, FLOOR_DB];
const ORDERS: [Order; 4] = [
    Order::MostRelevant,
    Order::Random,
    Order::LeastRelevant,
    Order::Loudest,
];
const BINS: usize = SIZE * SIZE;

/// All curves: those that follow an explanation, by its reference, and the controls.
pub struct Flips {
    explained: Vec<(f32, Vec<Curve>)>,
    controls: Vec<Curve>,
    recordings: usize,
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
        let curves = flip(graph, &data.test.dataset, explain, plan, device, &done);
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
        let explain = |input: &Tensor, labels: &[u32]| match explainer.lrp.explain(input, labels) {
            Ok(explanation) => Ok(explanation.relevance),
            Err(error) => Err(speechlens_eval::Error::Explanation(error.to_string())),
        };
        let label = format!("flipping, {}", explainer.preset);
        Ok((explainer.reference, run(&label, &plan(true), &explain)?))
    });
    let explained = explained.collect::<Result<Vec<_>>>()?;
    let recordings = controls[0].points[0].right.len();
    Ok(Flips {
        explained,
        controls,
        recordings,
    })
}

impl Flips {
    fn curve(&self, reference: f32, order: Order, value: f32) -> Result<&Curve> {
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

    fn accuracy(&self, reference: f32, order: Order, value: f32, percent: f64) -> Result<f64> {
        Ok(100.0 * self.point(reference, order, value, percent)?.accuracy())
    }

    /// What was found, in a sentence or two.
    pub fn lead(&self, accuracy: f64) -> String {
        let at = |order| self.accuracy(0.0, order, 0.0, FEW).unwrap_or(f64::NAN);
        format!(
            "A network tells male from female voices and is right on {:.1} % of the recordings of speakers it never heard. Set \
             the {FEW} % of the bins that layer-wise relevance propagation calls most relevant to full level, and it is right on \
             {:.1} %; as many bins by lot leave it at {:.1} %, the least relevant bring it to {:.1} %.",
            100.0 * accuracy,
            at(Order::MostRelevant),
            at(Order::Random),
            at(Order::LeastRelevant),
        )
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
            self.of_thesis("table-6.1", percent, &shares, Vec::new())?,
            self.of_thesis(
                "figure-6.5",
                numbers,
                &COUNTS,
                vec!["figure-6.5.png".into()],
            )?,
            self.references(
                "references",
                "Accuracy in percent with 0.5 % of the bins changed",
                |flips, r, order, v| flips.accuracy(r, order, v, FEW),
            )?,
            self.references(
                "references-area",
                "Area under the accuracy from 0 to 95 % of the bins, in percent",
                |flips, r, order, v| Ok(100.0 * flips.curve(r, order, v)?.area()),
            )?,
            self.references(
                "references-probability",
                "Mean probability of the true sex, in percent, with 0.5 % of the bins changed",
                |flips, r, order, v| Ok(100.0 * flips.point(r, order, v, FEW)?.mean_probability()),
            )?,
        ])
    }

    /// A number for both references, both values and every order.
    fn references(
        &self,
        id: &str,
        title: &str,
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
            title: title.into(),
            columns,
            rows,
            files,
        })
    }

    /// The curves of one reference and one value.
    fn chart(&self, title: String, reference: f32, value: f32, axis: &X) -> Result<Picture> {
        let series = |order: Order| -> Result<Series> {
            let shown: Vec<&Point> = self
                .curve(reference, order, value)?
                .points
                .iter()
                .filter(|p| axis.shows(p))
                .collect();
            let band = shown.iter().map(|point| {
                let (low, high) = point.accuracy_interval();
                (axis.position(point), 100.0 * low, 100.0 * high)
            });
            let band = band.collect();
            let points = shown
                .iter()
                .map(|point| (axis.position(point), 100.0 * point.accuracy()))
                .collect();
            Ok(Series::new(order.to_string(), points).with_band(band))
        };
        let mut all = ORDERS.into_iter().map(series).collect::<Result<Vec<_>>>()?;
        if let (X::Share, true) = (axis, reference == 0.0 && value == 0.0) {
            let facts = Thesis::published();
            let untouched = facts.fact("gender-accuracy")?.values[0];
            let flipped = facts.fact("gender-accuracy-flipped")?.values[0];
            all.push(Series::published(
                "lrp, thesis",
                vec![(0.0, untouched), (FEW, flipped)],
            ));
        }
        let y = Axis::linear("accuracy (%)", 0.0, 100.0);
        let chart = Chart {
            title,
            axes: Axes { x: axis.axis(), y },
            series: all,
        };
        Ok(chart.picture()?)
    }

    /// The page's sections, and the figures as files.
    pub fn sections(&self, data: &Data, folder: &Path) -> Result<[Section; 2]> {
        let experiments = self.experiments()?;
        let experiment = |id: &str| {
            experiments
                .iter()
                .find(|experiment| experiment.id == id)
                .with_context(|| format!("{id} was not measured"))
        };
        let table = |id: &str| -> Result<Table> { Ok(Table::from(experiment(id)?)) };
        let shares = self.chart("Bins set to full level".into(), 0.0, 0.0, &X::Share)?;
        let numbers = self.chart("The first few bins".into(), 0.0, 0.0, &X::Count)?;
        shares.write_png(&folder.join("figure-6.3.png"))?;
        numbers.write_png(&folder.join("figure-6.5.png"))?;
        let faithful = Section {
            id: "table-6.1".into(),
            title: "Is the explanation true?".into(),
            blocks: vec![
                Block::text(
                    "If the heatmap is true, the network must fail without the bins it calls most relevant (`lrp`), keep its \
                     answer without as many bins by lot (`random`), and become surer without those that speak against it \
                     (`lrp_rev`). `loudest` takes the loudest bins first and looks at no network: a control.",
                ),
                Block::text(format!(
                    "Bins are set to 0 dB, as in the thesis. {} recordings of speakers that the network never heard; the bands \
                     hold the true accuracy with 95 % confidence.",
                    self.recordings
                )),
                Block::figure(
                    shares,
                    "Accuracy falling as bins are flipped, by order",
                    "Figure 6.3: accuracy as a share of the bins is flipped. Hollow: the two values that the thesis prints for \
                     `lrp` and that are at hand.",
                ),
                Block::figure(
                    numbers,
                    "Accuracy falling as single bins are flipped, by order",
                    format!("Figure 6.5: the same for small numbers of the {BINS} bins."),
                ),
                Block::table(table("table-6.1")?, "Table 6.1: accuracy in percent, by share of flipped bins."),
                Block::Note(
                    "Cells of the thesis's table that are empty here are not at hand in the repository.".into(),
                ),
            ],
        };
        let mut pictures = Vec::new();
        for (reference, _) in &self.explained {
            for value in VALUES {
                let title = format!(
                    "relevance against {}, set to {}",
                    short(*reference),
                    short(value)
                );
                let picture = self.chart(title.clone(), *reference, value, &X::Share)?;
                picture.write_png(&folder.join(references_file(*reference, value)))?;
                pictures.push((picture, title));
            }
        }
        let zero = Section {
            id: "references".into(),
            title: "What zero means".into(),
            blocks: vec![
                Block::text(format!(
                    "On the decibel scale, 0 is not silence but {}. The thesis's relevance therefore says what a bin does by being \
                     quieter than full level, and its test raises bins to full level. The rules `gender-silence` ask the other \
                     question, what a bin does by being louder than silence, and their test is to silence bins.",
                    level_name(0.0)
                )),
                Block::text(
                    "An explanation speaks against a reference. A test that sets bins to another value says nothing about it, or \
                     the opposite: of the four charts, only those whose value is their explanation's reference (the first and the \
                     last) test it.",
                ),
                Block::text(self.verdict()?),
                Block::Figure {
                    pictures,
                    caption: "Both references, each tested with both values.".into(),
                },
                Block::table(
                    table("references")?,
                    "Accuracy in percent with 0.5 % of the bins changed.",
                ),
                Block::table(
                    table("references-area")?,
                    "Area under the accuracy from 0 to 95 % of the bins: 100 if every answer stays right.",
                ),
                Block::table(
                    table("references-probability")?,
                    "Mean sigmoid of the true sex's logit, in percent, with 0.5 % of the bins changed.",
                ),
                Block::text(format!("Data: {}.", data.description)),
            ],
        };
        Ok([faithful, zero])
    }

    /// What the four tests came to, in the numbers of this run.
    fn verdict(&self) -> Result<String> {
        let mut parts = Vec::new();
        for (reference, _) in &self.explained {
            for value in VALUES {
                let at = |order| self.accuracy(*reference, order, value, FEW);
                parts.push(format!(
                    "relevance against {} and bins set to {}: {:.0} / {:.0} / {:.0} %",
                    short(*reference),
                    short(value),
                    at(Order::MostRelevant)?,
                    at(Order::Random)?,
                    at(Order::LeastRelevant)?
                ));
            }
        }
        Ok(format!(
            "Accuracy with {FEW} % of the bins changed, most relevant first / by lot / least relevant first: {}.",
            parts.join("; ")
        ))
    }
}

/// The chart of a reference and a value.
fn references_file(reference: f32, value: f32) -> String {
    format!("references-{}-{}.png", reference.abs(), value.abs())
}

/// −80 dB, 0 dB.
fn short(decibels: f32) -> String {
    match decibels {
        0.0 => "0 dB".into(),
        other => format!("−{} dB", -other),
    }
}

/// What the abscissa shows.
enum X {
    Share,
    Count,
}

impl X {
    fn axis(&self) -> Axis {
        match self {
            X::Share => Axis::log_with_zero("flipped bins (%)", FEW, GONE),
            X::Count => Axis::log_with_zero(
                "flipped bins",
                COUNTS[1] as f64,
                COUNTS[COUNTS.len() - 1] as f64,
            ),
        }
    }

    fn shows(&self, point: &Point) -> bool {
        match self {
            X::Share => counts(&PERCENTAGES, BINS).contains(&point.count),
            X::Count => COUNTS.contains(&point.count),
        }
    }

    fn position(&self, point: &Point) -> f64 {
        match self {
            X::Share => 100.0 * point.count as f64 / BINS as f64,
            X::Count => point.count as f64,
        }
    }
}
