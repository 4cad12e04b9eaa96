//! `cargo xtask bench`: how fast SpeechLens is, beside what others use for the same, and BENCHMARKS.md.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use speechlens_report::{atomic, progress};

use crate::repository;
pub use machine::card;
pub use operations::CLASSES;
pub use peer::Peer;
pub use rows::{Pass, What, Work, passes};
pub use statistics::{median, ratio};

use document::{Findings, Memory, Outcome, PeerMemory};
use ours::Ours;
use rows::{MEMORY, ROWS, Row};

mod document;
mod machine;
mod onnx;
mod operations;
mod ours;
mod peak;
mod peer;
mod rows;
mod statistics;

/// What the peers of all rows need of Python.
const PACKAGES: [&str; 7] = [
    "torch",
    "zennit",
    "onnxruntime",
    "onnxscript",
    "librosa",
    "scipy",
    "kaldi-native-fbank",
];

/// Measure how fast SpeechLens is, beside the peers, and write BENCHMARKS.md.
#[derive(clap::Args)]
pub struct Arguments {
    /// A Python with the peers (`PYTHON -m pip install -r tests/goldens/requirements.txt`); without it, only ours is measured.
    #[arg(long, value_name = "PYTHON")]
    peers: Option<PathBuf>,
    /// How long each side of a row runs in a round.
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = positive)]
    seconds: f64,
    /// How often ours and the peer alternate.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only these rows of the table: {alexnet,resnet34}-{forward,train,lrp,lrp-gamma}, spectrogram, filterbank,
    /// {crepe,campplus,dnsmos,smart-turn,alexnet,resnet34}-onnx, and each of these with -one behind it.
    #[arg(long, value_name = "ROW,…", value_delimiter = ',', value_parser = row)]
    only: Vec<Row>,
    /// Where to write; BENCHMARKS.md at the root of the repository if not given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
}

/// A number above 0, as an argument.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds > 0.0 => Ok(seconds),
        _ => Err("say a number above 0".into()),
    }
}

fn row(id: &str) -> Result<Row, String> {
    ROWS.into_iter().find(|row| row.id() == id).ok_or_else(|| {
        let ids: Vec<_> = ROWS.iter().map(Row::id).collect();
        format!("there is no such row; there are {}", ids.join(", "))
    })
}

impl Arguments {
    fn rows(&self) -> Vec<Row> {
        let wanted = |row: &Row| self.only.is_empty() || self.only.contains(row);
        let (here, missing): (Vec<Row>, Vec<Row>) =
            ROWS.into_iter().filter(wanted).partition(Row::is_here);
        for row in missing {
            println!(
                "left out: {} (its file is looked for in the folder that SPEECHLENS_MODELS names, else in ../shared/models)",
                row.title()
            );
        }
        here
    }

    /// The command line again; where a Python lies is nobody's business.
    fn command(&self) -> String {
        let mut command = "cargo xtask bench".to_owned();
        if self.peers.is_some() {
            command += " --peers PYTHON";
        }
        command += &format!(" --seconds {} --rounds {}", self.seconds, self.rounds);
        if !self.only.is_empty() {
            let ids: Vec<_> = self.only.iter().map(Row::id).collect();
            command += &format!(" --only {}", ids.join(","));
        }
        command
    }
}

/// Measures, prints the table and writes the document.
pub fn run(arguments: &Arguments) -> Result<()> {
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => repository::root().join("BENCHMARKS.md"),
    };
    check_writable(&output)?;
    // Python before the build: what is missing there shows at once.
    let peer = arguments.peers.as_deref();
    let mut peer = peer.map(|python| Peer::start(python, "cpu")).transpose()?;
    let versions = peer.as_mut().map(|peer| peer.versions(&PACKAGES));
    let versions = versions.transpose()?;
    let ours = Ours::build()?;

    let rows = arguments.rows();
    ensure!(!rows.is_empty(), "no row is left to measure");
    let rounds = usize::from(arguments.rounds);
    let bar = progress::bar("measuring", rows.len() * rounds, arguments.quiet);
    let (mut outcomes, mut memory) = (Vec::new(), None);
    let mut peak = peak::measure();
    for row in rows {
        let operations = match row.work {
            Work::Network(pass) => Some(pass.what.cost() * operations::forward(pass.network)?),
            _ => None,
        };
        let mut outcome = Outcome {
            row,
            ours: Vec::new(),
            forward: Vec::new(),
            peer: Vec::new(),
            operations,
        };
        for _ in 0..rounds {
            bar.set_message(row.title());
            peak = peak.max(peak::measure());
            let rate = ours.measure(row.work, arguments.seconds)?;
            outcome.ours.push(rate);
            if let (Work::Network(pass), Some(_)) = (row.work, row.passes()) {
                let forward = Pass {
                    what: What::Forward,
                    ..pass
                };
                let rate = ours.measure(Work::Network(forward), arguments.seconds)?;
                outcome.forward.push(rate);
            }
            if let Some(peer) = &mut peer {
                let rate = peer.measure(row.work, arguments.seconds)?;
                outcome.peer.push(rate);
            }
            bar.inc(1);
        }
        if let (true, Work::Network(pass)) = (row == MEMORY, row.work) {
            let python = arguments.peers.as_deref();
            memory = Some(Memory {
                ours: ours.peak_memory(pass, arguments.seconds)?,
                predicting: ours.predicting(pass.network)?,
                peer: python
                    .map(|python| peer_memory(python, row, arguments.seconds))
                    .transpose()?,
            });
        }
        outcomes.push(outcome);
    }
    bar.finish_and_clear();

    let findings = Findings {
        outcomes,
        memory,
        peak,
        versions: versions.unwrap_or_default(),
        command: arguments.command(),
        commit: repository::commit(),
        processor: machine::processor(),
        cores: machine::cores(),
        threads: rayon::current_num_threads(),
        rounds,
        seconds: arguments.seconds,
    };
    atomic::write(&output, findings.markdown().as_bytes())?;
    println!("{}\n{}", findings.table(), output.display());
    Ok(())
}

/// What a fresh Python holds that does nothing but this row.
fn peer_memory(python: &Path, row: Row, seconds: f64) -> Result<PeerMemory> {
    let mut peer = Peer::start(python, "cpu")?;
    let packages = peer.peak_memory_of_packages()?;
    peer.measure(row.work, seconds)?;
    let peak = peer.peak_memory()?;
    Ok(PeerMemory { peak, packages })
}

/// Fails now rather than after minutes of measuring.
fn check_writable(file: &Path) -> Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    tempfile::tempfile_in(folder)
        .map(|_| ())
        .with_context(|| format!("{}: cannot be written", file.display()))
}
