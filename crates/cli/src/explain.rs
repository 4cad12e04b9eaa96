//! `speechlens explain`

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use clap::ValueEnum;
use ndarray::{ArrayD, ArrayViewD, Axis, Ix1, Ix2};
use serde_json::json;
use speechlens_attribution::{Attribute, Method};
use speechlens_audio::{Crop, RATE, SECOND, SIZE, WINDOW, filterbank, times};
use speechlens_eval::dataset::to_tensor;
use speechlens_lrp::{Assignment, Balance, Lrp};
use speechlens_models::{Features, Model};
use speechlens_nn::Graph;
use speechlens_report::axes::Axes;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::results::Row;
use speechlens_report::table::Table;
use speechlens_report::waveform::{Trace, stack};
use speechlens_report::{Picture, atomic, npy, progress};

use crate::common::Common;
use crate::input::{self, FRAME_SECONDS, Input};
use crate::method;
use crate::predict::answer;

/// Show which parts of a recording speak for a class, and which against it.
///
/// Writes relevance.npy (of the input's shape; of a recording's segments [N, 64, 200]), heatmap.png and summary.json to the
/// folder; with several inputs, to a folder each, named after the input. The heatmap shows the first 12 explanations.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` or `speechlens import` wrote.
    model: PathBuf,
    /// Recordings (.wav, .flac, .mp3, .m4a, .ogg), or .npy files that hold the network's features, [H, W] or [N, H, W], of
    /// waveforms [8000] or [N, 8000].
    #[arg(required_unless_present = "explain_rules")]
    input: Vec<PathBuf>,
    #[command(flatten)]
    reading: input::Arguments,
    #[command(flatten)]
    method: method::Arguments,
    /// Print which rule each layer gets. Without an input, nothing else is done.
    #[arg(long)]
    explain_rules: bool,
    /// Write the relevance of this layer's output too, to layers/NAME.npy, [N, …]; may be given several times.
    #[arg(long, value_name = "NAME")]
    layer: Vec<String>,
    /// Print how much relevance each layer passed on, gave to its bias or lost to ε, for the first explanation; of all of them
    /// it stands in summary.json.
    #[arg(long)]
    conservation: bool,
    /// The class to explain, by name or index; else the one that is predicted.
    #[arg(long, value_name = "CLASS|INDEX")]
    target: Option<String>,
    /// The numbers to compute in: f64 shows how much of a heatmap is rounding.
    #[arg(long, value_enum, default_value = "f32")]
    dtype: Dtype,
    /// The folder to write to.
    #[arg(
        short,
        long,
        value_name = "DIR",
        required_unless_present = "explain_rules"
    )]
    output: Option<PathBuf>,
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
/// What the samples of a waveform count in.
const AMPLITUDE: &str = "amplitude (95th percentile = 1)";
/// Heatmaps in one picture.
const PANELS: usize = 12;

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let mut model = Model::load(&arguments.model, &device)?;
    let method = arguments.method.of(&model, common.seed)?;
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
    let name = method.to_string();
    let details = arguments.explain_rules || arguments.conservation || !arguments.layer.is_empty();
    let how = match &method {
        Method::Lrp(composite) => {
            let lrp = Lrp::new(&model.graph, composite);
            How::Lrp(lrp.with_context(|| composite.name().to_owned())?)
        }
        _ if details => bail!(
            "--explain-rules, --conservation and --layer are for the method lrp, not {name}: leave them out"
        ),
        method => How::Other(method.of(&model.graph).context(name.clone())?),
    };
    let explainer = Explainer {
        graph: &model.graph,
        how,
        dtype,
        target,
        device,
        layers: arguments.layer.iter().map(String::as_str).collect(),
        conservation: arguments.conservation,
    };
    if let (true, How::Lrp(lrp), Method::Lrp(composite)) =
        (arguments.explain_rules, &explainer.how, &method)
    {
        let table = assignments(&composite.name(), lrp);
        writeln!(std::io::stdout(), "{}", table.text())?;
    }
    let Some(output) = &arguments.output else {
        return Ok(());
    };
    let inputs = arguments.reading.read(&arguments.input, &model)?;
    let folders = folders(output, &inputs)?;
    for (input, folder) in inputs.iter().zip(folders) {
        let inputs = input.features.len_of(Axis(0));
        let label = format!("{name}, passes");
        let bar = progress::bar(&label, inputs * explainer.how.passes(), common.quiet);
        let answers =
            explainer.explain(input.features.view(), &|done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        write(arguments, &method, &model, input, &answers, &folder)?;
        if arguments.conservation {
            writeln!(std::io::stdout(), "{}", books(&answers.conservation).text())?;
        }
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

/// The method, ready to explain.
enum How {
    /// Which can tell more than relevance.
    Lrp(Lrp),
    Other(Box<dyn Attribute>),
}

impl How {
    fn attribute(&self) -> &dyn Attribute {
        match self {
            How::Lrp(lrp) => lrp,
            How::Other(method) => method.as_ref(),
        }
    }

    /// Of the network, for one input.
    fn passes(&self) -> usize {
        self.attribute().passes().total()
    }
}

struct Explainer<'a> {
    graph: &'a Graph,
    how: How,
    dtype: DType,
    target: Option<usize>,
    device: Device,
    /// The layers whose relevance is asked for.
    layers: Vec<&'a str>,
    conservation: bool,
}

/// What was found for every row of an input.
struct Answers {
    /// Of the features' shape, `[N, …]`.
    relevance: ArrayD<f32>,
    logits: Vec<Vec<f32>>,
    targets: Vec<u32>,
    /// By name, `[N, …]` each.
    layers: BTreeMap<String, ArrayD<f32>>,
    /// By node, the output's first; if asked for.
    conservation: Vec<Balance>,
    /// What relevance fails to account for, if the method can tell.
    completeness_gap: Option<Vec<f64>>,
}

impl Explainer<'_> {
    /// `progress` is told how many passes are done.
    fn explain(&self, features: ArrayViewD<f32>, progress: &dyn Fn(usize)) -> Result<Answers> {
        let mut answers = Answers {
            relevance: ArrayD::zeros(vec![0]),
            logits: Vec::new(),
            targets: Vec::new(),
            layers: BTreeMap::new(),
            conservation: Vec::new(),
            completeness_gap: None,
        };
        let mut values = Vec::with_capacity(features.len());
        for features in features.axis_chunks_iter(Axis(0), BATCH) {
            let features = to_tensor(features.to_owned(), &self.device)?.to_dtype(self.dtype)?;
            let logits = self.graph.forward(&features)?;
            let targets: Vec<u32> = match self.target {
                Some(target) => vec![target as u32; features.dim(0)?],
                None => logits.argmax(1)?.to_vec1()?,
            };
            let before = answers.targets.len() * self.how.passes();
            let relevance = match &self.how {
                How::Lrp(lrp) if self.conservation || !self.layers.is_empty() => {
                    self.explain_in_detail(lrp, &features, &targets, &mut answers)?
                }
                how => {
                    let done = |done| progress(before + done);
                    let found = how.attribute().attribute(&features, &targets, &done)?;
                    if let Some(gap) = found.completeness_gap {
                        answers.completeness_gap.get_or_insert_default().extend(gap);
                    }
                    found.relevance
                }
            };
            let relevance = relevance.to_dtype(DType::F32)?.flatten_all()?;
            values.extend(relevance.to_vec1::<f32>()?);
            let logits = logits.to_dtype(DType::F32)?;
            answers.logits.extend(logits.to_vec2::<f32>()?);
            answers.targets.extend(targets);
        }
        answers.relevance = ArrayD::from_shape_vec(features.raw_dim(), values)?;
        Ok(answers)
    }

    /// The relevance of a batch; that of layers and the books go to the answers.
    fn explain_in_detail(
        &self,
        lrp: &Lrp,
        features: &Tensor,
        targets: &[u32],
        answers: &mut Answers,
    ) -> Result<Tensor> {
        let detail = lrp.explain_in_detail(features, targets, &self.layers)?;
        for (name, relevance) in &detail.layers {
            let relevance = array(relevance)?;
            match answers.layers.get_mut(name) {
                Some(all) => all.append(Axis(0), relevance.view())?,
                None => {
                    answers.layers.insert(name.clone(), relevance);
                }
            }
        }
        if self.conservation {
            append(&mut answers.conservation, detail.conservation);
        }
        Ok(detail.explanation.relevance)
    }
}

fn array(tensor: &Tensor) -> Result<ArrayD<f32>> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok(ArrayD::from_shape_vec(tensor.dims(), values)?)
}

/// Puts another batch's books behind those there are.
fn append(all: &mut Vec<Balance>, more: Vec<Balance>) {
    if all.is_empty() {
        *all = more;
        return;
    }
    for (all, mut more) in all.iter_mut().zip(more) {
        all.arrived.append(&mut more.arrived);
        all.passed.append(&mut more.passed);
        all.bias.append(&mut more.bias);
        all.epsilon.append(&mut more.epsilon);
    }
}

/// Which rule each layer got.
fn assignments(rules: &str, lrp: &Lrp) -> Table {
    let row = |layer: Assignment| {
        let rule = layer.rule.unwrap_or_else(|| "passes on".into());
        Row::measured(layer.nodes.join(" + "), [layer.kind.to_string(), rule])
    };
    Table {
        corner: rules.to_owned(),
        columns: vec!["kind".into(), "rule".into()],
        rows: lrp.assignments().into_iter().map(row).collect(),
    }
}

/// What became of relevance at each node that does more than pass it on, for the first explanation.
fn books(conservation: &[Balance]) -> Table {
    let row = |balance: &Balance| {
        let number = |values: &[f64]| format!("{:.4}", values.first().copied().unwrap_or_default());
        let remainder = balance.remainder();
        let cells = [
            number(&balance.arrived),
            number(&balance.passed),
            number(&balance.bias),
            number(&balance.epsilon),
            format!("{:.1e}", remainder.first().copied().unwrap_or_default()),
        ];
        Row::measured(balance.node.clone(), cells)
    };
    Table {
        corner: "layer".into(),
        columns: ["arrived", "passed on", "bias", "ε", "rest"]
            .map(str::to_owned)
            .to_vec(),
        rows: conservation
            .iter()
            .filter(|balance| balance.rule.is_some())
            .map(row)
            .collect(),
    }
}

fn write(
    arguments: &Arguments,
    method: &Method,
    model: &Model,
    input: &Input,
    answers: &Answers,
    folder: &Path,
) -> Result<()> {
    let Answers {
        relevance,
        logits,
        targets,
        layers,
        conservation,
        completeness_gap,
    } = answers;
    let path = folder.join("relevance.npy");
    match input.single {
        true => npy::write(&path, relevance.index_axis(Axis(0), 0))?,
        false => npy::write(&path, relevance.view())?,
    }
    for (name, relevance) in layers {
        npy::write(&folder.join(format!("layers/{name}.npy")), relevance.view())?;
    }
    let rows = || {
        input
            .features
            .outer_iter()
            .zip(relevance.outer_iter())
            .zip(targets)
    };
    picture(model, input, relevance.view(), targets)?.write_png(&folder.join("heatmap.png"))?;

    let items = logits.iter().zip(rows()).map(|(logits, ((_, relevance), target))| {
        let (index, probability) = answer(model, logits);
        json!({
            "class": model.classes[index], "index": index, "probability": probability, "logits": logits,
            "target": model.classes[*target as usize], "target_index": target,
            "relevance_sum": relevance.iter().map(|r| f64::from(*r)).sum::<f64>(),
        })
    });
    let mut summary = json!({
        "input": input.path.display().to_string(), "model": arguments.model.display().to_string(), "method": method.to_string(),
        "settings": arguments.method.settings(method), "dtype": arguments.dtype.name(),
        "shape": relevance.shape()[usize::from(input.single)..],
        "explanations": items.collect::<Vec<_>>(),
    });
    if let Method::Lrp(composite) = method {
        summary["rules"] = composite.name().into();
    }
    if let Some(gap) = completeness_gap {
        summary["completeness_gap"] = json!(gap);
    }
    if arguments.conservation {
        let balance = |balance: &Balance| {
            json!({
                "node": balance.node, "kind": balance.kind.to_string(), "rule": balance.rule, "arrived": balance.arrived,
                "passed": balance.passed, "bias": balance.bias, "epsilon": balance.epsilon,
                "remainder": balance.remainder(),
            })
        };
        summary["conservation"] = conservation.iter().map(balance).collect();
    }
    let path = folder.join("summary.json");
    Ok(atomic::write(&path, format!("{summary:#}\n").as_bytes())?)
}

/// The first explanations, over what they explain.
fn picture(
    model: &Model,
    input: &Input,
    relevance: ArrayViewD<f32>,
    targets: &[u32],
) -> Result<Picture> {
    let rows = input.features.outer_iter().zip(relevance.outer_iter());
    let titles = targets
        .iter()
        .map(|target| format!("relevance for {}", model.classes[*target as usize]));
    let rows = rows.zip(titles).take(PANELS);
    if model.features() == Features::Waveform {
        let traces = rows.map(|((waveform, relevance), title)| {
            let waveform = waveform.into_dimensionality::<Ix1>()?;
            let relevance = relevance.into_dimensionality::<Ix1>()?;
            let seconds = SECOND as f64 / f64::from(RATE);
            let limit = limit(relevance);
            Ok(Trace::new(seconds, AMPLITUDE, waveform, relevance, limit)?.titled(title))
        });
        return Ok(stack(&traces.collect::<Result<Vec<_>>>()?)?);
    }
    let panels = rows.zip(&input.starts);
    let panels = panels.map(|(((features, relevance), title), start)| {
        let features = features.into_dimensionality::<Ix2>()?;
        let relevance = relevance.into_dimensionality::<Ix2>()?;
        let axes = axes(model, *start, features.ncols());
        Ok(Panel::overlay(axes, features, relevance, limit(relevance))?.titled(title))
    });
    Ok(grid(&panels.collect::<Result<Vec<_>>>()?, 3)?)
}

/// The axes of so many frames that begin `start` seconds into the recording.
fn axes(model: &Model, start: f64, frames: usize) -> Axes {
    if model.features() == Features::Filterbank {
        let end = start + frames as f64 * FRAME_SECONDS;
        return Axes::filterbank(start, end, &filterbank::frequencies());
    }
    let crop = model.metadata.get("crop");
    let crop: Crop = crop.and_then(|crop| crop.parse().ok()).unwrap_or_default();
    let seconds = times(crop).last().copied().unwrap_or(1.0);
    Axes::spectrogram(seconds, SIZE as f64 * f64::from(RATE) / WINDOW as f64)
}
