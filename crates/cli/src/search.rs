//! `speechlens rules`

mod trials;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use speechlens_eval::search::{Figure, Found, Measured, Tried, search};
use speechlens_explain::default_rules;
use speechlens_lrp::{Composite, PRESETS};
use speechlens_models::Model;
use speechlens_report::results::{Cell, Row};
use speechlens_report::table::Table;
use speechlens_report::{atomic, progress};

use crate::common::{Common, at_least_one, check_writable};
use crate::input::{self, Sought};
use trials::Trials;

/// Choose rules of layer-wise relevance propagation for a network that nobody has tuned, by how true its explanations are.
///
/// Half of the speakers choose, knob by knob, from the rules any-network on: ε, γ by groups of layers, the layers that read the input,
/// batch normalization, gates, a softmax inside, recurrent layers, and the value that is nothing in the input. The other half tests what
/// was chosen beside what `explain` would take; if that is better there, it is written instead. Labels are not needed.
#[derive(clap::Args)]
pub struct Arguments {
    /// Search for rules.
    #[arg(long, required = true)]
    search: bool,
    /// A model that `speechlens train` or `speechlens import` wrote.
    model: PathBuf,
    /// Recordings, or folders of them. What lies in one folder directly below DATA is of one speaker; a recording that lies there itself
    /// is for itself, and so is each if all are in one folder.
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// What rules are measured by; else halves for embeddings, where there are two speakers or more on each side with two recordings or
    /// more, and gain for all others.
    #[arg(long, value_enum)]
    by: Option<By>,
    /// At most so many recordings choose, and as many test.
    #[arg(long, default_value_t = 12, value_parser = at_least_one, value_name = "N")]
    recordings: usize,
    #[command(flatten)]
    reading: input::Arguments,
    #[command(flatten)]
    strictness: input::Strictness,
    /// The file of rules to write, for `explain --rules`.
    #[arg(short, long, value_name = "RULES.toml")]
    output: PathBuf,
}

/// What rules are measured by.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Symmetric relevance gain (Blücher et al. 2024): the area between the curves of what is answered as patches of the input are set
    /// to nothing, the least relevant first and the most relevant first; as a share of what setting all takes, in the mean. Of
    /// embeddings, of the similarity to another recording of the speaker. Patches are 10 ms of samples, a 16th of bands and of frames.
    Gain,
    /// For embeddings: of a recording whose one half is a speaker's and one a stranger's voice, why it is similar to another of the speaker
    /// rather than to another of the stranger: the share of the positive relevance that lies in the speaker's half.
    Halves,
}

impl By {
    /// What its numbers are.
    fn unit(self) -> &'static str {
        match self {
            By::Gain => "symmetric relevance gain, % of what all flipping takes from the answer",
            By::Halves => "positive relevance in the speaker's half, %",
        }
    }
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let start = Instant::now();
    let device = common.device()?;
    let model = Model::load(&arguments.model, &device)?;
    check_writable(&arguments.output)?;
    let found = input::files(&arguments.data, Sought::Recordings)?;
    let mut given = arguments.strictness.inputs(found.len());
    let reading = (&model, arguments.model.as_path());
    let place = (&device, common.seed);
    let of = Trials::new(reading, &arguments.reading, &found, place)?;
    let by = of.measure(arguments.by)?;
    let most = arguments.recordings;
    let bar = progress::bar("reading, recordings", 2 * most, common.quiet);
    let [choosing, testing] = of.both(by, most, &mut given, &bar)?;
    bar.finish_and_clear();
    let named = |(name, _): &&(&str, &str)| *name == default_rules(&model);
    let (default_name, default) = PRESETS.iter().find(named).context("there are no rules")?;
    let bar = progress::bar("searching, candidates", 0, common.quiet);
    let found = search(
        [&choosing, &testing],
        default,
        model.front_end.silence().unwrap_or(0.0),
        &|done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        },
    )
    .with_context(|| arguments.model.display().to_string())?;
    bar.finish_and_clear();

    let text = head(arguments, by, default_name, &found, common.seed) + found.text();
    // What is written is what was measured.
    Composite::parse(&text, &arguments.output)?;
    atomic::write(&arguments.output, text.as_bytes())?;
    if !common.quiet {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", candidates(by, &found.tried).text())?;
        writeln!(out, "{}", both(by, default_name, &found).text())?;
        let seconds = progress::HumanDuration(start.elapsed());
        let (path, verdict) = (arguments.output.display(), verdict(default_name, &found));
        writeln!(out, "{path}  {verdict}  ({seconds})")?;
    }
    given.end()
}

/// What became of the search, in words.
fn verdict(default_name: &str, found: &Found) -> String {
    match (
        found.tried.iter().any(|tried| tried.kept),
        found.is_better(),
    ) {
        (_, true) => "the rules that were chosen".to_owned(),
        (true, false) => format!(
            "what was chosen is no better on the recordings that test: these are the rules {default_name}"
        ),
        (false, false) => {
            format!("no choice is better by more than noise: these are the rules {default_name}")
        }
    }
}

/// What stands above the rules in their file.
fn head(arguments: &Arguments, by: By, default_name: &str, found: &Found, seed: u64) -> String {
    // A comment ends with its line.
    let plain = |path: &Path| path.display().to_string().replace(char::is_control, "?");
    let data: Vec<String> = arguments.data.iter().map(|path| plain(path)).collect();
    let percent = |figure: Figure| {
        let (mean, error) = (100.0 * figure.mean, 100.0 * figure.error);
        format!("{mean:.1} ± {error:.1} (n = {})", figure.count)
    };
    let line = |name: &str, measured: &Measured| {
        let [choosing, testing] = [measured.choosing, measured.testing].map(percent);
        format!("#   {name}: {choosing} where chosen, {testing} on others\n")
    };
    let lines = [
        format!(
            "# Rules for {}: {}.\n",
            plain(&arguments.model),
            verdict(default_name, found)
        ),
        format!(
            "# Found by `speechlens rules --search --seed {seed}` on {}.\n",
            data.join(", ")
        ),
        format!("# Measure: {}, mean ± standard error.\n", by.unit()),
        line("chosen", &found.chosen),
        line(default_name, &found.default),
        format!(
            "#   the difference on others: {}\n\n",
            percent(found.difference)
        ),
    ];
    lines.concat()
}

/// Percent.
fn cells(figure: Figure) -> [Cell; 2] {
    [figure.mean, figure.error].map(|share| Cell::from(100.0 * share))
}

/// The candidates.
fn candidates(by: By, tried: &[Tried]) -> Table {
    let row = |tried: &Tried| {
        let (knob, choice) = tried.choice;
        let kept = if tried.kept { "kept" } else { "" };
        let rest = [
            Cell::from(tried.figure.count),
            Cell::from(tried.time.as_secs_f64()),
            Cell::from(kept),
        ];
        let cells = [cells(tried.figure), cells(tried.difference)].concat();
        Row::measured(format!("{knob}: {choice}"), cells.into_iter().chain(rest))
    };
    let columns = [
        "where chosen",
        "±",
        "more than before",
        "±",
        "recordings",
        "s",
        "",
    ];
    Table {
        corner: by.unit().to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: tried.iter().map(row).collect(),
    }
}

/// What was chosen beside the default, on both halves.
fn both(by: By, default_name: &str, found: &Found) -> Table {
    let row = |name: &str, measured: &Measured| {
        let counts = [measured.choosing.count, measured.testing.count].map(Cell::from);
        let [chosen, tested] = [measured.choosing, measured.testing].map(cells);
        let [chose, test] = counts;
        let cells = chosen
            .into_iter()
            .chain([chose])
            .chain(tested)
            .chain([test]);
        Row::measured(name, cells)
    };
    let columns = [
        "where chosen",
        "±",
        "recordings",
        "on others",
        "±",
        "recordings",
    ];
    let [mean, error] = cells(found.difference);
    let missing = [Cell::Missing, Cell::Missing, Cell::Missing];
    let difference = missing.into_iter().chain([mean, error, Cell::Missing]);
    Table {
        corner: by.unit().to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: vec![
            row(default_name, &found.default),
            row("chosen", &found.chosen),
            Row::measured("chosen, more by", difference),
        ],
    }
}
