//! What experiments found, kept until their run is done: one that was stopped takes up after the last of them.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use speechlens_report::atomic;

use crate::shared::Findings;

/// What the files end in that hold findings.
pub const SUFFIX: &str = ".finished.json";

#[derive(Serialize, Deserialize)]
struct Finished {
    /// The command, and when the program was built that ran it: of another, nothing is taken up.
    by: (Vec<String>, Option<SystemTime>),
    findings: Findings,
}

/// What an experiment of this run has found; it is run if it has not been.
pub fn once(
    folder: &Path,
    command: &[String],
    experiment: &str,
    run: impl FnOnce() -> Result<Findings>,
) -> Result<Findings> {
    let path = folder.join(format!("{experiment}{SUFFIX}"));
    let program = std::env::current_exe().and_then(|program| program.metadata()?.modified());
    let by = (command.to_vec(), program.ok());
    let read = std::fs::read(&path).ok();
    let read = read.and_then(|text| serde_json::from_slice::<Finished>(&text).ok());
    if let Some(finished) = read.filter(|finished| finished.by == by) {
        return Ok(finished.findings);
    }
    let findings = run()?;
    let finished = Finished { by, findings };
    atomic::write(&path, &serde_json::to_vec(&finished)?)?;
    Ok(finished.findings)
}
