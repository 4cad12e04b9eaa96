//! What an experiment gives.

use serde::{Deserialize, Serialize};
use speechlens_report::page::{Opening, Section};
use speechlens_report::results::Experiment;

/// What an experiment gives: its entries for results.json, its sections of the page, and what it has for the first glance.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Its part of what is seen first.
    pub opening: Opening,
    /// One for each table and figure, and for what has no number in the thesis.
    pub experiments: Vec<Experiment>,
    /// Its part of the page.
    pub sections: Vec<Section>,
    /// One sentence that says what was found.
    pub lead: String,
    /// What the data were, in words.
    pub data: String,
}

impl Findings {
    /// Those of several experiments as one.
    pub(crate) fn joined(all: Vec<Findings>) -> Findings {
        let mut joined = Findings::default();
        for findings in all {
            joined.opening.headlines.extend(findings.opening.headlines);
            joined.opening.blocks.extend(findings.opening.blocks);
            joined.experiments.extend(findings.experiments);
            joined.sections.extend(findings.sections);
            for (total, text, between) in [
                (&mut joined.lead, findings.lead, "\n"),
                (&mut joined.data, findings.data, "; "),
            ] {
                *total = [std::mem::take(total), text]
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect::<Vec<_>>()
                    .join(between);
            }
        }
        joined
    }
}
