//! `cargo xtask account`: every table, figure and number of the thesis's chapter 6 beside what a run measured, as Markdown.

use std::path::PathBuf;

use anyhow::Result;
use speechlens_report::results::{Cell, Results};
use speechlens_report::thesis::Thesis;

use crate::repository;

/// Print every table, figure and number of the thesis's chapter 6: where results.json has it, as printed and as measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// The run's folder, or its results.json; else the last run's.
    run: Option<PathBuf>,
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Missing => "–".into(),
        Cell::Number(number) => format!("{}", (number * 100.0).round() / 100.0),
        Cell::Text(text) => text.clone(),
    }
}

fn cells(cells: Option<&Vec<Cell>>) -> String {
    let all = cells.map(|cells| cells.iter().map(text).collect::<Vec<_>>().join(" "));
    all.unwrap_or_else(|| "–".into())
}

/// Runs the task.
pub fn run(arguments: &Arguments) -> Result<()> {
    let last = || repository::root().join("target/reproduce/latest");
    let mut path = arguments.run.clone().unwrap_or_else(last);
    if path.is_dir() {
        path.push("results.json");
    }
    let results = Results::read(&path)?;
    let thesis = Thesis::published();
    println!("| id | row | columns | printed | measured |\n| --- | --- | --- | --- | --- |");
    for entry in &thesis.entries {
        let found = results.experiments.iter().filter(|e| e.id == entry.id);
        for experiment in found {
            for row in &experiment.rows {
                let measured = match &row.reason {
                    Some(reason) => reason.clone(),
                    None => cells(row.measured.as_ref()),
                };
                let columns = match experiment.columns.as_slice() {
                    [first, .., last] if experiment.columns.len() > 12 => {
                        format!("{first} … {last} ({})", experiment.columns.len())
                    }
                    columns => columns.join(" · "),
                };
                println!(
                    "| {} | {} | {columns} | {} | {measured} |",
                    entry.id,
                    row.name,
                    cells(row.thesis.as_ref()),
                );
            }
        }
    }
    println!(
        "\n| claim | in results.json | printed | measured | tells the same |\n| --- | --- | --- | --- | --- |"
    );
    for claim in &thesis.claims {
        let (measured, same) = match thesis.told(claim, &results.experiments) {
            Ok((value, verdict)) => (text(&Cell::Number(value)), verdict.to_string()),
            Err(reason) => (reason, "–".into()),
        };
        println!(
            "| {}: {} | {} | {} | {measured} | {same} |",
            claim.section,
            claim.name(),
            claim.measure.place(),
            text(&claim.printed),
        );
    }
    Ok(())
}
