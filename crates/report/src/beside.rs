//! Measured numbers beside the printed ones: the claims of the thesis's text as entries of `results.json`, and a sentence
//! wherever the two tell different stories.

use std::fmt;

use crate::number::significant;
use crate::results::{Cell, Experiment, Row};
use crate::thesis::{Bounds, Claim, Condition, Entry, Line, Measure, Place, Thesis};

/// Points of accuracy within which two curves tell the same: seeds, voices and small samples move them by as much.
const POINTS: f64 = 10.0;
/// Digits of a number in a sentence.
const DIGITS: usize = 4;

/// What was measured of a claim, or why nothing was.
pub type Found = std::result::Result<f64, String>;

/// Whether a measured number tells what the thesis does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The same.
    Same,
    /// Something else.
    Otherwise,
    /// Neither, and why: the run does not meet what the claim requires.
    Untold(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Verdict::Same => write!(f, "yes"),
            Verdict::Otherwise => write!(f, "no"),
            Verdict::Untold(why) => write!(f, "cannot be told: {why}"),
        }
    }
}

impl Measure {
    /// Its number in these experiments.
    pub fn measured(&self, experiments: &[Experiment]) -> Found {
        match self {
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
        match self {
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
}

impl Condition {
    /// Why it is not met, if it is not.
    fn missed(&self, experiments: &[Experiment]) -> Option<String> {
        match self.measure.measured(experiments) {
            Ok(number) if lies_within(self.within, number) => None,
            Ok(number) => {
                let number = significant(number, DIGITS);
                let number = format!("{number} {}", self.unit);
                Some(format!("{} ({})", self.otherwise, number.trim_end()))
            }
            Err(reason) => Some(reason),
        }
    }
}

fn lies_within([low, high]: Bounds, number: f64) -> bool {
    low.is_none_or(|low| low <= number) && high.is_none_or(|high| number <= high)
}

impl Claim {
    /// What it is of, with its unit.
    pub fn name(&self) -> String {
        match self.unit.as_str() {
            "" => self.says.clone(),
            unit => format!("{} ({unit})", self.says),
        }
    }
}

impl Thesis {
    /// What was measured of a claim, and whether it tells the same.
    ///
    /// # Errors
    /// Why nothing was measured.
    pub fn told(
        &self,
        claim: &Claim,
        experiments: &[Experiment],
    ) -> std::result::Result<(f64, Verdict), String> {
        let measured = claim.measure.measured(experiments)?;
        let missed = self
            .conditions_of(claim)
            .find_map(|condition| condition.missed(experiments));
        let verdict = match missed {
            Some(why) => Verdict::Untold(why),
            None if lies_within(claim.same, measured) => Verdict::Same,
            None => Verdict::Otherwise,
        };
        Ok((measured, verdict))
    }

    /// What a section of the page says of the claims that stand beside it: those that tell another story than what was printed,
    /// and why others tell none.
    pub fn beside(&self, section: &str, experiments: &[Experiment]) -> Beside {
        let mut beside = Beside::default();
        let here = |claim: &&Claim| claim.beside.as_deref() == Some(section);
        for claim in self.claims.iter().filter(here) {
            match self.told(claim, experiments) {
                Ok((measured, Verdict::Otherwise)) => beside.otherwise.push(format!(
                    "{}: {} in the thesis, {} here.",
                    capital(&claim.name()),
                    text(&claim.printed),
                    significant(measured, DIGITS)
                )),
                Ok((_, Verdict::Untold(why))) if !beside.untold.contains(&why) => {
                    beside.untold.push(why);
                }
                _ => {}
            }
        }
        beside
    }
}

/// What is said beside a section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// A sentence for each claim that is told otherwise.
    pub otherwise: Vec<String>,
    /// Why others cannot be told, each reason once.
    pub untold: Vec<String>,
}

/// The claims of each section of the text, printed and measured, as entries of `results.json`.
pub fn claims(thesis: &Thesis, experiments: &[Experiment]) -> Vec<Experiment> {
    let mut entries: Vec<Experiment> = Vec::new();
    for claim in &thesis.claims {
        let row = match thesis.told(claim, experiments) {
            Ok((measured, verdict)) => Row::measured(
                claim.name(),
                [Cell::from(measured), verdict.to_string().into()],
            ),
            Err(reason) => Row::not_measured(claim.name(), reason),
        };
        let row = row.with_thesis(Some(vec![claim.printed.clone(), Cell::Missing]));
        let id = format!("claims-{}", claim.section);
        match entries.iter_mut().find(|entry| entry.id == id) {
            Some(entry) => entry.rows.push(row),
            None => entries.push(Experiment {
                id,
                title: format!("The numbers in the text of section {}", claim.section),
                columns: ["value", "tells the same"].map(str::to_owned).to_vec(),
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

    /// A run whose cells have these values, by entry, row and column, wherever a claim or a condition looks.
    fn run(value: impl Fn(&str, &str, &str) -> f64) -> Vec<Experiment> {
        let thesis = Thesis::published();
        let conditions = thesis.conditions.iter().map(|c| &c.measure);
        let measures = (thesis.claims.iter().map(|c| &c.measure)).chain(conditions);
        let mut places: Vec<[String; 3]> = Vec::new();
        for measure in measures {
            let columns = match measure {
                Measure::Cells { at, minus } => {
                    let all = [Some(at), minus.as_ref()].into_iter().flatten();
                    all.map(|place| [&place.entry, &place.row, &place.column].map(String::clone))
                        .collect()
                }
                Measure::Falls { falls, .. } => [0, 30, 65, 140, 515]
                    .map(|bins| {
                        [
                            falls.entry.clone(),
                            falls.row.clone(),
                            format!("{bins} bins"),
                        ]
                    })
                    .to_vec(),
                Measure::Nowhere { .. } => Vec::new(),
            };
            places.extend(columns);
        }
        let mut all: Vec<Experiment> = Vec::new();
        for [entry, row, column] in places {
            let found = all.iter().position(|experiment| experiment.id == entry);
            let experiment = match found {
                Some(place) => &mut all[place],
                None => {
                    all.push(Experiment {
                        id: entry.clone(),
                        columns: Vec::new(),
                        ..table(Vec::new())
                    });
                    all.last_mut().unwrap()
                }
            };
            if !experiment.columns.contains(&column) {
                experiment.columns.push(column);
            }
            if !experiment.rows.iter().any(|other| other.name == row) {
                experiment.rows.push(Row::measured(row, [0.0; 0]));
            }
        }
        for experiment in &mut all {
            for row in &mut experiment.rows {
                let cells = experiment.columns.iter();
                let cells = cells.map(|column| value(&experiment.id, &row.name, column).into());
                row.measured = Some(cells.collect());
            }
        }
        all
    }

    /// What the thesis printed, or saw.
    fn printed(entry: &str, row: &str, column: &str) -> f64 {
        let bins = || column.split_once(' ').unwrap().0.parse::<f64>().unwrap();
        let (table, of) = match (entry, row) {
            ("figure-6.3", _) => ("table-6.1", row),
            ("figure-6.6", "lrp") => ("table-6.2", "AlexNet_aug_zero"),
            _ => (entry, row),
        };
        let entry_of = Thesis::published().entry(table).ok();
        let cell = || entry_of?.cell(of, column.strip_suffix(" %")?.parse().ok()?);
        match (entry, row, column) {
            ("accuracy", _, "accuracy") => 97.83,
            ("accuracy" | "speaker-accuracy", _, "recordings" | "segments") => 3000.0,
            ("padding", "male", _) => 75.0,
            ("padding", "female", _) => 52.0,
            ("figure-6.3", "lrp_rev", "95 %") => 97.86,
            ("figure-6.5", ..) => 97.83 - 0.74 * bins(),
            ("figure-6.6", "random", _) => 46.67,
            ("figure-6.7", "AlexNet_aug_zero", "median frequency, Hz") => 1500.0,
            ("figure-6.7", _, "median frequency, Hz") => 400.0,
            (_, _, "below 1 kHz, %") => 90.0,
            (_, _, "in padding, %") => 40.0,
            ("speaker-accuracy" | "figure-6.11", _, "accuracy" | "0 %") => 96.0,
            ("figure-6.11", ..) => 1.0,
            (_, "LRP-0", "gap") => 1.0,
            (_, "LRP-0", "area, lrp" | "area, lrp_rev") => 40.0,
            (_, _, "area, random") => 46.0,
            (_, "LRP-0", "checkerboard") => 6.0,
            (_, "ε", "area, lrp") => 30.0,
            (_, "ε", "area, lrp_rev") => 45.0,
            (_, "ε and γ", "area, lrp") => 35.0,
            (_, "ε and γ", "area, lrp_rev") => 60.0,
            (_, "ε", "checkerboard") => 3.0,
            _ => cell().unwrap_or(f64::NAN),
        }
    }

    /// The claims that tell the same, less those of what no network has a part in.
    fn same(experiments: &[Experiment]) -> Vec<&'static str> {
        let thesis = Thesis::published();
        let claims = thesis.claims.iter();
        let claims = claims.filter(|claim| !claim.says.starts_with("padding"));
        let same = |claim: &&Claim| {
            let told = thesis.told(claim, experiments);
            told.is_ok_and(|(_, verdict)| verdict == Verdict::Same)
        };
        claims.filter(same).map(|c| c.says.as_str()).collect()
    }

    #[test]
    fn the_thesis_tells_the_same_as_itself() {
        let thesis = Thesis::published();
        let run = run(printed);
        for claim in &thesis.claims {
            let told = thesis.told(claim, &run).map(|(_, verdict)| verdict);
            let unmeasured = matches!(claim.measure, Measure::Nowhere { .. });
            assert_eq!(
                told == Ok(Verdict::Same),
                !unmeasured,
                "{}: {told:?}",
                claim.says
            );
        }
    }

    #[test]
    fn of_networks_at_chance_nothing_is_told() {
        let accuracies = |entry: &str| !entry.contains("measures") && !entry.contains("6.2");
        let chance = run(|entry, row, column| match (entry, column) {
            ("table-6.2", _) => 50.0,
            ("accuracy" | "speaker-accuracy", "recordings" | "segments") => 3000.0,
            _ if accuracies(entry) && column != "median frequency, Hz" => 50.0,
            _ => printed(entry, row, column),
        });
        assert_eq!(same(&chance), Vec::<&str>::new());
        let beside = Thesis::published().beside("table-6.1", &chance);
        assert_eq!(
            beside.untold,
            ["the network is not well above chance (50 %)"]
        );
        assert_eq!(beside.otherwise, Vec::<String>::new());
    }

    /// Bins that are not set to 0 after all: every curve stays as it begins, and every area is the same.
    #[test]
    fn where_nothing_is_removed_nothing_of_it_is_told() {
        let network = |entry: &str, row: &str| match (entry, row) {
            ("figure-6.6", _) | (_, "AlexNet_aug_zero") => 46.67,
            (_, "AlexNet_aug_mean") => 98.80,
            ("figure-6.11", _) => 96.0,
            _ => 97.83,
        };
        let untouched = run(|entry, row, column| match entry {
            "table-6.1" | "figure-6.3" | "figure-6.5" | "figure-6.6" | "table-6.2"
            | "figure-6.11" => network(entry, row),
            "speaker-measures-training" if column == "gap" => 0.0,
            "speaker-measures-training" if column != "checkerboard" => 96.0,
            _ => printed(entry, row, column),
        });
        assert_eq!(
            same(&untouched),
            [
                "accuracy of the gender network",
                "the 1 % that matters most that lies below 1 kHz, woman",
                "the 1 % that matters most that lies in padding, man",
                "accuracy of the network retrained on zeroed bins",
                "the 1 % that matters most to it, in frequency over that of the first network",
                "the 1 % that matters most to the network retrained on neighbourhood means, below 1 kHz",
                "accuracy of the network retrained on neighbourhood means over that of the first",
                "accuracy of the speaker network",
                "checkerboard in heatmaps of LRP-0 over that of ε",
            ]
        );
    }

    /// An explanation no better than lots: every order falls as the one by lot does, and what is marked lies anywhere.
    #[test]
    fn an_explanation_by_lot_tells_none_of_what_an_explanation_does() {
        let lots = run(|entry, row, column| match (entry, column) {
            ("table-6.1" | "figure-6.3", "95 %") => 50.0,
            ("table-6.1" | "figure-6.3", _) => printed("table-6.1", "random", column),
            ("figure-6.5", _) => 97.83,
            ("table-6.2", _) if row != "AlexNet_aug_zero" => printed("table-6.1", "random", column),
            (_, "below 1 kHz, %") => 25.0,
            (_, "in padding, %") => 33.0,
            (_, "median frequency, Hz") => 2000.0,
            ("speaker-measures-training", "gap") => 0.0,
            ("speaker-measures-training", "checkerboard") => 6.25,
            ("speaker-measures-training", _) => 46.0,
            _ => printed(entry, row, column),
        });
        assert_eq!(
            same(&lots),
            [
                "accuracy of the gender network",
                "accuracy of the network retrained on zeroed bins",
                "accuracy of the speaker network",
                // As in the thesis, whose LRP-0 does not part the two orders either.
                "area under `lrp_rev` over that under `lrp`, LRP-0",
            ]
        );
    }

    #[test]
    fn few_recordings_tell_nothing() {
        let few = run(|entry, row, column| match column {
            "recordings" | "segments" => 8.0,
            _ => printed(entry, row, column),
        });
        let thesis = Thesis::published();
        let claim = &thesis.claims[0];
        let (accuracy, verdict) = thesis.told(claim, &few).unwrap();
        assert_eq!(accuracy, 97.83);
        assert_eq!(
            verdict.to_string(),
            "cannot be told: too few recordings were asked (8)"
        );
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
        let measured = |says: &str| {
            let mut claims = thesis.claims.iter();
            let claim = claims.find(|claim| claim.says.starts_with(says)).unwrap();
            claim.measure.measured(&all)
        };
        assert_eq!(measured("accuracy with the most relevant 0.5 %"), Ok(63.25));
        assert_eq!(
            measured("change of accuracy with the least relevant 0.5 %"),
            Ok(0.5)
        );
        assert_eq!(measured("bins at 0 that bring"), Ok(5.0));
        assert_eq!(
            thesis.beside("figure-6.5", &all).otherwise,
            ["Bins at 0 that bring accuracy down to 50 % (bins): 60 to 70 in the thesis, 5 here."]
        );
        assert_eq!(
            measured("accuracy with the most relevant 1 %"),
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
        let found = thesis
            .claims
            .iter()
            .map(|claim| claim.measure.measured(&all));
        let reasons: Vec<String> = found.filter_map(Result::err).collect();
        assert_eq!(reasons.len(), thesis.claims.len());
        assert!(reasons.iter().filter(|why| *why == "still to come").count() > 10);
    }
}
