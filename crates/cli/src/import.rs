//! `speechlens import`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde_json::Value;
use speechlens_frontend::FrontEnd;
use speechlens_models::{Imported, Model, Network, Probability, Task, alexnet, onnx};
use speechlens_nn::loss::Loss;
use speechlens_nn::tensor_file;

use crate::common::{Common, check_writable};
use crate::crop::Crop;

/// Make a model of an ONNX file, or of a PyTorch checkpoint.
///
/// An ONNX file (.onnx) holds any network, as PyTorch, Keras and quantizers export it; `speechlens inspect FILE.onnx` tells before any work what it is
/// made of. Say with --frontend what it reads (else a guess by its input's shape is told) and with --task what its outputs mean: a
/// final softmax makes them classes, a final sigmoid labels, and what else they are it does not tell.
///
/// A checkpoint (.pt, .pth, .safetensors) is a state dict, `torch.save(model.state_dict(), path)`, of any version of PyTorch, or safetensors. It may
/// stand inside a dictionary, and its names may begin with `module.` or the like. Names and shapes are those of torchvision's
/// AlexNet with one input channel, of AudioNet named like it, and of a ResNet34 with 32 to 256 channels and statistics pooling.
/// A single logit, which binary cross entropy trained, becomes two classes: it speaks for the second, its negative for the first.
/// What belongs to no layer (heads of a loss, metrics, counters) is told and left out.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network of a checkpoint: alexnet, audionet or resnet34.
    #[arg(long, value_name = "ARCH", value_parser = Network::named)]
    arch: Option<&'static Network>,
    /// The file: .onnx, .pt, .pth or .safetensors.
    #[arg(value_name = "FILE")]
    checkpoint: PathBuf,
    /// Where the weights stand in a file that holds several: what comes before the network's own names, as `model_ema.` or
    /// `state_dict.model.`.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Refuse a file with tensors that belong to no layer.
    #[arg(long)]
    strict: bool,
    /// Where to write the model.
    #[arg(short, long, value_name = "MODEL.safetensors")]
    output: PathBuf,
    /// The classes' names, or the scores' with their units, in the order of the outputs, or a file of them, one a line. Else male and female for an AlexNet or
    /// AudioNet of two classes, and 0, 1, … for others.
    #[arg(long, value_name = "A,B,…|@FILE")]
    classes: Option<String>,
    /// Which 227 of the 230 frames the spectrograms had that the network was trained on.
    #[arg(long, value_enum)]
    crop: Option<Crop>,
    /// What the network reads: a front end by name or a TOML file (see `speechlens features --help`). Else thesis-spectrogram of
    /// AlexNet, thesis-waveform of AudioNet and thesis-fbank of ResNet34, which can have been trained on any bands and frames.
    #[arg(long, value_name = "NAME|FILE.toml", conflicts_with = "crop")]
    frontend: Option<String>,
    /// What the outputs mean: `classes`, of which one is right; `labels`, of which several may be, each by a sigmoid of its own; of ONNX
    /// files also `frames`, classes for each frame, an `embedding`, or a `score`. Else classes, or what an ONNX file's last function
    /// suggests.
    #[arg(long, value_enum)]
    task: Option<Outputs>,
    /// A number for an input of an ONNX file behind the first, as a sample rate or a relative length: `--given sr=16000 --given lens=1`. It is a
    /// constant of the model then. Real inputs of one shape that are given nothing are 0, as states are at the start; what no output gives back is told.
    #[arg(long, value_name = "NAME=NUMBER", value_parser = given)]
    given: Vec<(String, f64)>,
    /// The output of an ONNX file that is the answer, by its name. Else the first of real numbers.
    #[arg(long, value_name = "NAME")]
    answer: Option<String>,
    /// What the network was trained by, which says what its logits mean: binary-cross-entropy (sigmoid), as an AlexNet unless
    /// told otherwise, or cross-entropy (softmax), as the others.
    #[arg(long, value_parser = loss, value_name = "LOSS")]
    loss: Option<Loss>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Outputs {
    Classes,
    Labels,
    Frames,
    Embedding,
    Score,
}

impl Outputs {
    /// As files have it.
    fn name(self) -> &'static str {
        match self {
            Outputs::Classes => "classes",
            Outputs::Labels => "labels",
            Outputs::Frames => "frames",
            Outputs::Embedding => "embedding",
            Outputs::Score => "score",
        }
    }
}

/// So many names of tensors are told; an average beside the weights has hundreds.
const TOLD: usize = 8;

fn given(text: &str) -> Result<(String, f64), String> {
    let (name, number) = text.rsplit_once('=').ok_or("say NAME=NUMBER")?;
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() && !name.is_empty() => Ok((name.to_owned(), number)),
        _ => Err("say NAME=NUMBER".into()),
    }
}

fn loss(text: &str) -> Result<Loss, String> {
    serde_json::from_value(Value::from(text))
        .map_err(|_| "say binary-cross-entropy or cross-entropy".into())
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    check_writable(&arguments.output)?;
    let names = arguments.classes.as_deref().map(class_names).transpose()?;
    let file = arguments.checkpoint.display();
    let place = |path: &Path| path.canonicalize().ok();
    ensure!(
        place(&arguments.output).is_none()
            || place(&arguments.output) != place(&arguments.checkpoint),
        "{file}: would be overwritten; give another name to -o"
    );
    let ending = arguments.checkpoint.extension();
    if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
        return of_onnx(arguments, names, common);
    }
    for (is_given, option) in [
        (!arguments.given.is_empty(), "--given"),
        (arguments.answer.is_some(), "--answer"),
    ] {
        ensure!(
            !is_given,
            "{option}: is of ONNX files, and {file} is a checkpoint: leave it out"
        );
    }
    let Some(network) = arguments.arch else {
        bail!("{file}: is a checkpoint of which network? Say --arch alexnet, audionet or resnet34");
    };
    let front_end = match (&arguments.frontend, arguments.crop) {
        (Some(name), _) => Some(FrontEnd::load(name)?),
        (None, Some(crop)) if network == &alexnet::NETWORK => {
            Some(FrontEnd::load(crop.front_end())?)
        }
        _ => None,
    };
    let Imported {
        mut model,
        had_one_logit,
        left_out,
    } = Model::import(
        network,
        &arguments.checkpoint,
        arguments.prefix.as_deref(),
        front_end,
        &common.device()?,
    )?;
    if !left_out.is_empty() {
        let mut names = left_out[..left_out.len().min(TOLD)].join("`, `");
        if let more @ 1.. = left_out.len().saturating_sub(TOLD) {
            names = format!("{names}` and {more} more, as `{}", left_out[TOLD]);
        }
        ensure!(
            !arguments.strict,
            "{file}: `{names}` has no place in the network; leave out --strict to import the others"
        );
        tracing::warn!("{file}: left out what belongs to no layer: `{names}`");
    }
    // What the file tells of the loss: a single logit can have but one.
    ensure!(
        !had_one_logit || arguments.loss.is_none_or(|loss| loss == model.loss()),
        "{file}: has one logit, which under cross-entropy says nothing; leave out --loss"
    );
    let probability = Probability::of(arguments.loss.unwrap_or(model.loss()));
    let classes = match (names, network.two_classes, model.classes()) {
        (Some(names), _, own) => {
            ensure!(
                names.len() == own.len(),
                "{file}: has {} classes, and --classes names {}",
                own.len(),
                names.len()
            );
            names
        }
        (None, Some(two), [_, _]) => two.map(str::to_owned).to_vec(),
        (None, _, own) => own.to_vec(),
    };
    ensure!(
        arguments.loss.is_none() || arguments.task != Some(Outputs::Labels),
        "--loss: is for classes, and each label has a sigmoid of its own: leave it out"
    );
    model.task = match arguments.task {
        None | Some(Outputs::Classes) => Task::Classes {
            probability,
            classes,
        },
        Some(Outputs::Labels) => Task::Labels { classes },
        Some(other) => bail!(
            "--task {}: is of ONNX files; {network} has classes or labels",
            other.name()
        ),
    };
    tensor_file::remove_partial(&arguments.output)?;
    model.save(&arguments.output)?;
    if !common.quiet {
        println!(
            "{}: {}, {} classes",
            arguments.output.display(),
            network,
            model.classes().len()
        );
    }
    Ok(())
}

/// A model of an ONNX file.
fn of_onnx(arguments: &Arguments, classes: Option<Vec<String>>, common: &Common) -> Result<()> {
    let of_checkpoints = [
        (arguments.arch.is_some(), "--arch"),
        (arguments.prefix.is_some(), "--prefix"),
        (arguments.crop.is_some(), "--crop"),
        (arguments.loss.is_some(), "--loss"),
    ];
    let file = arguments.checkpoint.display();
    if let Some((_, option)) = of_checkpoints.iter().find(|(is_given, _)| *is_given) {
        bail!("{option}: is of checkpoints, and {file} tells its network itself: leave it out");
    }
    let told = onnx::Told {
        front_end: arguments
            .frontend
            .as_deref()
            .map(FrontEnd::load)
            .transpose()?,
        task: arguments.task.map(Outputs::name),
        classes,
        given: arguments.given.clone(),
        answer: arguments.answer.clone(),
    };
    let onnx::Imported {
        model,
        guess,
        missing,
    } = Model::import_onnx(&arguments.checkpoint, told, &common.device()?)?;
    if let Some(name) = missing.first() {
        tracing::warn!(
            "{file}: reads `{}` too, which no front end gives, and no output gives back as a state: import it with --given {name}=NUMBER",
            missing.join("`, `")
        );
    }
    if let Some(guess) = guess {
        tracing::warn!("{file}: its front end is a guess, {guess}; say it with --frontend");
    }
    tensor_file::remove_partial(&arguments.output)?;
    model.save(&arguments.output)?;
    if !common.quiet {
        let front_end = model.front_end.name().unwrap_or("a front end of its own");
        println!(
            "{}: {} nodes, {}, reads {front_end}",
            arguments.output.display(),
            model.graph.architecture().nodes().len(),
            match model.classes() {
                [] => model.task.name().to_owned(),
                classes => format!("{} ({})", model.task.name(), classes.len()),
            },
        );
    }
    Ok(())
}

/// Names from the command line, or from a file.
fn class_names(text: &str) -> Result<Vec<String>> {
    let (source, names) = match text.strip_prefix('@') {
        Some(file) => {
            let text = std::fs::read_to_string(Path::new(file))
                .with_context(|| format!("{file}: cannot be read; check the path"))?;
            let lines = text.lines().map(|line| line.trim().to_owned());
            (file, lines.collect::<Vec<_>>())
        }
        None => {
            let names = text.split(',').map(|name| name.trim().to_owned());
            ("--classes", names.collect())
        }
    };
    let mut seen = BTreeSet::new();
    for (number, name) in (1..).zip(&names) {
        ensure!(!name.is_empty(), "{source}: name {number} is empty");
        ensure!(seen.insert(name), "{source}: names `{name}` twice");
    }
    Ok(names)
}
