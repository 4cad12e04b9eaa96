//! `results.json`: what a run of the experiments found, for programs.
//!
//! ```json
//! {"run": {"seed": 1, "profile": "quick", "device": "cpu", "git": "…", "data": "synthetic", "seconds": 412.0},
//!  "experiments": [{"id": "table-6.1", "title": "…", "columns": ["0.5 %"],
//!                   "rows": [{"name": "lrp", "thesis": [10.8], "measured": [9.1]}],
//!                   "files": ["figure-6.3.png"]}]}
//! ```
//!
//! A row that was not measured has `"measured": null` and says why in `"reason"`.

use crate::{Error, Result, atomic};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Component, Path};

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// How it was run.
    pub run: Run,
    /// One entry for every table and figure.
    pub experiments: Vec<Experiment>,
}

/// The facts without which a run cannot be repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The seed of every random choice.
    pub seed: u64,
    /// `quick` or `full`.
    pub profile: String,
    /// `cpu`, `cuda:0` …
    pub device: String,
    /// The commit of the source.
    pub git: String,
    /// The data it ran on.
    pub data: String,
    /// How long it took.
    pub seconds: f64,
}

/// One table or figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// `table-6.1`, `figure-6.3` …
    pub id: String,
    /// What it shows.
    pub title: String,
    /// The headings of the rows' cells.
    pub columns: Vec<String>,
    /// The numbers.
    pub rows: Vec<Row>,
    /// Files beside `results.json` that belong to it, as relative paths.
    pub files: Vec<String>,
}

/// One row of a table, or one curve of a figure: a cell a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What the row is about.
    pub name: String,
    /// The published numbers, where there are any.
    pub thesis: Option<Vec<Cell>>,
    /// The numbers of this run.
    pub measured: Option<Vec<Cell>>,
    /// Why nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One value: `null`, a number or a word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Not there.
    Missing,
    /// A finite number.
    Number(f64),
    /// Anything else.
    Text(String),
}

impl From<f64> for Cell {
    /// A number that is not finite has no place in JSON and becomes [`Cell::Missing`].
    fn from(value: f64) -> Self {
        match value.is_finite() {
            true => Self::Number(value),
            false => Self::Missing,
        }
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Number(value as f64)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

impl Row {
    /// A row of measured values.
    pub fn measured<C: Into<Cell>>(
        name: impl Into<String>,
        cells: impl IntoIterator<Item = C>,
    ) -> Self {
        Self {
            name: name.into(),
            thesis: None,
            measured: Some(cells.into_iter().map(Into::into).collect()),
            reason: None,
        }
    }

    /// A row that was not measured, and why.
    pub fn not_measured(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            thesis: None,
            measured: None,
            reason: Some(reason.into()),
        }
    }

    /// The same with the published values beside it.
    pub fn with_thesis(mut self, cells: Option<Vec<Cell>>) -> Self {
        self.thesis = cells;
        self
    }
}

impl Results {
    /// Reads and checks a results file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Json`], and [`Error::Schema`] as in [`Results::check`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File {
            path: path.into(),
            source,
        })?;
        let results: Self = serde_json::from_str(&text).map_err(|source| Error::Json {
            path: path.into(),
            source,
        })?;
        results.check()?;
        Ok(results)
    }

    /// Checks the results and writes them, atomically.
    ///
    /// # Errors
    /// [`Error::Schema`] as in [`Results::check`], [`Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check()?;
        let mut json = serde_json::to_vec_pretty(self).map_err(|source| Error::Json {
            path: path.into(),
            source,
        })?;
        json.push(b'\n');
        atomic::write(path, &json)
    }

    /// What the types cannot say: ids are unique, rows have a cell a column, a row without measured values has a
    /// reason, and files are relative paths that stay inside the run's folder.
    ///
    /// # Errors
    /// [`Error::Schema`], which names the entry.
    pub fn check(&self) -> Result<()> {
        let mut ids = HashSet::new();
        for experiment in &self.experiments {
            let fail = |what: String| Err(Error::Schema(format!("{}: {what}", experiment.id)));
            if !ids.insert(&experiment.id) {
                return fail("two entries have this id".into());
            }
            for row in &experiment.rows {
                let columns = experiment.columns.len();
                for cells in [&row.thesis, &row.measured].into_iter().flatten() {
                    if cells.len() != columns {
                        let found = cells.len();
                        return fail(format!(
                            "row \"{}\" has {found} cells for {columns} columns",
                            row.name
                        ));
                    }
                }
                if row.measured.is_none() && row.reason.is_none() {
                    return fail(format!(
                        "row \"{}\" is not measured and gives no reason",
                        row.name
                    ));
                }
            }
            let inside = |file: &String| {
                let mut parts = Path::new(file).components();
                parts.all(|part| matches!(part, Component::Normal(_)))
            };
            if let Some(file) = experiment.files.iter().find(|file| !inside(file)) {
                return fail(format!("\"{file}\" is not a path inside the run's folder"));
            }
        }
        Ok(())
    }
}
