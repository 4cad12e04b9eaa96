//! CAM++ and GE2E: two recordings of the same two voices, one half each. What makes the recordings alike is each voice's half of one with its
//! half of the other.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use ndarray::Array2;
use speechlens_explain::{Input, Pair, Reader, Reading, Settings, embedding};
use speechlens_models::Model;
use speechlens_models::onnx::Told;
use speechlens_report::page::Block;
use speechlens_report::progress;
use speechlens_report::results::{Cell, Experiment, Row};
use speechlens_report::table::Table;

use super::speech::{Speech, audio};
use super::trial::spread;
use super::voices::stranger;

/// The networks: file, name, seconds of each voice.
pub const NETWORKS: [(&str, &str, f64); 2] = [
    ("campplus.onnx", "CAM++", 1.0),
    ("ge2e-lstm.onnx", "GE2E", 0.8),
];

/// What was found of a network.
pub struct Measured {
    name: &'static str,
    /// By trial: the cosine of two recordings of one voice, and of two voices.
    cosines: [Vec<f64>; 2],
    /// The share of the positive relevance on pairs of moments of one voice.
    matching: Vec<f64>,
    /// Likewise of the positive cosines of the features, which ask no network.
    without: Vec<f64>,
    sweeps: Vec<f64>,
    seconds: Vec<f64>,
}

/// Explains so many pairs by the default rules.
pub fn measure(
    (file, name, half): (&str, &'static str, f64),
    folder: &Path,
    speech: &Speech,
    trials: usize,
    quiet: bool,
) -> Result<Measured> {
    let path = folder.join(file);
    let told = Told {
        task: Some("embedding"),
        ..Told::default()
    };
    let model = Model::import_onnx(&path, told, &Device::Cpu)
        .with_context(|| path.display().to_string())?
        .model;
    let method = Settings::default().method(&model)?;
    let Some(rules) = method.rules() else {
        bail!("{method} has no rules");
    };
    let reader = Reader::new(&model, Reading::default());
    let mut measured = Measured {
        name,
        cosines: [Vec::new(), Vec::new()],
        matching: Vec::new(),
        without: Vec::new(),
        sweeps: Vec::new(),
        seconds: Vec::new(),
    };
    let bar = progress::bar(&format!("networks, {name}, pairs"), trials, quiet);
    for number in 0..trials {
        let voices = [number, stranger(number, speech.speakers())];
        let spoken = |voice: usize, which| speech.seconds(voices[voice], which, half);
        let whole = |voice: usize, which| -> Result<Vec<f64>> {
            let twice = spoken(voice, which)?.repeat(2);
            let input = reader.audio("a voice", audio(twice))?;
            Ok(of_length_one(&embedding(&model, &input, &Device::Cpu)?))
        };
        let [own, again, other] = [whole(0, 1)?, whole(0, 4)?, whole(1, 4)?];
        measured.cosines[0].push(dot(&own, &again));
        measured.cosines[1].push(dot(&own, &other));
        // Every other pair has the voices in the same order.
        let order = match number.is_multiple_of(2) {
            true => [1, 0],
            false => [0, 1],
        };
        let one = [spoken(0, 1)?, spoken(1, 1)?].concat();
        let two = [spoken(order[0], 4)?, spoken(order[1], 4)?].concat();
        let inputs = [
            reader.audio("one", audio(one))?,
            reader.audio("other", audio(two))?,
        ];
        let both = [&inputs[0], &inputs[1]];
        let start = Instant::now();
        let place = (&Device::Cpu, DType::F32);
        let pair = Pair::new(&model, rules, both, place, &|_, _| ())?;
        measured.seconds.push(start.elapsed().as_secs_f64());
        measured.sweeps.push(pair.sweeps as f64);
        let crossed = order == [1, 0];
        measured.matching.push(matching(&pair.between(), crossed));
        let [rows, columns] = both.map(directions);
        let alike = rows.t().dot(&columns);
        measured.without.push(matching(&alike, crossed));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(measured)
}

/// The share of what is positive that lies on pairs of halves of one voice.
fn matching(between: &Array2<f32>, crossed: bool) -> f64 {
    let (rows, columns) = between.dim();
    let (mut on, mut all) = (0.0, 0.0);
    for ((row, column), value) in between.indexed_iter() {
        let value = f64::from(value.max(0.0));
        let same_side = (2 * row < rows) == (2 * column < columns);
        all += value;
        on += if same_side != crossed { value } else { 0.0 };
    }
    if all > 0.0 { on / all } else { 0.0 }
}

/// The features of each frame without their mean over the recording, of length 1: `[rows, frames]`.
fn directions(input: &Input) -> Array2<f32> {
    let frames = input.features.shape().last().copied().unwrap_or(0);
    let first = input.features.outer_iter().next();
    let values: Vec<f32> = first
        .iter()
        .flat_map(|first| first.iter().copied())
        .collect();
    let rows = values.len() / frames.max(1);
    let mut all = Array2::from_shape_vec((rows, frames), values).unwrap_or_default();
    for mut row in all.rows_mut() {
        let mean = row.mean().unwrap_or(0.0);
        row -= mean;
    }
    for mut frame in all.columns_mut() {
        let length = frame.dot(&frame).sqrt().max(f32::MIN_POSITIVE);
        frame /= length;
    }
    all
}

fn of_length_one(values: &[f32]) -> Vec<f64> {
    let length = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let length = length.sqrt();
    values.iter().map(|x| f64::from(*x) / length).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The table: a row a network.
pub fn tell(all: &[Measured]) -> (Experiment, Vec<Block>) {
    let columns = [
        "cosine, one voice",
        "cosine, two voices",
        "on matching halves (%)",
        "its deviation",
        "without a network (%)",
        "chance (%)",
        "sweeps",
        "seconds",
    ];
    let row = |measured: &Measured| {
        let mean = |values: &[f64]| spread(values).0;
        let (matching, deviation) = spread(&measured.matching);
        let cells = [
            mean(&measured.cosines[0]),
            mean(&measured.cosines[1]),
            100.0 * matching,
            100.0 * deviation,
            100.0 * mean(&measured.without),
            50.0,
            mean(&measured.sweeps),
            mean(&measured.seconds),
        ];
        Row::measured(measured.name, cells.map(Cell::from))
    };
    let experiment = Experiment {
        id: "networks-pairs".into(),
        title: "Two recordings of two voices: positive relevance on halves of one voice".into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: all.iter().map(row).collect(),
        files: Vec::new(),
    };
    let text = Block::text(
        "Two recordings have the same two voices, one half each, in the same order or the other. What makes them alike is each voice's half of \
         one with its half of the other: the share of the positive relevance of pairs of moments (BiLRP, the default rules) that lies there.",
    );
    let table = Table::from(&experiment);
    let blocks = vec![text, Block::table(table, experiment.title.clone())];
    (experiment, blocks)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    #[test]
    fn halves_match_their_own() {
        let between = array![[3.0, -1.0], [1.0, 0.0]];
        assert_eq!(super::matching(&between, false), 0.75);
        assert_eq!(super::matching(&between, true), 0.25);
    }
}
