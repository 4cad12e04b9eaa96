//! The runner: one folder a run, one section an experiment.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use speechlens_report::interrupt::Interrupt;
use speechlens_report::results::Results;
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use crate::page::{PAGE, RESULTS, report};
use crate::shared::fit;
use crate::{Arguments, EXPERIMENTS, Findings, Lab, finished};

/// What the end of a run prints beside the headlines; the page has it all.
const IN_TERMINAL: [&str; 4] = [
    "table-6.1",
    "table-6.2",
    "speaker-accuracy",
    "clever-hans-rules",
];

/// Runs the experiments that are asked for, and writes each run's results.json, page, pictures and models into a folder of its own.
///
/// `root` is the folder that runs have theirs in, `source` says what the program was built from, and `command` how it was called.
///
/// # Errors
/// If nothing is called as one of the ids asked for, or an experiment fails.
pub fn run(arguments: &Arguments, root: &Path, source: &str, command: &[String]) -> Result<()> {
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
    let name = arguments.run_name();
    let folder = root.join(&name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{}: cannot be made", folder.display()))?;

    remove_partial(&folder)?;
    let lab = Lab::new(
        arguments,
        &folder,
        &device,
        Interrupt::listen(command.iter().cloned())?,
    );
    let mut done = Vec::new();
    for (index, experiment) in asked.iter().enumerate() {
        if !arguments.quiet {
            eprintln!("{} of {}: {}", index + 1, asked.len(), experiment.name);
        }
        let run = || (experiment.run)(&lab);
        done.push(finished::once(&folder, command, experiment.name, run)?);
        let to_come: Vec<&str> = asked[index + 1..].iter().map(|e| e.name).collect();
        report(
            &lab,
            source,
            start,
            Findings::joined(done.clone()),
            &to_come,
        )?;
        point_latest_to(root, &name)?;
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
