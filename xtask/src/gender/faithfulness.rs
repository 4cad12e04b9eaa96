//! What the flipped bins say, for the page: is the explanation true, and what zero means.

use std::path::Path;

use anyhow::{Context, Result};
use speechlens_eval::flip::{Order, Point, counts};
use speechlens_report::Picture;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::page::{Block, Section};
use speechlens_report::results::Experiment;
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use super::data::Data;
use super::flipping::{
    BINS, COUNTS, FEW, Flips, GONE, ORDERS, PERCENTAGES, VALUES, references_file, short,
};

/// What came out of setting a few bins to a value.
struct Outcome {
    most: f64,
    lot: f64,
    least: f64,
}

impl Outcome {
    fn of(flips: &Flips, reference: f32, value: f32) -> Result<Self> {
        let at = |order| flips.accuracy(reference, order, value, FEW);
        Ok(Outcome {
            most: at(Order::MostRelevant)?,
            lot: at(Order::Random)?,
            least: at(Order::LeastRelevant)?,
        })
    }

    fn numbers(&self) -> String {
        format!("{:.1} / {:.1} / {:.1} %", self.most, self.lot, self.least)
    }

    /// What it says of the explanation.
    fn verdict(&self) -> &'static str {
        if self.most < self.lot && self.lot < self.least {
            "what a true explanation should give"
        } else if self.most > self.lot && self.lot > self.least {
            "the opposite of what a true explanation should give"
        } else {
            "neither for nor against the explanation"
        }
    }
}

/// What was found, in a sentence or two.
pub fn lead(flips: &Flips, data: &Data) -> Result<String> {
    let Outcome { most, lot, least } = Outcome::of(flips, 0.0, 0.0)?;
    Ok(format!(
        "A network tells male from female voices. Of {} recordings of {} speakers it never heard, it is right on {:.1} %. With the \
         {FEW} % of the bins that layer-wise relevance propagation calls most relevant set to full level, it is right on \
         {most:.1} %; with as many bins by lot, on {lot:.1} %; with the least relevant ones, on {least:.1} %.",
        flips.recordings,
        data.test.speakers(),
        flips.accuracy(0.0, Order::MostRelevant, 0.0, 0.0)?,
    ))
}

/// The two sections, and their figures as files.
pub fn sections(flips: &Flips, data: &Data, folder: &Path) -> Result<[Section; 2]> {
    let experiments = flips.experiments()?;
    Ok([
        faithful(flips, data, &experiments, folder)?,
        zero(flips, &experiments, folder)?,
    ])
}

fn table(experiments: &[Experiment], id: &str) -> Result<Table> {
    let found = experiments.iter().find(|experiment| experiment.id == id);
    Ok(Table::from(
        found.with_context(|| format!("{id} was not measured"))?,
    ))
}

fn faithful(
    flips: &Flips,
    data: &Data,
    experiments: &[Experiment],
    folder: &Path,
) -> Result<Section> {
    let shares = chart(flips, "Bins set to full level".into(), 0.0, 0.0, &X::Share)?;
    let numbers = chart(flips, "The first few bins".into(), 0.0, 0.0, &X::Count)?;
    shares.write_png(&folder.join("figure-6.3.png"))?;
    numbers.write_png(&folder.join("figure-6.5.png"))?;
    let outcome = Outcome::of(flips, 0.0, 0.0)?;
    Ok(Section {
        id: "table-6.1".into(),
        title: "Is the explanation true?".into(),
        blocks: vec![
            Block::text(
                "If the heatmap is true, the network must fail without the bins it calls most relevant (`lrp`), keep its \
                 answer without as many bins by lot (`random`), and become surer without those that speak against it \
                 (`lrp_rev`). `loudest` takes the loudest bins first and looks at no network: a control.",
            ),
            Block::text(
                "Relevance is that of the true sex, whatever the network answers: taking away what speaks against it can so put \
                 a wrong answer right.",
            ),
            Block::text(format!(
                "Here, with {FEW} % of the bins set to full level, most relevant first / by lot / least relevant first: {}. That \
                 is {}.",
                outcome.numbers(),
                outcome.verdict()
            )),
            Block::figure(
                shares,
                "Accuracy as bins are flipped, by order",
                "Figure 6.3: accuracy as a share of the bins is flipped. Hollow: the two values that the thesis prints for `lrp` \
                 and that are at hand.",
            ),
            Block::figure(
                numbers,
                "Accuracy as single bins are flipped, by order",
                format!("Figure 6.5: the same for small numbers of the {BINS} bins."),
            ),
            Block::table(
                table(experiments, "table-6.1")?,
                "Table 6.1: accuracy in percent, by share of flipped bins.",
            ),
            Block::Note(format!(
                "{} recordings of {} speakers. The bands are 95 % intervals as if each recording were another voice; as they are \
                 not, the true ones are wider. Where the thesis's cells are empty: {}",
                flips.recordings,
                data.test.speakers(),
                Thesis::published().missing
            )),
        ],
    })
}

fn zero(flips: &Flips, experiments: &[Experiment], folder: &Path) -> Result<Section> {
    let (mut pictures, mut outcomes) = (Vec::new(), Vec::new());
    for reference in &flips.references {
        for value in VALUES {
            let title = format!(
                "relevance against {}, set to {}",
                short(*reference),
                short(value)
            );
            let picture = chart(flips, title.clone(), *reference, value, &X::Share)?;
            picture.write_png(&folder.join(references_file(*reference, value)))?;
            let outcome = Outcome::of(flips, *reference, value)?;
            let fits = if *reference == value {
                "the value is the reference"
            } else {
                "the value is another"
            };
            outcomes.push(format!(
                "{title} ({fits}): {}, {}",
                outcome.numbers(),
                outcome.verdict()
            ));
            pictures.push((picture, title));
        }
    }
    Ok(Section {
        id: "references".into(),
        title: "What zero means".into(),
        blocks: vec![
            Block::text(
                "On the decibel scale, 0 is not silence but full level. The thesis's relevance therefore says what a bin does by \
                 being quieter than full level, and its test raises bins to full level. The rules `gender-silence` ask the other \
                 question, what a bin does by being louder than silence, and their test is to silence bins.",
            ),
            Block::text(
                "An explanation speaks against a reference. Only a test that sets bins to this reference asks it about what it \
                 claims; a test with another value asks another question, and may well be answered with the opposite.",
            ),
            Block::text(format!(
                "Accuracy with {FEW} % of the bins changed, most relevant first / by lot / least relevant first:"
            )),
            Block::List(outcomes),
            Block::Figure {
                pictures,
                caption: "Both references, each tested with both values.".into(),
            },
            Block::table(
                table(experiments, "references")?,
                format!("Accuracy in percent with {FEW} % of the bins changed."),
            ),
            Block::table(
                table(experiments, "references-area")?,
                format!(
                    "Area under the accuracy from 0 to {GONE} % of the bins: 100 if every answer stays right."
                ),
            ),
            Block::table(
                table(experiments, "references-probability")?,
                format!(
                    "Mean sigmoid of the true sex's logit, in percent, with {FEW} % of the bins changed."
                ),
            ),
        ],
    })
}

/// The curves of one reference and one value.
fn chart(flips: &Flips, title: String, reference: f32, value: f32, axis: &X) -> Result<Picture> {
    let series = |order: Order| -> Result<Series> {
        let shown: Vec<&Point> = flips
            .curve(reference, order, value)?
            .points
            .iter()
            .filter(|p| axis.shows(p))
            .collect();
        let band = shown.iter().map(|point| {
            let (low, high) = point.accuracy_interval();
            (axis.position(point), 100.0 * low, 100.0 * high)
        });
        let band = band.collect();
        let points = shown
            .iter()
            .map(|point| (axis.position(point), 100.0 * point.accuracy()))
            .collect();
        Ok(Series::new(order.to_string(), points).with_band(band))
    };
    let mut all = ORDERS.into_iter().map(series).collect::<Result<Vec<_>>>()?;
    if let (X::Share, true) = (axis, reference == 0.0 && value == 0.0) {
        let facts = Thesis::published();
        let untouched = facts.fact("gender-accuracy")?.values[0];
        let flipped = facts.fact("gender-accuracy-flipped")?.values[0];
        all.push(Series::published(
            "lrp, thesis",
            vec![(0.0, untouched), (FEW, flipped)],
        ));
    }
    let y = Axis::linear("accuracy (%)", 0.0, 100.0);
    let chart = Chart {
        title,
        axes: Axes { x: axis.axis(), y },
        series: all,
    };
    Ok(chart.picture()?)
}

/// What the abscissa shows.
enum X {
    Share,
    Count,
}

impl X {
    fn axis(&self) -> Axis {
        match self {
            X::Share => Axis::log_with_zero("flipped bins (%)", FEW, GONE),
            X::Count => Axis::log_with_zero(
                "flipped bins",
                COUNTS[1] as f64,
                COUNTS[COUNTS.len() - 1] as f64,
            ),
        }
    }

    fn shows(&self, point: &Point) -> bool {
        match self {
            X::Share => counts(&PERCENTAGES, BINS).contains(&point.count),
            X::Count => COUNTS.contains(&point.count),
        }
    }

    fn position(&self, point: &Point) -> f64 {
        match self {
            X::Share => 100.0 * point.count as f64 / BINS as f64,
            X::Count => point.count as f64,
        }
    }
}
