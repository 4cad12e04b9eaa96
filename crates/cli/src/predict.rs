//! `speechlens predict`

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use speechlens_explain::{answer, logits};
use speechlens_models::Model;

use crate::common::Common;
use crate::input;

/// Classify recordings.
///
/// Prints a line for each: the input, its class, and the class's probability. Networks that read filterbanks hear two seconds
/// at a time: a line for each segment of a recording.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` or `speechlens import` wrote.
    model: PathBuf,
    /// Recordings (.wav, .flac, .mp3, .m4a, .ogg, .opus, .webm, .aiff, .sph and others), or .npy files that hold the network's features, [H, W] or [N, H, W], of
    /// waveforms [8000] or [N, 8000].
    #[arg(required = true)]
    input: Vec<PathBuf>,
    #[command(flatten)]
    reading: input::Arguments,
    /// One JSON object a line: input, class, index, probability, logits.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let model = Model::load(&arguments.model, &device)?;
    let mut out = std::io::stdout().lock();
    for input in arguments.reading.read(&arguments.input, &model)? {
        let logits = logits(&model, &input, &device)?;
        for (row, logits) in logits.iter().enumerate() {
            let (index, probability) = answer(&model, logits);
            let name = match input.single {
                true => input.name.clone(),
                false => format!("{}[{row}]", input.name),
            };
            let class = &model.classes[index];
            if arguments.json {
                writeln!(
                    out,
                    "{}",
                    json!({"input": name, "class": class, "index": index, "probability": probability, "logits": logits})
                )?;
            } else {
                writeln!(out, "{name}  {class}  {:.1} %", 100.0 * probability)?;
            }
        }
    }
    Ok(())
}
