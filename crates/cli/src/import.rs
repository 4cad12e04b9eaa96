//! `speechlens import`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use speechlens_audio::Crop;
use speechlens_data::Sex;
use speechlens_models::{
    Arch, Features, Model, TRAINING, filterbank_metadata, spectrogram_metadata, waveform_metadata,
};
use speechlens_nn::loss::Loss;
use speechlens_nn::tensor_file;

use crate::common::{Common, check_writable};

/// Make a model of a PyTorch checkpoint.
///
/// The checkpoint is a state dict, `torch.save(model.state_dict(), path)`, of any version of PyTorch, or safetensors. It may
/// stand inside a dictionary, and its names may begin with `module.` or the like. Names and shapes are those of torchvision's
/// AlexNet with one input channel, of AudioNet named like it, and of a ResNet34 with 32 to 256 channels and statistics pooling.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network: alexnet, audionet or resnet34.
    #[arg(long, value_name = "ARCH")]
    arch: Arch,
    /// The file: .pt, .pth or .safetensors.
    checkpoint: PathBuf,
    /// Where to write the model.
    #[arg(short, long, value_name = "MODEL.safetensors")]
    output: PathBuf,
    /// The classes' names, in the order of the logits, or a file of them, one a line. Else male and female for an AlexNet or
    /// AudioNet of two classes, and 0, 1, … for others.
    #[arg(long, value_name = "A,B,…|@FILE")]
    classes: Option<String>,
    /// Which 227 of the 230 frames the spectrograms had that the network was trained on: `thesis` cuts the last three,
    /// `audiomnist` the first two and the last.
    #[arg(long, default_value_t, value_parser = clap::value_parser!(Crop), value_name = "thesis|audiomnist")]
    crop: Crop,
    /// What the network was trained by, which says what its logits mean: binary-cross-entropy (sigmoid), as an AlexNet unless
    /// told otherwise, or cross-entropy (softmax), as the others.
    #[arg(long, value_parser = loss, value_name = "LOSS")]
    loss: Option<Loss>,
}

fn loss(text: &str) -> Result<Loss, String> {
    serde_json::from_value(Value::from(text))
        .map_err(|_| "say binary-cross-entropy or cross-entropy".into())
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    check_writable(&arguments.output)?;
    let names = arguments.classes.as_deref().map(class_names).transpose()?;
    let mut model = Model::import(arguments.arch, &arguments.checkpoint, &common.device()?)?;
    if let Some(names) = names {
        ensure!(
            names.len() == model.classes.len(),
            "{}: has {} classes, and --classes names {}",
            arguments.checkpoint.display(),
            model.classes.len(),
            names.len()
        );
        model.classes = names;
    } else if model.arch != Arch::ResNet34 && model.classes.len() == Sex::ALL.len() {
        model.classes = Sex::ALL.iter().map(|sex| sex.name().to_owned()).collect();
    }
    model.metadata = match model.features() {
        Features::Spectrogram => spectrogram_metadata(&arguments.crop.to_string()),
        Features::Waveform => waveform_metadata(),
        Features::Filterbank => filterbank_metadata("segment"),
    };
    let loss = arguments.loss.unwrap_or(model.loss());
    let training = json!({ "loss": loss }).to_string();
    model.metadata.insert(TRAINING.to_owned(), training);
    tensor_file::remove_partial(&arguments.output)?;
    model.save(&arguments.output)?;
    if !common.quiet {
        println!(
            "{}: {}, {} classes",
            arguments.output.display(),
            model.arch,
            model.classes.len()
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
