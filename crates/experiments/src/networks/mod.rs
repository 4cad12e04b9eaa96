//! Networks of others: are their explanations true? A test for each, where what matters is known because it was put there; every method,
//! beside chance and beside what needs no network.

mod activity;
mod methods;
mod pairs;
mod pitch;
mod quality;
mod speech;
mod trial;
mod turns;
mod voices;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use speechlens_explain::tested::{CHANCE, Spread, Tested, Truth, WITHOUT, way};
use speechlens_report::atomic;
use speechlens_report::page::{Block, Section};
use speechlens_report::progress;
use speechlens_report::results::{Cell, Experiment, Row};
use speechlens_report::table::Table;

use crate::shared::{Findings, Lab, Profile};
use methods::{Named, named};
use speech::Speech;
use trial::{Measured, Test};

/// The tests, by the file that each needs.
const TESTS: [(&str, Make); 7] = [
    ("crepe-tiny.onnx", pitch::harmonics),
    ("campplus.onnx", voices::halves_by_cam),
    ("ge2e-lstm.onnx", voices::halves_by_ge2e),
    ("dnsmos.onnx", quality::noise),
    ("dnsmos.onnx", quality::clean_second),
    ("silero-vad.onnx", activity::onset),
    ("smart-turn-int8.onnx", turns::ending),
];

/// What pages of the networks tell of these tests, as `explain` ships it.
const TESTED: &str = "tested.json";

/// Makes a test of so many trials for the network in a file.
type Make = fn(&Path, &Speech, usize) -> Result<Test>;

/// Runs every method on every network that is at hand.
pub fn run(lab: &Lab) -> Result<Findings> {
    let Some(folder) = &lab.arguments.models else {
        if !lab.arguments.quiet {
            eprintln!("networks: left out, --models DIR says where their files are");
        }
        return Ok(Findings::default());
    };
    let trials = match lab.arguments.profile {
        Profile::Smoke => 1,
        Profile::Quick => 8,
        Profile::Full => 20,
    };
    let speech = Speech::open(lab.arguments)?;
    let methods = named(lab.arguments)?;
    let (mut missing, mut known) = (Vec::new(), Vec::<Tested>::new());
    let mut all: Vec<(Test, Vec<Measured>)> = Vec::new();
    for (file, make) in TESTS {
        let path = folder.join(file);
        if !path.is_file() {
            if !missing.contains(&file) {
                missing.push(file);
            }
            continue;
        }
        let test = make(&path, &speech, trials).with_context(|| path.display().to_string())?;
        for method in &methods {
            let fits = test.fits(method);
            fits.with_context(|| format!("{}, {}", test.name, method.name))?;
        }
        let bar = progress::bar(
            &format!("networks, {}", test.name),
            methods.len() * test.trials.len(),
            lab.arguments.quiet,
        );
        let measured = methods.iter().map(|method| {
            bar.set_message(method.name.clone());
            test.measure(method, &|| bar.inc(1))
                .with_context(|| format!("{}, {}", test.name, method.name))
        });
        let measured = measured.collect::<Result<Vec<_>>>()?;
        bar.finish_and_clear();
        let network = tested(file, &path, &test, &methods, &measured)?;
        match known.iter_mut().find(|other| other.hash == network.hash) {
            Some(other) => other.tests.extend(network.tests),
            None => known.push(network),
        }
        all.push((test, measured));
        if lab.interrupt.is_asked() {
            return Err(lab.interrupt.stopped().into());
        }
    }
    atomic::write(
        &lab.folder.join(TESTED),
        format!("{:#}\n", json!(known)).as_bytes(),
    )?;
    let mut findings = tell(&methods, &all, &missing);
    let mut linked = Vec::new();
    for network in pairs::NETWORKS {
        if !missing.contains(&network.0) {
            // Each costs hundreds of sweeps.
            let (trials, quiet) = (trials.div_ceil(2), lab.arguments.quiet);
            linked.push(pairs::measure(network, folder, &speech, trials, quiet)?);
        }
        if lab.interrupt.is_asked() {
            return Err(lab.interrupt.stopped().into());
        }
    }
    if !linked.is_empty() {
        let (experiment, blocks) = pairs::tell(&linked);
        findings.experiments.push(experiment);
        findings.sections.push(Section {
            id: "networks-pairs".into(),
            title: "Two recordings at once".into(),
            blocks,
        });
    }
    Ok(findings)
}

/// A network with one of its tests, as pages tell it.
fn tested(
    file: &str,
    path: &Path,
    test: &Test,
    methods: &[Named],
    measured: &[Measured],
) -> Result<Tested> {
    let spread = |shares: &[f64]| {
        let (mean, deviation) = trial::spread(shares);
        mean.is_finite().then_some(Spread { mean, deviation })
    };
    let mut shares = vec![
        (CHANCE.to_owned(), spread(&test.chances())),
        (WITHOUT.to_owned(), spread(&test.trivial())),
    ];
    for (method, measured) in methods.iter().zip(measured) {
        let own = method.of(0.0, &test.patch)?;
        shares.push((way(own.as_ref()), spread(&measured.shares)));
    }
    Ok(Tested {
        file: file.to_owned(),
        hash: blake3::hash(&std::fs::read(path)?).to_string(),
        tests: vec![Truth {
            asks: test.asks.to_owned(),
            without: test.without.to_owned(),
            trials: test.trials.len(),
            shares,
        }],
    })
}

/// The table: a row a method, a column a test.
fn tell(methods: &[Named], all: &[(Test, Vec<Measured>)], missing: &[&str]) -> Findings {
    // By row its name and, by test, the shares of all trials.
    let mut shares: Vec<(String, Vec<Vec<f64>>)> = vec![
        (
            CHANCE.into(),
            all.iter().map(|(test, _)| test.chances()).collect(),
        ),
        (
            WITHOUT.into(),
            all.iter().map(|(test, _)| test.trivial()).collect(),
        ),
    ];
    for (place, method) in methods.iter().enumerate() {
        let of = all
            .iter()
            .map(|(_, measured)| measured[place].shares.clone());
        shares.push((method.name.clone(), of.collect()));
    }
    let rows = |cell: fn((f64, f64)) -> Cell| -> Vec<Row> {
        let row = |(name, tests): &(String, Vec<Vec<f64>>)| {
            let cells = tests.iter().map(|shares| cell(trial::spread(shares)));
            Row::measured(name.clone(), cells)
        };
        shares.iter().map(row).collect()
    };
    let passes = methods.iter().enumerate().map(|(place, method)| {
        let cells = all
            .iter()
            .map(|(_, measured)| Cell::from(measured[place].passes));
        Row::measured(method.name.clone(), cells)
    });
    let columns: Vec<String> = all.iter().map(|(test, _)| test.name.to_owned()).collect();
    let experiment = |id: &str, title: &str, rows| Experiment {
        id: id.into(),
        title: title.into(),
        columns: columns.clone(),
        rows,
        files: Vec::new(),
    };
    let truth = experiment(
        "networks-truth",
        "Relevance where it should be, in percent",
        rows(|(mean, _)| Cell::from(100.0 * mean)),
    );
    let truth = Experiment {
        files: vec![TESTED.into()],
        ..truth
    };
    let deviation = experiment(
        "networks-deviation",
        "Its standard deviation over trials, in points",
        rows(|(_, deviation)| Cell::from(100.0 * deviation)),
    );
    let both = Table {
        corner: "explained by".into(),
        columns: columns.clone(),
        rows: rows(|(mean, deviation)| match mean.is_finite() {
            true => Cell::from(format!("{:.0} ± {:.0}", 100.0 * mean, 100.0 * deviation)),
            false => Cell::Missing,
        }),
    };
    let cost = experiment(
        "networks-passes",
        "Passes through the network for one explanation",
        passes.collect(),
    );
    let asked = Table {
        corner: "test".into(),
        columns: vec![
            "what is asked, and where the truth lies".into(),
            WITHOUT.into(),
            "trials".into(),
        ],
        rows: all
            .iter()
            .map(|(test, _)| {
                let cells = [
                    test.asks.to_owned(),
                    test.without.to_owned(),
                    test.trials.len().to_string(),
                ];
                Row::measured(test.name, cells.map(Cell::from))
            })
            .collect(),
    };
    let mut blocks = vec![
        Block::text(
            "Of each network a question was asked whose answer is known: what matters was put there. A number is the share of the \
             relevance (of its positive part, or of its negative part where the test says so) that lies where it should. An explanation is \
             worth something where it beats both chance and what needs no network at all. That relevance adds up to the answer is no \
             sign of truth. Relevance of samples is seen in time and frequency where the test says so, and lies then where the power is, \
             even by lot; what is no multiple of the samples cannot be seen so.",
        ),
        Block::table(asked, "The tests."),
        Block::table(
            both,
            format!("{}: mean ± standard deviation over trials.", truth.title),
        ),
        Block::Fold {
            summary: "What each costs".into(),
            blocks: vec![Block::table(Table::from(&cost), cost.title.clone())],
        },
    ];
    if !missing.is_empty() {
        blocks.push(Block::text(format!("Not at hand: {}.", missing.join(", "))));
    }
    Findings {
        experiments: vec![truth, deviation, cost],
        sections: vec![Section {
            id: "networks".into(),
            title: "Networks of others: is it true?".into(),
            blocks,
        }],
        ..Findings::default()
    }
}
