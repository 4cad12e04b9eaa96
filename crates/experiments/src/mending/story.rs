//! Mending on the page: figures 6.6 to 6.9, table 6.2, and what they say.

use anyhow::{Context, Result};
use ndarray::ArrayView2;
use speechlens_data::Sex;
use speechlens_eval::flip::{Curve, Order, counts};
use speechlens_eval::{Augmentation, Replacement};
use speechlens_report::heatmap::{Panel, grid};
use speechlens_report::page::{Block, Headline, Opening, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use super::networks::{ALEXNET, AUG_MEAN, AUG_ZERO, MENDED, Network, OF_THESIS, Setting};
use super::others;
use crate::shared::gender::flipping::{
    self, BINS, accuracies, accuracy, few, percent, series, share, shares,
};
use crate::shared::gender::heatmaps::{Example, Top, axes, mask, top_columns};
use crate::shared::gender::{Explainer, PRESET, Trial, says};
use crate::shared::recipes::RECIPES;
use crate::shared::{Findings, Lab};

/// All of it.
pub fn tell(lab: &Lab, trial: &Trial, networks: &[Network]) -> Result<Findings> {
    // The thesis shows a woman's.
    let example = &Example::of(trial, Sex::Female)?;
    let (replaced, replaced_section) = replaced(lab, trial, example)?;
    let zero = zeroed_bins(lab, networks)?;
    let pairs = [
        (
            "figure-6.7",
            AUG_ZERO,
            "What the network retrained on zeroed bins listens to",
        ),
        (
            "figure-6.8",
            AUG_MEAN,
            "What the network retrained on neighbourhood means listens to",
        ),
    ];
    let pairs = pairs.map(|(id, name, title)| pair(lab, trial, networks, example, id, name, title));
    let [of_zero, of_mean] = pairs;
    let (table, table_section) = compared(lab, trial, networks)?;
    let beyond = others::tell(lab, trial, networks, example)?;
    let parts = [(vec![replaced], replaced_section), zero, of_zero?, of_mean?];
    let parts = parts.into_iter().chain([(table, table_section), beyond]);
    let (experiments, sections): (Vec<_>, Vec<_>) = parts.unzip();
    Ok(Findings {
        opening: Opening {
            headlines: vec![headline(networks)?],
            blocks: Vec::new(),
        },
        experiments: experiments.concat(),
        sections,
        ..Findings::default()
    })
}

/// The network of this name.
pub fn find<'a>(networks: &'a [Network], name: &str) -> Result<&'a Network> {
    let found = networks.iter().find(|network| network.name == name);
    found.with_context(|| format!("the network {name} was not trained"))
}

/// What mending came to.
fn headline(networks: &[Network]) -> Result<Headline> {
    let few = few();
    let curve = find(networks, AUG_MEAN)?.curve(Order::MostRelevant)?;
    let printed = Thesis::published().entry("table-6.2")?;
    let cell = |share| printed.cell(AUG_MEAN, share).unwrap_or(f64::NAN);
    Ok(Headline {
        value: format!("{:.1} %", accuracy(curve, few)?),
        words: format!(
            "after retraining on recordings whose most relevant bins were smoothed, again with its {few} % at 0; {:.1} % with none",
            accuracy(curve, 0.0)?
        ),
        beneath: format!("thesis: {} %; {} % with none", cell(few), cell(0.0)),
    })
}

/// What augmentation does to a recording.
fn replaced(lab: &Lab, trial: &Trial, example: &Example) -> Result<(Experiment, Section)> {
    let setting = Setting::new(lab.arguments.profile);
    let radius = Thesis::published().mending.radius;
    let explainer = Explainer::new(&trial.trained.graph, PRESET)?;
    let (relevance, _) = example.relevance(lab, trial, &explainer)?;
    let spectrogram = &example.spectrogram;
    let count = counts(&[setting.percent], BINS)[0];
    let marked = mask(Order::MostRelevant, spectrogram, &relevance, count);
    let level = |values: ArrayView2<f32>| {
        let marked = values.iter().zip(&marked).filter(|(_, marked)| **marked);
        marked.map(|(level, _)| f64::from(*level)).sum::<f64>() / count as f64
    };
    let mut panels = vec![
        Panel::marked(axes(), spectrogram.view(), "level (dB)", marked.view())?
            .titled("the most relevant bins"),
    ];
    let mut rows = vec![Row::measured("as recorded", [level(spectrogram.view())])];
    for (words, replacement) in [
        ("set to 0 dB", Replacement::Value(0.0)),
        (
            "set to the mean of their neighbours",
            Replacement::NeighbourMean { radius },
        ),
    ] {
        let mut changed = spectrogram.clone();
        let augmentation = Augmentation {
            percent: setting.percent,
            replacement,
        };
        augmentation.apply(changed.view_mut(), relevance.view());
        rows.push(Row::measured(words, [level(changed.view())]));
        panels.push(Panel::spectrogram(axes(), changed.view(), "level (dB)")?.titled(words));
    }
    let id = "mending-data";
    let file = format!("{id}.png");
    grid(&panels, 3)?.write_png(&lab.folder.join(&file))?;
    let experiment = Experiment {
        id: id.into(),
        title: "The level of the most relevant bins, before and after they are replaced".into(),
        columns: vec!["mean level of the bins, dB".into()],
        rows,
        files: vec![file],
    };
    let pictures = panels
        .iter()
        .map(|panel| Ok((panel.picture()?, "A spectrogram".to_owned())));
    let section = Section {
        id: id.into(),
        title: "Mending: data without the bins it leans on".into(),
        blocks: vec![
            Block::text(format!(
                "If a network leans on a few bins, train it where they tell nothing. In every training recording the {} % of the bins \
                 that are most relevant for the true sex are replaced, by 0 dB or by the mean of the bins around them, and the \
                 network is trained on from the weights it has.",
                setting.percent
            )),
            Block::Figure {
                pictures: pictures.collect::<Result<_>>()?,
                caption: format!(
                    "{count} of {BINS} bins of recording {}, and what is put in their place.",
                    example.id
                ),
            },
            Block::table(
                Table::from(&experiment),
                "The level of these bins, before and after.",
            ),
        ],
    };
    Ok((experiment, section))
}

/// A row of accuracies at some shares of the bins.
pub fn row(name: &str, curve: &Curve, shares: &[f64]) -> Row {
    Row::measured(name, accuracies(curve, &counts(shares, BINS)))
}

/// Figure 6.6.
fn zeroed_bins(lab: &Lab, networks: &[Network]) -> Result<(Vec<Experiment>, Section)> {
    let entry = Thesis::published().entry("figure-6.6")?;
    let network = find(networks, AUG_ZERO)?;
    let all = shares()?;
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for order in [Order::MostRelevant, Order::Random] {
        let curve = network.curve(order)?;
        lines.push(series(order.to_string(), curve, share));
        rows.push(row(&order.to_string(), curve, &all));
    }
    let picture = flipping::chart(format!("{AUG_ZERO}, bins set to 0"), lines)?;
    let file = format!("{}.png", entry.id);
    picture.write_png(&lab.folder.join(&file))?;
    let section = Section {
        id: entry.id.clone(),
        title: "Retrained on zeroed bins".into(),
        blocks: vec![
            Block::figure(
                picture,
                "Accuracy of the network retrained on zeroed bins, by order",
                entry.caption(),
            ),
            says(entry),
        ],
    };
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns: percent(&all),
        rows,
        files: vec![file],
    };
    Ok((vec![experiment], section))
}

/// Figures 6.7 and 6.8: a network's heatmap, beside the same recording with what matters most to it set to 0.
fn pair(
    lab: &Lab,
    trial: &Trial,
    networks: &[Network],
    example: &Example,
    id: &str,
    name: &'static str,
    title: &str,
) -> Result<(Vec<Experiment>, Section)> {
    let entry = Thesis::published().entry(id)?;
    let mut rows = Vec::new();
    let mut panels = Vec::new();
    for name in [ALEXNET, name] {
        let explainer = Explainer::new(&find(networks, name)?.graph, PRESET)?;
        let (relevance, _) = example.relevance(lab, trial, &explainer)?;
        let top = Top::of(&example.spectrogram, &relevance);
        rows.push(Row::measured(name, top.cells()));
        panels = vec![
            example.overlay(format!("{name}, {}", example.title()), &relevance)?,
            top.panel(&example.spectrogram)?
                .titled("its most relevant bins set to 0"),
        ];
    }
    let file = format!("{id}.png");
    grid(&panels, 2)?.write_png(&lab.folder.join(&file))?;
    let alts = [
        format!("Heatmap of {name}"),
        "The spectrogram with the bins that matter most to it set to 0".to_owned(),
    ];
    let pictures = panels.iter().zip(alts);
    let pictures = pictures.map(|(panel, alt)| Ok((panel.picture()?, alt)));
    let experiment = Experiment {
        id: id.to_owned(),
        title: entry.title.clone(),
        columns: top_columns(),
        rows,
        files: vec![file],
    };
    let section = Section {
        id: id.to_owned(),
        title: title.to_owned(),
        blocks: vec![
            Block::Figure {
                pictures: pictures.collect::<Result<_>>()?,
                caption: entry.caption(),
            },
            says(entry),
            Block::table(
                Table::from(&experiment),
                "How much of the positive relevance lies on the most relevant bins, and where they lie: before retraining and after.",
            ),
        ],
    };
    Ok((vec![experiment], section))
}

/// Figure 6.9 and table 6.2.
fn compared(lab: &Lab, trial: &Trial, networks: &[Network]) -> Result<(Vec<Experiment>, Section)> {
    let thesis = Thesis::published();
    let [figure, table] = ["figure-6.9", "table-6.2"].map(|id| thesis.entry(id));
    let (figure, table) = (figure?, table?);
    let all = shares()?;
    let headings = table.headings();
    let (mut lines, mut of_figure, mut of_table) = (Vec::new(), Vec::new(), Vec::new());
    for name in OF_THESIS {
        let curve = find(networks, name)?.curve(Order::MostRelevant)?;
        lines.push(series(name, curve, share));
        of_figure.push(row(name, curve, &all));
        of_table.push(row(name, curve, &table.columns).with_thesis(table.row(name, &headings)));
    }
    let picture = flipping::chart("The most relevant bins set to 0", lines)?;
    let file = format!("{}.png", figure.id);
    picture.write_png(&lab.folder.join(&file))?;
    let experiments = vec![
        Experiment {
            id: figure.id.clone(),
            title: figure.title.clone(),
            columns: percent(&all),
            rows: of_figure,
            files: vec![file],
        },
        Experiment {
            id: table.id.clone(),
            title: table.title.clone(),
            columns: headings,
            rows: of_table,
            files: Vec::new(),
        },
    ];
    let section = Section {
        id: table.id.clone(),
        title: "Did mending help?".into(),
        blocks: vec![
            Block::text(
                "Each network is explained anew and loses the bins that it now calls most relevant. One that leans on few bins falls \
                 at once; one that is mended holds longer.",
            ),
            Block::text(verdict(networks)?),
            Block::figure(
                picture,
                "Accuracy of the three networks as their most relevant bins are set to 0",
                figure.caption(),
            ),
            says(figure),
            Block::table(Table::from(&experiments[1]), table.caption()),
            says(table),
            Block::Note(format!(
                "{} recordings of {} speakers.",
                networks[0].first.points[0].right.len(),
                trial.data.test.speakers()
            )),
        ],
    };
    Ok((experiments, section))
}

/// What table 6.2 says, in words, with the networks beside those of the thesis.
fn verdict(networks: &[Network]) -> Result<String> {
    let few = few();
    let at = |name: &str, percent: f64| {
        accuracy(find(networks, name)?.curve(Order::MostRelevant)?, percent)
    };
    let (whole, first) = (at(ALEXNET, 0.0)?, at(ALEXNET, few)?);
    let before = first.max(at("plain", few)?);
    let told = MENDED.iter().map(|(_, name)| -> Result<String> {
        let (untouched, flipped) = (at(name, 0.0)?, at(name, few)?);
        let judged = match (flipped - before, untouched - whole) {
            (_, lost) if lost <= -10.0 => ", at the price of what it could do",
            (gained, _) if gained >= 5.0 => ", which helps",
            _ => "",
        };
        Ok(format!(
            "`{name}` {flipped:.1} % ({untouched:.1} % untouched){judged}"
        ))
    });
    Ok(format!(
        "With {few} % of the bins set to 0 dB, accuracy is {first:.1} % as trained ({whole:.1} % untouched). Retrained: {}. `plain` was \
         retrained on the same data for as long and tells what retraining alone does.",
        told.collect::<Result<Vec<_>>>()?.join("; ")
    ))
}

/// The recipes in words.
pub fn recipes() -> Block {
    let words = MENDED.iter().filter_map(|(of_recipe, name)| {
        let recipe = RECIPES.iter().find(|recipe| recipe.name == *of_recipe)?;
        Some(format!("`{name}`: {}", recipe.words))
    });
    Block::List(words.collect())
}
