//! Figure 6.5: the first percent of the bins, a few more at a time.

use anyhow::Result;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::Chart;
use speechlens_report::page::{Block, Section};
use speechlens_report::thesis::Thesis;

use crate::shared::gender::flipping::{self, BINS, Flips, ORDERS, What};
use crate::shared::gender::{Explainer, PRESET, Trial, says};
use crate::shared::{Findings, Lab, Profile};

/// Sets the first bins to 0.
pub fn run(lab: &Lab) -> Result<Findings> {
    let trial = &*Trial::of(lab)?;
    let thesis = Thesis::published();
    let entry = thesis.entry("figure-6.5")?;
    let setting = &thesis.flipping;
    let steps: Vec<usize> = (0..=setting.last).step_by(setting.step).collect();
    let flips = Flips::measure(
        lab,
        trial,
        &What {
            explainers: &[Explainer::new(&trial.trained.graph, PRESET)?],
            orders: &ORDERS,
            values: &[0.0],
            counts: &steps,
            // A hundred steps of three orders: half of the recordings, where minutes count.
            recordings: match lab.arguments.profile {
                Profile::Quick => trial.setting.flipped / 2,
                Profile::Smoke | Profile::Full => trial.setting.flipped,
            },
        },
    )?;
    let line = |order| {
        let curve = flips.of_thesis(order)?;
        Ok(flipping::series(order.to_string(), curve, |count| {
            count as f64
        }))
    };
    let chart = Chart {
        title: "The first bins set to 0".into(),
        axes: Axes {
            x: Axis::linear("flipped bins", 0.0, setting.last as f64),
            y: Axis::linear("accuracy (%)", 0.0, 100.0),
        },
        series: ORDERS.into_iter().map(line).collect::<Result<_>>()?,
    };
    let picture = chart.picture()?;
    let file = "figure-6.5.png";
    picture.write_png(&lab.folder.join(file))?;
    let headings = steps.iter().map(|count| entry.heading(*count as f64));
    let section = Section {
        id: entry.id.clone(),
        title: "How few bins are enough?".into(),
        blocks: vec![
            Block::figure(
                picture,
                "Accuracy as single bins are set to 0, by order",
                entry.caption(),
            ),
            says(entry),
            Block::Note(format!(
                "{} recordings; {} of {BINS} bins are {:.1} %.",
                flips.recordings,
                setting.last,
                flipping::share(setting.last)
            )),
        ],
    };
    Ok(Findings {
        experiments: vec![flips.entry(entry, headings.collect(), &steps, &[file])?],
        sections: vec![section],
        ..Findings::default()
    })
}
