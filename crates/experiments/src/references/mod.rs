//! What zero means: relevance against full level and against silence, each tested with both values.

use anyhow::Result;
use speechlens_eval::flip::{Order, counts};
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;

use crate::shared::gender::flipping::{self, BINS, Flips, VALUES, What, few, point, short};
use crate::shared::gender::heatmaps::{Example, overlays};
use crate::shared::gender::outcome::Outcome;
use crate::shared::gender::{Explainer, PRESET, Trial, level_name};
use crate::shared::{Findings, Lab};

/// The thesis's rules, against full level; the same rules against silence.
const PRESETS: [&str; 2] = [PRESET, "gender-silence"];
/// The shares of the bins, in percent.
const PERCENTAGES: [f64; 10] = [0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 80.0, 95.0];
/// The thesis's, and the loudest bins first: a control that looks at no network.
const ORDERS: [Order; 4] = [
    Order::MostRelevant,
    Order::Random,
    Order::LeastRelevant,
    Order::Loudest,
];

/// Both references, both values, every order.
struct References {
    flips: Flips,
    references: Vec<f32>,
}

/// Flips by both explanations to both values.
pub fn run(lab: &Lab) -> Result<Findings> {
    let trial = &*Trial::of(lab)?;
    let explainers = PRESETS
        .iter()
        .map(|preset| Explainer::new(&trial.trained.graph, preset))
        .collect::<Result<Vec<_>>>()?;
    let what = What {
        explainers: &explainers,
        orders: &ORDERS,
        values: &VALUES,
        counts: &counts(&PERCENTAGES, BINS),
        recordings: trial.setting.flipped,
    };
    let measured = References {
        flips: Flips::measure(lab, trial, &what)?,
        references: explainers.iter().map(|e| e.reference).collect(),
    };
    let examples = Example::of_each_sex(trial)?;
    let (heatmaps, pictures) = overlays(
        lab,
        trial,
        &explainers[1],
        &examples,
        "heatmaps-silence",
        "Heatmaps against silence",
    )?;
    let experiments = measured.experiments()?;
    let blocks = measured.blocks(lab, &experiments, pictures)?;
    Ok(Findings {
        experiments: [vec![heatmaps], experiments].concat(),
        sections: vec![Section {
            id: "references".into(),
            title: "What zero means".into(),
            blocks,
        }],
        ..Findings::default()
    })
}

impl References {
    fn experiments(&self) -> Result<Vec<Experiment>> {
        let last = PERCENTAGES[PERCENTAGES.len() - 1];
        let few = few();
        Ok(vec![
            self.experiment(
                "references",
                format!("Accuracy in percent with {few} % of the bins changed"),
                |flips, r, order, v| flips.accuracy(r, order, v, few),
            )?,
            self.experiment(
                "references-area",
                format!("Area under the accuracy from 0 to {last} % of the bins, in percent"),
                |flips, r, order, v| Ok(100.0 * flips.curve(r, order, v)?.area()),
            )?,
            self.experiment(
                "references-probability",
                format!(
                    "Mean probability of the true sex, in percent, with {few} % of the bins changed"
                ),
                |flips, r, order, v| {
                    let curve = flips.curve(r, order, v)?;
                    Ok(100.0 * point(curve, few)?.mean_probability())
                },
            )?,
        ])
    }

    /// A number for both references, both values and every order.
    fn experiment(
        &self,
        id: &str,
        title: String,
        number: impl Fn(&Flips, f32, Order, f32) -> Result<f64>,
    ) -> Result<Experiment> {
        let (mut rows, mut files) = (Vec::new(), Vec::new());
        for reference in &self.references {
            for value in VALUES {
                files.push(file(*reference, value));
                let cells = ORDERS.map(|order| number(&self.flips, *reference, order, value));
                let cells = cells.into_iter().collect::<Result<Vec<_>>>()?;
                let name = format!(
                    "relevance against {}, bins set to {}",
                    short(*reference),
                    short(value)
                );
                rows.push(Row::measured(name, cells));
            }
        }
        Ok(Experiment {
            id: id.into(),
            title,
            columns: ORDERS.map(|order| order.to_string()).to_vec(),
            rows,
            files,
        })
    }

    fn blocks(&self, lab: &Lab, experiments: &[Experiment], heatmaps: Block) -> Result<Vec<Block>> {
        let (mut pictures, mut outcomes) = (Vec::new(), Vec::new());
        for reference in &self.references {
            for value in VALUES {
                let title = format!(
                    "relevance against {}, set to {}",
                    short(*reference),
                    short(value)
                );
                let line = |order: Order| {
                    let curve = self.flips.curve(*reference, order, value)?;
                    Ok(flipping::series(order.to_string(), curve, flipping::share))
                };
                let lines = ORDERS.into_iter().map(line).collect::<Result<_>>()?;
                let picture = flipping::chart(title.clone(), lines)?;
                picture.write_png(&lab.folder.join(file(*reference, value)))?;
                let outcome = Outcome::of(&self.flips, *reference, value)?;
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
        let captions = [
            format!("Accuracy in percent with {} % of the bins changed.", few()),
            format!(
                "Area under the accuracy from 0 to {} % of the bins: 100 if every answer stays right.",
                PERCENTAGES[PERCENTAGES.len() - 1]
            ),
            format!(
                "Mean sigmoid of the true sex's logit, in percent, with {} % of the bins changed.",
                few()
            ),
        ];
        let tables = experiments.iter().zip(captions);
        let tables =
            tables.map(|(experiment, caption)| Block::table(Table::from(experiment), caption));
        let mut blocks = vec![
            Block::text(
                "On the decibel scale, 0 is not silence but full level. The thesis's relevance therefore says what a bin does by \
                 being quieter than full level, and its test raises bins to full level. The rules `gender-silence` ask the other \
                 question, what a bin does by being louder than silence, and their test is to silence bins.",
            ),
            heatmaps,
            Block::text(
                "An explanation speaks against a reference. Only a test that sets bins to this reference asks it about what it \
                 claims; a test with another value asks another question, and may well be answered with the opposite.",
            ),
            Block::text(format!(
                "Accuracy with {} % of the bins changed, most relevant first / by lot / least relevant first:",
                few()
            )),
            Block::List(outcomes),
            Block::Figure {
                pictures,
                caption: format!(
                    "Both references, each tested with both values: {} and {}. `loudest` takes the loudest bins first and looks at no \
                     network: a control.",
                    level_name(VALUES[0]),
                    level_name(VALUES[1])
                ),
            },
        ];
        blocks.extend(tables);
        Ok(blocks)
    }
}

/// The chart of a reference and a value.
fn file(reference: f32, value: f32) -> String {
    format!("references-{}-{}.png", reference.abs(), value.abs())
}
