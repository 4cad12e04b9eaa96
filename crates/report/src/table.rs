//! Tables: the thesis's numbers beside the ones measured, for a page and for a terminal.

use crate::results::{Cell, Experiment, Row};
use crate::{Result, number, page};
use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr;

/// Digits behind the point of a number that has as many.
const DECIMALS: usize = 2;

/// A text that is wider than so many letters is a sentence.
const SENTENCE: usize = 48;

/// A table: a name and a cell a column in each row, measured, published or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The heading of the names.
    pub corner: String,
    /// The headings of the cells.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// The name, in the first of its lines; how many lines share it stands in `span`.
    name: Option<String>,
    span: usize,
    /// "measured" or "thesis", where the table holds both.
    source: Option<&'static str>,
    cells: Vec<Printed>,
    /// Why there are no cells.
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Printed {
    text: String,
    number: bool,
    /// Whether it is a sentence, which may be broken into lines.
    prose: bool,
}

/// A table as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    corner: String,
    columns: Vec<Heading>,
    sources: bool,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Heading {
    text: String,
    /// Whether the column holds numbers, which stand at its right side.
    number: bool,
}

impl From<&Experiment> for Table {
    fn from(experiment: &Experiment) -> Self {
        Self {
            corner: String::new(),
            columns: experiment.columns.clone(),
            rows: experiment.rows.clone(),
        }
    }
}

impl Table {
    /// The table as an HTML `table` element, everything escaped.
    ///
    /// # Errors
    /// [`crate::Error::Template`].
    pub fn html(&self) -> Result<String> {
        page::render("table.html", &self.view())
    }

    /// The table for a terminal: columns aligned, numbers at the right.
    pub fn text(&self) -> String {
        let view = self.view();
        let mut head = vec![view.corner.clone()];
        head.extend(view.sources.then(String::new));
        let first = head.len();
        head.extend(view.columns.iter().map(|c| c.text.clone()));
        let mut notes = Vec::new();
        let mut grid = vec![head];
        for line in &view.lines {
            let mut cells = vec![line.name.clone().unwrap_or_default()];
            cells.extend(
                view.sources
                    .then(|| line.source.unwrap_or_default().to_owned()),
            );
            match &line.reason {
                Some(reason) => notes.push((grid.len(), reason)),
                None => cells.extend(line.cells.iter().map(|c| c.text.clone())),
            }
            grid.push(cells);
        }
        let widths: Vec<usize> = (0..first + view.columns.len())
            .map(|c| {
                let cells = grid.iter().filter_map(|row| row.get(c));
                cells.map(|text| text.width()).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for (index, row) in grid.iter().enumerate() {
            let mut line = String::new();
            for (c, text) in row.iter().enumerate() {
                let gap = " ".repeat(widths[c] - text.width());
                let number = c >= first && view.columns[c - first].number;
                let (before, behind) = if number {
                    (gap, String::new())
                } else {
                    (String::new(), gap)
                };
                line.push_str(&format!("{before}{text}{behind}  "));
            }
            for (_, reason) in notes.iter().filter(|(at, _)| *at == index) {
                line.push_str(&format!("– {reason}"));
            }
            out.push_str(line.trim_end());
            out.push('\n');
            if index == 0 {
                let total = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
                out.push_str(&"─".repeat(total));
                out.push('\n');
            }
        }
        out
    }

    pub(crate) fn view(&self) -> View {
        let sources = self.rows.iter().any(|row| row.thesis.is_some());
        let decimals = |pick: fn(&Row) -> &Option<Vec<Cell>>| -> Vec<usize> {
            (0..self.columns.len())
                .map(|c| {
                    let cells = self
                        .rows
                        .iter()
                        .filter_map(|row| pick(row).as_ref()?.get(c));
                    cells.map(decimals).max().unwrap_or(0)
                })
                .collect()
        };
        let measured = decimals(|row| &row.measured);
        let published = decimals(|row| &row.thesis);
        let columns = self
            .columns
            .iter()
            .enumerate()
            .map(|(c, text)| Heading {
                text: text.clone(),
                number: !self.rows.iter().any(|row| {
                    let both = [&row.thesis, &row.measured].into_iter().flatten();
                    both.filter_map(|cells| cells.get(c))
                        .any(|cell| matches!(cell, Cell::Text(_)))
                }),
            })
            .collect();
        let mut lines = Vec::new();
        for row in &self.rows {
            let both = row.thesis.is_some();
            let thesis = row.thesis.as_ref().map(|cells| Line {
                name: None,
                span: 0,
                source: Some("thesis"),
                cells: print(cells, &published),
                reason: None,
            });
            let source = sources.then_some("measured");
            let own = Line {
                name: Some(row.name.clone()),
                span: 1 + usize::from(both),
                source,
                cells: row
                    .measured
                    .as_ref()
                    .map_or(Vec::new(), |cells| print(cells, &measured)),
                reason: match row.measured {
                    Some(_) => None,
                    None => Some(row.reason.clone().unwrap_or_else(|| "not measured".into())),
                },
            };
            lines.push(own);
            lines.extend(thesis);
        }
        View {
            corner: self.corner.clone(),
            columns,
            sources,
            lines,
        }
    }
}

fn print(cells: &[Cell], decimals: &[usize]) -> Vec<Printed> {
    cells
        .iter()
        .enumerate()
        .map(|(c, cell)| match cell {
            Cell::Missing => Printed {
                text: "–".into(),
                number: true,
                prose: false,
            },
            Cell::Number(value) => Printed {
                text: match tiny(*value) {
                    true => number::significant(*value, 3),
                    false => number::fixed(*value, decimals.get(c).copied().unwrap_or(0)),
                },
                number: true,
                prose: false,
            },
            Cell::Text(text) => Printed {
                text: text.clone(),
                number: false,
                prose: text.width() > SENTENCE,
            },
        })
        .collect()
}

/// A number that two decimals would not show.
fn tiny(value: f64) -> bool {
    value != 0.0 && (value.abs() < 0.01 || value.abs() >= 1e9)
}

/// The decimals a cell needs, at most [`DECIMALS`].
fn decimals(cell: &Cell) -> usize {
    match cell {
        Cell::Number(value) if !tiny(*value) => {
            let rounded = format!("{value:.DECIMALS$}");
            let digits = rounded.trim_end_matches('0').trim_end_matches('.');
            digits.split_once('.').map_or(0, |(_, after)| after.len())
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_may_be_broken_and_words_not() {
        let sentence = "which half of a recording is that of the voice that is asked about";
        let table = Table {
            corner: "test".into(),
            columns: vec!["asks".into(), "by".into()],
            rows: vec![Row::measured(
                "one",
                [sentence, "occlusion"].map(str::to_owned),
            )],
        };
        let html = table.html().expect("a table");
        assert!(html.contains(&format!("<td class=\"prose\">{sentence}</td>")));
        assert!(html.contains("<td>occlusion</td>"));
    }
}
