//! `speechlens explain --pair`

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use candle_core::{DType, Device};
use speechlens_explain::{Linked, Pair, Settings};
use speechlens_models::Model;
use speechlens_report::progress;

use super::Arguments;
use crate::common::{Common, of_model};
use crate::input::{self, Found, Sought};

/// Explains every input together with the other recording.
pub fn run(
    arguments: &Arguments,
    other: &Path,
    output: &Path,
    (model, settings): (&Model, &[Settings]),
    (device, dtype): (&Device, DType),
    common: &Common,
) -> Result<()> {
    let method = match settings {
        [one] => one.method(model)?,
        _ => bail!("--pair: explains in one way; name one of --rules"),
    };
    let Some(composite) = method.rules() else {
        bail!("--pair: is explained by the method lrp, not {method}: leave --method out");
    };
    let found = input::files(&arguments.input, Sought::RecordingsAndArrays)?;
    let folders = input::places(output, &found)?;
    let reader = arguments.reading.reader(model, &found)?;
    let other = arguments.reading.read(&reader, other)?;
    let mut given = arguments.strictness.inputs(found.len());
    for (Found { path, .. }, folder) in found.iter().zip(&folders) {
        let read = arguments.reading.read(&reader, path);
        let Some(input) = given.take(path, read)? else {
            continue;
        };
        let bar = progress::bar("explaining both, sweeps", 0, common.quiet);
        let swept = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let inputs = [&input, &other];
        let pair = Pair::new(model, composite, inputs, (device, dtype), &swept);
        let pair = pair.map_err(|error| of_model(&arguments.model, error))?;
        bar.finish_and_clear();
        let linked = Linked {
            model_name: &arguments.model.display().to_string(),
            model,
            composite,
            dtype,
            inputs,
            pair: &pair,
        };
        linked.write(folder)?;
        if !common.quiet {
            let page = folder.join("index.html");
            writeln!(
                std::io::stdout(),
                "{} and {}: similarity {:.3}  {}",
                input.name,
                other.name,
                pair.similarity,
                page.display()
            )?;
        }
    }
    given.end()
}
