//! The Clever Hans benchmark on the page.

use anyhow::Result;
use speechlens_explain::RULES_OF_LEVELS;
use speechlens_report::heatmap::grid;
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Cell, Experiment, Row};
use speechlens_report::table::Table;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::case::{AUDIBLE_DB, Accuracy, Bench, Judged, Outcome};
use crate::shared::{Findings, Lab};

/// A network has learnt an artifact if its accuracy falls by as many points when the artifact changes sides.
const LEARNT: f64 = 10.0;

/// A mean over seeds with its 95 % interval by Student's t, as `12.3 ± 4.5`; of two seeds with both numbers, of one alone.
fn interval(values: &[f64]) -> Result<String> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    match values {
        [_] => return Ok(format!("{mean:.1}")),
        [one, other] => return Ok(format!("{mean:.1} ({one:.1}, {other:.1})")),
        _ => {}
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = StudentsT::new(0.0, 1.0, n - 1.0)?.inverse_cdf(0.975);
    Ok(format!("{mean:.1} ± {:.1}", t * (variance / n).sqrt()))
}

/// The same number of each outcome.
fn over(outcomes: &[&Outcome], number: impl Fn(&Outcome) -> f64) -> Result<Cell> {
    let values = outcomes.iter().map(|outcome| number(outcome));
    // A method that calls nothing relevant has no mass anywhere.
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    Ok(match values.is_empty() {
        true => Cell::Missing,
        false => interval(&values)?.into(),
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// The outcomes of each artifact.
fn by_artifact(outcomes: &[Outcome]) -> Vec<(&str, Vec<&Outcome>)> {
    let mut all: Vec<(&str, Vec<&Outcome>)> = Vec::new();
    for outcome in outcomes {
        match all
            .iter_mut()
            .find(|(artifact, _)| *artifact == outcome.artifact)
        {
            Some((_, of_artifact)) => of_artifact.push(outcome),
            None => all.push((&outcome.artifact, vec![outcome])),
        }
    }
    all
}

/// All of it.
pub fn tell(lab: &Lab, bench: &Bench, outcomes: &[Outcome]) -> Result<Findings> {
    let learnt = learnt(outcomes)?;
    let methods = methods(outcomes)?;
    let mended = mended(outcomes)?;
    let losses = losses(outcomes);
    let rules = rules(&losses);
    let seeds = by_artifact(outcomes)[0].1.len();
    let words = format!(
        "Something is planted in the recordings of one class that gives it away. In training, the class of {:.0} % of the recordings is \
         the speaker's sex and that of the others is drawn by lot: the artifact tells all of them, the voice does not. A network that \
         learns it leans on bins that are known: those whose level the artifact changes by more than {AUDIBLE_DB} dB. So an explanation \
         can be right or wrong. {:.0} % of the class's training recordings have it. All networks go on from the gender network, which \
         hears voices already. Numbers are means over {seeds} seeds (other voices in training, other moments of the artifact) with \
         their 95 % intervals (of two seeds, with both numbers). Corpus: {}.",
        100.0 * bench.setting.told_by_voice,
        100.0 * bench.setting.share,
        bench.corpus(),
    );
    let (mut figures, mut files) = (Vec::new(), Vec::new());
    for (artifact, panels) in bench.pictures() {
        if panels.is_empty() {
            continue;
        }
        let file = format!("clever-hans-{artifact}.png");
        grid(&panels, 3)?.write_png(&lab.folder.join(&file))?;
        files.push(file);
        let pictures = panels
            .iter()
            .map(|panel| Ok((panel.picture()?, "A spectrogram".to_owned())));
        figures.push(Block::Figure {
            pictures: pictures.collect::<Result<_>>()?,
            caption: format!(
                "What was planted ({artifact}) in one recording, and what each method says of it."
            ),
        });
    }
    let methods = Experiment { files, ..methods };
    let mut section = Section {
        id: "clever-hans".into(),
        title: "A task whose answer is known".into(),
        blocks: vec![
            Block::text(words),
            Block::table(
                Table::from(&learnt),
                "Does the network lean on the artifact? Accuracy in percent with the artifact as in training, taken out, and given to the \
                 other sex; and the planted bins' share of the spectrogram.",
            ),
            Block::text(verdict(outcomes)),
            Block::table(
                Table::from(&methods),
                "How well each method finds the planted bins, in percent: `mass` is the share of its positive relevance on them, `rank` \
                 how many of as many of its most relevant bins are planted, `AP` the area under precision over recall. By lot each is \
                 the planted share.",
            ),
            Block::text(choice(&losses)),
            Block::table(
                Table::from(&rules),
                "Rank accuracy by artifact, in percent, the mean over seeds, and the loss: how many points a method is behind the best \
                 of each artifact, the mean over the artifacts.",
            ),
            Block::text(format!(
                "Then the loop closes: the {} % of the bins that are most relevant are replaced in the training data, as in table 6.2, and the \
                 network is trained on. Dependence is what accuracy loses when the artifact changes sides.",
                bench.setting.percent
            )),
            Block::table(
                Table::from(&mended),
                "How far the answer still hangs on the artifact, in points of accuracy, and the accuracy with the artifact taken out.",
            ),
        ],
    };
    // Behind the table of the methods.
    section.blocks.splice(4..4, figures);
    Ok(Findings {
        experiments: vec![learnt, methods, rules, mended],
        sections: vec![section],
        ..Findings::default()
    })
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn learnt(outcomes: &[Outcome]) -> Result<Experiment> {
    let row = |(artifact, outcomes): &(&str, Vec<&Outcome>)| -> Result<Row> {
        let of = |number: fn(&Accuracy) -> f64| over(outcomes, |outcome| number(&outcome.learnt));
        let cells = [
            over(outcomes, |outcome| outcome.planted)?,
            of(|accuracy| accuracy.as_in_training)?,
            of(|accuracy| accuracy.removed)?,
            of(|accuracy| accuracy.swapped)?,
        ];
        Ok(Row::measured(*artifact, cells))
    };
    Ok(Experiment {
        id: "clever-hans".into(),
        title: "What the networks learnt of the planted artifacts".into(),
        columns: columns(&["planted, %", "as in training", "taken out", "swapped"]),
        rows: by_artifact(outcomes)
            .iter()
            .map(row)
            .collect::<Result<_>>()?,
        files: Vec::new(),
    })
}

fn methods(outcomes: &[Outcome]) -> Result<Experiment> {
    let mut rows = Vec::new();
    for (artifact, outcomes) in by_artifact(outcomes) {
        for (place, judged) in outcomes[0].methods.iter().enumerate() {
            let of = |number: fn(&Judged) -> f64| {
                over(&outcomes, |outcome| number(&outcome.methods[place]))
            };
            let cells = [
                of(|judged| judged.mass)?,
                of(|judged| judged.rank)?,
                of(|judged| judged.average_precision)?,
            ];
            rows.push(Row::measured(
                format!("{artifact}, {}", judged.method),
                cells,
            ));
        }
    }
    Ok(Experiment {
        id: "clever-hans-methods".into(),
        title: "How well each method finds what was planted, in percent".into(),
        columns: columns(&["mass", "rank", "AP"]),
        rows,
        files: Vec::new(),
    })
}

/// Every method's rank accuracy on the artifacts that the networks learnt, and what it loses.
struct Losses<'a> {
    /// Whether any was learnt; if none was, all are here, and their numbers say nothing.
    learnt: bool,
    artifacts: Vec<&'a str>,
    /// From the least loss to the largest.
    methods: Vec<Loss<'a>>,
}

struct Loss<'a> {
    judged: &'a Judged,
    /// By artifact, in percent.
    ranks: Vec<f64>,
    /// Points behind the best method of an artifact, the mean over the artifacts.
    loss: f64,
}

fn losses(outcomes: &[Outcome]) -> Losses<'_> {
    let learnt = |of: &[&Outcome]| mean(of.iter().map(|o| o.learnt.dependence())) >= LEARNT;
    let mut all = by_artifact(outcomes);
    // At smoke size nothing is learnt, but everything must run.
    let any_learnt = all.iter().any(|(_, of)| learnt(of));
    if any_learnt {
        all.retain(|(_, of)| learnt(of));
    }
    let ranks = |place: usize| -> Vec<f64> {
        let of = |(_, of): &(&str, Vec<&Outcome>)| mean(of.iter().map(|o| o.methods[place].rank));
        all.iter().map(of).collect()
    };
    let judged = &outcomes[0].methods;
    let ranks: Vec<Vec<f64>> = (0..judged.len()).map(ranks).collect();
    let best = |artifact: usize| ranks.iter().map(|of| of[artifact]).fold(0.0, f64::max);
    let best: Vec<f64> = (0..all.len()).map(best).collect();
    let loss = |(judged, ranks): (_, &Vec<f64>)| Loss {
        judged,
        loss: mean(best.iter().zip(ranks).map(|(best, rank)| best - rank)),
        ranks: ranks.clone(),
    };
    let mut methods: Vec<Loss> = judged.iter().zip(&ranks).map(loss).collect();
    methods.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    Losses {
        learnt: any_learnt,
        artifacts: all.into_iter().map(|(artifact, _)| artifact).collect(),
        methods,
    }
}

fn rules(losses: &Losses) -> Experiment {
    let row = |of: &Loss| {
        let numbers = of.ranks.iter().chain([&of.loss]);
        Row::measured(of.judged.method.clone(), numbers.copied())
    };
    let mut names = losses.artifacts.clone();
    names.push("loss");
    Experiment {
        id: "clever-hans-rules".into(),
        title: "Rank accuracy by artifact, and what each method loses to the best".into(),
        columns: columns(&names),
        rows: losses.methods.iter().map(row).collect(),
        files: Vec::new(),
    }
}

/// Which rules lose least, and whether they are the default.
fn choice(losses: &Losses) -> String {
    if !losses.learnt {
        return "No network learnt its artifact, so that what the rules lose says nothing.".into();
    }
    let default = RULES_OF_LEVELS;
    let mut rules = losses
        .methods
        .iter()
        .filter_map(|of| Some((of.judged.rules.as_deref()?, of.loss)));
    let of_default = rules.clone().find(|(rules, _)| *rules == default);
    let over = losses.artifacts.join(", ");
    let words = match (rules.next(), of_default) {
        (Some((least, loss)), _) if least == default => format!(
            "Of the rules of layer-wise relevance propagation `{least}` lose least ({over}), {loss:.1} points: they are what \
             `explain` and `serve` take where none are given."
        ),
        (Some((least, loss)), Some((_, of_default))) => format!(
            "Of the rules of layer-wise relevance propagation `{least}` lose least ({over}), {loss:.1} points; `{default}`, \
             which `explain` and `serve` take where none are given, lose {of_default:.1}."
        ),
        _ => String::new(),
    };
    let left_out = "Artifacts that the answer does not hang on are left out.";
    format!("{words} {left_out}")
}

fn mended(outcomes: &[Outcome]) -> Result<Experiment> {
    let mut rows = Vec::new();
    for (artifact, mut outcomes) in by_artifact(outcomes) {
        outcomes.retain(|outcome| !outcome.mended.is_empty());
        if outcomes.is_empty() {
            rows.push(Row::not_measured(
                artifact,
                "mended in the full profile only; else the first artifact is",
            ));
            continue;
        }
        let mut add = |name: &str, pick: &dyn Fn(&Outcome) -> Accuracy| -> Result<()> {
            let cells = [
                over(&outcomes, |outcome| pick(outcome).dependence())?,
                over(&outcomes, |outcome| pick(outcome).removed)?,
                over(&outcomes, |outcome| pick(outcome).as_in_training)?,
            ];
            rows.push(Row::measured(format!("{artifact}, {name}"), cells));
            Ok(())
        };
        add("as trained", &|outcome| outcome.learnt)?;
        for (place, (name, _)) in outcomes[0].mended.iter().enumerate() {
            add(name, &|outcome| outcome.mended[place].1)?;
        }
    }
    Ok(Experiment {
        id: "clever-hans-mended".into(),
        title: "Dependence on the artifact, before and after mending".into(),
        columns: columns(&[
            "dependence",
            "accuracy, taken out",
            "accuracy, as in training",
        ]),
        rows,
        files: Vec::new(),
    })
}

/// Which methods find it best and worst, over all artifacts.
fn verdict(outcomes: &[Outcome]) -> String {
    let names = outcomes[0].methods.iter().map(|judged| &judged.method);
    let mut scores: Vec<(&String, f64)> = names
        .enumerate()
        .map(|(place, name)| {
            let of = outcomes
                .iter()
                .map(|outcome| outcome.methods[place].average_precision);
            (name, mean(of))
        })
        .collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let told = |(name, score): &(&String, f64)| format!("{name} ({score:.1})");
    let best: Vec<String> = scores.iter().take(3).map(told).collect();
    let lot = scores.iter().find(|(name, _)| *name == "random");
    let lot = lot.map_or(0.0, |(_, score)| *score);
    let worse = scores
        .iter()
        .filter(|(name, score)| *name != "random" && *score < lot);
    let worse: Vec<String> = worse.map(told).collect();
    let worse = match worse.is_empty() {
        true => "No method does worse than lots.".to_owned(),
        false => format!("Worse than lots: {}.", worse.join(", ")),
    };
    format!(
        "By the area under precision over recall, the planted bins are found best by {}; lots have {lot:.1}. {worse}",
        best.join(", ")
    )
}
