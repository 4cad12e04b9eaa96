//! Figure 3.2, and accuracy as samples are set to 0.

use anyhow::{Context, Result};
use candle_core::Device;
use speechlens_data::Sex;
use speechlens_eval::flip::{Curve, Order, Plan, counts, flip, ranking, relevance_by};
use speechlens_frontend::thesis::{RATE, SECOND};
use speechlens_lrp::{Composite, Lrp};
use speechlens_nn::loss::Loss;
use speechlens_nn::train::Samples;
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;
use speechlens_report::{Picture, Trace, limit, progress, stack};

use super::Data;
use super::training::Trained;
use crate::shared::Lab;
use crate::shared::gender::data::Setting;

/// The rules. Their reference is 0, which is silence in a waveform.
const PRESET: &str = "lrp-0";
/// The shares of the samples that are set to 0, in percent.
const PERCENTAGES: [f64; 5] = [0.0, 0.5, 1.0, TOLD, 10.0];
/// The share of which the page's first lines tell.
const TOLD: f64 = 5.0;
const ORDERS: [Order; 3] = [Order::MostRelevant, Order::Random, Order::LeastRelevant];
/// Recordings explained at a time.
const BATCH: usize = 25;

/// What the network listens to, and whether that is true.
pub struct Explained {
    pub figure: Experiment,
    pub flipping: Experiment,
    pub section: Section,
    /// One sentence on what was found.
    pub lead: String,
}

/// The relevance [N, 8000] of test recordings for their labels, by recording.
fn relevance(lrp: &Lrp, data: &Data, places: &[usize], device: &Device) -> Result<Vec<Vec<f32>>> {
    let mut all = Vec::new();
    for places in places.chunks(BATCH) {
        let (input, labels) = data.test.batch(places, device)?;
        let relevance = lrp.explain(&input, &labels)?.relevance;
        all.extend(relevance.squeeze(1)?.to_vec2()?);
    }
    Ok(all)
}

/// Explains and flips test recordings.
pub fn explain(lab: &Lab, setting: &Setting, trained: &Trained, data: &Data) -> Result<Explained> {
    let device = lab.device;
    let lrp = Lrp::new(&trained.graph, &Composite::preset(PRESET)?).context(PRESET)?;
    let (picture, figure) = waveforms(&lrp, trained, data, device)?;
    picture.write_png(&lab.folder.join("figure-3.2.png"))?;
    let curves = curves(lab, setting, trained, &lrp, data)?;
    let places: Vec<usize> = (0..curves[0].points[0].right.len()).collect();
    let held = held(&relevance(&lrp, data, &places, device)?);
    let flipping = table(&curves, &held);
    let section = Section {
        id: figure.id.clone(),
        title: format!("Figure 3.2: {}", figure.title.to_lowercase()),
        blocks: vec![
            Block::figure(
                picture,
                "Two waveforms, their samples coloured by relevance",
                "Red samples speak for the speaker's sex, blue ones against it. Each bar ends at the 99.5 % quantile of |R|.",
            ),
            Block::text(format!(
                "The rules are `{PRESET}`; relevance is measured against silence, the sample value 0. Setting samples to 0 \
                 therefore tests it. Padding is 0 before."
            )),
            Block::table(
                Table::from(&flipping),
                "By the share of the samples that are set to 0, in percent: how much of the relevance that speaks for the class \
                 the most relevant ones hold; accuracy without the most relevant ones (lrp), random ones, and the least relevant \
                 ones (lrp_rev).",
            ),
        ],
    };
    Ok(Explained {
        figure,
        flipping,
        section,
        lead: lead(trained, &curves),
    })
}

/// The first test recording of each sex that is classified right, or the first if none is.
fn waveforms(
    lrp: &Lrp,
    trained: &Trained,
    data: &Data,
    device: &Device,
) -> Result<(Picture, Experiment)> {
    let (mut traces, mut rows) = (Vec::new(), Vec::new());
    let labels = data.test.labels();
    for sex in [Sex::Female, Sex::Male] {
        let class = sex.index();
        let is_right = |place: &usize| {
            let logits = &trained.logits[*place];
            logits.iter().all(|logit| *logit <= logits[class])
        };
        let of_sex = || (0..labels.len()).filter(|place| labels[*place] as usize == class);
        let place = of_sex().find(is_right).or_else(|| of_sex().next());
        let place = place.with_context(|| format!("the test has no {sex} recording"))?;
        let relevance = relevance(lrp, data, &[place], device)?.concat();
        let view = ndarray::ArrayView1::from(&relevance);
        let name = format!("{sex}, {}", data.test.origin(place).0.id);
        let waveform: Vec<f32> = data.test.read(&[place])?.into_iter().collect();
        let trace = Trace::new(
            SECOND as f64 / f64::from(RATE),
            "amplitude (95th percentile = 1)",
            ndarray::ArrayView1::from(&waveform),
            view,
            limit(view),
        )?;
        traces.push(trace.titled(&name));
        let sum = |part: fn(f64, f64) -> f64| -> f64 {
            relevance.iter().map(|r| part(f64::from(*r), 0.0)).sum()
        };
        let logit = f64::from(trained.logits[place][class]);
        rows.push(Row::measured(name, [logit, sum(f64::max), sum(f64::min)]));
    }
    let entry = Thesis::published().entry("figure-3.2")?;
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns: ["logit", "relevance for", "relevance against"]
            .map(str::to_owned)
            .to_vec(),
        rows,
        files: vec!["figure-3.2.png".into()],
    };
    Ok((stack(&traces)?, experiment))
}

/// The answers as samples are set to 0, by order.
fn curves(
    lab: &Lab,
    setting: &Setting,
    trained: &Trained,
    lrp: &Lrp,
    data: &Data,
) -> Result<Vec<Curve>> {
    let plan = Plan {
        counts: counts(&PERCENTAGES, SECOND),
        values: vec![0.0],
        orders: ORDERS.to_vec(),
        seed: lab.arguments.seed,
        batch: BATCH,
        recordings: setting.flipped,
    };
    let bar = progress::bar(
        "flipping samples",
        plan.passes(&data.test),
        lab.arguments.quiet,
    );
    let curves = flip(
        &trained.graph,
        &data.test,
        &relevance_by(lrp),
        Loss::CrossEntropy,
        &plan,
        lab.device,
        &|passes| bar.set_position(passes as u64),
    )?;
    bar.finish_and_clear();
    Ok(curves)
}

/// Accuracy, and the relevance held, by the share of the samples that are set to 0.
fn table(curves: &[Curve], held: &[f64]) -> Experiment {
    let rows = PERCENTAGES.iter().enumerate().map(|(step, percent)| {
        let accuracies = curves.iter().map(|curve| curve.points[step].accuracy());
        let cells = [held[step]].into_iter().chain(accuracies);
        Row::measured(format!("{percent} %"), cells.map(|share| 100.0 * share))
    });
    let accuracies = ORDERS.iter().map(|order| format!("accuracy, {order}"));
    let columns = ["relevance held".to_owned()].into_iter().chain(accuracies);
    Experiment {
        id: "audionet-flipping".into(),
        title: "AudioNet as samples are set to 0, in percent".into(),
        columns: columns.collect(),
        rows: rows.collect(),
        files: Vec::new(),
    }
}

/// The share of the positive relevance that the most relevant samples hold, for each of the percentages, averaged over
/// recordings.
fn held(relevance: &[Vec<f32>]) -> Vec<f64> {
    let counts = counts(&PERCENTAGES, SECOND);
    let mut held = vec![0.0; counts.len()];
    for relevance in relevance {
        let places = ranking(Order::MostRelevant, relevance, relevance, 0, 0);
        let sum = |places: &[u32]| -> f64 {
            let positive = places
                .iter()
                .map(|place| relevance[*place as usize].max(0.0));
            positive.map(f64::from).sum()
        };
        for (held, count) in held.iter_mut().zip(&counts) {
            *held += sum(&places[..*count]) / sum(&places);
        }
    }
    held.iter()
        .map(|sum| sum / relevance.len() as f64)
        .collect()
}

fn lead(trained: &Trained, curves: &[Curve]) -> String {
    let step = PERCENTAGES.iter().position(|percent| *percent == TOLD);
    let accuracy = |order: Order| {
        let curve = curves.iter().find(|curve| curve.order == order);
        let point = curve.zip(step).map(|(curve, step)| &curve.points[step]);
        point.map_or(f64::NAN, |point| 100.0 * point.accuracy())
    };
    format!(
        "AudioNet is right on {:.1} % of the waveforms of speakers it never heard; without the most relevant {TOLD} % of their \
         samples on {:.0} %, without as many random ones on {:.0} %.",
        100.0 * trained.test.accuracy,
        accuracy(Order::MostRelevant),
        accuracy(Order::Random)
    )
}
