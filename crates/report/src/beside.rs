//! Measured numbers beside the printed ones: the claims of the thesis's text as entries of `results.json`, and a sentence
//! wherever the two tell different stories.

use crate::number::significant;
use crate::results::{Cell, Experiment, Row};
use crate::thesis::{Claim, Entry, Line, Measure, Place, Thesis};

/// Points of accuracy within which two curves tell the same: seeds, voices and small samples move them by as much.
const POINTS: f64 = 10.0;
/// Digits of a number in a sentence.
const DIGITS: usize = 4;

/// What was measured of a claim, or why nothing was.
pub type Found = std::result::Result<f64, String>;

impl Claim {
    /// Its number in these experiments.
    pub fn measured(&self, experiments: &[Experiment]) -> Found {
        match &self.measure {
            Measure::Cells { at, minus } => {
                let whole = cell(experiments, at)?;
                match minus {
                    Some(minus) => Ok(whole - cell(experiments, minus)?),
                    None => Ok(whole),
                }
            }
            Measure::Falls { falls, to } => falling(experiments, falls, *to),
            Measure::Nowhere { unmeasured } => Err(unmeasured.clone()),
        }
    }

    /// Where `results.json` has it, in words: id, row, column.
    pub fn place(&self) -> String {
        let words = |place: &Place| format!("{}, {}, {}", place.entry, place.row, place.column);
        match &self.measure {
            Measure::Cells { at, minus: None } => words(at),
            Measure::Cells {
                at,
                minus: Some(minus),
            } => format!("{} − {}", words(at), words(minus)),
            Measure::Falls { falls, to } => {
                format!("{}, {}, first column ≤ {to}", falls.entry, falls.row)
            }
            Measure::Nowhere { .. } => "–".into(),
        }
    }

    /// Whether a measured value tells the same story.
    pub fn agrees(&self, measured: f64) -> bool {
        let [low, high] = self.same;
        low.is_none_or(|low| low <= measured) && high.is_none_or(|high| measured <= high)
    }

    /// What the claim is of, with its unit.
    pub fn name(&self) -> String {
        match self.unit.as_str() {
            "" => self.says.clone(),
            unit => format!("{} ({unit})", self.says),
        }
    }

    /// A sentence, if what was measured tells another story than what was printed.
    pub fn story(&self, experiments: &[Experiment]) -> Option<String> {
        let measured = self.measured(experiments).ok()?;
        let sentence = || {
            format!(
                "{}: {} in the thesis, {} here.",
                capital(&self.name()),
                text(&self.printed),
                significant(measured, DIGITS)
            )
        };
        (!self.agrees(measured)).then(sentence)
    }
}

/// The claims of each section of the text, printed and measured, as entries of `results.json`.
pub fn claims(thesis: &Thesis, experiments: &[Experiment]) -> Vec<Experiment> {
    let mut entries: Vec<Experiment> = Vec::new();
    for claim in &thesis.claims {
        let row = match claim.measured(experiments) {
            Ok(measured) => Row::measured(claim.name(), [measured]),
            Err(reason) => Row::not_measured(claim.name(), reason),
        };
        let row = row.with_thesis(Some(vec![claim.printed.clone()]));
        let id = format!("claims-{}", claim.section);
        match entries.iter_mut().find(|entry| entry.id == id) {
            Some(entry) => entry.rows.push(row),
            None => entries.push(Experiment {
                id,
                title: format!("The numbers in the text of section {}", claim.section),
                columns: vec!["value".into()],
                rows: vec![row],
                files: Vec::new(),
            }),
        }
    }
    entries
}

/// A sentence for each row of a printed table that tells another story here.
pub fn stories(entry: &Entry, experiment: &Experiment) -> Vec<String> {
    let rows = experiment.rows.iter();
    rows.filter_map(|row| {
        let points = points(entry, experiment, row);
        story(&row.name, &points)
    })
    .collect()
}

/// A column with both numbers: its heading, the printed one, the measured one.
type Both<'a> = (&'a str, f64, f64);

/// The columns of a row that have both numbers, misprints left out.
fn points<'a>(entry: &Entry, experiment: &'a Experiment, row: &Row) -> Vec<Both<'a>> {
    let misprinted = entry.misprinted(&row.name);
    let (Some(thesis), Some(measured)) = (&row.thesis, &row.measured) else {
        return Vec::new();
    };
    let columns = experiment.columns.iter().zip(thesis.iter().zip(measured));
    let both = columns.filter_map(|(column, cells)| match cells {
        (Cell::Number(thesis), Cell::Number(measured)) => {
            Some((column.as_str(), *thesis, *measured))
        }
        _ => None,
    });
    both.filter(|(column, ..)| !misprinted.iter().any(|other| other == column))
        .collect()
}

/// What a curve does from its first point to its last.
fn course(first: f64, last: f64) -> &'static str {
    match last - first {
        change if change <= -POINTS => "falls",
        change if change >= POINTS => "rises",
        _ => "stays",
    }
}

fn story(name: &str, points: &[Both]) -> Option<String> {
    let apart = |(_, thesis, measured): &Both| (thesis - measured).abs();
    let (first, last) = (points.first()?, points.last()?);
    let farthest = points
        .iter()
        .max_by(|a, b| apart(a).total_cmp(&apart(b)))
        .filter(|point| apart(point) > POINTS)?;
    let number = |value: f64| significant(value, DIGITS);
    let courses = [course(first.1, last.1), course(first.2, last.2)];
    let told = match courses {
        [thesis, here] if thesis != here => format!(
            "{thesis} in the thesis ({} to {}) and {here} here ({} to {})",
            number(first.1),
            number(last.1),
            number(first.2),
            number(last.2)
        ),
        [course, _] => format!("{course} in both, but not alike"),
    };
    Some(format!(
        "`{name}` {told}; farthest apart at {}: {} in the thesis, {} here.",
        farthest.0,
        number(farthest.1),
        number(farthest.2)
    ))
}

/// The row of an entry.
fn row<'a>(
    experiments: &'a [Experiment],
    id: &str,
    name: &str,
) -> std::result::Result<(&'a Experiment, &'a [Cell]), String> {
    let entry = experiments.iter().find(|experiment| experiment.id == id);
    let entry = entry.ok_or_else(|| format!("this run has no {id}"))?;
    let reason = |row: &Row| row.reason.clone().unwrap_or_default();
    match entry.rows.iter().find(|row| row.name == name) {
        Some(row) => match &row.measured {
            Some(cells) => Ok((entry, cells)),
            None => Err(reason(row)),
        },
        // An entry that was not run has one row.
        None => match entry.rows.as_slice() {
            [only] if only.measured.is_none() => Err(reason(only)),
            _ => Err(format!("{id} has no row {name}")),
        },
    }
}

fn cell(experiments: &[Experiment], place: &Place) -> Found {
    let (entry, cells) = row(experiments, &place.entry, &place.row)?;
    let column = entry.columns.iter().position(|c| *c == place.column);
    match column.and_then(|column| cells.get(column)) {
        Some(Cell::Number(number)) => Ok(*number),
        Some(_) => Err(format!("{} has no number there", place.entry)),
        None => Err(format!("{} has no column {}", place.entry, place.column)),
    }
}

/// The number in the heading of the first column at which the row is no longer above a value.
fn falling(experiments: &[Experiment], line: &Line, to: f64) -> Found {
    let (entry, cells) = row(experiments, &line.entry, &line.row)?;
    let mut columns = entry.columns.iter().zip(cells);
    let found = columns.find(|(_, cell)| matches!(cell, Cell::Number(value) if *value <= to));
    let number = |heading: &str| heading.split(' ').next().and_then(|n| n.parse().ok());
    found
        .and_then(|(heading, _)| number(heading))
        .ok_or_else(|| {
            let last = entry.columns.last().map_or("its end", String::as_str);
            format!("it stays above {to} up to {last}")
        })
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Missing => "nothing".into(),
        Cell::Number(number) => significant(*number, DIGITS),
        Cell::Text(text) => text.clone(),
    }
}

/// A sentence begins so.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: Vec<Row>) -> Experiment {
        Experiment {
            id: "table-6.1".into(),
            title: String::new(),
            columns: ["0 %", "0.5 %", "10 %"].map(str::to_owned).to_vec(),
            rows,
            files: Vec::new(),
        }
    }

    fn told(printed: [f64; 3], measured: [f64; 3]) -> Vec<String> {
        let row = Row::measured("lrp", measured);
        let row = row.with_thesis(Some(printed.map(Cell::from).to_vec()));
        let entry = Thesis::published().entry("table-6.1").unwrap();
        stories(entry, &table(vec![row]))
    }

    #[test]
    fn rows_that_agree_say_nothing() {
        assert_eq!(
            told([97.83, 10.8, 2.17], [100.0, 20.7, 0.0]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn another_course_is_told_before_another_level() {
        assert_eq!(
            told([97.83, 10.8, 2.17], [98.0, 97.0, 96.0]),
            [
                "`lrp` falls in the thesis (97.83 to 2.17) and stays here (98 to 96); farthest apart at 10 %: 2.17 in the thesis, \
                 96 here."
            ]
        );
        assert_eq!(
            told([97.83, 10.8, 2.17], [98.0, 63.25, 5.0]),
            [
                "`lrp` falls in both, but not alike; farthest apart at 0.5 %: 10.8 in the thesis, 63.25 here."
            ]
        );
    }

    #[test]
    fn misprints_are_not_compared() {
        let entry = Thesis::published().entry("table-6.2").unwrap();
        let row = Row::measured("AlexNet_aug_zero", [46.0, 50.0, 55.0]);
        let row = row.with_thesis(Some(vec![46.67.into(), 51.93.into(), 93.70.into()]));
        assert_eq!(stories(entry, &table(vec![row])), Vec::<String>::new());
    }

    #[test]
    fn claims_are_cells_differences_and_crossings() {
        let thesis = Thesis::published();
        let curve = Experiment {
            id: "figure-6.5".into(),
            columns: vec!["0 bins".into(), "5 bins".into(), "10 bins".into()],
            ..table(vec![Row::measured("lrp", [98.0, 50.0, 12.0])])
        };
        let all = [
            table(vec![
                Row::measured("lrp", [98.0, 63.25, 5.0]),
                Row::measured("lrp_rev", [98.0, 98.5, 99.0]),
            ]),
            curve,
        ];
        let claim = |says: &str| {
            let mut claims = thesis.claims.iter();
            claims.find(|claim| claim.says.starts_with(says)).unwrap()
        };
        let few = claim("accuracy with the most relevant 0.5 %");
        assert_eq!(few.measured(&all), Ok(63.25));
        assert_eq!(
            few.story(&all).unwrap(),
            "Accuracy with the most relevant 0.5 % of the bins at 0 (%): 10.8 in the thesis, 63.25 here."
        );
        let change = claim("change of accuracy with the least relevant 0.5 %");
        assert_eq!(change.measured(&all), Ok(0.5));
        assert_eq!(change.story(&all), None);
        assert_eq!(claim("bins at 0 that bring").measured(&all), Ok(5.0));
        let one = claim("accuracy with the most relevant 1 %");
        assert_eq!(
            one.measured(&all),
            Err("table-6.1 has no column 1 %".to_owned())
        );
        let entries = claims(thesis, &all);
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, ["claims-6.1", "claims-6.2", "claims-6.3"]);
        let rows: usize = entries.iter().map(|entry| entry.rows.len()).sum();
        assert_eq!(rows, thesis.claims.len());
        assert!(
            entries
                .iter()
                .flat_map(|e| &e.rows)
                .all(|row| row.thesis.is_some())
        );
    }

    #[test]
    fn what_was_not_run_says_why() {
        let thesis = Thesis::published();
        let all: Vec<Experiment> = (thesis.entries.iter())
            .map(|entry| entry.not_run("still to come"))
            .collect();
        let found = thesis.claims.iter().map(|claim| claim.measured(&all));
        let reasons: Vec<String> = found.filter_map(Result::err).collect();
        assert_eq!(reasons.len(), thesis.claims.len());
        assert!(reasons.iter().filter(|why| *why == "still to come").count() > 10);
    }
}
