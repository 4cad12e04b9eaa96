//! `speechlens predict`

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use speechlens_eval::dataset::to_tensor;
use speechlens_models::Model;

use crate::common::Common;
use crate::input;

/// Classify recordings.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` wrote.
    model: PathBuf,
    #[command(flatten)]
    input: input::Arguments,
    /// One JSON object a line: input, class, index, probability, logits.
    #[arg(long)]
    json: bool,
}

/// The class with the largest logit and its probability: the sigmoid of the logit, as the network was trained.
pub fn answer(logits: &[f32]) -> (usize, f32) {
    let index = (0..logits.len()).fold(0, |best, index| {
        if logits[index] > logits[best] {
            index
        } else {
            best
        }
    });
    (index, 1.0 / (1.0 + (-logits[index]).exp()))
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let model = Model::load(&arguments.model, &device)?;
    for input in arguments.input.read(&model)? {
        let logits = model
            .graph
            .forward(&to_tensor(input.features, &device)?)?
            .to_vec2::<f32>()?;
        for (row, logits) in logits.iter().enumerate() {
            let (index, probability) = answer(logits);
            let name = match input.single {
                true => input.path.display().to_string(),
                false => format!("{}[{row}]", input.path.display()),
            };
            let class = &model.classes[index];
            if arguments.json {
                println!(
                    "{}",
                    json!({"input": name, "class": class, "index": index, "probability": probability, "logits": logits})
                );
            } else {
                println!("{name}  {class}  {:.1} %", 100.0 * probability);
            }
        }
    }
    Ok(())
}
