//! The thesis whose experiments are repeated, and what it published: `assets/thesis.json`.

use crate::results::{Cell, Experiment, Row};
use crate::{Error, Result};
use serde::Deserialize;
use std::sync::LazyLock;

/// The thesis: its settings, figure 3.2 and every table and figure of its chapter 6, and the numbers in that chapter's text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thesis {
    /// Who wrote it.
    pub author: String,
    /// Its title.
    pub title: String,
    /// What it is and where it was defended.
    pub published: String,
    /// The year.
    pub year: u16,
    /// The gender network, its data and its training (4.1, 4.3, 6.1).
    pub gender: Gender,
    /// How bins are set to 0 (6.1).
    pub flipping: Flipping,
    /// How the gender network is retrained (6.2).
    pub mending: Mending,
    /// The speaker network and its rules (4.2, 4.4, 6.3).
    pub speaker: Speaker,
    /// The tables and figures, in order of their experiments.
    pub entries: Vec<Entry>,
    /// What a run must have shown before it can tell claims true or false.
    pub conditions: Vec<Condition>,
    /// How the bounds of claims were chosen, in words.
    pub bounds: Vec<String>,
    /// The numbers in the text of chapter 6.
    pub claims: Vec<Claim>,
    /// Where its numbers or words contradict each other.
    pub slips: Vec<String>,
    /// Where this project does otherwise than the thesis.
    pub differences: Vec<Difference>,
}

/// The gender network, its data and its training.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gender {
    /// Speakers, half of them women.
    pub speakers: usize,
    /// Recordings for training.
    pub train: usize,
    /// Recordings for validation.
    pub validation: usize,
    /// Recordings for test.
    pub test: usize,
    /// Passes over the training recordings.
    pub epochs: u64,
    /// Recordings a step.
    pub batch: usize,
    /// Of stochastic gradient descent.
    pub learning_rate: f64,
    /// Of stochastic gradient descent.
    pub momentum: f64,
    /// On validation and test, in percent.
    pub accuracy: f64,
    /// ε of every layer but the dense ones.
    pub epsilon: f64,
    /// Frames of padding in men's recordings, on average.
    pub padding_male: f64,
    /// Frames of padding in women's recordings, on average.
    pub padding_female: f64,
    /// Frames of a spectrogram.
    pub frames: usize,
}

/// How bins are set to 0. Shares are in percent.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flipping {
    /// Recordings whose bins are set to 0.
    pub recordings: usize,
    /// The share at which accuracy has fallen below chance.
    pub few: f64,
    /// The share of figures 6.2, 6.7 and 6.8.
    pub marked: f64,
    /// The share of figure 6.4.
    pub gone: f64,
    /// Bins from one step of figure 6.5 to the next.
    pub step: usize,
    /// Bins at its last step.
    pub last: usize,
}

/// How the gender network is retrained.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mending {
    /// The share of the bins that is replaced in the data, in percent.
    pub percent: f64,
    /// Passes over the data.
    pub epochs: u64,
    /// How far a bin's neighbourhood goes along each axis: 1 is Moore's.
    pub radius: usize,
}

/// The speaker network and its rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speaker {
    /// Speakers that it tells apart.
    pub speakers: usize,
    /// Mel bands of the filterbank.
    pub bands: usize,
    /// Frames of a segment.
    pub frames: usize,
    /// The length of a frame, in ms.
    pub window_ms: f64,
    /// By how much frames overlap, in ms.
    pub overlap_ms: f64,
    /// On training and validation, in percent.
    pub accuracy: f64,
    /// ε in the text.
    pub epsilon: f64,
    /// ε in the captions.
    pub epsilon_of_captions: f64,
    /// γ.
    pub gamma: f64,
    /// How many of the layers have it, from the input on.
    pub layers_under_gamma: String,
    /// Segments whose bins are set to 0.
    pub segments: usize,
}

/// One table or figure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `table-6.1`, `figure-6.3` …
    pub id: String,
    /// The experiment that it belongs to.
    pub experiment: String,
    /// Its caption, in this project's words.
    pub title: String,
    /// What the thesis says of it, in this project's words.
    pub says: String,
    /// The unit of the columns.
    #[serde(default)]
    unit: String,
    /// What stands above the cells of a printed table.
    #[serde(default)]
    pub columns: Vec<f64>,
    /// The rows of a printed table.
    #[serde(default)]
    pub rows: Vec<Printed>,
}

/// A row of a printed table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Printed {
    /// What it is called.
    pub name: String,
    /// A number for each column.
    pub cells: Vec<f64>,
    /// The columns whose numbers cannot be meant.
    #[serde(default)]
    pub misprinted: Vec<f64>,
}

/// What a claim requires: without it a broken result could tell the same as the thesis, or anything.
#[derive(Debug, Clone, Deserialize)]
pub struct Condition {
    /// What claims call it.
    pub name: String,
    /// Where `results.json` has the number that decides.
    #[serde(flatten)]
    pub measure: Measure,
    /// Where that number must lie; no bound where it is none.
    pub within: Bounds,
    /// What is so where it does not.
    pub otherwise: String,
    /// Its unit.
    pub unit: String,
}

/// The least and the largest value; no bound where it is none.
pub type Bounds = [Option<f64>; 2];

/// A number in the text, or a word for one.
#[derive(Debug, Clone, Deserialize)]
pub struct Claim {
    /// The section that it stands in, or whose experiment it is about.
    pub section: String,
    /// Of what it is.
    pub says: String,
    /// Its unit.
    pub unit: String,
    /// As printed.
    pub printed: Cell,
    /// Where `results.json` has it.
    #[serde(flatten)]
    pub measure: Measure,
    /// The measured values that tell the same story.
    pub same: Bounds,
    /// The names of the conditions without which nothing is told.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The section of the page that shows what it is about.
    #[serde(default)]
    pub beside: Option<String>,
}

/// How a claim's number follows from cells of `results.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Measure {
    /// A cell, or the difference of two.
    Cells {
        /// The cell.
        at: Place,
        /// What is taken from it.
        minus: Option<Place>,
    },
    /// The first column at which a row is no longer above a value.
    Falls {
        /// The row.
        falls: Line,
        /// The value.
        to: f64,
    },
    /// None.
    Nowhere {
        /// Why not.
        unmeasured: String,
    },
}

/// A cell of `results.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The id of its entry.
    pub entry: String,
    /// Its row.
    pub row: String,
    /// Its column.
    pub column: String,
}

/// A row of `results.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The id of its entry.
    pub entry: String,
    /// Its name.
    pub row: String,
}

/// Something that this project does otherwise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What it is about, with the place in the thesis.
    pub of: String,
    /// What the thesis does.
    pub thesis: String,
    /// What is done here, and why.
    pub here: String,
}

static PUBLISHED: LazyLock<Thesis> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../assets/thesis.json"))
        .expect("assets/thesis.json follows its types")
});

impl Thesis {
    /// The thesis as it was published.
    pub fn published() -> &'static Self {
        &PUBLISHED
    }

    /// The entry of a table or figure.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`].
    pub fn entry(&self, id: &str) -> Result<&Entry> {
        let found = self.entries.iter().find(|entry| entry.id == id);
        found.ok_or_else(|| Error::NoSuchEntry(id.into()))
    }

    /// The conditions of a claim.
    pub fn conditions_of(&self, claim: &Claim) -> impl Iterator<Item = &Condition> {
        let named = |condition: &&Condition| claim.requires.contains(&condition.name);
        self.conditions.iter().filter(named)
    }
}

impl Entry {
    /// `Figure 6.3`, `Table 6.1`.
    pub fn number(&self) -> String {
        match self.id.split_once('-') {
            Some(("table", number)) => format!("Table {number}"),
            Some((_, number)) => format!("Figure {number}"),
            None => self.id.clone(),
        }
    }

    /// Number and title, as a caption.
    pub fn caption(&self) -> String {
        format!("{}: {}.", self.number(), self.title)
    }

    /// The headings of the printed columns: `0.5 %`.
    pub fn headings(&self) -> Vec<String> {
        (self.columns.iter().copied())
            .map(|column| self.heading(column))
            .collect()
    }

    /// A column's heading: `0.5 %`, `65 bins`.
    pub fn heading(&self, column: f64) -> String {
        format!("{column} {}", self.unit)
    }

    fn printed(&self, name: &str) -> Option<&Printed> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The printed value of a row in a column.
    pub fn cell(&self, name: &str, column: f64) -> Option<f64> {
        let place = self.columns.iter().position(|other| *other == column)?;
        self.printed(name)?.cells.get(place).copied()
    }

    /// The printed values of a row under the given headings; `None` if it is not printed.
    pub fn row(&self, name: &str, headings: &[String]) -> Option<Vec<Cell>> {
        let printed = self.printed(name)?;
        let all = self.headings();
        let cell = |heading: &String| {
            let place = all.iter().position(|other| other == heading);
            place.and_then(|place| printed.cells.get(place).copied())
        };
        Some(
            headings
                .iter()
                .map(|heading| cell(heading).into())
                .collect(),
        )
    }

    /// The headings under which a row's printed values cannot be meant.
    pub fn misprinted(&self, name: &str) -> Vec<String> {
        let columns = self.printed(name).map(|row| row.misprinted.as_slice());
        let columns = columns.unwrap_or_default().iter().copied();
        columns.map(|column| self.heading(column)).collect()
    }

    /// The entry for the results of a run that did not measure it. Printed values, where there are any, are kept.
    pub fn not_run(&self, reason: &str) -> Experiment {
        let headings = self.headings();
        let rows = match self.rows.as_slice() {
            [] => vec![Row::not_measured(self.title.clone(), reason)],
            rows => (rows.iter())
                .map(|row| {
                    Row::not_measured(row.name.clone(), reason)
                        .with_thesis(self.row(&row.name, &headings))
                })
                .collect(),
        };
        Experiment {
            id: self.id.clone(),
            title: self.title.clone(),
            columns: headings,
            rows,
            files: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn figure_3_2_and_every_table_and_figure_of_chapter_6_have_one_entry() {
        let found: HashSet<&str> = (Thesis::published().entries.iter())
            .map(|entry| entry.id.as_str())
            .collect();
        let relevance_over_waveforms = ["figure-3.2".to_owned()];
        let figures = (1..=15).map(|n| format!("figure-6.{n}"));
        let tables = (1..=2).map(|n| format!("table-6.{n}"));
        let expected: Vec<String> = (relevance_over_waveforms.into_iter().chain(figures))
            .chain(tables)
            .collect();
        assert_eq!(
            found.len(),
            Thesis::published().entries.len(),
            "ids are unique"
        );
        assert_eq!(found.len(), expected.len());
        for id in &expected {
            assert!(found.contains(id.as_str()), "{id} is missing");
        }
    }

    #[test]
    fn both_tables_are_whole() {
        let thesis = Thesis::published();
        let cells = |id: &str| -> usize {
            let entry = thesis.entry(id).expect("there");
            for row in &entry.rows {
                assert_eq!(row.cells.len(), entry.columns.len(), "{id}, {}", row.name);
                assert!(row.misprinted.iter().all(|c| entry.columns.contains(c)));
            }
            entry.rows.iter().map(|row| row.cells.len()).sum()
        };
        assert_eq!(cells("table-6.1") + cells("table-6.2"), 51);
    }

    #[test]
    fn what_is_printed_twice_is_the_same() {
        let thesis = Thesis::published();
        let [first, second] = ["table-6.1", "table-6.2"].map(|id| thesis.entry(id).expect("there"));
        for column in &second.columns {
            assert_eq!(
                first.cell("lrp", *column),
                second.cell("AlexNet", *column),
                "{column}"
            );
            // The slip: these cells are those of another table's row.
            let slip = second.rows[1].misprinted.contains(column);
            let repeated =
                second.cell("AlexNet_aug_zero", *column) == first.cell("random", *column);
            assert_eq!(slip, repeated, "{column}");
        }
        assert_eq!(first.cell("lrp", 0.0), Some(thesis.gender.accuracy));
        for claim in &thesis.claims {
            let Measure::Cells { at, minus } = &claim.measure else {
                continue;
            };
            let cell = |place: &Place| {
                let entry = thesis.entry(&place.entry).ok()?;
                let place = entry.row(&place.row, std::slice::from_ref(&place.column))?;
                match place[..] {
                    [Cell::Number(number)] => Some(number),
                    _ => None,
                }
            };
            let printed = cell(at).zip(minus.as_ref().map_or(Some(0.0), cell));
            if let (Some((at, minus)), Cell::Number(claimed)) = (printed, &claim.printed) {
                assert!((at - minus - claimed).abs() < 1e-9, "{}", claim.says);
            }
        }
    }

    #[test]
    fn every_claim_is_measured_somewhere_and_its_own_number_tells_its_story() {
        let thesis = Thesis::published();
        for claim in &thesis.claims {
            let [low, high] = claim.same;
            assert!(["6.1", "6.2", "6.3"].contains(&claim.section.as_str()));
            if let Cell::Number(printed) = claim.printed {
                assert!(low.is_none_or(|low| low <= printed), "{}", claim.says);
                assert!(high.is_none_or(|high| printed <= high), "{}", claim.says);
            }
            let unmeasured = matches!(claim.measure, Measure::Nowhere { .. });
            assert_eq!(unmeasured, claim.same == [None, None], "{}", claim.says);
            // Conditions have sections of their own: a run may have one experiment and not the other.
            for name in &claim.requires {
                assert!(name.starts_with(&claim.section), "{}", claim.says);
                assert!(thesis.conditions.iter().any(|c| c.name == *name), "{name}");
            }
        }
        let required = |name: &String| thesis.claims.iter().any(|c| c.requires.contains(name));
        assert!(thesis.conditions.iter().all(|c| required(&c.name)));
    }

    #[test]
    fn bounds_are_no_wider_than_ten_points_about_the_print() {
        for claim in &Thesis::published().claims {
            if let (Cell::Number(printed), "%" | "points", [Some(low), Some(high)]) =
                (&claim.printed, claim.unit.as_str(), claim.same)
            {
                let about = 10.0 + 1e-9;
                assert!(
                    printed - low <= about && high - printed <= about,
                    "{}",
                    claim.says
                );
            }
        }
    }

    #[test]
    fn printed_values_are_found_by_row_and_column() {
        let table = Thesis::published().entry("table-6.1").expect("there");
        let headings = ["0.5 %".to_owned(), "50 %".to_owned()];
        assert_eq!(
            table.row("lrp", &headings),
            Some(vec![Cell::Number(10.8), Cell::Missing])
        );
        assert_eq!(table.row("loudest", &headings), None);
        assert_eq!(table.cell("random", 30.0), Some(74.87));
        assert_eq!(table.number(), "Table 6.1");
        assert!(Thesis::published().entry("table-9.9").is_err());
    }

    #[test]
    fn an_entry_that_was_not_run_keeps_the_schema() {
        let experiments: Vec<Experiment> = (Thesis::published().entries.iter())
            .map(|entry| entry.not_run("left out on purpose"))
            .collect();
        for row in experiments.iter().flat_map(|e| &e.rows) {
            assert_eq!(row.measured, None);
            assert_eq!(row.reason.as_deref(), Some("left out on purpose"));
        }
        let table = experiments
            .iter()
            .find(|e| e.id == "table-6.1")
            .expect("there");
        assert_eq!(table.rows[0].thesis.as_ref().map(Vec::len), Some(9));
    }
}
