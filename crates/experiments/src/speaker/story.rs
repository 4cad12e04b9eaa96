//! The speaker experiment on the page.

use std::path::Path;

use anyhow::{Context, Result};
use speechlens_eval::flip::Order;
use speechlens_nn::train::Samples;
use speechlens_report::Picture;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::page::{Block, Section};
use speechlens_report::table::Table;

use super::RULES;
use super::flipping::{BINS, COMPARED, Flips, ORDERS, Of, Outcome, PERCENTAGES};
use super::heatmaps::Heatmaps;
use crate::shared::fit;
use crate::shared::speaker::data::{Data, Setting};
use crate::shared::speaker::training::Trained;

/// What was found, in a sentence or two.
pub fn lead(trained: &Trained, flips: &Flips, data: &Data) -> Result<String> {
    let outcomes = &flips.outcomes[..RULES.len()];
    let gaps = outcomes.iter().map(|outcome| {
        Ok(format!(
            "{} {:.0} / {:.0} %",
            outcome.name,
            flips.accuracy(outcome, Order::MostRelevant, COMPARED)?,
            flips.accuracy(outcome, Order::LeastRelevant, COMPARED)?,
        ))
    });
    let right = trained.scores.iter();
    let right = right.map(|(name, score, _)| format!("{:.1} % {name}", 100.0 * score.accuracy));
    Ok(format!(
        "The speaker network tells {} speakers apart. Of segments held out from its training it is right on {}; with \
         {COMPARED} % of the bins set to their band's mean, most relevant first / least relevant first: {}; by lot {:.0} %.",
        data.speakers.len(),
        right.collect::<Vec<_>>().join(", "),
        gaps.collect::<Result<Vec<_>>>()?.join(", "),
        flips.accuracy(&outcomes[0], Order::Random, COMPARED)?,
    ))
}

/// The sections, and the figures of the curves as files.
pub fn sections(
    trained: &Trained,
    setting: &Setting,
    data: &Data,
    heatmaps: Vec<Heatmaps>,
    flips: [&Flips; 2],
    folder: &Path,
) -> Result<Vec<Section>> {
    let mut sections = vec![network(trained, setting, data)?];
    for (number, (rules, heatmaps)) in RULES.iter().zip(heatmaps).enumerate() {
        let assigned = format!("Rules {} (`{}`).", rules.name, rules.preset);
        let answered = match heatmaps.is_right {
            true => "The network is right on both",
            false => {
                "The network is right on no held-out segment with both, so this explains a mistake"
            }
        };
        let mut blocks = vec![
            Block::figure(
                heatmaps.picture,
                heatmaps.shown,
                format!(
                    "{assigned} The same two seconds with music (above) and with noise (below) behind the speech: red speaks for \
                     the true speaker, blue against. {answered}."
                ),
            ),
            Block::table(
                Table::from(&heatmaps.experiment),
                "The checkerboard is the share of the heatmap's energy at the highest spatial frequencies: 6.25 for white \
                 noise, 0 for what is smooth.",
            ),
        ];
        for flips in flips {
            let chart = chart(flips, &flips.outcomes[number])?;
            chart.write_png(&folder.join(format!("{}.png", flips.figure(rules)?.0)))?;
            let of = match flips.of {
                Of::Training => "segments that training heard, as in the thesis",
                Of::HeldOut => "held-out segments",
            };
            blocks.push(Block::figure(
                chart,
                format!(
                    "Accuracy as bins are flipped, by order, rules {}, {of}",
                    rules.name
                ),
                format!(
                    "Accuracy on {} {of}, each as it was recorded, with music or with noise, as a share of the {BINS} bins is set \
                     to 0, the mean of their band.",
                    flips.segments
                ),
            ));
        }
        sections.push(Section {
            id: rules.figures[0].into(),
            title: format!("The speaker network under {}", rules.name),
            blocks,
        });
    }
    sections.push(compared(flips)?);
    Ok(sections)
}

fn network(trained: &Trained, setting: &Setting, data: &Data) -> Result<Section> {
    let config = &trained.config;
    let steps = trained.history.loss.len();
    Ok(Section {
        id: "speaker-accuracy".into(),
        title: "Who is speaking?".into(),
        blocks: vec![
            Block::text(format!(
                "ResNet34 reads two seconds of sound as a mel filterbank of 64 bands by 200 frames, each band's mean set to 0, and \
                 tells which of {} speakers it is. It was trained on {} segments, each in every epoch as it was recorded, with music or with noise, drawn anew, {} a step, for \
                 {} epochs ({steps} steps) on cross \
                 entropy, the learning rate rising to 0.002 and falling again. (The thesis's network tells 5,994 speakers of \
                 VoxCeleb apart and came trained.) Held out are later recordings of the same speakers, or the end of the one there \
                 is.",
                data.speakers.len(),
                data.training.len(),
                setting.batch,
                config.epochs,
            )),
            Block::table(
                Table::from(&trained.experiment()),
                format!(
                    "With music 5 to 15 dB, with noise 0 to 15 dB below the speech, drawn for each segment from what training did not \
                     hear. Music and noise: {}.",
                    data.background()
                ),
            ),
            Block::figure(
                fit::chart(&trained.history)?,
                "Loss and accuracy over the steps of training",
                "Training. Validation follows every epoch, on the held-out segments.",
            ),
        ],
    })
}

/// The rules beside each other.
fn compared([of_training, flips]: [&Flips; 2]) -> Result<Section> {
    let [zero, epsilon, gamma, captions] = flips.outcomes.as_slice() else {
        return Err(anyhow::anyhow!("four sets of rules are compared"));
    };
    let measures = flips.measures()?;
    let cell = |outcome: &Outcome, column: &str| -> Result<f64> {
        let column = measures.columns.iter().position(|c| c == column);
        let row = measures.rows.iter().find(|row| row.name == outcome.name);
        let cells = row.and_then(|row| row.measured.as_ref());
        match cells.zip(column).map(|(cells, column)| &cells[column]) {
            Some(speechlens_report::results::Cell::Number(number)) => Ok(*number),
            _ => Err(anyhow::anyhow!("a measure is missing")),
        }
    };
    let gaps = [zero, epsilon, gamma].map(|outcome| cell(outcome, "gap"));
    let [of_zero, of_epsilon, of_gamma] = gaps;
    let (of_zero, of_epsilon, of_gamma) = (of_zero?, of_epsilon?, of_gamma?);
    let widest = of_gamma > of_zero && of_gamma > of_epsilon;
    let boards = [zero, epsilon, gamma].map(|outcome| cell(outcome, "checkerboard"));
    let [of_lrp_0, ..] = &boards;
    let most = boards
        .iter()
        .flatten()
        .fold(f64::MIN, |most, b| most.max(*b));
    let first = *of_lrp_0.as_ref().ok().context("a measure is missing")?;
    let text = format!(
        "The thesis argues that γ separates what speaks for a speaker from what speaks against: then the least relevant bins can go \
         and the answer stays. The gap between the areas under `lrp_rev` and under `lrp` measures that: LRP-0 {of_zero:.1}, ε \
         {of_epsilon:.1}, ε and γ {of_gamma:.1} points on held-out segments. Here the argument {}.",
        if widest {
            "holds: the gap is widest with γ"
        } else {
            "does not hold: the gap is not the widest with γ"
        },
    );
    let board = format!(
        "It also saw a checkerboard in the heatmaps of LRP-0. Here LRP-0's share of energy at the highest spatial frequencies is \
         {first:.1} %, {} of the three.",
        if first >= most {
            "the largest"
        } else {
            "not the largest"
        },
    );
    let captions_text = format!(
        "The thesis prints ε = 0.5 in its text and 0.8 in its captions. With 0.8 the gap is {:.1} points, with 0.5 {of_epsilon:.1}.",
        cell(captions, "gap")?
    );
    Ok(Section {
        id: "speaker-measures".into(),
        title: "Three sets of rules, side by side".into(),
        blocks: vec![
            Block::text(text),
            Block::text(board),
            Block::text(captions_text),
            Block::table(
                Table::from(&measures),
                format!(
                    "Areas under the accuracy from 0 to {} % of the bins: 100 if every answer stays right.",
                    PERCENTAGES[PERCENTAGES.len() - 1]
                ),
            ),
            Block::table(
                Table::from(&of_training.measures()?),
                "The same of segments that training heard.",
            ),
            Block::table(
                Table::from(&flips.bands()),
                "Where the absolute relevance of the flipped segments lies, on average.",
            ),
        ],
    })
}

/// The curves of one set of rules.
fn chart(flips: &Flips, outcome: &Outcome) -> Result<Picture> {
    let series = |order: Order| -> Result<Series> {
        let curve = flips.curve(outcome, order)?;
        let share = |count: usize| 100.0 * count as f64 / BINS as f64;
        let points = curve.points.iter();
        let points = points.map(|point| (share(point.count), 100.0 * point.accuracy()));
        let band = curve.points.iter().map(|point| {
            let (low, high) = point.accuracy_interval();
            (share(point.count), 100.0 * low, 100.0 * high)
        });
        Ok(Series::new(order.to_string(), points.collect()).with_band(band.collect()))
    };
    let chart = Chart {
        title: format!("Bins set to 0, rules {}", outcome.name),
        axes: Axes {
            x: Axis::linear("flipped bins (%)", 0.0, 100.0),
            y: Axis::linear("accuracy (%)", 0.0, 100.0),
        },
        series: ORDERS.into_iter().map(series).collect::<Result<_>>()?,
    };
    Ok(chart.picture()?)
}
