//! `speechlens explain`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::DType;
use clap::ValueEnum;
use ndarray::{Array3, ArrayView2, Axis};
use serde_json::json;
use speechlens_audio::{Crop, RATE, SIZE, WINDOW, times};
use speechlens_eval::dataset::to_tensor;
use speechlens_lrp::{Composite, Lrp};
use speechlens_models::Model;
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::{atomic, npy};

use crate::common::Common;
use crate::input::{self, Input};
use crate::predict::answer;

/// Show which parts of a recording speak for a class, and which against it.
///
/// Writes relevance.npy (of the input's shape), heatmap.png and summary.json to the folder; with several inputs, to a folder
/// each, named after the input.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` wrote.
    model: PathBuf,
    #[command(flatten)]
    input: input::Arguments,
    /// How to explain.
    #[arg(long, value_enum, default_value = "lrp")]
    method: Method,
    /// The rules of layer-wise relevance propagation: a preset (lrp-0, thesis-gender, gender-silence, epsilon-plus,
    /// epsilon-alpha2-beta1) or a TOML file.
    #[arg(long, default_value = "thesis-gender", value_name = "PRESET|FILE.toml")]
    rules: String,
    /// The class to explain, by name or index; else the one that is predicted.
    #[arg(long, value_name = "CLASS|INDEX")]
    target: Option<String>,
    /// The numbers to compute in: f64 shows how much of a heatmap is rounding.
    #[arg(long, value_enum, default_value = "f32")]
    dtype: Dtype,
    /// The folder to write to.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    /// Layer-wise relevance propagation.
    Lrp,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dtype {
    F32,
    F64,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let Method::Lrp = arguments.method;
    let composite = Composite::load(&arguments.rules)?;
    let model = Model::load(&arguments.model, &device)?;
    let dtype = match arguments.dtype {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
    };
    let lrp = Lrp::new(&model.graph.to_dtype(dtype)?, &composite)?;
    let target = match &arguments.target {
        Some(name) => Some(model.class(name).with_context(|| {
            format!(
                "`{name}` is no class of {}; there are {}",
                arguments.model.display(),
                model.classes.join(", ")
            )
        })?),
        None => None,
    };
    let inputs = arguments.input.read(&model)?;
    let several = inputs.len() > 1;
    let mut folders = Vec::new();
    for input in &inputs {
        let folder = match several {
            true => arguments
                .output
                .join(input.path.file_stem().unwrap_or_default()),
            false => arguments.output.clone(),
        };
        if folders.contains(&folder) {
            bail!(
                "{}: two inputs have this name; explain them one by one",
                input.path.display()
            );
        }
        folders.push(folder);
    }
    for (input, folder) in inputs.into_iter().zip(folders) {
        explain(
            arguments, &model, &lrp, target, dtype, input, &folder, &device,
        )?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)]
fn explain(
    arguments: &Arguments,
    model: &Model,
    lrp: &Lrp,
    target: Option<usize>,
    dtype: DType,
    input: Input,
    folder: &Path,
    device: &candle_core::Device,
) -> Result<()> {
    let features = to_tensor(input.features.clone(), device)?.to_dtype(dtype)?;
    let (n, _, h, w) = features.dims4()?;
    let targets: Vec<u32> = match target {
        Some(target) => vec![target as u32; n],
        None => model
            .graph
            .to_dtype(dtype)?
            .forward(&features)?
            .argmax(1)?
            .to_vec1()?,
    };
    let explanation = lrp.explain(&features, &targets)?;
    let relevance = explanation
        .relevance
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    let relevance = Array3::from_shape_vec((n, h, w), relevance)?;
    match input.single {
        true => npy::write(
            &folder.join("relevance.npy"),
            relevance.index_axis(Axis(0), 0),
        )?,
        false => npy::write(&folder.join("relevance.npy"), relevance.view())?,
    }
    let crop = model
        .metadata
        .get("crop")
        .and_then(|crop| crop.parse().ok())
        .unwrap_or_default();
    let panels = input
        .features
        .outer_iter()
        .zip(relevance.outer_iter())
        .zip(&targets);
    let panels = panels.map(|((features, relevance), target)| {
        panel(crop, features, relevance, &model.classes[*target as usize])
    });
    grid(&panels.collect::<Result<Vec<_>>>()?, 3)?.write_png(&folder.join("heatmap.png"))?;

    let logits = explanation.logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let items = logits.iter().zip(&targets).zip(relevance.outer_iter()).map(|((logits, target), relevance)| {
        let (index, probability) = answer(logits);
        json!({
            "class": model.classes[index], "index": index, "probability": probability, "logits": logits,
            "target": model.classes[*target as usize], "target_index": target,
            "relevance_sum": relevance.iter().map(|r| f64::from(*r)).sum::<f64>(),
        })
    });
    let summary = json!({
        "input": input.path.display().to_string(), "model": arguments.model.display().to_string(), "method": "lrp",
        "rules": arguments.rules, "dtype": match dtype { DType::F64 => "f64", _ => "f32" },
        "shape": if input.single { vec![h, w] } else { vec![n, h, w] },
        "explanations": items.collect::<Vec<_>>(),
    });
    atomic::write(
        &folder.join("summary.json"),
        format!("{summary:#}\n").as_bytes(),
    )?;
    tracing::info!(
        "{}: relevance.npy, heatmap.png, summary.json",
        folder.display()
    );
    Ok(())
}

fn panel(
    crop: Crop,
    features: ArrayView2<f32>,
    relevance: ArrayView2<f32>,
    target: &str,
) -> Result<Panel> {
    let seconds = times(crop).last().copied().unwrap_or(1.0);
    let axes = Axes::spectrogram(seconds, SIZE as f64 * f64::from(RATE) / WINDOW as f64);
    Ok(Panel::overlay(axes, features, relevance, limit(relevance))?
        .titled(format!("relevance for {target}")))
}
