//! `speechlens explain`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use clap::ValueEnum;
use ndarray::{Array3, ArrayView2, ArrayView3, Axis};
use serde_json::json;
use speechlens_audio::{Crop, RATE, SIZE, WINDOW, filterbank, times};
use speechlens_eval::dataset::to_tensor;
use speechlens_lrp::{Composite, Lrp};
use speechlens_models::{Features, Model};
use speechlens_nn::Graph;
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::{atomic, npy};

use crate::common::Common;
use crate::input::{self, FRAME_SECONDS, Input};
use crate::predict::answer;

/// Show which parts of a recording speak for a class, and which against it.
///
/// Writes relevance.npy (of the input's shape; of a recording's segments [N, 64, 200]), heatmap.png and summary.json to the
/// folder; with several inputs, to a folder each, named after the input. The heatmap shows the first 12 explanations.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` or `speechlens import` wrote.
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

impl Dtype {
    fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        }
    }
}

/// Inputs explained at a time.
const BATCH: usize = 16;
/// Heatmaps in one picture.
const PANELS: usize = 12;

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let Method::Lrp = arguments.method;
    let composite = Composite::load(&arguments.rules)?;
    let mut model = Model::load(&arguments.model, &device)?;
    let dtype = match arguments.dtype {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
    };
    model.graph = model.graph.to_dtype(dtype)?;
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
    let explainer = Explainer {
        graph: &model.graph,
        lrp: Lrp::new(&model.graph, &composite).with_context(|| arguments.rules.clone())?,
        dtype,
        target,
        device,
    };
    let inputs = arguments.input.read(&model)?;
    let folders = folders(&arguments.output, &inputs)?;
    for (input, folder) in inputs.iter().zip(folders) {
        let answers = explainer.explain(input.features.view())?;
        write(arguments, &model, input, &answers, &folder)?;
        if !common.quiet {
            let path = folder.join("heatmap.png");
            writeln!(
                std::io::stdout(),
                "{}: {}",
                input.path.display(),
                path.display()
            )?;
        }
    }
    Ok(())
}

/// Where each input's files go.
fn folders(output: &Path, inputs: &[Input]) -> Result<Vec<PathBuf>> {
    if inputs.len() == 1 {
        return Ok(vec![output.to_owned()]);
    }
    let mut folders = Vec::new();
    for input in inputs {
        let folder = output.join(input.path.file_stem().unwrap_or_default());
        if folders.contains(&folder) {
            bail!(
                "{}: two inputs have this name; explain them one by one",
                input.path.display()
            );
        }
        folders.push(folder);
    }
    Ok(folders)
}

struct Explainer<'a> {
    graph: &'a Graph,
    lrp: Lrp,
    dtype: DType,
    target: Option<usize>,
    device: Device,
}

/// What was found for every row of an input.
struct Answers {
    /// `[N, H, W]`
    relevance: Array3<f32>,
    logits: Vec<Vec<f32>>,
    targets: Vec<u32>,
}

impl Explainer<'_> {
    fn explain(&self, features: ArrayView3<f32>) -> Result<Answers> {
        let mut relevance = Vec::with_capacity(features.len());
        let (mut all_logits, mut all_targets) = (Vec::new(), Vec::new());
        for features in features.axis_chunks_iter(Axis(0), BATCH) {
            let features = to_tensor(features.to_owned(), &self.device)?.to_dtype(self.dtype)?;
            let targets: Vec<u32> = match self.target {
                Some(target) => vec![target as u32; features.dim(0)?],
                None => self.graph.forward(&features)?.argmax(1)?.to_vec1()?,
            };
            let explanation = self.lrp.explain(&features, &targets)?;
            let values = explanation.relevance.to_dtype(DType::F32)?;
            relevance.extend(values.flatten_all()?.to_vec1::<f32>()?);
            all_logits.extend(explanation.logits.to_dtype(DType::F32)?.to_vec2::<f32>()?);
            all_targets.extend(targets);
        }
        Ok(Answers {
            relevance: Array3::from_shape_vec(features.dim(), relevance)?,
            logits: all_logits,
            targets: all_targets,
        })
    }
}

fn write(
    arguments: &Arguments,
    model: &Model,
    input: &Input,
    answers: &Answers,
    folder: &Path,
) -> Result<()> {
    let Answers {
        relevance,
        logits,
        targets,
    } = answers;
    let path = folder.join("relevance.npy");
    match input.single {
        true => npy::write(&path, relevance.index_axis(Axis(0), 0))?,
        false => npy::write(&path, relevance.view())?,
    }
    let rows = || {
        input
            .features
            .outer_iter()
            .zip(relevance.outer_iter())
            .zip(targets)
    };
    let panels = rows().zip(&input.starts).take(PANELS);
    let panels = panels.map(|(((features, relevance), target), start)| {
        let axes = axes(model, *start, features);
        let panel = Panel::overlay(axes, features, relevance, limit(relevance))?;
        Ok(panel.titled(format!("relevance for {}", model.classes[*target as usize])))
    });
    grid(&panels.collect::<Result<Vec<_>>>()?, 3)?.write_png(&folder.join("heatmap.png"))?;

    let items = logits.iter().zip(rows()).map(|(logits, ((_, relevance), target))| {
        let (index, probability) = answer(model, logits);
        json!({
            "class": model.classes[index], "index": index, "probability": probability, "logits": logits,
            "target": model.classes[*target as usize], "target_index": target,
            "relevance_sum": relevance.iter().map(|r| f64::from(*r)).sum::<f64>(),
        })
    });
    let (n, h, w) = relevance.dim();
    let summary = json!({
        "input": input.path.display().to_string(), "model": arguments.model.display().to_string(), "method": "lrp",
        "rules": arguments.rules, "dtype": arguments.dtype.name(),
        "shape": if input.single { vec![h, w] } else { vec![n, h, w] },
        "explanations": items.collect::<Vec<_>>(),
    });
    let path = folder.join("summary.json");
    Ok(atomic::write(&path, format!("{summary:#}\n").as_bytes())?)
}

/// The axes of features that begin `start` seconds into the recording.
fn axes(model: &Model, start: f64, features: ArrayView2<f32>) -> Axes {
    match model.features() {
        Features::Spectrogram => {
            let crop = model.metadata.get("crop");
            let crop: Crop = crop.and_then(|crop| crop.parse().ok()).unwrap_or_default();
            let seconds = times(crop).last().copied().unwrap_or(1.0);
            Axes::spectrogram(seconds, SIZE as f64 * f64::from(RATE) / WINDOW as f64)
        }
        Features::Filterbank => {
            let end = start + features.ncols() as f64 * FRAME_SECONDS;
            Axes::filterbank(start, end, &filterbank::frequencies())
        }
    }
}
