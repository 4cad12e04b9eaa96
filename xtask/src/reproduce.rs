//! The runner: one folder a run, one section an experiment, every table and figure of chapter 6 accounted for.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::Device;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use speechlens_data::{Artifact, Preparation};
use speechlens_report::beside::{claims, stories};
use speechlens_report::interrupt::Interrupt;
use speechlens_report::page::{Block, Opening, Page, Section};
use speechlens_report::results::{Experiment, Results, Run};
use speechlens_report::table::Table;
use speechlens_report::thesis::{Difference, Thesis};

use crate::{
    audionet, clever_hans, finished, fit, gender, mending, methods, repository, sound, speaker,
};

/// Repeat the thesis's experiments: train, explain, test the explanations, write a page and results.json.
///
/// A run that was stopped goes on, after the last experiment that was finished, when it is started again in the same way. Ctrl-C
/// saves the network that is being trained, says how to go on, and ends with status 130; a second Ctrl-C ends at once.
#[derive(clap::Args)]
pub struct Arguments {
    /// AudioMNIST, as its authors publish it, or your own digits kept so (DIR/SPEAKER/DIGIT_SPEAKER_REPETITION.wav and
    /// DIR/audioMNIST_meta.txt), for the gender network; without data, the built-in synthetic voices are used.
    #[arg(long, value_name = "DIR")]
    audiomnist: Option<PathBuf>,
    /// Split AudioMNIST as its authors did for gender (0 to 3), and not by the seed.
    #[arg(long, value_name = "N", requires = "audiomnist", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub fold: Option<u8>,
    /// Take silence off both ends of the recordings of the gender network, before each is put into its second: what is 40 dB below the
    /// loudest.
    #[arg(long)]
    pub trim: bool,
    /// Cut words of AudioMNIST that are longer than a second at their pauses; utterances of LibriSpeech are cut so in any case.
    #[arg(long, requires = "audiomnist")]
    pub pieces: bool,
    /// Stop at the first recording that cannot be used, rather than leave it out.
    #[arg(long)]
    pub strict: bool,
    /// VoxCeleb, as its archives unpack (idNNNNN/VIDEO/UTTERANCE), for the speaker network.
    #[arg(long, value_name = "DIR")]
    voxceleb: Option<PathBuf>,
    /// LibriSpeech or LibriTTS, the folder that holds SPEAKERS.TXT or one of its subsets, for the networks that are given no corpus of their
    /// own.
    #[arg(long, value_name = "DIR")]
    librispeech: Option<PathBuf>,
    /// MUSAN, the folder that holds music/ and noise/, to lay over speech; without it, both are synthesized.
    #[arg(long, value_name = "DIR")]
    pub musan: Option<PathBuf>,
    /// How much: `quick` takes minutes, `full` is the thesis's own setting and takes days on a CPU, `smoke` only shows that
    /// everything runs.
    #[arg(long, value_enum, default_value = "quick")]
    pub profile: Profile,
    /// Only these experiments (gender, mending, …), or those that these tables and figures (table-6.1, figure-6.3, …) belong to.
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Artifacts of the Clever Hans benchmark: hum, tone, click, silent-start, silence, cut-off, each with its strength if you like
    /// (tone:-25); else the first, or all in the full profile.
    #[arg(long, value_name = "ARTIFACT,…", value_delimiter = ',')]
    pub artifacts: Vec<Artifact>,
    /// Seeds of the Clever Hans benchmark, each a network for every artifact; else 2, or 5 in the full profile.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub seeds: Option<u16>,
    /// How many of the class's training recordings have the artifact of the Clever Hans benchmark, in percent.
    #[arg(long, value_name = "P", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub share: u8,
    /// How many recordings of the Clever Hans benchmark have the speaker's sex as their class in training, in percent; that of
    /// the others is drawn by lot. The less the voice tells, the sooner a network learns the artifact.
    #[arg(long, value_name = "P", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub by_voice: u8,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Decides every random choice.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Show no progress.
    #[arg(long)]
    pub quiet: bool,
}

/// How much to compute.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// A few steps on a few recordings: its numbers mean nothing.
    Smoke,
    /// Within an hour on two cores, on the synthetic corpus.
    Quick,
    /// The thesis's own setting.
    Full,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Profile::Smoke => "smoke",
            Profile::Quick => "quick",
            Profile::Full => "full",
        }
    }
}

impl Arguments {
    /// What the gender network's recordings are to be opened from.
    pub fn voices(&self) -> Result<String> {
        source([&self.audiomnist, &self.librispeech])
    }

    /// How the gender network's recordings are made ready.
    pub fn preparation(&self) -> Preparation {
        Preparation {
            trim: self.trim,
            pieces: self.pieces,
            strict: self.strict,
        }
    }

    /// What the speaker network's recordings are to be opened from.
    pub fn speakers(&self) -> Result<String> {
        source([&self.voxceleb, &self.librispeech])
    }

    /// The run's folder: one for each profile, data and seed.
    fn run_name(&self) -> String {
        let fold = self.fold.map(|fold| format!("-fold{fold}"));
        let given = [
            ("audiomnist", &self.audiomnist),
            ("voxceleb", &self.voxceleb),
            ("librispeech", &self.librispeech),
            ("musan", &self.musan),
        ];
        let given = given.into_iter().filter(|(_, folder)| folder.is_some());
        let names: Vec<String> = given
            .map(|(name, _)| match name {
                "audiomnist" => name.to_owned() + fold.as_deref().unwrap_or_default(),
                name => name.to_owned(),
            })
            .collect();
        let data = match names.as_slice() {
            [] => "synthetic".to_owned(),
            names => names.join("+"),
        };
        let done = [("-trim", self.trim), ("-pieces", self.pieces)];
        let done = done.into_iter().filter(|(_, is_asked)| *is_asked);
        let done: String = done.map(|(name, _)| name).collect();
        format!("{}-{data}{done}-{}", self.profile.name(), self.seed)
    }

    /// Whether the gender network hears the built-in voices.
    pub fn has_synthetic_voices(&self) -> bool {
        self.audiomnist.is_none() && self.librispeech.is_none()
    }

    /// Whether the gender network hears LibriSpeech.
    pub fn has_voices_of_librispeech(&self) -> bool {
        self.audiomnist.is_none() && self.librispeech.is_some()
    }

    /// Whether a table or figure is asked for.
    fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == id)
    }
}

/// The first corpus that is given, or the built-in voices.
pub fn source<const N: usize>(folders: [&Option<PathBuf>; N]) -> Result<String> {
    match folders.into_iter().flatten().next() {
        None => Ok("synthetic".to_owned()),
        Some(folder) => match folder.to_str() {
            Some(source) => Ok(source.to_owned()),
            None => bail!("{}: the folder's name must be Unicode", folder.display()),
        },
    }
}

/// What an experiment gives: its entries for results.json, its sections of the page, and what it has for the first glance.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Its part of what is seen first.
    pub opening: Opening,
    /// One for each table and figure, and for what has no number in the thesis.
    pub experiments: Vec<Experiment>,
    /// Its part of the page.
    pub sections: Vec<Section>,
    /// One sentence that says what was found.
    pub lead: String,
    /// What the data were, in words.
    pub data: String,
}

impl Findings {
    /// Those of several experiments as one.
    fn joined(all: Vec<Findings>) -> Findings {
        let mut joined = Findings::default();
        for findings in all {
            joined.opening.headlines.extend(findings.opening.headlines);
            joined.opening.blocks.extend(findings.opening.blocks);
            joined.experiments.extend(findings.experiments);
            joined.sections.extend(findings.sections);
            for (total, text, between) in [
                (&mut joined.lead, findings.lead, "\n"),
                (&mut joined.data, findings.data, "; "),
            ] {
                *total = [std::mem::take(total), text]
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect::<Vec<_>>()
                    .join(between);
            }
        }
        joined
    }
}

/// What the experiments of a run share: how it is run, and the two networks, which are trained when first asked for.
pub struct Lab<'a> {
    pub arguments: &'a Arguments,
    /// Where the run's files go.
    pub folder: &'a Path,
    pub device: &'a Device,
    pub interrupt: Interrupt,
    gender: OnceCell<gender::Trial>,
    speaker: OnceCell<speaker::Trial>,
}

impl Lab<'_> {
    /// The gender network and its data.
    pub fn gender(&self) -> Result<&gender::Trial> {
        once(&self.gender, || gender::Trial::new(self))
    }

    /// The speaker network and its data.
    pub fn speaker(&self) -> Result<&speaker::Trial> {
        once(&self.speaker, || speaker::Trial::new(self))
    }
}

/// What the cell holds, made by `make` if it is empty.
fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    match cell.get() {
        Some(value) => Ok(value),
        None => {
            let value = make()?;
            Ok(cell.get_or_init(|| value))
        }
    }
}

/// An experiment.
struct Runner {
    /// As the entries of `assets/thesis.json` call it.
    name: &'static str,
    run: fn(&Lab) -> Result<Findings>,
}

/// In the order of the page, which tells them as one story. The first has what is seen at the first glance.
const EXPERIMENTS: [Runner; 9] = [
    Runner {
        name: "gender",
        run: gender::run,
    },
    Runner {
        name: "first-percent",
        run: gender::first_percent::run,
    },
    Runner {
        name: "mending",
        run: mending::run,
    },
    Runner {
        name: "speaker",
        run: speaker::run,
    },
    Runner {
        name: "references",
        run: gender::references::run,
    },
    Runner {
        name: "sound",
        run: sound::run,
    },
    Runner {
        name: "clever-hans",
        run: clever_hans::run,
    },
    Runner {
        name: "audionet",
        run: audionet::run,
    },
    Runner {
        name: "methods",
        run: methods::run,
    },
];

/// What the end of a run prints beside the headlines; the page has it all.
const IN_TERMINAL: [&str; 4] = [
    "table-6.1",
    "table-6.2",
    "speaker-accuracy",
    "clever-hans-rules",
];

/// Runs the experiments and writes `target/reproduce/<run>/`.
pub fn run(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let thesis = Thesis::published();
    let names = EXPERIMENTS.iter().map(|experiment| experiment.name);
    let known: Vec<&str> = thesis
        .entries
        .iter()
        .map(|entry| entry.id.as_str())
        .chain(names)
        .collect();
    if let Some(id) = arguments
        .only
        .iter()
        .find(|id| !known.contains(&id.as_str()))
    {
        bail!("there is no `{id}`; there are {}", known.join(", "));
    }
    let wants = |experiment: &str| {
        let mut entries = thesis.entries.iter();
        arguments.wants(experiment)
            || entries.any(|entry| entry.experiment == experiment && arguments.wants(&entry.id))
    };
    let asked: Vec<_> = EXPERIMENTS.iter().filter(|e| wants(e.name)).collect();
    let device = speechlens_nn::device(&arguments.device)?;
    let root = repository::root().join("target/reproduce");
    let name = arguments.run_name();
    let folder = root.join(&name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{}: cannot be made", folder.display()))?;

    remove_partial(&folder)?;
    let own = std::env::args().skip(1);
    let command = ["cargo", "xtask"].map(str::to_owned).into_iter().chain(own);
    let lab = Lab {
        arguments,
        folder: &folder,
        device: &device,
        interrupt: Interrupt::listen(command)?,
        gender: OnceCell::new(),
        speaker: OnceCell::new(),
    };
    let mut done = Vec::new();
    for (index, experiment) in asked.iter().enumerate() {
        if !arguments.quiet {
            eprintln!("{} of {}: {}", index + 1, asked.len(), experiment.name);
        }
        let run = || (experiment.run)(&lab);
        done.push(finished::once(&folder, experiment.name, run)?);
        let to_come: Vec<&str> = asked[index + 1..].iter().map(|e| e.name).collect();
        report(&lab, start, Findings::joined(done.clone()), &to_come)?;
        point_latest_to(&root, &name)?;
        if !arguments.quiet && index == 0 && !to_come.is_empty() {
            eprintln!("the page so far: {}", folder.join(PAGE).display());
        }
    }
    let findings = Findings::joined(done);
    let results = Results::read(&folder.join(RESULTS))?;
    // Only now: until here a run that fails goes on from its trained networks and what it found.
    for suffix in [fit::SUFFIX, finished::SUFFIX] {
        remove(&folder, suffix)?;
    }

    for headline in &findings.opening.headlines {
        println!(
            "\n{:>8}  {}\n{:10}({})",
            headline.value, headline.words, "", headline.beneath
        );
    }
    for experiment in results
        .experiments
        .iter()
        .filter(|experiment| IN_TERMINAL.contains(&experiment.id.as_str()))
        .filter(|experiment| experiment.rows.iter().any(|row| row.measured.is_some()))
    {
        println!("\n{}\n{}", experiment.title, Table::from(experiment).text());
    }
    let page = folder.join(PAGE);
    println!(
        "\n{:.0} s. The page: {}",
        results.run.seconds,
        page.display()
    );
    Ok(())
}

/// Removes the files whose names end so.
fn remove(folder: &Path, suffix: &str) -> Result<()> {
    let entries = folder.read_dir();
    for entry in entries.with_context(|| format!("{}: cannot be read", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(suffix) {
            std::fs::remove_file(&path).with_context(|| {
                format!(
                    "{}: cannot be removed; check its folder and permissions",
                    path.display()
                )
            })?;
        }
    }
    Ok(())
}

/// Removes what a killed run was writing: files and folders that begin with a dot.
fn remove_partial(folder: &Path) -> Result<()> {
    let read = folder.read_dir();
    for entry in read.with_context(|| format!("{}: cannot be read", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !path.is_symlink() && !name.starts_with('.') {
            remove_partial(&path)?;
        } else if name.starts_with('.') {
            let removed = match path.is_dir() {
                true => std::fs::remove_dir_all(&path),
                false => std::fs::remove_file(&path),
            };
            removed.with_context(|| {
                format!(
                    "{}: cannot be removed; check its folder and permissions",
                    path.display()
                )
            })?;
        }
    }
    Ok(())
}

const PAGE: &str = "index.html";
const RESULTS: &str = "results.json";

/// Writes results.json and the page with what is found so far.
fn report(lab: &Lab, start: Instant, findings: Findings, to_come: &[&str]) -> Result<()> {
    let thesis = Thesis::published();
    let mut experiments = account(thesis, findings.experiments.clone(), to_come);
    let of_text = claims(thesis, &experiments);
    experiments.extend(of_text);
    let run = Run {
        seed: lab.arguments.seed,
        profile: lab.arguments.profile.name().into(),
        device: speechlens_nn::device_name(lab.device),
        git: repository::commit(),
        data: findings.data.clone(),
        seconds: (start.elapsed().as_secs_f64() * 10.0).round() / 10.0,
    };
    let results = Results { run, experiments };
    results.write(&lab.folder.join(RESULTS))?;
    let page = page(&results, findings, thesis, to_come);
    Ok(page.write(&lab.folder.join(PAGE))?)
}

/// Every table and figure of the thesis in its order: as measured, or with the reason why not; then what it has no number for.
fn account(thesis: &Thesis, mut measured: Vec<Experiment>, to_come: &[&str]) -> Vec<Experiment> {
    let mut all = Vec::new();
    for entry in &thesis.entries {
        let found = measured
            .iter()
            .position(|experiment| experiment.id == entry.id);
        let of = &entry.experiment;
        all.push(match found {
            Some(index) => measured.remove(index),
            None if to_come.contains(&of.as_str()) => {
                entry.not_run(&format!("the {of} experiment is still to come"))
            }
            None => entry.not_run(&format!("the {of} experiment was not asked for")),
        });
    }
    all.extend(measured);
    all
}

/// Puts a sentence beside whatever tells another story here than in the thesis.
fn beside_the_print(sections: &mut [Section], thesis: &Thesis, experiments: &[Experiment]) {
    for section in sections {
        let entry = thesis.entries.iter().find(|entry| entry.id == section.id);
        let of_table = entry.and_then(|entry| {
            let experiment = experiments.iter().find(|e| e.id == entry.id)?;
            Some(stories(entry, experiment))
        });
        let beside = thesis.beside(&section.id, experiments);
        let otherwise = of_table.into_iter().flatten().chain(beside.otherwise);
        for (note, all) in [
            (
                "Told otherwise here than in the thesis:",
                otherwise.collect(),
            ),
            (
                "What the thesis says of this can be told neither true nor false here:",
                beside.untold,
            ),
        ] {
            if !all.is_empty() {
                section.blocks.push(Block::Note(note.into()));
                section.blocks.push(Block::List(all));
            }
        }
    }
}

/// The numbers of the text, and where this differs from the thesis.
fn last_sections(thesis: &Thesis, experiments: &[Experiment]) -> [Section; 2] {
    let of_text = experiments.iter().filter(|e| e.id.starts_with("claims-"));
    let tables = of_text.map(|e| Block::table(Table::from(e), format!("{}.", e.title)));
    let bounds = Block::Fold {
        summary: "What counts as the same".into(),
        blocks: vec![Block::List(thesis.bounds.clone())],
    };
    let difference = |difference: &Difference| {
        format!(
            "{}. The thesis: {} Here: {}",
            difference.of, difference.thesis, difference.here
        )
    };
    [
        Section {
            id: "claims".into(),
            title: "The numbers in the thesis's text".into(),
            blocks: tables.chain([bounds]).collect(),
        },
        Section {
            id: "differences".into(),
            title: "Where this differs from the thesis".into(),
            blocks: vec![
                Block::Heading("What it does otherwise".into()),
                Block::List(thesis.differences.iter().map(difference).collect()),
                Block::Heading("Where the thesis contradicts itself".into()),
                Block::List(thesis.slips.clone()),
            ],
        },
    ]
}

fn page(results: &Results, findings: Findings, thesis: &Thesis, to_come: &[&str]) -> Page {
    let run = &results.run;
    let mut facts = vec![
        ("data", run.data.clone()),
        ("profile", run.profile.clone()),
        ("seed", run.seed.to_string()),
        ("device", run.device.clone()),
        ("source", run.git.clone()),
        ("time", format!("{:.0} s", run.seconds)),
        (
            "thesis",
            format!(
                "{}, {}, {}, {}",
                thesis.author, thesis.title, thesis.published, thesis.year
            ),
        ),
    ];
    if !to_come.is_empty() {
        facts.insert(0, ("still to come", to_come.join(", ")));
    }
    let mut sections = findings.sections;
    beside_the_print(&mut sections, thesis, &results.experiments);
    let also: Vec<String> = findings.lead.lines().map(str::to_owned).collect();
    if !also.is_empty() {
        sections.insert(
            0,
            Section {
                id: "also".into(),
                title: "What else was found".into(),
                blocks: vec![Block::List(also)],
            },
        );
    }
    sections.extend(last_sections(thesis, &results.experiments));
    Page {
        title: "What the network listens to".into(),
        lead: String::new(),
        opening: findings.opening,
        facts: facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        sections,
    }
}

/// Makes `latest` a link to the run's folder, in one step.
fn point_latest_to(root: &Path, name: &str) -> Result<()> {
    let (link, new) = (
        root.join("latest"),
        root.join(format!(".latest-{}", std::process::id())),
    );
    #[cfg(unix)]
    {
        let _ = std::fs::remove_file(&new);
        std::os::unix::fs::symlink(name, &new)
            .and_then(|()| std::fs::rename(&new, &link))
            .with_context(|| format!("{}: cannot be linked", link.display()))?;
    }
    #[cfg(not(unix))]
    {
        let _ = new;
        std::fs::write(&link, name)
            .with_context(|| format!("{}: cannot be written", link.display()))?;
    }
    Ok(())
}
