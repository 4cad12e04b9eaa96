//! What is known of a network from tests whose truth was put there, where it is one of those that were tested.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use speechlens_attribution::Method;
use speechlens_models::Model;
use speechlens_models::onnx::HASH;
use speechlens_report::number::fixed;

use crate::default_rules;

/// As `cargo xtask reproduce --only networks --profile quick` wrote it.
const TESTED: &str = include_str!("../assets/tested.json");

/// A network with its tests.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Tested {
    /// The network's file.
    pub file: String,
    /// Of its content, as [`HASH`].
    pub hash: String,
    /// The tests.
    pub tests: Vec<Truth>,
}

/// A test: a question whose answer is known.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Truth {
    /// What is asked, and where the truth lies.
    pub asks: String,
    /// What needs no network.
    pub without: String,
    /// How many questions of the kind.
    pub trials: usize,
    /// The share of the relevance that lies where it should: by chance, of what needs no network, and of each method by its
    /// [name](way).
    pub shares: Vec<(String, Option<Spread>)>,
}

/// Mean and standard deviation over trials.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Spread {
    /// From 0 to 1.
    pub mean: f64,
    /// Likewise.
    pub deviation: f64,
}

/// The row of chance.
pub const CHANCE: &str = "chance";
/// That of what needs no network.
pub const WITHOUT: &str = "without a network";

/// What a method is called among tests: by its rules, or by its name.
pub fn way(method: &dyn Method) -> String {
    match method.rules() {
        Some(composite) => composite.name().to_owned(),
        None => method.to_string(),
    }
}

/// The tests of a model, if it is of a file that was tested.
fn of(model: &Model) -> &'static [Truth] {
    static ALL: LazyLock<Vec<Tested>> =
        LazyLock::new(|| serde_json::from_str(TESTED).unwrap_or_default());
    let hash = model.metadata.get(HASH);
    let tested = ALL.iter().find(|tested| Some(&tested.hash) == hash);
    tested.map_or(&[], |tested| &tested.tests)
}

/// What tests say of a way of explaining a model, a sentence or two each; none of models that were not tested.
pub(crate) fn told(model: &Model, method: &dyn Method) -> Vec<String> {
    let way = way(method);
    of(model)
        .iter()
        .map(|truth| truth.told(&way, default_rules(model)))
        .collect()
}

impl Truth {
    fn share(&self, row: &str) -> Option<Spread> {
        let row = self.shares.iter().find(|(name, _)| name == row)?;
        row.1
    }

    fn told(&self, way: &str, default: &str) -> String {
        let percent = |share: f64| fixed(100.0 * share, 0);
        let mean = |row: &str| self.share(row).map_or("–".to_owned(), |s| percent(s.mean));
        let spread = |s: Spread| format!("{} ± {} %", percent(s.mean), percent(s.deviation));
        let found = match (self.share(way), self.share(default)) {
            (Some(own), _) => format!("{way} puts {} of it there", spread(own)),
            (None, Some(other)) => format!(
                "{default}, by default, puts {} of it there; {way} was not tested",
                spread(other)
            ),
            (None, None) => format!("{way} was not tested"),
        };
        format!(
            "Tested on this network where the truth is known ({} trials): {}. {found}; by chance {} %, and {}, without a network, {} %.",
            self.trials,
            self.asks,
            mean(CHANCE),
            self.without,
            mean(WITHOUT)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tested_is_told_of_the_way_that_is_shown() {
        let spread = |mean, deviation| Some(Spread { mean, deviation });
        let truth = Truth {
            asks: "why so high".into(),
            without: "power".into(),
            trials: 8,
            shares: vec![
                (CHANCE.into(), spread(0.11, 0.0)),
                (WITHOUT.into(), spread(0.88, 0.01)),
                ("any-network".into(), spread(0.91, 0.02)),
                ("occlusion".into(), None),
            ],
        };
        let text = truth.told("any-network", "any-network");
        assert!(text.contains("(8 trials): why so high. any-network puts 91 ± 2 % of it there; by chance 11 %, and power, without a network, 88 %."), "{text}");
        assert!(
            truth
                .told("mine.toml", "any-network")
                .contains("mine.toml was not tested")
        );
        assert!(
            truth
                .told("occlusion", "nothing")
                .contains("occlusion was not tested;")
        );
    }

    #[test]
    fn the_tests_that_are_shipped_can_be_read() {
        let all: Vec<Tested> = serde_json::from_str(TESTED).expect("tests");
        assert!(!all.is_empty());
        for truth in all.iter().flat_map(|tested| &tested.tests) {
            for row in [CHANCE, WITHOUT, "any-network"] {
                assert!(truth.share(row).is_some(), "{row}: {truth:?}");
            }
        }
    }
}
