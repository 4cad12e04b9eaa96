//! The mending experiment (thesis 6.2): the gender network is retrained on data without the bins it leans on, and asked again.

mod networks;
mod others;
pub mod recipes;
mod story;

use anyhow::Result;

use crate::reproduce::{Findings, Lab};

/// Retrains, flips and tells.
pub fn run(lab: &Lab) -> Result<Findings> {
    let trial = lab.gender()?;
    let networks = networks::mend(lab, trial)?;
    story::tell(lab, trial, &networks)
}
