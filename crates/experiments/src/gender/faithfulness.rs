//! Figures 6.3 and 6.4 and table 6.1: is the explanation true?

use anyhow::{Context, Result};
use candle_core::IndexOp;
use speechlens_eval::flip::{Order, counts};
use speechlens_report::curves::Series;
use speechlens_report::heatmap::{Panel, grid};
use speechlens_report::page::{Block, Headline, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use crate::shared::Lab;
use crate::shared::gender::flipping::{self, BINS, Flips, ORDERS, few, percent, shares};
use crate::shared::gender::heatmaps::{axes, mask, matrix};
use crate::shared::gender::outcome::Outcome;
use crate::shared::gender::{Explainer, Trial, level_name, says};

/// What was found: accuracy, and what is left of it with a few bins at 0.
pub fn headlines(trial: &Trial, flips: &Flips) -> Result<Vec<Headline>> {
    let thesis = Thesis::published();
    let printed = thesis.entry("table-6.1")?;
    let few = few();
    let cell = |row: &str| printed.cell(row, few).context("table 6.1 has no such cell");
    let Outcome { most, lot, .. } = Outcome::of(flips, 0.0, 0.0)?;
    let test = &trial.data.test;
    Ok(vec![
        Headline {
            value: format!("{:.1} %", 100.0 * trial.trained.test.accuracy),
            words: format!(
                "of {} recordings of {} speakers it never heard are told right",
                test.dataset.recordings().len(),
                test.speakers()
            ),
            beneath: format!("thesis: {} %", thesis.gender.accuracy),
        },
        Headline {
            value: format!("{most:.1} %"),
            words: format!(
                "once the {few} % of the bins that LRP calls most relevant are set to 0; {lot:.1} % with as many by lot"
            ),
            beneath: format!("thesis: {} %; by lot {} %", cell("lrp")?, cell("random")?),
        },
    ])
}

/// Figure 6.3 and table 6.1, and the mean probability beside them.
pub fn curves(trial: &Trial, flips: &Flips, lab: &Lab) -> Result<(Vec<Experiment>, Section)> {
    let thesis = Thesis::published();
    let [figure, table] = ["figure-6.3", "table-6.1"].map(|id| thesis.entry(id));
    let (figure, table) = (figure?, table?);
    let file = "figure-6.3.png";
    let all = shares()?;
    let steps = counts(&all, BINS);
    let printed = |order: Order| {
        let name = order.to_string();
        let cells = |column: &f64| table.cell(&name, *column).map(|cell| (*column, cell));
        let points = table.columns.iter().filter_map(cells).collect();
        Series::published(format!("{name}, thesis"), points)
    };
    let measured = |order: Order| {
        Ok(flipping::series(
            order.to_string(),
            flips.of_thesis(order)?,
            flipping::share,
        ))
    };
    let measured = ORDERS
        .into_iter()
        .map(measured)
        .collect::<Result<Vec<_>>>()?;
    let lines = measured.into_iter().chain(ORDERS.map(printed)).collect();
    let chart = flipping::chart("Bins set to 0", lines)?;
    chart.write_png(&lab.folder.join(file))?;
    let experiments = vec![
        flips.entry(figure, percent(&all), &steps, &[file])?,
        flips.entry(table, table.headings(), &counts(&table.columns, BINS), &[])?,
        probability(flips, &all)?,
    ];
    let outcome = Outcome::of(flips, 0.0, 0.0)?;
    let section = Section {
        id: table.id.clone(),
        title: "Is the explanation true?".into(),
        blocks: vec![
            Block::text(
                "If the heatmap is true, the network must fail without the bins it calls most relevant (`lrp`), keep its \
                 answer without as many bins by lot (`random`), and become surer without those that speak against it \
                 (`lrp_rev`). Relevance is that of the true sex, whatever the network answers: taking away what speaks against it \
                 can so put a wrong answer right.",
            ),
            Block::text(format!(
                "Here, with {} % of the bins set to 0, most relevant first / by lot / least relevant first: {}. That is {}.",
                few(),
                outcome.numbers(),
                outcome.verdict()
            )),
            Block::figure(
                chart,
                "Accuracy as bins are set to 0, by order",
                format!(
                    "{} Hollow: the numbers of the thesis's table 6.1.",
                    figure.caption()
                ),
            ),
            says(figure),
            Block::table(Table::from(&experiments[1]), table.caption()),
            says(table),
            Block::Note(format!(
                "{} recordings of {} speakers. The bands are 95 % intervals as if each recording were another voice; as they are \
                 not, the true ones are wider.",
                flips.recordings,
                trial.data.test.speakers(),
            )),
        ],
    };
    Ok((experiments, section))
}

/// The mean probability of the true sex in percent.
fn probability(flips: &Flips, shares: &[f64]) -> Result<Experiment> {
    let row = |order: Order| {
        let points = flips.of_thesis(order)?.points.iter();
        Ok(Row::measured(
            order.to_string(),
            points.map(|point| 100.0 * point.mean_probability()),
        ))
    };
    Ok(Experiment {
        id: "probability".into(),
        title: "Mean probability of the true sex in percent, as bins are set to 0".into(),
        columns: percent(shares),
        rows: ORDERS.into_iter().map(row).collect::<Result<_>>()?,
        files: Vec::new(),
    })
}

/// Figure 6.4: a recording that is still classified right with almost all of its bins gone, the least relevant first. A woman's, as in
/// the thesis, if there is one.
pub fn almost_gone(
    lab: &Lab,
    trial: &Trial,
    explainer: &Explainer,
    flips: &Flips,
) -> Result<(Experiment, Section)> {
    let entry = Thesis::published().entry("figure-6.4")?;
    let gone = Thesis::published().flipping.gone;
    let curve = flips.of_thesis(Order::LeastRelevant)?;
    let [before, after] = [0.0, gone].map(|percent| flipping::point(curve, percent));
    let (before, after) = (before?, after?);
    let pairs = before.right.iter().zip(&after.right);
    let still: Vec<bool> = pairs.map(|(before, after)| *before && *after).collect();
    let count = |all: &[bool]| all.iter().filter(|right| **right).count() as f64;
    let share = 100.0 * count(&still) / count(&before.right);
    let mut files = Vec::new();
    let mut blocks = vec![Block::text(format!(
        "Of the recordings that are classified right, {share:.1} % still are with {gone} % of the bins set to {}, the least \
         relevant for the true sex first: the {} most relevant bins are left to the network.",
        level_name(explainer.reference),
        BINS - counts(&[gone], BINS)[0],
    ))];
    let data = &trial.data.test;
    let places = || (0..still.len()).filter(|place| still[*place]);
    let is_female =
        |place: &usize| data.label(*place) as usize == speechlens_data::Sex::Female.index();
    match places().find(is_female).or_else(|| places().next()) {
        None => blocks.push(Block::Note(
            "There is no recording that is still classified right.".into(),
        )),
        Some(place) => {
            let recording = data.dataset.origin(place).0;
            let explanation = explainer.explain(data, &[place], lab.device)?;
            let spectrogram = data.dataset.plane(place)?;
            let relevance = matrix(&explanation.relevance.i((0, 0))?)?;
            let count = counts(&[gone], BINS)[0];
            let mask = mask(Order::LeastRelevant, &spectrogram, &relevance, count);
            let view = spectrogram.view();
            let panels = [
                Panel::spectrogram(axes(), view, "level (dB)")?
                    .titled(format!("recording {}", recording.id)),
                Panel::removed(axes(), view, "level (dB)", mask.view())?
                    .titled("what is left of it"),
            ];
            let file = "figure-6.4.png";
            grid(&panels, 2)?.write_png(&lab.folder.join(file))?;
            files.push(file.to_owned());
            blocks.push(Block::Figure {
                pictures: vec![
                    (panels[0].picture()?, "A whole spectrogram".into()),
                    (
                        panels[1].picture()?,
                        "The same spectrogram with almost all of its bins gone".into(),
                    ),
                ],
                caption: format!("{} Left: the whole of it.", entry.caption()),
            });
        }
    }
    blocks.push(says(entry));
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns: ["accuracy, %", "still right, % of those right before"]
            .map(str::to_owned)
            .to_vec(),
        rows: vec![Row::measured(
            format!("{gone} % gone, {}", Order::LeastRelevant),
            [100.0 * after.accuracy(), share],
        )],
        files,
    };
    let section = Section {
        id: entry.id.clone(),
        title: format!("{gone} % of the bins gone"),
        blocks,
    };
    Ok((experiment, section))
}
