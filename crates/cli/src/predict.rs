//! `speechlens predict`

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use serde_json::json;
use speechlens_explain::{Error, Input, logits, outputs};
use speechlens_models::{Model, Task};
use speechlens_report::npy;

use crate::common::{Common, of_model};
use crate::input::{self, Sought};

/// Classify recordings.
///
/// Prints a line for each: the input, its class, and the class's probability; of networks that hear so much at a time, a line for each
/// window of a recording. Of windows without sound it says so, and no class. Networks with sigmoids ask of each class whether it is
/// the one: the percentages of all classes need not add up to 100. Of labels it tells those that are more likely than not, of
/// embeddings, scores and frames their values.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` or `speechlens import` wrote.
    model: PathBuf,
    /// Recordings (.wav, .flac, .mp3, .m4a, .ogg, .opus, .webm, .aiff, .sph and others), folders of them, or .npy files that hold the network's features, [H, W] or
    /// [N, H, W], of waveforms `[samples]` or `[N, samples]`.
    /// For a network of several inputs, NAME=FILE.npy for each: an array of just the shape that the input has.
    #[arg(required = true, value_name = "INPUT|NAME=FILE.npy")]
    input: Vec<PathBuf>,
    /// Tell what these give, outputs or any nodes of the network, in place of the class: their values. Networks whose outputs are no
    /// classes are told so anyway.
    #[arg(long, value_name = "NAME")]
    output: Vec<String>,
    #[command(flatten)]
    reading: input::Arguments,
    #[command(flatten)]
    strictness: input::Strictness,
    /// One JSON object a line: input, class, index, probability, logits; of silence: input, silent, logits; of outputs: input, output,
    /// shape, values (flat).
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let mut model = Model::load(&arguments.model, &device)?;
    let names: Vec<&str> = arguments.output.iter().map(String::as_str).collect();
    if names.is_empty() {
        model = model.for_inference()?;
    }
    if let Some(given) = arrays(arguments, &model, &device)? {
        let given: Vec<(&str, &Tensor)> = given.iter().map(|(name, own)| (*name, own)).collect();
        let outputs = model.graph.outputs_of(&given, &names);
        let outputs = outputs.with_context(|| arguments.model.display().to_string())?;
        return outputs
            .iter()
            .try_for_each(|(name, values)| tell_values(arguments, "", name, values));
    }
    let found = input::files(&arguments.input, Sought::RecordingsAndArrays)?;
    let reader = arguments.reading.reader(&model, &found)?;
    let mut inputs = arguments.strictness.inputs(found.len());
    for found in &found {
        let told = arguments
            .reading
            .read(&reader, &found.path)
            .and_then(|input| match (&model.task, names.as_slice()) {
                (Task::Classes { .. }, []) => {
                    let logits = logits(&model, &input, &device);
                    let logits = logits.map_err(|error| of_model(&arguments.model, error))?;
                    tell(arguments, &model, &input, &logits)
                }
                _ => {
                    let outputs = outputs(&model, &input, &names, &device);
                    let outputs = outputs.with_context(|| arguments.model.display().to_string())?;
                    tell_outputs(arguments, &model, &input, &outputs)
                }
            });
        inputs.take(&found.path, told)?;
    }
    inputs.end()
}

/// A line for what each node gave for each window; of labels, to a reader, those that are more likely than not.
fn tell_outputs(
    arguments: &Arguments,
    model: &Model,
    input: &Input,
    outputs: &[(String, Tensor)],
) -> Result<()> {
    let path = arguments.model.display();
    if arguments.output.is_empty() {
        if let (Task::Labels { classes }, Some((_, values))) = (&model.task, outputs.first()) {
            let classes = classes.len();
            ensure!(
                values.dims() == [input.len(), classes],
                "{path}: its graph gives {:?}, and its task names {classes} labels: name as many as it has logits",
                values.dims()
            );
        }
        for (_, values) in outputs {
            let values = values.to_dtype(DType::F32)?.flatten_all()?;
            ensure!(
                values
                    .to_vec1::<f32>()?
                    .iter()
                    .all(|value| value.is_finite()),
                "{path}: {}",
                Error::NotFinite(input.name.clone())
            );
        }
    }
    for row in 0..input.len() {
        for (name, values) in outputs {
            let values = values.get(row)?.to_dtype(DType::F32)?;
            let window = window(input, row);
            let logits = values.dims() == [model.classes().len()];
            match (&model.task, arguments.output.is_empty(), arguments.json) {
                (Task::Labels { classes }, true, false) if logits => {
                    let logits = values.to_vec1::<f32>()?;
                    let likely = classes.iter().enumerate().filter_map(|(class, name)| {
                        let probability = model.probability(&logits, class);
                        (probability > 0.5).then(|| format!("{name} {:.1} %", 100.0 * probability))
                    });
                    let likely: Vec<String> = likely.collect();
                    let likely = match likely.is_empty() {
                        true => "none".to_owned(),
                        false => likely.join(", "),
                    };
                    writeln!(std::io::stdout().lock(), "{window}  {likely}")?;
                }
                (Task::Score { names }, true, false) if logits => {
                    let values = values.to_vec1::<f32>()?;
                    let score =
                        |(name, value): (&String, &f32)| format!("{name} {}", model.words(*value));
                    let scores: Vec<String> = names.iter().zip(&values).map(score).collect();
                    writeln!(std::io::stdout().lock(), "{window}  {}", scores.join(", "))?;
                }
                _ => tell_values(arguments, &window, name, &values)?,
            }
        }
    }
    Ok(())
}

/// What each input of a network of several is, if they are given by name.
fn arrays<'a>(
    arguments: &'a Arguments,
    model: &Model,
    device: &Device,
) -> Result<Option<Vec<(&'a str, Tensor)>>> {
    let all = model.graph.nodes().map(|(_, node)| node);
    let names: Vec<&str> = all
        .filter(|node| node.op.as_input().is_some())
        .map(|node| node.name.as_str())
        .collect();
    let named = arguments.input.iter().map(|input| {
        let (name, path) = input.to_str()?.split_once('=')?;
        names.contains(&name).then_some((name, Path::new(path)))
    });
    let named: Vec<_> = named.collect();
    if named.iter().all(Option::is_none) {
        return Ok(None);
    }
    arguments.reading.refuse("arrays")?;
    let mut seen = BTreeSet::new();
    for (name, _) in named.iter().flatten() {
        ensure!(
            seen.insert(*name),
            "{name}: is given twice; give each input once"
        );
    }
    let array = |named: Option<(&'a str, &Path)>| {
        let (name, path) = named.with_context(|| {
            format!(
                "give every input by its name, NAME=FILE.npy; there are {}",
                names.join(", ")
            )
        })?;
        let array = npy::read(path)?;
        let shape = array.shape().to_vec();
        let values = array.iter().copied().collect();
        Ok((name, Tensor::from_vec(values, shape, device)?))
    };
    named
        .into_iter()
        .map(array)
        .collect::<Result<_>>()
        .map(Some)
}

/// What a window is called.
fn window(input: &Input, row: usize) -> String {
    match input.single {
        true => input.name.clone(),
        false => format!("{}[{row}]", input.name),
    }
}

/// So many values of an output are told to a reader.
const TOLD: usize = 8;

/// A line for what a node gave.
fn tell_values(arguments: &Arguments, input: &str, output: &str, values: &Tensor) -> Result<()> {
    let shape = values.dims();
    let values = values
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let line = json!({"input": input, "output": output, "shape": shape, "values": values});
        writeln!(out, "{line}")?;
        return Ok(());
    }
    let told = values.iter().take(TOLD).map(|value| format!("{value:.4}"));
    let told = told.collect::<Vec<_>>().join(" ");
    let more = if values.len() > TOLD { " …" } else { "" };
    let input = if input.is_empty() {
        String::new()
    } else {
        format!("{input}  ")
    };
    writeln!(out, "{input}{output} {shape:?}  {told}{more}")?;
    Ok(())
}

/// A line for each window.
fn tell(arguments: &Arguments, model: &Model, input: &Input, logits: &[Vec<f32>]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for (row, (logits, silent)) in logits.iter().zip(&input.silent).enumerate() {
        let index = model.task.foremost(logits);
        let probability = model.probability(logits, index);
        let name = window(input, row);
        let class = &model.classes()[index];
        match (silent, arguments.json) {
            (true, true) => {
                let line = json!({"input": name, "silent": true, "logits": logits});
                writeln!(out, "{line}")?;
            }
            (true, false) => writeln!(out, "{name}  silent")?,
            (false, true) => {
                let line = json!({"input": name, "class": class, "index": index, "probability": probability, "logits": logits});
                writeln!(out, "{line}")?;
            }
            (false, false) => writeln!(out, "{name}  {class}  {:.1} %", 100.0 * probability)?,
        }
    }
    Ok(())
}
