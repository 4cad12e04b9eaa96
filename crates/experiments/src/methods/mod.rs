//! The methods of explanation beside each other, on both networks: are they true, how simple are their pictures, what do they cost,
//! do they agree, do they depend on what the network learnt (thesis 3.3 and 3.4, where other people's figures stand).

mod measure;

use anyhow::{Context, Result};
use candle_core::DType;
use ndarray::Array2;
use speechlens_audio::filterbank;
use speechlens_eval::agreement::spearman;
use speechlens_eval::flip::Curve;
use speechlens_frontend::thesis::{FLOOR_DB, SIZE};
use speechlens_models::resnet34::FRAMES;
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::page::{Block, Section};
use speechlens_report::progress;
use speechlens_report::results::{Cell, Experiment, Row};
use speechlens_report::table::Table;

use crate::shared::{Findings, Lab, Profile, gender, methods, speaker};
use measure::{Measured, RADIUS, Subject};

/// What bins of a filterbank are set to beside 0, their band's mean: far below any sound.
const QUIET: f32 = -8.0;

/// Measures every method on both networks.
pub fn run(lab: &Lab) -> Result<Findings> {
    let (explained, slow) = match lab.arguments.profile {
        Profile::Smoke => (1, 1),
        Profile::Quick => (12, 2),
        Profile::Full => (200, 20),
    };
    let gender::Trial {
        setting,
        data,
        trained,
    } = &*gender::Trial::of(lab)?;
    let batch = setting.config.batch;
    let mean = methods::mean(&data.train.dataset, batch, lab.device)?;
    let first = Subject {
        name: "gender",
        graph: &trained.graph,
        loss: setting.config.loss,
        samples: &data.test.dataset,
        explained,
        slow,
        batch: explained.min(batch),
        values: [0.0, FLOOR_DB],
        shape: (SIZE, SIZE),
        methods: methods::of_spectrograms(&mean, lab.arguments)?,
    };
    let trial = &*speaker::Trial::of(lab)?;
    let second = Subject {
        name: "speaker",
        graph: &trial.trained.graph,
        loss: speaker::data::LOSS,
        samples: &trial.data.flipped,
        explained: explained.div_ceil(2),
        slow: slow.div_ceil(2),
        batch: explained.min(trial.setting.batch),
        values: [0.0, QUIET],
        shape: (filterbank::BANDS, FRAMES),
        methods: methods::of_filterbanks(lab.arguments)?,
    };
    let mut findings = Findings::default();
    let centres = filterbank::frequencies();
    let subjects = [
        (first, gender::heatmaps::axes()),
        (second, Axes::filterbank(0.0, 2.0, &centres)),
    ];
    for (subject, axes) in subjects {
        let bar = progress::bar(
            &format!("methods, {}", subject.name),
            3 * subject.methods.len(),
            lab.arguments.quiet,
        );
        let measured = subject
            .methods
            .iter()
            .map(|named| {
                bar.set_message(named.name);
                subject.measure(lab, named, &|| bar.inc(1))
            })
            .collect::<Result<Vec<_>>>()?;
        bar.finish_and_clear();
        let (experiments, section) = tell(lab, &subject, &measured, &axes)?;
        findings.experiments.extend(experiments);
        findings.sections.push(section);
    }
    Ok(findings)
}

/// The table, the agreement, and all heatmaps of one recording.
fn tell(
    lab: &Lab,
    subject: &Subject,
    measured: &[Measured],
    axes: &Axes,
) -> Result<(Vec<Experiment>, Section)> {
    let id = format!("methods-{}", subject.name);
    let file = format!("{id}.png");
    let (input, _) = subject.samples.batch(&[0], lab.device)?;
    let input: Vec<f32> = input.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let features = Array2::from_shape_vec(subject.shape, input)?;
    let panels = measured.iter().map(|method| {
        let values = method.relevance.first().context("nothing was explained")?;
        let heatmap = Array2::from_shape_vec(subject.shape, values.clone())?;
        let (features, heatmap) = (features.view(), heatmap.view());
        let panel = Panel::overlay(axes.clone(), features, heatmap, limit(heatmap))?;
        Ok(panel.titled(method.name))
    });
    let panels = panels.collect::<Result<Vec<_>>>()?;
    grid(&panels, 3)?.write_png(&lab.folder.join(&file))?;
    let main = measures(subject, measured, &id, file)?;
    let agreement = agreement(subject, measured, &id);
    let pictures = panels.iter().zip(measured).map(|(panel, method)| {
        let alt = format!("Heatmap of one recording by {}", method.name);
        Ok((panel.picture()?, alt))
    });
    let section = Section {
        id: id.clone(),
        title: format!("Every method on the {} network", subject.name),
        blocks: vec![
            Block::Figure {
                pictures: pictures.collect::<Result<_>>()?,
                caption: "One recording under every method: red speaks for the true class, blue against it. Each picture has a scale of \
                          its own."
                    .into(),
            },
            Block::text(verdict(subject, measured)?),
            Block::table(
                Table::from(&main),
                format!(
                    "A gap is the area between the curves of the least and of the most relevant bins flipped, over accuracy (a) or the true \
                     class's probability (p), in points: 0 for lots, the higher the truer. Size: a heatmap as PNG. Noise: the largest \
                     relative change of the heatmap with {} % of noise on the input. Random weights: rank correlation with the heatmap of the \
                     network whose upper third of layers, and all of them, are random: near 1 the method looks past the network. \
                     Means over {} recordings ({} for noise and random weights).",
                    100.0 * RADIUS,
                    measured[0].relevance.len(),
                    subject.slow
                ),
            ),
            Block::Fold {
                summary: "How far the methods agree".into(),
                blocks: vec![Block::table(
                    Table::from(&agreement),
                    "Rank correlation of the relevance, averaged over recordings.",
                )],
            },
        ],
    };
    Ok((vec![main, agreement], section))
}

fn measures(
    subject: &Subject,
    measured: &[Measured],
    id: &str,
    file: String,
) -> Result<Experiment> {
    let [first, second] = subject.values;
    let row = |method: &Measured| -> Result<Row> {
        let similarity = &method.similarity;
        let cells = [
            method.passes.total() as f64,
            1000.0 * method.seconds,
            method.gap(first, Curve::area)?,
            method.gap(second, Curve::area)?,
            method.gap(first, Curve::probability_area)?,
            method.gap(second, Curve::probability_area)?,
            method.size / 1000.0,
            method.sensitivity,
            similarity.first().copied().unwrap_or(f64::NAN),
            similarity.last().copied().unwrap_or(f64::NAN),
        ];
        Ok(Row::measured(method.name, cells))
    };
    let columns = [
        "passes".to_owned(),
        "ms".to_owned(),
        format!("gap to {first}, a"),
        format!("gap to {second}, a"),
        format!("gap to {first}, p"),
        format!("gap to {second}, p"),
        "size, kB".to_owned(),
        "noise".to_owned(),
        "random, upper third".to_owned(),
        "random, all".to_owned(),
    ];
    Ok(Experiment {
        id: id.to_owned(),
        title: format!("Every method on the {} network", subject.name),
        columns: columns.to_vec(),
        rows: measured.iter().map(row).collect::<Result<_>>()?,
        files: vec![file],
    })
}

fn agreement(subject: &Subject, measured: &[Measured], id: &str) -> Experiment {
    let between = |a: &Measured, b: &Measured| {
        let pairs = a.relevance.iter().zip(&b.relevance);
        let total: f64 = pairs.map(|(a, b)| spearman(a, b)).sum();
        Cell::from(total / a.relevance.len() as f64)
    };
    let row = |a: &Measured| Row::measured(a.name, measured.iter().map(|b| between(a, b)));
    Experiment {
        id: format!("{id}-agreement"),
        title: format!("How far methods agree on the {} network", subject.name),
        columns: measured
            .iter()
            .map(|method| method.name.to_owned())
            .collect(),
        rows: measured.iter().map(row).collect(),
        files: Vec::new(),
    }
}

/// What the table says first.
fn verdict(subject: &Subject, measured: &[Measured]) -> Result<String> {
    let best = |value: f32| -> Result<String> {
        let gaps = measured
            .iter()
            .map(|method| Ok((method.name, method.gap(value, Curve::probability_area)?)));
        let mut gaps = gaps.collect::<Result<Vec<_>>>()?;
        gaps.sort_by(|a, b| b.1.total_cmp(&a.1));
        let told = gaps
            .iter()
            .take(3)
            .map(|(name, gap)| format!("{name} ({gap:.0})"));
        Ok(format!(
            "set to {value}: {}",
            told.collect::<Vec<_>>().join(", ")
        ))
    };
    let [first, second] = subject.values;
    let past = measured
        .iter()
        .filter(|method| method.name != "random")
        .filter(|method| {
            method
                .similarity
                .last()
                .is_some_and(|similarity| *similarity > 0.5)
        });
    let past: Vec<&str> = past.map(|method| method.name).collect();
    let past = match past.is_empty() {
        true => "Every method changes when the weights are random.".to_owned(),
        false => format!(
            "With all weights random these keep more than half of their order, and so show much of the input itself: {}.",
            past.join(", ")
        ),
    };
    Ok(format!(
        "The widest gaps of the probability, {}; {}. {past}",
        best(first)?,
        best(second)?
    ))
}
