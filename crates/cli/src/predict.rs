//! `speechlens predict`

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use speechlens_explain::{Input, answer, logits};
use speechlens_models::Model;

use crate::common::{Common, of_model};
use crate::input::{self, Kinds};

/// Classify recordings.
///
/// Prints a line for each: the input, its class, and the class's probability. Networks that read filterbanks hear two seconds
/// at a time: a line for each segment of a recording. Of segments without sound it says so, and no class. Networks of gender with
/// sigmoids ask of each class whether it is the one: the percentages of all classes need not add up to 100.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` or `speechlens import` wrote.
    model: PathBuf,
    /// Recordings (.wav, .flac, .mp3, .m4a, .ogg, .opus, .webm, .aiff, .sph and others), folders of them, or .npy files that hold the network's features, [H, W] or
    /// [N, H, W], of waveforms `[8000]` or `[N, 8000]`.
    #[arg(required = true)]
    input: Vec<PathBuf>,
    #[command(flatten)]
    reading: input::Arguments,
    #[command(flatten)]
    strictness: input::Strictness,
    /// One JSON object a line: input, class, index, probability, logits; of silence: input, silent, logits.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let model = Model::load(&arguments.model, &device)?;
    let found = input::files(&arguments.input, Kinds::RecordingsAndArrays)?;
    let reader = arguments.reading.reader(&model, &found)?;
    let mut inputs = arguments.strictness.inputs(found.len());
    for found in &found {
        let read = arguments.reading.read(&reader, &found.path);
        if let Some(input) = inputs.take(&found.path, read)? {
            let logits = logits(&model, &input, &device);
            let logits = logits.map_err(|error| of_model(&arguments.model, error))?;
            tell(arguments, &model, &input, &logits)?;
        }
    }
    inputs.end()
}

/// A line for each window.
fn tell(arguments: &Arguments, model: &Model, input: &Input, logits: &[Vec<f32>]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for (row, (logits, silent)) in logits.iter().zip(&input.silent).enumerate() {
        let (index, probability) = answer(model, logits);
        let name = match input.single {
            true => input.name.clone(),
            false => format!("{}[{row}]", input.name),
        };
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
