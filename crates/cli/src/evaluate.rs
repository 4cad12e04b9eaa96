//! `speechlens evaluate`

mod own_answers;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use serde_json::json;
use speechlens_attribution::Method;
use speechlens_data::{Part, Recording};
use speechlens_eval::flip::{Curve, Order, Plan, Point, counts, flip, relevance_by};
use speechlens_models::Model;
use speechlens_models::onnx::SOURCE;
use speechlens_nn::train::Samples;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::results::Row;
use speechlens_report::table::Table;
use speechlens_report::{atomic, progress};

use crate::common::{Common, at_least_one, check_writable, percentage};
use crate::data::{self, OfThesis};
use crate::method;

/// Measure whether explanations are true.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    measure: Measure,
}

#[derive(Subcommand)]
enum Measure {
    /// Pixel flipping: accuracy as bins are set to a value, the most relevant first, by lot, the least relevant first, and
    /// the loudest first. Writes flip.json and flip.png.
    ///
    /// Of a network from an ONNX file, DATA may be recordings and folders of them without labels: what the network answers to each stands
    /// for its label, and how often it still does is told; of scores and embeddings, how high the score, or the similarity to what the
    /// network gave before, still is.
    Flip(FlipArguments),
}

#[derive(clap::Args)]
struct FlipArguments {
    /// A model that `speechlens train` or `speechlens import` wrote.
    model: PathBuf,
    #[command(flatten)]
    data: data::Arguments,
    /// Which speakers: those that training with the same seed never heard, or others; of a speaker network, `train` is what
    /// it was trained on, and the others what was held out.
    #[arg(long, value_parser = clap::value_parser!(Part), default_value = "test", value_name = "train|validation|test")]
    part: Part,
    #[command(flatten)]
    method: method::One,
    /// What bins are set to, in dB for spectrograms; else the method's reference, which alone tests it, or 0 if it has none.
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = finite)]
    value: Option<f32>,
    /// Shares of the bins, in percent, rising.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = percentage,
        default_value = "0,0.5,1,2,5,10,20,50,80,95",
        value_name = "P,…"
    )]
    percentages: Vec<f64>,
    /// At most so many recordings, or segments of them.
    #[arg(long, default_value_t = 200, value_parser = at_least_one, value_name = "N")]
    recordings: usize,
    /// Recordings a forward pass.
    #[arg(long, default_value_t = 50, value_parser = at_least_one, value_name = "N")]
    batch: usize,
    /// The folder to write to.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// A test on the voices of training says little of others.
fn warn_of_heard_speakers<'a>(model: &Model, recordings: impl IntoIterator<Item = &'a Recording>) {
    let training = model.training();
    let speakers = training["speakers"].as_array();
    let heard: BTreeSet<&str> = speakers
        .into_iter()
        .flatten()
        .filter_map(|speaker| speaker.as_str())
        .collect();
    let recordings: Vec<&Recording> = recordings.into_iter().collect();
    let again = recordings
        .iter()
        .filter(|r| heard.contains(r.speaker.as_str()));
    match again.count() {
        0 => {}
        count => tracing::warn!(
            "{count} of {} recordings are of speakers whose names are those of training: use its data and --seed, and \
             --part test",
            recordings.len()
        ),
    }
}

fn finite(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("say a finite number".into()),
    }
}

/// What is flipped: recordings, or windows of them.
fn samples(arguments: &FlipArguments, model: &Model, common: &Common) -> Result<Box<dyn Samples>> {
    let Some(of_thesis) = data::of_thesis(model) else {
        let parts = [(arguments.part, None)];
        let known = Some(model.classes());
        let read = arguments
            .data
            .windows(None, &parts, &model.front_end, known, common)?;
        let windows = read.parts.into_iter().next().context("there are no data")?;
        warn_of_heard_speakers(model, windows.recordings());
        return Ok(Box::new(windows.sample(arguments.recordings, common.seed)));
    };
    match of_thesis {
        OfThesis::Sexes => {
            let classes = data::classes_of_sexes(&arguments.model, model)?;
            let parts = [arguments.part];
            let read = arguments
                .data
                .read(&parts, &model.front_end, classes, common)?;
            let windows = read.into_iter().next().context("there are no data")?;
            warn_of_heard_speakers(model, windows.recordings());
            Ok(Box::new(windows))
        }
        OfThesis::Speakers => {
            let data = arguments.data.speakers(&model.front_end, common)?;
            ensure!(
                data.classes == model.classes(),
                "{}: its speakers are not those of the data: give what it was trained on",
                arguments.model.display()
            );
            let segments = match arguments.part {
                Part::Train => data.training,
                Part::Validation | Part::Test => data.held_out,
            };
            Ok(Box::new(segments.sample(arguments.recordings, common.seed)))
        }
    }
}

/// A method, and its rules if it has some.
fn title(method: &dyn Method) -> String {
    match method.rules() {
        Some(composite) => format!("rules {}", composite.name()),
        None => method.to_string(),
    }
}

/// The unit of the network's input.
fn unit(model: &Model) -> &'static str {
    let is_level = model.front_end.axes().value.contains("(dB)");
    if is_level { " dB" } else { "" }
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let Measure::Flip(arguments) = &arguments.measure;
    arguments.data.require();
    check_writable(&arguments.output.join("flip.json"))?;
    let device = common.device()?;
    let model = Model::load(&arguments.model, &device)?;
    let settings = arguments.method.settings(&model, common.seed)?;
    let method = settings.method(&model)?;
    let name = title(method.as_ref());
    let reference = method.reference();
    let value = arguments
        .value
        .or(reference.map(|r| r as f32))
        .unwrap_or(0.0);
    let mut percentages = arguments.percentages.clone();
    percentages.sort_by(f64::total_cmp);
    let mut plan = Plan {
        counts: Vec::new(),
        values: vec![value],
        orders: vec![
            Order::MostRelevant,
            Order::Random,
            Order::LeastRelevant,
            Order::Loudest,
        ],
        seed: common.seed,
        batch: arguments.batch,
        recordings: arguments.recordings,
    };
    // What nobody here has trained, on what nobody has labelled.
    let unlabelled = match model.metadata.contains_key(SOURCE) {
        true => arguments.data.unlabelled()?,
        false => None,
    };
    let (curves, recordings, bins) = match unlabelled {
        Some(paths) => {
            let plan = (&plan, percentages.as_slice());
            let preparation = arguments.data.preparation();
            own_answers::flip_recordings(&paths, &model, &settings, plan, &preparation, common)?
        }
        None => {
            let dataset = samples(arguments, &model, common)?;
            let dataset = dataset.as_ref();
            let shape = model.graph.architecture().fixed_input_shape()?;
            let bins: usize = shape.iter().product();
            plan.counts = counts(&percentages, bins);
            let explainer = method.of(&model.graph).with_context(|| name.clone())?;
            let bar = progress::bar("flipping", plan.passes(dataset), common.quiet);
            let curves = flip(
                &model.graph,
                dataset,
                &relevance_by(explainer.as_ref()),
                model.loss(),
                &plan,
                &device,
                &|passes| bar.set_position(passes as u64),
            )?;
            bar.finish_and_clear();
            (curves, dataset.len().min(arguments.recordings), Some(bins))
        }
    };
    let of_scores = model.task.probability().is_none();
    let mut summary = json!({
        "model": arguments.model.display().to_string(), "method": method.to_string(),
        "settings": settings.summary(method.as_ref()), "reference": reference, "value": value, "recordings": recordings, "bins": bins,
        "percentages": percentages, "counts": bins.map(|bins| counts(&percentages, bins)),
        "curves": curves.iter().map(curve).collect::<Vec<_>>(),
    });
    if let Some(composite) = method.rules() {
        summary["rules"] = composite.name().into();
    }
    atomic::write(
        &arguments.output.join("flip.json"),
        format!("{summary:#}\n").as_bytes(),
    )?;
    // Accuracy in percent, or the mean score.
    let height = |point: &Point| match of_scores {
        true => point.mean_probability(),
        false => 100.0 * point.accuracy(),
    };
    let series = curves.iter().map(|curve| {
        let points = percentages.iter().zip(&curve.points);
        let points = points.map(|(percent, point)| (*percent, height(point)));
        Series::new(curve.order.to_string(), points.collect())
    });
    let heights = || curves.iter().flat_map(|curve| &curve.points).map(height);
    let (lowest, highest) = (
        heights().fold(0.0, f64::min),
        heights().fold(f64::MIN, f64::max),
    );
    let y = match of_scores {
        true => Axis::linear("mean score", lowest, highest.max(lowest + f64::EPSILON)),
        false => Axis::linear("accuracy (%)", 0.0, 100.0),
    };
    let chart = Chart {
        title: format!("Bins set to {value}{}, {name}", unit(&model)),
        axes: Axes {
            x: Axis::log_with_zero("flipped bins (%)", 0.5, 100.0),
            y,
        },
        series: series.collect(),
    };
    chart
        .picture()?
        .write_png(&arguments.output.join("flip.png"))?;
    if !common.quiet {
        let row =
            |curve: &Curve| Row::measured(curve.order.to_string(), curve.points.iter().map(height));
        let table = Table {
            corner: match of_scores {
                true => "mean score".into(),
                false => "accuracy, %".into(),
            },
            columns: percentages
                .iter()
                .map(|percent| format!("{percent} %"))
                .collect(),
            rows: curves.iter().map(row).collect(),
        };
        println!("{}", table.text());
        if let Some(reference) = reference.filter(|reference| *reference as f32 != value) {
            let unit = unit(&model);
            tracing::warn!(
                "the value {value}{unit} is not the explanation's reference ({reference}{unit}): this does not test it"
            );
        }
    }
    Ok(())
}

fn curve(curve: &Curve) -> serde_json::Value {
    json!({
        "order": curve.order, "value": curve.value, "area": curve.area(),
        "accuracy": curve.points.iter().map(|point| point.accuracy()).collect::<Vec<_>>(),
        "probability": curve.points.iter().map(|point| point.mean_probability()).collect::<Vec<_>>(),
    })
}
