//! Accuracy as bins or samples are set to silence, by the order of their relevance.

use anyhow::{Context, Result};
use speechlens_eval::flip::{Curve, Order, Plan, counts, flip, relevance_by};
use speechlens_lrp::{Composite, Lrp};
use speechlens_models::{Model, Network};
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::page::Block;
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;

use super::Data;
use crate::shared::{Lab, Profile};

/// The shares that are set to silence, in percent.
const PERCENTAGES: [f64; 6] = [0.0, 1.0, 2.0, TOLD, 10.0, 20.0];
/// The share of which the page's first lines tell.
const TOLD: f64 = 5.0;
const ORDERS: [Order; 4] = [
    Order::MostRelevant,
    Order::Random,
    Order::LeastRelevant,
    Order::Loudest,
];
/// Recordings a pass.
pub const BATCH: usize = 25;

/// What a network listens to, and whether that is true.
pub struct Explained {
    pub blocks: Vec<Block>,
    pub entry: Experiment,
    /// What the page's first lines tell.
    pub told: String,
}

/// Explains and flips test recordings; writes `digits-NETWORK.png`.
pub fn explain(
    lab: &Lab,
    network: &Network,
    model: &Model,
    preset: &str,
    data: &Data,
) -> Result<Explained> {
    let lrp = Lrp::new(&model.graph, &Composite::preset(preset)?).context(preset.to_owned())?;
    let bins: usize = model
        .graph
        .architecture()
        .fixed_input_shape()?
        .iter()
        .product();
    let plan = Plan {
        counts: counts(&PERCENTAGES, bins),
        values: vec![data.silence as f32],
        orders: ORDERS.to_vec(),
        seed: lab.arguments.seed,
        batch: BATCH,
        recordings: match lab.arguments.profile {
            Profile::Smoke => 4,
            Profile::Quick => 100,
            Profile::Full => 1000,
        },
    };
    let label = format!("flipping, {}", network.title);
    let bar = progress::bar(&label, plan.passes(&data.test), lab.arguments.quiet);
    let curves = flip(
        &model.graph,
        &data.test,
        &relevance_by(&lrp),
        model.loss(),
        &plan,
        lab.device,
        &|passes| bar.set_position(passes as u64),
    )?;
    bar.finish_and_clear();
    let rows = curves.iter().map(|curve| {
        let accuracies = curve.points.iter().map(|point| 100.0 * point.accuracy());
        Row::measured(curve.order.to_string(), accuracies)
    });
    let file = format!("digits-{network}.png");
    let entry = Experiment {
        id: format!("digits-{network}"),
        title: format!(
            "{}, accuracy as values are set to silence (%)",
            network.title
        ),
        columns: PERCENTAGES.iter().map(|p| format!("{p} %")).collect(),
        rows: rows.collect(),
        files: vec![file.clone()],
    };
    let series = curves.iter().map(|curve| {
        let points = PERCENTAGES.iter().zip(&curve.points);
        let points = points.map(|(percent, point)| (*percent, 100.0 * point.accuracy()));
        Series::new(curve.order.to_string(), points.collect())
    });
    let chart = Chart {
        title: format!("Digits by {}, rules {preset}", network.title),
        axes: Axes {
            x: Axis::linear("values set to silence (%)", 0.0, 20.0),
            y: Axis::linear("accuracy (%)", 0.0, 100.0),
        },
        series: series.collect(),
    };
    let picture = chart.picture()?;
    picture.write_png(&lab.folder.join(file))?;
    let blocks = vec![
        Block::figure(
            picture,
            format!(
                "{}: accuracy over the share of values set to silence",
                network.title
            ),
            "The most relevant first (lrp), by lot (random), the least relevant first (lrp_rev), and the loudest first, which looks at \
             no network.",
        ),
        Block::table(
            Table::from(&entry),
            format!(
                "Ten digits by {}: accuracy in percent; one in ten is right by chance.",
                network.title
            ),
        ),
    ];
    Ok(Explained {
        blocks,
        entry,
        told: told(network, &curves),
    })
}

/// How many are right of those left, with so much of the most relevant gone and with as much by lot.
fn told(network: &Network, curves: &[Curve]) -> String {
    let step = PERCENTAGES.iter().position(|percent| *percent == TOLD);
    let accuracy = |order: Order| {
        let curve = curves.iter().find(|curve| curve.order == order);
        let point = curve.zip(step).map(|(curve, step)| &curve.points[step]);
        point.map_or(f64::NAN, |point| 100.0 * point.accuracy())
    };
    format!(
        "without the most relevant {TOLD} % of its input {} is right on {:.0} %, without as much by lot on {:.0} %",
        network.title,
        accuracy(Order::MostRelevant),
        accuracy(Order::Random)
    )
}
