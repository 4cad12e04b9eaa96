//! Curves of flipping on the device beside those on the CPU.

use anyhow::{Context, Result};
use candle_core::{DType, Device};
use speechlens_attribution::{Method, methods};
use speechlens_eval::flip::{Curve, Order, Plan, Point, flip, relevance_by};
use speechlens_lrp::Composite;
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};

use super::subject::Subject;
use super::{Arguments, Found};

const ORDERS: [Order; 4] = [
    Order::MostRelevant,
    Order::LeastRelevant,
    Order::Random,
    Order::Loudest,
];

/// Flips on both.
pub fn check(arguments: &Arguments, device: &Device) -> Result<Found> {
    let mut rows = Vec::new();
    for subject in Subject::both(arguments)? {
        let plan = Plan {
            counts: subject.counts()?,
            values: vec![subject.nothing],
            orders: ORDERS.to_vec(),
            seed: arguments.seed,
            batch: subject.samples.len(),
            recordings: subject.samples.len(),
        };
        let label = format!("flipping, {}", subject.network.title);
        let passes = 2 * plan.passes(subject.samples.as_ref());
        let bar = progress::bar(&label, passes, arguments.quiet);
        let preset = subject.presets.last().context("there is no preset")?;
        let curves = |device: &Device, before: usize| -> Result<Vec<Curve>> {
            let graph = subject.graph(device, DType::F32)?;
            let lrp = methods::Lrp(Composite::preset(preset)?).of(&graph)?;
            let done = |passes: usize| bar.set_position((before + passes) as u64);
            let explain = relevance_by(lrp.as_ref());
            let samples = subject.samples.as_ref();
            Ok(flip(
                &graph,
                samples,
                &explain,
                subject.loss,
                &plan,
                device,
                &done,
            )?)
        };
        let (own, theirs) = (curves(&Device::Cpu, 0)?, curves(device, passes / 2)?);
        bar.finish_and_clear();
        for (own, theirs) in own.iter().zip(&theirs) {
            let of = |height: fn(&Point) -> f64| {
                let points = own.points.iter().zip(&theirs.points);
                let apart = points.map(|(own, theirs)| (height(own) - height(theirs)).abs());
                apart.fold(0.0, f64::max)
            };
            let probability = of(Point::mean_probability);
            let cells = [
                format!("{probability:.1e}"),
                format!("{:.0}", of(Point::accuracy) * subject.samples.len() as f64),
            ];
            let title = format!("{}, {}", subject.network.title, own.order);
            rows.push(Row::measured(title, cells));
        }
    }
    let columns = ["mean probability", "recordings classified otherwise"];
    Ok(Found {
        experiment: Experiment {
            id: "gpu-flipping".into(),
            title: "Curves of flipping, the device beside the CPU: largest difference of any point".into(),
            columns: columns.map(str::to_owned).to_vec(),
            rows,
            files: Vec::new(),
        },
        how: "The same networks and recordings; bins by relevance, by lot and by loudness. Two bins whose relevance is equal but for \
              rounding may change places."
            .into(),
    })
}
