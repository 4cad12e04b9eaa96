//! The thesis whose experiments are repeated, and what it published: `assets/thesis.json`.

use crate::results::{Cell, Experiment, Row};
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The thesis, its facts, and an entry for figure 3.2 and every table and figure of its chapter 6.
#[derive(Debug, Clone, Deserialize)]
pub struct Thesis {
    /// Who wrote it.
    pub author: String,
    /// Its title.
    pub title: String,
    /// What it is and where it was defended.
    pub published: String,
    /// The year.
    pub year: u16,
    /// Why a cell of its tables may be empty here.
    pub missing: String,
    facts: BTreeMap<String, Fact>,
    /// The tables and figures, in order of their experiments.
    pub entries: Vec<Entry>,
}

/// Numbers that stand in the thesis.
#[derive(Debug, Clone, Deserialize)]
pub struct Fact {
    /// What they say, in words.
    pub statement: String,
    /// The numbers, in the order printed.
    pub values: Vec<f64>,
    /// Their unit.
    pub unit: String,
}

/// One table or figure.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// `table-6.1`, `figure-6.3` …
    pub id: String,
    /// What this project shows under that number; not the thesis's caption.
    pub title: String,
    /// The experiment it belongs to: `audionet`, `gender`, `mending` or `speaker`.
    pub experiment: String,
    /// What a reader should know of the printed numbers.
    pub note: Option<String>,
    #[serde(default)]
    cells: Vec<Printed>,
}

#[derive(Debug, Clone, Deserialize)]
struct Printed {
    row: String,
    column: String,
    value: f64,
}

static PUBLISHED: LazyLock<Thesis> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../assets/thesis.json"))
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

    /// The fact of that name.
    ///
    /// # Errors
    /// [`Error::NoSuchEntry`].
    pub fn fact(&self, name: &str) -> Result<&Fact> {
        let found = self.facts.get(name);
        found.ok_or_else(|| Error::NoSuchEntry(name.into()))
    }
}

impl Entry {
    /// The printed values of a row under the given columns; `None` if not one of them is at hand.
    pub fn row(&self, name: &str, columns: &[String]) -> Option<Vec<Cell>> {
        let value = |column: &String| {
            let mut cells = self.cells.iter();
            cells
                .find(|cell| cell.row == name && cell.column == *column)
                .map(|cell| cell.value)
        };
        let cells: Vec<Cell> = columns.iter().map(|c| value(c).into()).collect();
        cells
            .iter()
            .any(|cell| *cell != Cell::Missing)
            .then_some(cells)
    }

    /// The entry for the results of a run that did not measure it. Printed values, where there are any, are kept.
    pub fn not_run(&self, reason: &str) -> Experiment {
        let mut columns: Vec<String> = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        for cell in &self.cells {
            if !columns.contains(&cell.column) {
                columns.push(cell.column.clone());
            }
            if !names.contains(&cell.row.as_str()) {
                names.push(&cell.row);
            }
        }
        if names.is_empty() {
            names.push(&self.title);
        }
        let rows = names
            .into_iter()
            .map(|name| Row::not_measured(name, reason).with_thesis(self.row(name, &columns)))
            .collect();
        Experiment {
            id: self.id.clone(),
            title: self.title.clone(),
            columns,
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
    fn printed_values_are_found_by_row_and_column() {
        let thesis = Thesis::published();
        let columns = ["0.5 %".to_owned(), "50 %".to_owned()];
        let table = thesis.entry("table-6.1").expect("there");
        assert_eq!(
            table.row("lrp", &columns),
            Some(vec![Cell::Number(10.8), Cell::Missing])
        );
        assert_eq!(table.row("random", &columns), None);
        assert_eq!(
            thesis.fact("padding-frames").expect("there").values,
            [75.0, 52.0]
        );
        assert!(thesis.entry("table-9.9").is_err());
        assert!(thesis.fact("colour of the cover").is_err());
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
        assert_eq!(table.rows[0].thesis, Some(vec![Cell::Number(10.8)]));
    }
}
