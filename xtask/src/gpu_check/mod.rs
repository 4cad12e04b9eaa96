//! `cargo xtask gpu-check`: whether a GPU computes what the CPU does, how fast it is beside PyTorch, and how long the thesis's
//! experiments take on it. The built binary and a folder of data are all it needs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::Device;
use clap::ValueEnum;
use speechlens_experiments::source;
use speechlens_report::page::{Block, Page, Section};
use speechlens_report::results::{Experiment, Results, Run};
use speechlens_report::table::Table;

use crate::bench::{card, positive};
use crate::repository;

mod agreement;
mod flipping;
mod speed;
mod subject;
mod thesis;

/// Check a GPU: that it computes what the CPU does, how fast it is beside PyTorch and zennit, how long the thesis's training and
/// flipping take.
///
/// Needs this program, built with `--features cuda`, and recordings; neither Rust nor the repository. Writes results.json and
/// index.html. With `--device cpu` it only shows that everything runs.
#[derive(clap::Args)]
pub struct Arguments {
    /// LibriSpeech, the folder that holds SPEAKERS.TXT or one of its subsets; without it, the built-in voices are used.
    #[arg(value_name = "DATA")]
    data: Option<PathBuf>,
    /// What to check: cuda:N, or auto.
    #[arg(long, default_value = "cuda:0")]
    device: String,
    /// A Python with PyTorch for the card, and zennit; without it, only ours is measured.
    #[arg(long, value_name = "PYTHON")]
    peers: Option<PathBuf>,
    /// Only these parts.
    #[arg(long, value_enum, value_name = "PART,…", value_delimiter = ',')]
    only: Vec<Part>,
    /// How long each side of a row of the speeds runs in a round, and the training.
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = positive)]
    seconds: f64,
    /// How often ours and the peer alternate.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Recordings a network that both sides compute, and flip the bins of.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    recordings: u16,
    /// Segments whose flipping is timed, of the thesis's 20,000.
    #[arg(long, value_name = "N", default_value_t = 640, value_parser = clap::value_parser!(u16).range(1..))]
    segments: u16,
    /// The folder to write to.
    #[arg(short, long, value_name = "DIR", default_value = "gpu-check")]
    output: PathBuf,
    /// Decides weights, data and orders by lot.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
}

/// What is checked.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Logits, gradients, relevance by every rule and steps of training, on the GPU and on the CPU; what TF32 costs.
    Agreement,
    /// Curves of flipping, on both.
    Flipping,
    /// Recordings a second, beside the peers.
    Speed,
    /// The thesis's training and flipping, in short.
    Thesis,
}

impl Arguments {
    fn limit(&self) -> Result<Duration> {
        Duration::try_from_secs_f64(self.seconds).context("--seconds")
    }

    /// What recordings are opened from.
    fn source(&self) -> Result<String> {
        source([&self.data])
    }
}

/// What a part found, and a paragraph on how.
struct Found {
    experiment: Experiment,
    how: String,
}

/// Checks, prints the tables and writes the report.
pub fn run(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let device = speechlens_nn::device(&arguments.device)?;
    std::fs::create_dir_all(&arguments.output)
        .with_context(|| format!("{}: cannot be made", arguments.output.display()))?;
    let wanted = |part: &Part| arguments.only.is_empty() || arguments.only.contains(part);
    let mut all = Vec::new();
    for part in Part::value_variants().iter().copied().filter(wanted) {
        let found = check(part, arguments, &device)?;
        println!(
            "{}\n{}",
            found.experiment.title,
            Table::from(&found.experiment).text()
        );
        all.push(found);
    }
    let results = Results {
        run: Run {
            seed: arguments.seed,
            profile: "gpu-check".into(),
            device: speechlens_nn::device_name(&device),
            git: repository::commit(),
            data: match &arguments.data {
                Some(folder) => folder.display().to_string(),
                None => "synthetic".into(),
            },
            seconds: (start.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        },
        experiments: all.iter().map(|found| found.experiment.clone()).collect(),
    };
    results.write(&arguments.output.join("results.json"))?;
    let path = arguments.output.join("index.html");
    page(&results, all, &device).write(&path)?;
    println!("{:.0} s. The page: {}", results.run.seconds, path.display());
    Ok(())
}

fn check(part: Part, arguments: &Arguments, device: &Device) -> Result<Found> {
    match part {
        Part::Agreement => agreement::check(arguments, device),
        Part::Flipping => flipping::check(arguments, device),
        Part::Speed => speed::check(arguments, device),
        Part::Thesis => thesis::check(arguments, device),
    }
}

fn page(results: &Results, all: Vec<Found>, device: &Device) -> Page {
    let run = &results.run;
    let facts = [
        ("device", run.device.clone()),
        ("card", card(device)),
        ("data", run.data.clone()),
        ("seed", run.seed.to_string()),
        ("time", format!("{:.0} s", run.seconds)),
    ];
    let section = |found: Found| Section {
        id: found.experiment.id.clone(),
        title: found.experiment.title.clone(),
        blocks: vec![
            Block::text(found.how),
            Block::table(Table::from(&found.experiment), ""),
        ],
    };
    Page {
        title: "SpeechLens on a GPU".into(),
        lead: "What a device computes beside the CPU, and how fast.".into(),
        facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        sections: all.into_iter().map(section).collect(),
        ..Page::default()
    }
}
