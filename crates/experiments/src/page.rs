//! results.json and the page of a run: every table and figure of chapter 6 accounted for.

use std::time::Instant;

use anyhow::Result;
use speechlens_report::beside::{claims, stories};
use speechlens_report::page::{Block, Page, Section};
use speechlens_report::results::{Experiment, Results, Run};
use speechlens_report::table::Table;
use speechlens_report::thesis::{Difference, Thesis};

use crate::shared::{Findings, Lab};

/// The page's file.
pub const PAGE: &str = "index.html";
/// What was measured, for programs.
pub const RESULTS: &str = "results.json";

/// Writes results.json and the page with what is found so far.
pub fn report(
    lab: &Lab,
    source: &str,
    start: Instant,
    findings: Findings,
    to_come: &[&str],
) -> Result<()> {
    let thesis = Thesis::published();
    let mut experiments = account(thesis, findings.experiments.clone(), to_come);
    let of_text = claims(thesis, &experiments);
    experiments.extend(of_text);
    let run = Run {
        seed: lab.arguments.seed,
        profile: lab.arguments.profile.name().into(),
        device: speechlens_nn::device_name(lab.device),
        git: source.to_owned(),
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
                title: match findings.opening.headlines.is_empty() {
                    true => "What was found".into(),
                    false => "What else was found".into(),
                },
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
