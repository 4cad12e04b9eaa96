//! The Clever Hans benchmark: an artifact is planted that gives the class away. A network that learns it has a known answer, and
//! each method can be right or wrong about it. Then relevance-guided augmentation is to take the dependence away again.

mod case;
mod story;

use anyhow::Result;
use speechlens_data::Artifact;

use crate::shared::{Findings, Lab, Profile};
use case::{Bench, Setting};

/// Trains a network for every artifact and seed, explains it by every method, and mends it.
pub fn run(lab: &Lab) -> Result<Findings> {
    let setting = Setting::new(lab.arguments);
    let bench = Bench::open(lab, setting)?;
    let artifacts = match (lab.arguments.artifacts.as_slice(), lab.arguments.profile) {
        ([], Profile::Full) => Artifact::ALL.to_vec(),
        ([], Profile::Quick | Profile::Smoke) => Artifact::ALL[..1].to_vec(),
        (given, _) => given.to_vec(),
    };
    let seeds = lab.arguments.seeds.unwrap_or(match lab.arguments.profile {
        Profile::Smoke => 1,
        Profile::Quick => 2,
        Profile::Full => 5,
    });
    let mut outcomes = Vec::new();
    for seed in 0..u64::from(seeds) {
        for artifact in &artifacts {
            outcomes.push(bench.case(*artifact, lab.arguments.seed + seed)?);
        }
    }
    story::tell(lab, &bench, &outcomes)
}
