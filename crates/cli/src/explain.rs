//! `speechlens explain`

mod pair;

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device};
use clap::ValueEnum;
use speechlens_explain::tested::way;
use speechlens_explain::{
    Answers, Asked, At, Details, Explainer, Explanation, Frames, Input, Question, Seeing, Settings,
    TOP, contact, embedding, files, show, span,
};
use speechlens_models::{Embedding, Model};
use speechlens_report::progress;

use crate::common::{Common, of_model, percentage};
use crate::input::{self, Found, Sought};
use crate::method;

/// Show which parts of a recording speak for a class, and which against it; or what raises a score, or makes a voice like another.
///
/// Writes a page to look at and listen to, index.html; relevance.npy (of the input's shape; of a recording's windows `[N, rows,
/// frames]`), heatmap.png (of several windows also surest.png, of the one whose answer is the surest) and summary.json; and of a recording what the network heard and what spoke for and against, as WAV files.
/// An input that cannot be used is told and passed over; the status at the end is then 1.
/// With several inputs, to a folder each, named after the input, beside a contact sheet. With several methods or rules, to a
/// folder each, beside a page that shows them side by side.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that `speechlens train` or `speechlens import` wrote.
    model: PathBuf,
    /// Recordings (.wav, .flac, .mp3, .m4a, .ogg, .opus, .webm, .aiff, .sph and others), folders of them, or .npy files that hold the network's features, [H, W] or
    /// [N, H, W], of waveforms `[samples]` or `[N, samples]`.
    #[arg(required_unless_present = "explain_rules")]
    input: Vec<PathBuf>,
    #[command(flatten)]
    reading: input::Arguments,
    #[command(flatten)]
    strictness: input::Strictness,
    #[command(flatten)]
    method: method::Several,
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
    /// The class or score to explain, by name or index; else the class that is predicted, or the first score.
    #[arg(long, value_name = "CLASS|INDEX")]
    target: Option<String>,
    /// Explain why the first class rather than the second: the relevance of the difference of their logits.
    #[arg(long, num_args = 2, value_names = ["CLASS|INDEX", "RATHER THAN"], conflicts_with = "target")]
    contrast: Vec<String>,
    /// Of networks that tell classes of each frame: explain frames A to B, B left out; else all. A class's logit is its mean over them.
    #[arg(long, value_name = "A..B", value_parser = span)]
    frames: Option<Range<usize>>,
    /// Of networks that give embeddings: explain the similarity (cosine) to this recording, held as it is; else to the input itself,
    /// which shows what the embedding is made of.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// With --against: explain why it is more like that than like this one, by how much the one similarity is above the other. Voices share most of
    /// what makes them alike; this leaves it out.
    #[arg(long, value_name = "FILE", requires = "against")]
    rather_than: Option<PathBuf>,
    /// Of networks that give embeddings: explain the input and this recording together, which part of one answers to which part of the other
    /// (BiLRP), by a sweep for each number of the embedding: a page with both, linked; pair.npy, [moments, moments], pair.png, and
    /// other-relevance.npy of this recording.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["against", "rather_than", "frames", "target", "contrast", "view", "explain_rules", "conservation", "layer"]
    )]
    pair: Option<PathBuf>,
    /// Of networks that read samples: show relevance in time and frequency, as `stft`, in `mel` bands or `octaves`; or with the window and the
    /// hop in samples, as stft:512/128. What bins have adds up to what samples have; it goes to view.npy, and summary.json has its axes.
    #[arg(long, value_name = "VIEW")]
    view: Option<Seeing>,
    /// Explain what this node inside the network gives, such as the spectrogram that stands in its graph, in place of what the network reads;
    /// `speechlens inspect MODEL --json` names the nodes. relevance.npy is of its shape. Which of its axes are time and frequency is measured
    /// by clicks and tones; view.npy and the pictures are of these, other axes added up, and summary.json has them.
    #[arg(long, value_name = "NODE", conflicts_with_all = ["view", "pair"])]
    at: Option<String>,
    /// How many percent of the bins, the most relevant ones, without-top.wav lacks.
    #[arg(long, default_value_t = TOP, value_parser = percentage, value_name = "P")]
    top: f64,
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

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let device = common.device()?;
    let model = Model::load(&arguments.model, &device)?;
    let dtype = match arguments.dtype {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
    };
    let details = Details {
        layers: arguments.layer.clone(),
        conservation: arguments.conservation,
    };
    let settings = arguments.method.settings(common.seed)?;
    if let (Some(other), Some(output)) = (&arguments.pair, &arguments.output) {
        let of_model = (&model, settings.as_slice());
        return pair::run(arguments, other, output, of_model, (&device, dtype), common);
    }
    let rules = |settings: &Settings| !arguments.explain_rules || settings.method.has("rules");
    if let Some(other) = settings.iter().find(|settings| !rules(settings)) {
        bail!(
            "--explain-rules, --conservation and --layer are for the method lrp, not {}: leave them out",
            other.method.name
        );
    }
    let explainers = |asked: &Model| -> Result<Arc<[Explainer]>> {
        let question = match arguments.contrast.as_slice() {
            [class, other] => Question::new(asked, Some(class), Some(other)),
            _ => Question::new(asked, arguments.target.as_deref(), None),
        };
        let question = question.map_err(|error| named(&arguments.model, error))?;
        let explainer = |settings: &Settings| -> Result<Explainer> {
            let (settings, details) = (settings.clone(), details.clone());
            let place = (&device, dtype);
            Ok(Explainer::new(asked, settings, question, details, place)?)
        };
        settings.iter().map(explainer).collect()
    };
    let asked = asked(arguments, &model, &device)?;
    let of_all = match &arguments.at {
        Some(_) => None,
        None => asked.of_all(&model, &device)?,
    };
    let of_all = of_all.map(|model| explainers(&model)).transpose()?;
    if let (true, Some(explainers)) = (arguments.explain_rules, &of_all) {
        tell_rules(explainers)?;
    }
    let Some(output) = &arguments.output else {
        ensure!(
            of_all.is_some(),
            "{}: {}",
            arguments.model.display(),
            match arguments.at {
                Some(_) => "what a node gives is known of an input: give one, and -o DIR",
                None =>
                    "an embedding is compared with that of an input, or of --against FILE: give one of them",
            }
        );
        return Ok(());
    };
    let found = input::files(&arguments.input, Sought::RecordingsAndArrays)?;
    let reader = arguments.reading.reader(&model, &found)?;
    let folders = input::places(output, &found)?;
    let ways = ways(&settings, &model)?;
    let mut sheet = contact::Sheet::default();
    let mut measured = None;
    let mut given = arguments.strictness.inputs(found.len());
    let mut inputs = Vec::new();
    let to = Writing {
        model: &arguments.model,
        ways: &ways,
        top: arguments.top,
    };
    let (mut told, mut rules_told) = (None, of_all.is_some());
    // An input's files are written while the next one is explained.
    std::thread::scope(|scope| {
        let told = &mut told;
        let mut finish = |written: Written| -> Result<()> {
            let (input, explained, folder) = written;
            let (explainers, answers) = &*explained;
            if arguments.conservation {
                for answers in answers {
                    let table = show::conservation(&answers.conservation);
                    writeln!(std::io::stdout(), "{}", table.text())?;
                }
            }
            if found.len() > 1 {
                let below = folder.strip_prefix(output).unwrap_or(folder);
                sheet.add(&input, &to.explanations(&explained), below, &ways)?;
            }
            if !common.quiet {
                say(explainers[0].model(), &input, &answers[0], folder)?;
            }
            told.get_or_insert_with(|| explainers.clone());
            inputs.push(input);
            Ok(())
        };
        let mut writing = None;
        for (Found { path, .. }, folder) in found.iter().zip(&folders) {
            let read = arguments.reading.read(&reader, path);
            let Some(input) = given.take(path, read)? else {
                continue;
            };
            let frames = Frames::of(&model, &asked, &input, &device)?;
            let inside = match &arguments.at {
                Some(node) => Some(
                    inside(&model, node, &input, &device, &mut measured)
                        .with_context(|| arguments.model.display().to_string())?,
                ),
                None => None,
            };
            let (own_model, input) = match inside {
                Some((inside, input)) => (Cow::Owned(inside), input),
                None => (Cow::Borrowed(&model), input),
            };
            let explainers = match &of_all {
                Some(explainers) => explainers.clone(),
                None => {
                    let own = explainers(&*asked.of(&own_model, &input, &device)?)?;
                    if arguments.explain_rules && !rules_told {
                        tell_rules(&own)?;
                    }
                    rules_told = true;
                    own
                }
            };
            if let Some(seeing) = &arguments.view {
                seeing.check(&input, &explainers)?;
            }
            let answers = explain(&explainers, &input, &arguments.model, common, frames);
            let seen = |answers| match (&arguments.view, &measured) {
                (Some(seeing), _) => Ok(seeing.of(input, &explainers, answers)?),
                (None, Some((_, at))) => Ok(at.seen(input, answers)?),
                (None, None) => Ok((input, answers)),
            };
            let seen: Result<(Input, Vec<Answers>)> = answers.and_then(seen);
            if let Some(before) = writing.take() {
                finish(join(before)?)?;
            }
            let (input, answers) = seen?;
            let explained = Box::new((explainers, answers));
            let to = &to;
            writing = Some(scope.spawn(move || to.write(input, explained, folder)));
        }
        match writing {
            Some(last) => finish(join(last)?),
            None => Ok(()),
        }
    })?;
    if let (2.., Some(explainers)) = (found.len(), told) {
        let model = explainers[0].model();
        let model_name = arguments.model.display().to_string();
        let page = sheet.page(model, &model_name, &inputs)?;
        page.write(&output.join("index.html"))?;
        if !common.quiet {
            let path = output.join("index.html");
            writeln!(std::io::stdout(), "contact sheet: {}", path.display())?;
        }
    }
    given.end()
}

/// Where the files of inputs go, and how they are explained.
struct Writing<'a> {
    model: &'a Path,
    ways: &'a [String],
    top: f64,
}

/// Each way of explaining an input, and what it found.
type Explained = Box<(Arc<[Explainer]>, Vec<Answers>)>;

/// An input, what each way found of it, and the folder that tells.
type Written<'a> = (Input, Explained, &'a Path);

impl Writing<'_> {
    fn explanations<'a>(&self, explained: &'a Explained) -> Vec<Explanation<'a>> {
        let (explainers, answers) = &**explained;
        let ways = explainers.iter().zip(answers);
        ways.map(|(explainer, answers)| Explanation::new(explainer, answers, self.top))
            .collect()
    }

    fn write<'f>(
        &self,
        input: Input,
        explained: Explained,
        folder: &'f Path,
    ) -> Result<Written<'f>> {
        let model_name = self.model.display().to_string();
        let explanations = self.explanations(&explained);
        for (explanation, way) in explanations.iter().zip(self.ways) {
            let folder = match explanations.len() {
                1 => folder.to_owned(),
                _ => folder.join(way),
            };
            files::write(&folder, &model_name, &input, explanation)?;
        }
        files::write_page(folder, &model_name, &input, &explanations)?;
        drop(explanations);
        Ok((input, explained, folder))
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn named(model: &Path, error: speechlens_explain::Error) -> anyhow::Error {
    anyhow::Error::msg(error.to_string().replace(
        "class of the model",
        &format!("class of {}", model.display()),
    ))
}

/// What is asked of networks whose outputs leave it open.
fn asked(arguments: &Arguments, model: &Model, device: &Device) -> Result<Asked> {
    let of_file = |path: &PathBuf| -> Result<Embedding> {
        let found = Found {
            path: path.clone(),
            name: PathBuf::new(),
        };
        let reader = arguments.reading.reader(model, &[found])?;
        let input = arguments.reading.read(&reader, path)?;
        let embedding = embedding(model, &input, device)
            .with_context(|| arguments.model.display().to_string())?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Embedding {
            name: name.to_string_lossy().into_owned(),
            embedding,
        })
    };
    let of_file = |path: &Option<PathBuf>| path.as_ref().map(of_file).transpose();
    Ok(Asked {
        frames: arguments.frames.clone(),
        against: of_file(&arguments.against)?,
        rather_than: of_file(&arguments.rather_than)?,
    })
}

/// The network from a node on, and an input as the node gives it. The node's axes are measured anew for windows of another shape.
fn inside(
    model: &Model,
    node: &str,
    input: &Input,
    device: &Device,
    measured: &mut Option<(Vec<usize>, At)>,
) -> Result<(Model, Input)> {
    let shape = &input.features.shape()[1..];
    let at = match measured.take() {
        Some((known, at)) if known == shape => at,
        _ => At::measured(model, node, input, device)?,
    };
    let inside = at.of(model, input, device)?;
    *measured = Some((shape.to_vec(), at));
    Ok(inside)
}

/// Which rule each layer gets.
fn tell_rules(explainers: &[Explainer]) -> Result<()> {
    for explainer in explainers {
        if let Some(assignments) = explainer.assignments() {
            let table = show::rules(&way(explainer.method()), assignments);
            writeln!(std::io::stdout(), "{}", table.text())?;
        }
    }
    Ok(())
}

/// The folder of each way of explaining, where there are several.
fn ways(settings: &[Settings], model: &Model) -> Result<Vec<String>> {
    let mut ways = Vec::new();
    for settings in settings {
        let name = way(settings.method(model)?.as_ref());
        let stem = Path::new(&name).file_stem().unwrap_or_default();
        let stem = stem.to_string_lossy().into_owned();
        if ways.contains(&stem) {
            bail!("--method and --rules: `{stem}` is there twice; leave one out");
        }
        ways.push(stem);
    }
    Ok(ways)
}

/// What each way finds of an input.
fn explain(
    explainers: &[Explainer],
    input: &Input,
    model: &Path,
    common: &Common,
    frames: Option<Frames>,
) -> Result<Vec<Answers>> {
    let total: usize = explainers.iter().map(Explainer::passes).sum();
    let bar = progress::bar("explaining, passes", input.len() * total, common.quiet);
    let mut before = 0;
    let mut all = Vec::new();
    for explainer in explainers {
        let mut answers = explainer
            .explain(input, &|done| bar.set_position((before + done) as u64))
            .map_err(|error| of_model(model, error))?;
        answers.deletion = Some(explainer.deletion(input, &answers)?);
        answers.frames = frames.clone();
        before += input.len() * explainer.passes();
        all.push(answers);
    }
    bar.finish_and_clear();
    Ok(all)
}

/// One line: the input, its answer, and where the page is.
fn say(model: &Model, input: &Input, answers: &Answers, folder: &Path) -> Result<()> {
    let answer = match input.len() {
        1 => {
            let class = answers.foremost(model, 0);
            format!("{}  {}", model.classes()[class], answers.says(model, 0))
        }
        windows => match windows - input.sounding().count() {
            0 => format!("{windows} windows"),
            silent => format!("{windows} windows, {silent} of them silent"),
        },
    };
    let page = folder.join("index.html");
    Ok(writeln!(
        std::io::stdout(),
        "{}  {answer}  {}",
        input.name,
        page.display()
    )?)
}
