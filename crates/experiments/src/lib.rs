//! The experiments of the thesis and of the project. Each has a folder and an entry in [`EXPERIMENTS`]; what they share, trained
//! networks among it, stands in `shared`, which knows none of them.

mod audionet;
mod clever_hans;
mod digits;
mod finished;
mod first_percent;
mod gender;
mod mending;
mod methods;
mod networks;
mod page;
mod references;
mod run;
mod shared;
mod sound;
mod speaker;

use anyhow::Result;

pub use run::run;
pub use shared::fit::First;
pub use shared::gender::data::thesis_training;
pub use shared::speaker::data::LOSS as SPEAKER_LOSS;
pub use shared::{Arguments, Findings, Lab, Profile, source};
pub use speaker::{ORDERS, RULES, RuleSet};

/// An experiment.
pub struct Experiment {
    /// What `--only` calls it, and the entries of `assets/thesis.json` that it repeats.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&Lab) -> Result<Findings>,
}

/// In the order of the page, which tells them as one story. The first has what is seen at the first glance.
pub const EXPERIMENTS: [Experiment; 11] = [
    Experiment {
        name: "gender",
        run: gender::run,
    },
    Experiment {
        name: "first-percent",
        run: first_percent::run,
    },
    Experiment {
        name: "mending",
        run: mending::run,
    },
    Experiment {
        name: "speaker",
        run: speaker::run,
    },
    Experiment {
        name: "references",
        run: references::run,
    },
    Experiment {
        name: "sound",
        run: sound::run,
    },
    Experiment {
        name: "clever-hans",
        run: clever_hans::run,
    },
    Experiment {
        name: "audionet",
        run: audionet::run,
    },
    Experiment {
        name: "digits",
        run: digits::run,
    },
    Experiment {
        name: "methods",
        run: methods::run,
    },
    Experiment {
        name: "networks",
        run: networks::run,
    },
];
