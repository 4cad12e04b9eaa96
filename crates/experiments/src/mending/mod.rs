//! The mending experiment (thesis 6.2): the gender network is retrained on data without the bins it leans on, and asked again.

mod networks;
mod others;
mod story;

use anyhow::Result;

use crate::shared::gender::Trial;
use crate::shared::{Findings, Lab};

/// Retrains, flips and tells.
pub fn run(lab: &Lab) -> Result<Findings> {
    let trial = &*Trial::of(lab)?;
    let networks = networks::mend(lab, trial)?;
    story::tell(lab, trial, &networks)
}
