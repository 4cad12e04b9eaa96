//! Figures 6.11, 6.13 and 6.15, and numbers beside them: accuracy as bins are flipped, and what the heatmaps look like.

use std::cell::RefCell;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use ndarray::Array2;
use speechlens_audio::filterbank::{BANDS, frequencies};
use speechlens_eval::NoisyWindows;
use speechlens_eval::flip::{Curve, Order, Plan, Point, counts, flip};
use speechlens_eval::heatmap::{checkerboard, shares_by_band};
use speechlens_models::resnet34::FRAMES;
use speechlens_nn::Graph;
use speechlens_nn::train::Samples;
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};
use speechlens_report::thesis::Thesis;

use super::{Explainer, RULES, RuleSet};
use crate::shared::Arguments;
use crate::shared::speaker::data::{LOSS, Setting};

/// The shares of the bins, in percent.
pub const PERCENTAGES: [f64; 11] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 70.0, 80.0, 95.0];
/// The share at which rules are compared.
pub const COMPARED: f64 = 20.0;
/// In which bins are flipped.
pub const ORDERS: [Order; 3] = [Order::MostRelevant, Order::Random, Order::LeastRelevant];
pub const BINS: usize = BANDS * FRAMES;
/// Where bands of frequency end, in Hz.
const BAND_ENDS: [f64; 4] = [500.0, 1000.0, 2000.0, 4000.0];

/// What flipping, and the heatmaps of the flipped segments, say of one set of rules.
pub struct Outcome {
    pub name: String,
    curves: Vec<Curve>,
    checkerboards: Vec<f64>,
    /// Of each segment, the share of absolute relevance in each band.
    bands: Vec<Vec<f64>>,
}

/// All outcomes on some segments, and the order by lot that they share.
pub struct Flips {
    pub outcomes: Vec<Outcome>,
    random: Curve,
    /// Which segments were flipped.
    pub of: Of,
    /// How many.
    pub segments: usize,
}

/// Segments that are flipped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// That training heard, as in the thesis.
    Training,
    /// That it did not.
    HeldOut,
}

impl Of {
    pub fn name(self) -> &'static str {
        match self {
            Of::Training => "training",
            Of::HeldOut => "held-out",
        }
    }
}

/// Flips the bins of segments to 0, the mean of their band.
pub fn measure(
    arguments: &Arguments,
    setting: &Setting,
    explainers: &[&Explainer],
    graph: &Graph,
    (of, segments): (Of, &NoisyWindows),
    device: &Device,
) -> Result<Flips> {
    let plan = |orders: &[Order]| Plan {
        counts: counts(&PERCENTAGES, BINS),
        values: vec![0.0],
        orders: orders.to_vec(),
        seed: arguments.seed,
        batch: setting.batch,
        recordings: setting.flipped,
    };
    let run = |label: &str,
               plan: &Plan,
               explain: &dyn Fn(&Tensor, &[u32]) -> speechlens_eval::Result<Tensor>| {
        let label = format!("flipping {} segments, {label}", of.name());
        let bar = progress::bar(&label, plan.passes(segments), arguments.quiet);
        let done = |passes: usize| bar.set_position(passes as u64);
        let curves = flip(graph, segments, explain, LOSS, plan, device, &done);
        bar.finish_and_clear();
        curves
    };
    let failed = |error: String| speechlens_eval::Error::Explanation(error);
    let unasked = |_: &Tensor, _: &[u32]| Err(failed("none was asked for".into()));
    let random = run("by lot", &plan(&[Order::Random]), &unasked)?;
    let random = random.into_iter().next().context("no curve by lot")?;
    let outcome = |explainer: &&Explainer| -> Result<Outcome> {
        let looks = RefCell::new((Vec::new(), Vec::new()));
        let explain = |input: &Tensor, labels: &[u32]| {
            let explained = explainer.lrp.explain(input, labels);
            let relevance = explained
                .map_err(|error| failed(error.to_string()))?
                .relevance;
            for values in relevance.flatten_from(1)?.to_vec2::<f32>()? {
                let heatmap = Array2::from_shape_vec((BANDS, FRAMES), values);
                let heatmap = heatmap.map_err(|error| failed(error.to_string()))?;
                let (checkerboards, bands) = &mut *looks.borrow_mut();
                checkerboards.push(checkerboard(heatmap.view()));
                bands.push(shares_by_band(heatmap.view(), &band_rows()));
            }
            Ok(relevance)
        };
        let plan = plan(&[Order::MostRelevant, Order::LeastRelevant]);
        let curves = run(&explainer.name, &plan, &explain)?;
        let (checkerboards, bands) = looks.into_inner();
        Ok(Outcome {
            name: explainer.name.clone(),
            curves,
            checkerboards,
            bands,
        })
    };
    Ok(Flips {
        outcomes: explainers.iter().map(outcome).collect::<Result<_>>()?,
        of,
        segments: segments.len(),
        random,
    })
}

/// The bands of frequency as the rows of a heatmap at which they end.
fn band_rows() -> Vec<usize> {
    let centres = frequencies();
    let below = |hz: f64| centres.iter().filter(|centre| **centre < hz).count();
    let ends = BAND_ENDS.iter().map(|end| below(*end));
    ends.chain([BANDS]).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Flips {
    pub fn curve(&self, outcome: &Outcome, order: Order) -> Result<Curve> {
        let curves = outcome.curves.iter().chain([&self.random]);
        let found = curves.into_iter().find(|curve| curve.order == order);
        Ok(found.context("a curve was not measured")?.clone())
    }

    /// Accuracy in percent with a share of the bins flipped.
    pub fn accuracy(&self, outcome: &Outcome, order: Order, percent: f64) -> Result<f64> {
        let count = counts(&[percent], BINS)[0];
        let curve = self.curve(outcome, order)?;
        let mut points = curve.points.iter();
        let point = points.find(|point| point.count == count);
        Ok(100.0 * point.context("a step was not measured")?.accuracy())
    }

    fn area(&self, outcome: &Outcome, order: Order) -> Result<f64> {
        Ok(100.0 * self.curve(outcome, order)?.area())
    }

    /// What the curves of a set of rules are called, and their title: of training segments they are a figure of the thesis.
    pub fn figure(&self, rules: &RuleSet) -> Result<(String, String)> {
        let entry = Thesis::published().entry(rules.figures[1])?;
        Ok(match self.of {
            Of::Training => (entry.id.clone(), entry.title.clone()),
            Of::HeldOut => (
                rules.preset.replace("thesis-speaker", "speaker-held-out"),
                format!("{}, held-out segments", entry.title),
            ),
        })
    }

    fn id(&self, what: &str) -> String {
        match self.of {
            Of::HeldOut => format!("speaker-{what}"),
            Of::Training => format!("speaker-{what}-training"),
        }
    }

    /// The entries for results.json.
    pub fn experiments(&self) -> Result<Vec<Experiment>> {
        let percent = |percent: &f64| format!("{percent} %");
        let mut all = Vec::new();
        for (rules, outcome) in RULES.iter().zip(&self.outcomes) {
            let (id, title) = self.figure(rules)?;
            let row = |order: Order| {
                let points = self.curve(outcome, order)?.points;
                let cells = points.iter().map(|point: &Point| 100.0 * point.accuracy());
                Ok(Row::measured(order.to_string(), cells))
            };
            all.push(Experiment {
                files: vec![format!("{id}.png")],
                id,
                title,
                columns: PERCENTAGES.iter().map(percent).collect(),
                rows: ORDERS.into_iter().map(row).collect::<Result<_>>()?,
            });
        }
        all.push(self.measures()?);
        all.push(self.bands());
        Ok(all)
    }

    /// The curves in numbers.
    pub fn measures(&self) -> Result<Experiment> {
        let row = |outcome: &Outcome| {
            let [lrp, random, rev] = ORDERS.map(|order| self.area(outcome, order));
            let at = |order| self.accuracy(outcome, order, COMPARED);
            let (lrp, rev) = (lrp?, rev?);
            let cells = [
                lrp,
                random?,
                rev,
                rev - lrp,
                at(Order::MostRelevant)?,
                at(Order::LeastRelevant)?,
                100.0 * mean(&outcome.checkerboards),
            ];
            Ok(Row::measured(outcome.name.clone(), cells))
        };
        let columns = [
            "area, lrp",
            "area, random",
            "area, lrp_rev",
            "gap",
            "lrp at 20 %",
            "lrp_rev at 20 %",
            "checkerboard",
        ];
        Ok(Experiment {
            id: self.id("measures"),
            title: format!(
                "The three sets of rules, and ε = 0.8, {} segments, in percent",
                self.of.name()
            ),
            columns: columns.map(str::to_owned).to_vec(),
            rows: self.outcomes.iter().map(row).collect::<Result<_>>()?,
            files: Vec::new(),
        })
    }

    /// Where on the frequency axis relevance lies.
    pub fn bands(&self) -> Experiment {
        let mut start = 0.0;
        let mut columns = Vec::new();
        for end in BAND_ENDS {
            columns.push(format!("{start}–{end} Hz"));
            start = end;
        }
        columns.push(format!("above {start} Hz"));
        let row = |outcome: &Outcome| {
            let band = |band: usize| {
                let shares: Vec<f64> = outcome.bands.iter().map(|shares| shares[band]).collect();
                100.0 * mean(&shares)
            };
            Row::measured(outcome.name.clone(), (0..columns.len()).map(band))
        };
        Experiment {
            id: self.id("bands"),
            title: format!(
                "Share of the absolute relevance by frequency, {} segments, in percent",
                self.of.name()
            ),
            rows: self.outcomes.iter().map(row).collect(),
            columns,
            files: Vec::new(),
        }
    }
}
