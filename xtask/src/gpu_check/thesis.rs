//! The thesis's training and flipping, each for a while, and how long the whole would take.

use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::{DType, Device};
use speechlens_attribution::{Method, methods};
use speechlens_data::Sex;
use speechlens_eval::flip::{Plan, counts, flip, relevance_by};
use speechlens_experiments::{First, ORDERS, RULES, SPEAKER_LOSS, thesis_training};
use speechlens_lrp::Composite;
use speechlens_models::{alexnet, resnet34};
use speechlens_nn::Trainer;
use speechlens_nn::train::{Samples, logits};
use speechlens_report::progress;
use speechlens_report::results::{Cell, Experiment, Row};

use super::subject::{segments, voices};
use super::{Arguments, Found};

/// Pieces of training, and of validation after every epoch.
const PIECES: usize = 6000;
const VALIDATED: usize = 3000;
/// Speakers of VoxCeleb that the network tells apart.
const SPEAKERS: usize = 5994;
/// Segments that are flipped, so many at a time.
const SEGMENTS: usize = 20_000;
const BATCH: usize = 64;
/// Steps of flipping.
const STEPS: usize = 20;
/// Steps of training before time counts.
const WARM_UP: u64 = 3;
/// How long both are meant to take, in minutes.
const GOALS: [f64; 2] = [10.0, 60.0];

/// Times both.
pub fn check(arguments: &Arguments, device: &Device) -> Result<Found> {
    let training = training(arguments, device)?;
    let flipping = flipping(arguments, device)?;
    let row = |title: String,
               Timed {
                   unit,
                   count,
                   seconds,
                   whole,
               }: Timed,
               goal: f64| {
        let minutes = seconds / count as f64 * whole / 60.0;
        let cells: [Cell; 5] = [
            format!("{count} {unit}").into(),
            seconds.into(),
            minutes.into(),
            goal.into(),
            if minutes <= goal { "yes" } else { "no" }.into(),
        ];
        Row::measured(title, cells)
    };
    let epochs = thesis_training(arguments.seed).epochs;
    let curves = RULES.len() * ORDERS.len();
    let columns = ["measured", "seconds", "the whole, minutes", "goal", "met"];
    Ok(Found {
        experiment: Experiment {
            id: "gpu-thesis".into(),
            title: "The thesis's setting: measured for a while, the whole projected".into(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: vec![
                row(
                    format!("AlexNet, {epochs} epochs of {PIECES} pieces"),
                    training,
                    GOALS[0],
                ),
                row(
                    format!("ResNet34, flipping {SEGMENTS} segments"),
                    flipping,
                    GOALS[1],
                ),
            ],
            files: Vec::new(),
        },
        how: format!(
            "Training: steps of the thesis's setting on pieces read from the feature store, and for every epoch a validation on \
             {VALIDATED} pieces, whose rate is measured apart. Flipping: {curves} curves (three orders for each of three sets of \
             rules) of {STEPS} steps on ResNet34 with {SPEAKERS} classes and random weights, relevance included. What was measured \
             is projected in proportion."
        ),
    })
}

/// What was timed, and of how much it is a part.
struct Timed {
    unit: &'static str,
    count: usize,
    seconds: f64,
    /// The whole, in the same unit.
    whole: f64,
}

fn training(arguments: &Arguments, device: &Device) -> Result<Timed> {
    let pieces = voices(arguments, PIECES)?;
    let config = thesis_training(arguments.seed);
    let graph = alexnet::architecture(Sex::ALL.len())?.random(arguments.seed, device)?;
    let per_epoch = PIECES / config.batch;
    let mut trainer = Trainer::new(&graph, config.clone())?;
    let (limit, mut start) = (arguments.limit()?, Instant::now());
    let bar = progress::counter("training, steps", arguments.quiet);
    trainer.run(&pieces, &First(&pieces, 1), device, |trainer, _| {
        bar.set_position(trainer.steps());
        if trainer.steps() == WARM_UP {
            device.synchronize()?;
            start = Instant::now();
        }
        Ok(trainer.steps() <= WARM_UP || start.elapsed() < limit)
    })?;
    device.synchronize()?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let steps = (trainer.steps() - WARM_UP) as usize;
    let a_piece = classifying(&trainer, &pieces, device, limit)?;
    let a_step = seconds / steps as f64;
    let an_epoch = a_step * per_epoch as f64 + a_piece * VALIDATED as f64;
    Ok(Timed {
        unit: "steps",
        count: steps,
        seconds,
        // An epoch's validation is as long as so many steps.
        whole: config.epochs as f64 * an_epoch / a_step,
    })
}

/// Seconds a piece.
fn classifying(
    trainer: &Trainer,
    pieces: &dyn Samples,
    device: &Device,
    limit: Duration,
) -> Result<f64> {
    let (graph, start) = (trainer.graph(), Instant::now());
    let mut done = 0;
    while done == 0 || start.elapsed() < limit / 4 {
        let few = First(pieces, 4 * BATCH);
        let _ = logits(&graph, &few, BATCH, device, &|_| ())?;
        done += few.len();
    }
    device.synchronize()?;
    Ok(start.elapsed().as_secs_f64() / done as f64)
}

fn flipping(arguments: &Arguments, device: &Device) -> Result<Timed> {
    let (segments, _) = segments(arguments, usize::from(arguments.segments))?;
    let graph = resnet34::architecture(SPEAKERS)?
        .random(arguments.seed, device)?
        .to_dtype(DType::F32)?;
    let bins = graph.architecture().fixed_input_shape()?.iter().product();
    let percentages: Vec<f64> = (0..=STEPS)
        .map(|step| 100.0 * step as f64 / STEPS as f64)
        .collect();
    let plan = |recordings: usize| Plan {
        counts: counts(&percentages, bins),
        values: vec![0.0],
        orders: ORDERS.to_vec(),
        seed: arguments.seed,
        batch: BATCH,
        recordings,
    };
    let explainers = RULES.iter().map(|rules| {
        let composite = Composite::preset(rules.preset)?;
        Ok(methods::Lrp(composite).of(&graph)?)
    });
    let explainers: Vec<_> = explainers.collect::<Result<_>>()?;
    let run = |plan: &Plan, done: &dyn Fn(usize)| -> Result<()> {
        for explainer in &explainers {
            let explain = relevance_by(explainer.as_ref());
            flip(
                &graph,
                &segments,
                &explain,
                SPEAKER_LOSS,
                plan,
                device,
                done,
            )?;
        }
        device.synchronize()?;
        Ok(())
    };
    run(
        &Plan {
            counts: vec![0, bins / 2],
            ..plan(1)
        },
        &|_| (),
    )?;
    let whole = plan(segments.len());
    let label = "flipping, passes of one set of rules";
    let bar = progress::bar(label, whole.passes(&segments), arguments.quiet);
    let start = Instant::now();
    run(&whole, &|done| bar.set_position(done as u64))?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    Ok(Timed {
        unit: "segments",
        count: segments.len(),
        seconds,
        whole: SEGMENTS as f64,
    })
}
