//! `speechlens train`

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::Device;
use clap::ValueEnum;
use serde_json::json;
use speechlens_data::background::{Backdrop, Background};
use speechlens_data::{LeftOut, Part, Recording, Sex};
use speechlens_eval::NoisyWindows;
use speechlens_eval::noisy_windows::Sounds;
use speechlens_frontend::FrontEnd;
use speechlens_models::{ARCH, Model, Network, TRAINING, Task, alexnet, audionet, fit, resnet34};
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Best, Config, Samples, Score, logits};
use speechlens_nn::{Graph, Trainer, tensor_file};
use speechlens_report::interrupt::Interrupt;
use speechlens_report::progress;

use crate::common::{Common, at_least_one, check_writable};
use crate::crop::Crop;
use crate::data::{self, ClassData, SpeakerData, tell_left_out};

/// Train a network on recordings.
///
/// Writes MODEL.safetensors at the end: the network as it was after the epoch with most of the validation recordings right. While
/// it runs, MODEL.checkpoint.safetensors (four times a model's size) holds what `--resume` needs to go on to the same weights as if it had never stopped; it is removed at the end.
/// Ctrl-C saves it, says how to go on, and ends with status 130; a second Ctrl-C ends at once.
#[derive(clap::Args)]
pub struct Arguments {
    /// What the network is to tell: gender, male or female, of strangers; speaker, who of known ones, by two seconds of them; digits,
    /// which digit strangers say; or the labels of a table, CSV: a line of titles, `path,label`, and if they are known `speaker` and
    /// `split` (train, validation or test), in any order, then a line for each recording, its path relative to the table's folder.
    /// Without DATA it is trained on the table's recordings; DATA can be a store that `speechlens augment` made of them.
    #[arg(long, value_name = "gender|speaker|digits|LABELS.csv")]
    task: Told,
    /// The network: for gender alexnet, which reads spectrograms, or audionet, which reads waveforms; for speakers resnet34; for
    /// digits and labels any of these. Else the first of its task.
    #[arg(long, value_name = "ARCH", value_parser = Network::named)]
    arch: Option<&'static Network>,
    /// What the network reads, for digits and labels: a front end by name or a TOML file (see `speechlens features --help`), whose
    /// features are of the shape of the network's input: `[227, 227]` for alexnet, `[8000]` for audionet, any bands and frames for
    /// resnet34. Else thesis-spectrogram, thesis-waveform or thesis-fbank.
    #[arg(long, value_name = "NAME|FILE.toml")]
    frontend: Option<String>,
    #[command(flatten)]
    data: data::Arguments,
    /// Where to write the model.
    #[arg(short, long, value_name = "MODEL.safetensors")]
    output: PathBuf,
    /// Start from this model's weights and not from random ones: retrain it, on data that `speechlens augment` made, say. For digits
    /// and labels its network, front end and classes are those of the model.
    #[arg(long, value_name = "MODEL.safetensors")]
    from: Option<PathBuf>,
    /// Passes over what is trained on.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    epochs: u64,
    /// Recordings or windows a step: 50, or, of resnet34, 32.
    #[arg(long, value_parser = at_least_one, value_name = "N")]
    batch: Option<usize>,
    /// Learning rate, the highest if it changes: 1e-4, or, of resnet34, 2e-3, which is for random weights: with --from a hundredth of
    /// it keeps what the network knows.
    #[arg(long, value_parser = positive, value_name = "X")]
    lr: Option<f64>,
    /// How the learning rate changes: constant, as is the default, or one-cycle, as is that of resnet34: up from a 25th in the
    /// first 30 % of the steps, then down to nearly nothing.
    #[arg(long, value_enum)]
    schedule: Option<Course>,
    /// How weights follow their gradients: adamw (weight decay 0.01), or sgd (momentum 0.9) as in the thesis.
    #[arg(long, value_enum, default_value = "adamw")]
    optimizer: Algorithm,
    /// Go on from the checkpoint of a run that was stopped. Without a checkpoint, training starts from the beginning, unless
    /// the model is there and was trained in just this way: then nothing is left to do.
    #[arg(long)]
    resume: bool,
    /// How long training runs between checkpoints, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    checkpoint_seconds: u64,
    /// Over what the mean of each band of a filterbank is set to 0: `segment`, of two seconds, or `utterance`.
    #[arg(long, value_enum, default_value = "segment")]
    normalization: Normalization,
    /// What speakers are heard against, `music`, `noise` or both: in every epoch each segment is trained on anew, as it was
    /// recorded or with one of these behind it, drawn by lot. Music lies 5 to 15 dB below the speech, noise 0 to 15 dB. At the end
    /// the held-out segments are tested with each, from backgrounds that training did not hear.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(Backdrop), value_name = "music,noise")]
    augment: Vec<Backdrop>,
    /// Where --augment takes music and noise from: MUSAN's folder, that holds music/ and noise/. Without it both are synthesized.
    #[arg(long, value_name = "DIR", requires = "augment")]
    musan: Option<PathBuf>,
    /// Which 227 of a spectrogram's 230 frames are kept.
    #[arg(long, value_enum, default_value = "thesis")]
    crop: Crop,
}

#[derive(Clone)]
enum Told {
    /// Male or female, of strangers, by AlexNet on decibel spectrograms or AudioNet on waveforms.
    Gender,
    /// Who of known speakers, by ResNet34 on mel filterbanks of two seconds.
    Speaker,
    /// Which digit.
    Digits,
    /// The labels of a table.
    Labels(PathBuf),
}

impl FromStr for Told {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        match text {
            "gender" => Ok(Told::Gender),
            "speaker" => Ok(Told::Speaker),
            "digits" => Ok(Told::Digits),
            _ if path
                .extension()
                .is_some_and(|own| own.eq_ignore_ascii_case("csv")) =>
            {
                Ok(Told::Labels(path.to_owned()))
            }
            _ => Err("say gender, speaker, digits, or the name of a table of labels (.csv)".into()),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    Adamw,
    Sgd,
}

#[derive(Clone, Copy, ValueEnum)]
enum Normalization {
    Segment,
    Utterance,
}

#[derive(Clone, Copy, ValueEnum)]
enum Course {
    Constant,
    OneCycle,
}

/// What a task decides, and how it is trained unless asked otherwise.
struct Plan {
    network: &'static Network,
    front_end: FrontEnd,
    classes: Vec<String>,
    /// What it is trained on, in the model's metadata.
    heard: serde_json::Value,
    training: Box<dyn Samples>,
    validation: Box<dyn Samples>,
    /// What the validation samples are.
    validated_on: String,
    /// What else it is tested on at the end, with what each is.
    tests: Vec<(String, NoisyWindows)>,
    /// What both hear behind the speech.
    clips: Clips,
}

/// The recordings of music and noise, of which those that cannot be used are known when they are drawn.
#[derive(Default)]
struct Clips {
    folder: PathBuf,
    backgrounds: Vec<Arc<Background>>,
    /// How many were told.
    told: Cell<usize>,
}

impl Clips {
    /// Says which were left out, if there are more than were told.
    fn tell(&self) {
        let of = self
            .backgrounds
            .iter()
            .map(|background| background.left_out());
        let left_out: Vec<LeftOut> = of.flatten().collect();
        if self.told.replace(left_out.len()) < left_out.len() {
            tell_left_out(&self.folder.display().to_string(), &left_out, "");
        }
    }
}

fn gender(
    network: &'static Network,
    front_end: FrontEnd,
    arguments: &Arguments,
    common: &Common,
) -> Result<Plan> {
    let parts = [Part::Train, Part::Validation];
    let read = arguments.data.read(&parts, &front_end, [0, 1], common)?;
    let mut read = read.into_iter();
    let (training, validation) = (
        read.next().unwrap_or_default(),
        read.next().unwrap_or_default(),
    );
    Ok(Plan {
        network,
        front_end,
        classes: Sex::names(),
        heard: heard(training.recordings()),
        training: Box::new(training),
        validation: Box::new(validation),
        validated_on: "validation speakers".to_owned(),
        tests: Vec::new(),
        clips: Clips::default(),
    })
}

/// Windows of a recording that training hears begin an eighth of their length after each other.
const WINDOWS_A_LENGTH: usize = 8;

/// A classifier of any classes, on any front end's features; of a table of labels, or else the digits.
fn classifier(arguments: &Arguments, table: Option<&Path>, common: &Common) -> Result<Plan> {
    let from = arguments.from.as_deref();
    let from = from
        .map(|path| Model::load(path, &Device::Cpu))
        .transpose()?;
    let own = from.as_ref().and_then(|model| model.metadata.get(ARCH));
    let own = own.and_then(|name| Network::named(name).ok());
    let network = arguments.arch.or(own).unwrap_or(&alexnet::NETWORK);
    let front_end = match (&arguments.frontend, &from) {
        (Some(name), _) => FrontEnd::load(name)?,
        (None, Some(model)) => FrontEnd::parse(&model.front_end.to_toml()?)?,
        (None, None) => FrontEnd::load(network.front_end)?,
    };
    let name = arguments.frontend.as_deref().or(front_end.name());
    let name = name.unwrap_or("FILE.toml");
    fit(&(network.build)(2, &front_end.shape())?, &front_end).map_err(|problem| {
        anyhow!(
            "--frontend {name} does not suit --arch {network}: {problem}; or give another of either"
        )
    })?;
    let hop = front_end
        .axes()
        .frames
        .map(|frames| (frames / WINDOWS_A_LENGTH).max(1));
    let parts = [(Part::Train, hop), (Part::Validation, None)];
    let known = from.as_ref().map(Model::classes);
    let ClassData { classes, parts } = arguments
        .data
        .windows(table, &parts, &front_end, known, common)?;
    let mut parts = parts.into_iter();
    let (training, validation) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let mut heard = heard(training.recordings());
    heard["windows"] = training.len().into();
    heard["task"] = table
        .map_or("digits".into(), |table| table.display().to_string())
        .into();
    Ok(Plan {
        network,
        front_end,
        classes,
        heard,
        validated_on: format!("{} windows of validation recordings", validation.len()),
        training: Box::new(training),
        validation: Box::new(validation),
        tests: Vec::new(),
        clips: Clips::default(),
    })
}

/// How many recordings, and of whom.
fn heard<'a>(recordings: impl IntoIterator<Item = &'a Recording>) -> serde_json::Value {
    let recordings: Vec<&Recording> = recordings.into_iter().collect();
    let speakers: BTreeSet<&str> = recordings.iter().map(|r| r.speaker.as_str()).collect();
    json!({ "recordings": recordings.len(), "speakers": speakers })
}

fn speaker(arguments: &Arguments, common: &Common) -> Result<Plan> {
    let front_end = FrontEnd::load(match arguments.normalization {
        Normalization::Segment => "thesis-fbank",
        Normalization::Utterance => "thesis-fbank-recording",
    })?;
    // What is not MUSAN is told before an hour of filterbanks.
    let background = match &arguments.musan {
        Some(folder) => {
            Background::musan(folder, common.seed, arguments.data.preparation().strict)?
        }
        None => Background::synthetic(common.seed),
    };
    let SpeakerData {
        classes,
        training,
        held_out,
        corpora,
    } = arguments.data.speakers(&front_end, common)?;
    tracing::info!(
        "{} speakers: {} segments for training, {} held out",
        classes.len(),
        training.len(),
        held_out.len()
    );
    let mut plan = Plan {
        network: &resnet34::NETWORK,
        front_end,
        heard: json!({ "segments": training.len(), "speakers": classes }),
        classes,
        training: Box::new(training.clone()),
        validated_on: format!("{} held-out segments", held_out.len()),
        validation: Box::new(held_out.clone()),
        tests: Vec::new(),
        clips: Clips::default(),
    };
    if !arguments.augment.is_empty() {
        ensure!(
            corpora.len() == arguments.data.count(),
            "--augment: music and noise are mixed with sound, and a feature store has none: give the recordings"
        );
        let [to_train, to_test] = background.split()?.map(Arc::new);
        let sounds = Arc::new(Sounds::new(corpora));
        let some = arguments.augment.iter().copied().map(Some);
        let kinds: Vec<Option<Backdrop>> = iter::once(None).chain(some).collect();
        plan.heard["behind"] = json!(kinds.iter().flatten().map(|k| k.name()).collect::<Vec<_>>());
        plan.heard["backgrounds"] = to_train.fingerprint().into();
        plan.training = Box::new(NoisyWindows::new(training, &sounds, &to_train, &kinds));
        let test = |kind: &Backdrop| {
            let segments = NoisyWindows::new(held_out.clone(), &sounds, &to_test, &[Some(*kind)]);
            (format!("the same with {kind}"), segments)
        };
        plan.tests = arguments.augment.iter().map(test).collect();
        plan.clips = Clips {
            folder: arguments.musan.clone().unwrap_or_default(),
            backgrounds: vec![to_train, to_test],
            told: Cell::default(),
        };
    }
    Ok(plan)
}

impl Plan {
    /// The weights of a model that does what the plan's is to do.
    fn weights_of(&self, path: &Path, device: &Device) -> Result<Graph> {
        let model = Model::load(path, device)?;
        let own = (self.network.build)(self.classes.len(), &self.front_end.shape())?;
        let fits = model.graph.architecture().to_json() == own.to_json()
            && model.classes() == self.classes
            && model.front_end.to_toml()? == self.front_end.to_toml()?;
        ensure!(
            fits,
            "{}: is not of the same network, classes and features as the task: train from another model, or leave --from out",
            path.display()
        );
        Ok(model.graph)
    }

    fn config(&self, arguments: &Arguments, seed: u64) -> Config {
        let recipe = self.network.recipe;
        let batch = arguments.batch.unwrap_or(recipe.batch);
        let lr = arguments.lr.unwrap_or(recipe.lr);
        let course = match recipe.one_cycle {
            true => Course::OneCycle,
            false => Course::Constant,
        };
        Config {
            epochs: arguments.epochs,
            batch,
            optimizer: match arguments.optimizer {
                Algorithm::Adamw => Optimizer::AdamW {
                    lr,
                    weight_decay: 0.01,
                },
                Algorithm::Sgd => Optimizer::Sgd { lr, momentum: 0.9 },
            },
            schedule: match arguments.schedule.unwrap_or(course) {
                Course::Constant => Schedule::Constant,
                Course::OneCycle => Schedule::OneCycle {
                    steps: (self.training.len() / batch) as u64 * arguments.epochs,
                },
            },
            seed,
            loss: self.network.probability.loss(),
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("say a number above 0".into()),
    }
}

/// Where a run's checkpoint is kept.
fn checkpoint(model: &Path) -> PathBuf {
    model.with_extension("checkpoint.safetensors")
}

/// The command that goes on where this one stopped.
fn resuming(command: impl Iterator<Item = String>) -> Vec<String> {
    let mut words: Vec<String> = command.collect();
    let resume = "--resume".to_owned();
    if !words.contains(&resume) {
        words.push(resume);
    }
    words
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    if !matches!(arguments.task, Told::Labels(_)) {
        arguments.data.require();
    }
    check_writable(&arguments.output)?;
    let interrupt = Interrupt::listen(resuming(std::env::args()))?;
    let device = common.device()?;
    ensure!(
        arguments.augment.is_empty() || matches!(arguments.task, Told::Speaker),
        "--augment: is for --task speaker; for others leave it out"
    );
    ensure!(
        arguments.frontend.is_none() || matches!(arguments.task, Told::Digits | Told::Labels(_)),
        "--frontend: is for digits and tables of labels; gender and speakers have those of the thesis"
    );
    let plan = match (&arguments.task, arguments.arch) {
        (Told::Digits, _) => classifier(arguments, None, common)?,
        (Told::Labels(table), _) => classifier(arguments, Some(table), common)?,
        (Told::Gender, network) if network.is_none_or(|own| own == &alexnet::NETWORK) => {
            let front_end = FrontEnd::load(arguments.crop.front_end())?;
            gender(&alexnet::NETWORK, front_end, arguments, common)?
        }
        (Told::Gender, Some(network)) if network == &audionet::NETWORK => {
            let front_end = FrontEnd::load(network.front_end)?;
            gender(network, front_end, arguments, common)?
        }
        (Told::Speaker, network) if network.is_none_or(|own| own == &resnet34::NETWORK) => {
            speaker(arguments, common)?
        }
        (Told::Gender, network) => bail!(
            "--arch {}: for gender there are alexnet and audionet",
            network.map_or("", |network| network.name)
        ),
        (Told::Speaker, network) => bail!(
            "--arch {}: for speakers there is resnet34",
            network.map_or("", |network| network.name)
        ),
    };
    let config = plan.config(arguments, common.seed);
    let batch = config.batch;
    let mut described = description(&config, &plan.heard);
    for name in arguments.data.done_to_recordings() {
        described[name] = true.into();
    }
    if let Some(from) = &arguments.from {
        described["from"] = from.display().to_string().into();
    }
    let described = described.to_string();
    let metadata: BTreeMap<String, String> = [(ARCH, plan.network.name), (TRAINING, &described)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let path = checkpoint(&arguments.output);
    for written in [&arguments.output, &path] {
        tensor_file::remove_partial(written)?;
    }
    if arguments.resume && !path.exists() {
        let trained = Model::load(&arguments.output, &device);
        let is_of_plan = |model: &Model| {
            model.metadata == metadata
                && model.classes() == plan.classes
                && model.front_end.to_toml().ok() == plan.front_end.to_toml().ok()
        };
        if trained.is_ok_and(|model| is_of_plan(&model)) {
            if !common.quiet {
                println!("{}: is trained already", arguments.output.display());
            }
            return Ok(());
        }
    }
    let graph = match &arguments.from {
        Some(path) => plan.weights_of(path, &device)?,
        None => (plan.network.build)(plan.classes.len(), &plan.front_end.shape())?
            .random(common.seed, &device)?,
    };
    let mut trainer = start(arguments.resume, &path, &graph, config, &device)?;
    drop(graph);
    let (training, validation) = (plan.training.as_ref(), plan.validation.as_ref());
    let per_epoch = trainer.steps_per_epoch(training)?;
    let steps = per_epoch * arguments.epochs;
    let bar = progress::bar("training, steps", steps as usize, common.quiet);
    bar.set_position(trainer.steps());
    bar.reset_eta();
    let mut saved = Instant::now();
    let after_step = |trainer: &mut Trainer, ends_epoch| {
        bar.set_position(trainer.steps());
        bar.set_message(
            trainer
                .history()
                .loss
                .last()
                .map_or(String::new(), |loss| format!("loss {loss:.3}")),
        );
        if let (true, Some((step, score))) = (ends_epoch, trainer.history().validation.last()) {
            let right = 100.0 * score.accuracy;
            let (epoch, loss) = (step / per_epoch, score.loss);
            let line = format!(
                "epoch {epoch} of {}: validation loss {loss:.3}, {right:.1} % right",
                arguments.epochs
            );
            if !common.quiet {
                bar.suspend(|| println!("{line}"));
            }
            bar.suspend(|| plan.clips.tell());
        }
        let stop = interrupt.is_asked();
        if stop || saved.elapsed() >= Duration::from_secs(arguments.checkpoint_seconds) {
            trainer.save(&path)?;
            saved = Instant::now();
        }
        Ok(!stop)
    };
    interrupt.during(|| trainer.run(training, validation, &device, after_step))?;
    bar.finish_and_clear();
    if trainer.steps() < steps {
        return Err(interrupt.stopped().into());
    }
    let best = trainer.best().cloned();
    let model = Model {
        // Of a checkpoint from before the best was kept, the last.
        graph: best
            .as_ref()
            .map_or_else(|| trainer.graph(), |best| best.graph.clone()),
        front_end: Arc::new(plan.front_end),
        task: Task::Classes {
            probability: plan.network.probability,
            classes: plan.classes,
        },
        metadata,
    };
    model.save(&arguments.output)?;
    if path.exists() {
        std::fs::remove_file(&path)
            .with_context(|| format!("{}: cannot be removed", path.display()))?;
    }
    let output = arguments.output.display();
    if let Some(Best { step, score, .. }) = best {
        let epoch = format!("epoch {} of {}", step / per_epoch, arguments.epochs);
        let (right, on) = (100.0 * score.accuracy, &plan.validated_on);
        if !common.quiet {
            println!("{output}: {right:.1} % right on {on}, as after {epoch}, which is kept");
        }
        if is_at_chance(&score, validation.len()) {
            let chance = 100.0 * score.chance;
            tracing::warn!(
                "{output}: has learned nothing that shows on {on}: {right:.1} % are right, and {chance:.1} % would be if it \
                 always said the most frequent class; give more data or --epochs, or another --lr"
            );
        }
    }
    for (name, samples) in &plan.tests {
        let bar = progress::bar(&format!("testing, {name}"), samples.len(), common.quiet);
        let progress = |done: usize| bar.set_position(done as u64);
        let (logits, labels) = logits(&model.graph, samples, batch, &device, &progress)?;
        bar.finish_and_clear();
        if !common.quiet {
            let right = 100.0 * Score::of(model.loss(), &logits, &labels)?.accuracy;
            println!("{output}: {right:.1} % right on {name}");
        }
    }
    plan.clips.tell();
    Ok(())
}

/// Whether so many right of so many may be luck: less than two standard deviations above what the most frequent class alone gives.
fn is_at_chance(score: &Score, samples: usize) -> bool {
    let deviation = (score.chance * (1.0 - score.chance) / samples as f64).sqrt();
    score.accuracy < score.chance + 2.0 * deviation
}

/// Training from the checkpoint, or else from the graph's weights.
fn start(
    resume: bool,
    checkpoint: &Path,
    graph: &Graph,
    config: Config,
    device: &Device,
) -> Result<Trainer> {
    let there = checkpoint.exists();
    if resume && there {
        return Ok(Trainer::resume(checkpoint, graph, config, device)?);
    }
    let path = checkpoint.display();
    if resume {
        tracing::warn!("{path}: there is no checkpoint; training starts from the beginning");
    } else if there {
        // Else `--resume` might go on from the wrong run.
        tracing::warn!("{path}: removed; --resume would have gone on from it");
        std::fs::remove_file(checkpoint).with_context(|| {
            format!("{path}: cannot be removed; check its folder, or say --resume")
        })?;
    }
    Ok(Trainer::new(graph, config)?)
}

/// How a model was trained and on whose voices.
fn description(config: &Config, heard: &serde_json::Value) -> serde_json::Value {
    let mut description = json!(config);
    if let (Some(all), Some(heard)) = (description.as_object_mut(), heard.as_object()) {
        all.extend(heard.clone());
    }
    description
}
