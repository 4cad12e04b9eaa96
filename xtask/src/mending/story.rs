//! Mending on the page: figures 6.6 to 6.9, table 6.2, and what they say.

use anyhow::{Context, Result};
use candle_core::IndexOp;
use ndarray::{Array2, ArrayView2};
use speechlens_eval::flip::{Curve, Order, counts};
use speechlens_eval::{Augmentation, Replacement};
use speechlens_nn::train::Samples;
use speechlens_report::Picture;
use speechlens_report::axes::{Axes, Axis};
use speechlens_report::curves::{Chart, Series};
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;
use speechlens_report::thesis::Thesis;

use super::networks::{AS_TRAINED, MENDED, Network, Setting, accuracy};
use super::recipes::RECIPES;
use crate::gender::flipping::{BINS, FEW, GONE, PERCENTAGES};
use crate::gender::heatmaps::{axes, mask, matrix};
use crate::gender::{Explainer, Trial};
use crate::methods::list;
use crate::reproduce::{Findings, Lab};

/// The share of the bins whose part of the positive relevance is told: how narrowly a network looks.
const NARROW: f64 = 1.0;
/// The files of the heatmaps: by network, and by method.
const HEATMAPS: &str = "figure-6.9.png";
const METHODS: &str = "mending-methods.png";
/// The methods that show a recording before mending and after.
const SIDE_BY_SIDE: [&str; 4] = [
    "LRP thesis, from silence",
    "IG from silence",
    "SmoothGrad",
    "occlusion by silence",
];

/// All of it.
pub fn tell(lab: &Lab, trial: &Trial, networks: &[Network]) -> Result<Findings> {
    let setting = Setting::new(lab.arguments.profile);
    let (replaced, data_section) = data(lab, trial, &setting)?;
    let (curves, curves_section) = curves(lab, trial, networks)?;
    let (heatmaps, heatmaps_section) = heatmaps(lab, trial, networks)?;
    Ok(Findings {
        experiments: [vec![replaced], curves, vec![heatmaps]].concat(),
        sections: vec![data_section, curves_section, heatmaps_section],
        lead: lead(networks, &setting)?,
        data: String::new(),
    })
}

/// The first recording of the test.
fn example(trial: &Trial) -> Result<(usize, Array2<f32>)> {
    let dataset = &trial.data.test.dataset;
    let right =
        (0..dataset.recordings().len()).find(|place| trial.trained.is_right(&trial.data, *place));
    let place = right.unwrap_or(0);
    Ok((place, dataset.spectrogram(place)?))
}

fn relevance(explainer: &Explainer, lab: &Lab, trial: &Trial, place: usize) -> Result<Array2<f32>> {
    let explanation = explainer.explain(&trial.data.test, &[place], lab.device)?;
    matrix(&explanation.relevance.i((0, 0))?)
}

/// Figure 6.6: what augmentation does to a recording.
fn data(lab: &Lab, trial: &Trial, setting: &Setting) -> Result<(Experiment, Section)> {
    let entry = Thesis::published().entry("figure-6.6")?;
    let (place, spectrogram) = example(trial)?;
    let explainer = Explainer::new(&trial.trained.graph, "thesis-gender")?;
    let relevance = relevance(&explainer, lab, trial, place)?;
    let count = counts(&[setting.percent], BINS)[0];
    let marked = mask(Order::MostRelevant, &spectrogram, &relevance, count);
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
            Replacement::NeighbourMean { radius: 1 },
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
    let file = "figure-6.6.png".to_owned();
    grid(&panels, 3)?.write_png(&lab.folder.join(&file))?;
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns: vec!["mean level of the bins, dB".into()],
        rows,
        files: vec![file],
    };
    let pictures = panels
        .iter()
        .map(|panel| Ok((panel.picture()?, "A spectrogram".to_owned())));
    let section = Section {
        id: entry.id.clone(),
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
                    "Figure 6.6: {count} of {BINS} bins of recording {}, and what is put in their place.",
                    trial.data.test.dataset.recordings()[place].id
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

fn row(name: &str, curve: &Curve) -> Row {
    Row::measured(
        name,
        curve.points.iter().map(|point| 100.0 * point.accuracy()),
    )
}

/// Figures 6.7 and 6.8, and table 6.2.
fn curves(lab: &Lab, trial: &Trial, networks: &[Network]) -> Result<(Vec<Experiment>, Section)> {
    let columns: Vec<String> = PERCENTAGES
        .iter()
        .map(|percent| format!("{percent} %"))
        .collect();
    let published = Thesis::published();
    let table = |id: &str, title: String, rows: Vec<Row>, files: Vec<String>| Experiment {
        id: id.into(),
        title,
        columns: columns.clone(),
        rows,
        files,
    };
    let all = |pick: &dyn Fn(&Network) -> Result<&Curve>| -> Result<Vec<Row>> {
        let rows = networks
            .iter()
            .map(|network| Ok(row(network.name, pick(network)?)));
        rows.collect()
    };
    let entry = published.entry("table-6.2")?;
    let main = table(
        &entry.id,
        entry.title.clone(),
        all(&|n| n.curve(Order::MostRelevant))?,
        Vec::new(),
    );
    let by_lot = table(
        "mending-random",
        "Accuracy in percent of the mended networks as bins are set to 0 by lot".into(),
        all(&|n| n.curve(Order::Random))?,
        Vec::new(),
    );
    let first = table(
        "mending-first",
        "Accuracy in percent of the mended networks as the bins that the first network leans on are set to 0".into(),
        all(&|n| Ok(&n.first))?,
        Vec::new(),
    );
    let marks = marks(networks);
    let mut pictures = Vec::new();
    let mut figures = Vec::new();
    for (id, name) in [("figure-6.7", "aug_zero"), ("figure-6.8", "aug_mean")] {
        let entry = published.entry(id)?;
        let mended = find(networks, name)?;
        let before = find(networks, AS_TRAINED)?;
        let lines = [
            ("lrp, as trained", before.curve(Order::MostRelevant)?),
            ("random, as trained", before.curve(Order::Random)?),
            (&*format!("lrp, {name}"), mended.curve(Order::MostRelevant)?),
            (&*format!("random, {name}"), mended.curve(Order::Random)?),
        ];
        let picture = chart(&format!("As trained, and {name}"), &lines)?;
        let file = format!("{id}.png");
        picture.write_png(&lab.folder.join(&file))?;
        let rows = lines.iter().map(|(name, curve)| row(name, curve)).collect();
        figures.push(table(id, entry.title.clone(), rows, vec![file]));
        pictures.push((picture, entry.title.clone()));
    }
    let section = Section {
        id: entry.id.clone(),
        title: "Did mending help?".into(),
        blocks: vec![
            Block::text(
                "Each network is explained anew and loses the bins that it now calls most relevant. One that leans on few bins falls \
                 at once; one that is mended holds longer. The network that was retrained on the plain data for as long (`plain`) \
                 tells what retraining alone does.",
            ),
            Block::text(verdict(networks)?),
            Block::Figure {
                pictures,
                caption: "Figures 6.7 and 6.8: accuracy as bins are set to 0 dB, before and after mending.".into(),
            },
            Block::table(
                Table::from(&main),
                format!(
                    "Table 6.2: accuracy in percent by share of flipped bins, each network by its own relevance. {}",
                    entry.note.as_deref().unwrap_or_default()
                ),
            ),
            Block::List(
                RECIPES
                    .iter()
                    .filter(|recipe| MENDED.contains(&recipe.name))
                    .map(|recipe| format!("{}: {}", recipe.name, recipe.words))
                    .collect(),
            ),
            Block::text(
                "Replacing a class's most relevant bins leaves marks where they were, and the marks tell the class: a network can learn to                  read them in place of the voice. Whether it does is seen where the other sex's bins are marked: a network that reads                  marks is wrong there. `zero_lot` marks the bins of a sex drawn by lot, so that marks tell nothing, and `mixed` keeps the plain recordings beside them.",
            ),
            Block::table(
                Table::from(&marks),
                "Accuracy in percent on test recordings as they are, and marked with 0 dB by the first network's relevance.",
            ),
            Block::table(
                Table::from(&first),
                "The same in the order of the first network's relevance: the bins that it leaned on. A network that no longer needs them \
                 holds here.",
            ),
            Block::table(Table::from(&by_lot), "The same by lot: how well a network bears bins at 0 dB at all."),
            Block::Note(format!(
                "{} recordings of {} speakers.",
                networks[0].first.points[0].right.len(),
                trial.data.test.speakers()
            )),
        ],
    };
    figures.extend([main, marks, by_lot, first]);
    Ok((figures, section))
}

/// Who reads marks.
fn marks(networks: &[Network]) -> Experiment {
    let row = |network: &Network| {
        let untouched = network.first.points[0].accuracy();
        let [by_true, by_other] = network.marked;
        Row::measured(network.name, [100.0 * untouched, by_true, by_other])
    };
    Experiment {
        id: "mending-marks".into(),
        title: "Do the mended networks read the marks that augmentation leaves?".into(),
        columns: ["as recorded", "true sex marked", "other sex marked"]
            .map(str::to_owned)
            .to_vec(),
        rows: networks.iter().map(row).collect(),
        files: Vec::new(),
    }
}

fn find<'a>(networks: &'a [Network], name: &str) -> Result<&'a Network> {
    let found = networks.iter().find(|network| network.name == name);
    found.with_context(|| format!("the network {name} was not trained"))
}

fn chart(title: &str, lines: &[(&str, &Curve)]) -> Result<Picture> {
    let share = |count: usize| 100.0 * count as f64 / BINS as f64;
    let series = lines.iter().map(|(name, curve)| {
        let points = curve.points.iter();
        let points = points.map(|point| (share(point.count), 100.0 * point.accuracy()));
        Series::new(*name, points.collect())
    });
    let chart = Chart {
        title: title.into(),
        axes: Axes {
            x: Axis::log_with_zero("flipped bins (%)", FEW, GONE),
            y: Axis::linear("accuracy (%)", 0.0, 100.0),
        },
        series: series.collect(),
    };
    Ok(chart.picture()?)
}

/// The share of the positive relevance on the few most relevant bins, in percent.
fn narrowness(relevance: &Array2<f32>) -> f64 {
    let mut positive: Vec<f64> = relevance.iter().map(|r| f64::from(r.max(0.0))).collect();
    positive.sort_by(|a, b| b.total_cmp(a));
    let few: f64 = positive[..counts(&[NARROW], BINS)[0]].iter().sum();
    100.0 * few / positive.iter().sum::<f64>()
}

/// Figure 6.9: heatmaps before and after.
fn heatmaps(lab: &Lab, trial: &Trial, networks: &[Network]) -> Result<(Experiment, Section)> {
    let entry = Thesis::published().entry("figure-6.9")?;
    let (place, spectrogram) = example(trial)?;
    let (mut panels, mut rows) = (Vec::new(), Vec::new());
    for network in networks {
        let explainer = Explainer::new(&network.graph, "thesis-gender")?;
        let relevance = relevance(&explainer, lab, trial, place)?;
        rows.push(Row::measured(network.name, [narrowness(&relevance)]));
        let panel = Panel::overlay(
            axes(),
            spectrogram.view(),
            relevance.view(),
            limit(relevance.view()),
        )?;
        panels.push(panel.titled(network.name));
    }
    grid(&panels, 3)?.write_png(&lab.folder.join(HEATMAPS))?;
    let experiment = Experiment {
        id: entry.id.clone(),
        title: entry.title.clone(),
        columns: vec![format!(
            "positive relevance on the {NARROW} % most relevant bins, %"
        )],
        rows,
        files: vec![HEATMAPS.into(), METHODS.into()],
    };
    let pictures = panels.iter().zip(networks);
    let pictures = pictures.map(|(panel, network)| {
        Ok((
            panel.picture()?,
            format!("Heatmap of the network {}", network.name),
        ))
    });
    let methods = by_every_method(lab, trial, networks, place, &spectrogram)?;
    let section = Section {
        id: entry.id.clone(),
        title: "What the mended networks listen to".into(),
        blocks: vec![
            Block::Figure {
                pictures: pictures.collect::<Result<_>>()?,
                caption: format!(
                    "Figure 6.9: recording {}, relevance for the true sex, rules `thesis-gender`.",
                    trial.data.test.dataset.recordings()[place].id
                ),
            },
            Block::table(
                Table::from(&experiment),
                "How narrowly each network looks at this recording.",
            ),
            methods,
        ],
    };
    Ok((experiment, section))
}

/// The same recording under several methods, as trained and mended.
fn by_every_method(
    lab: &Lab,
    trial: &Trial,
    networks: &[Network],
    place: usize,
    spectrogram: &Array2<f32>,
) -> Result<Block> {
    let batch = trial.setting.config.batch;
    let mean = list::mean(&trial.data.train.dataset, batch, lab.device)?;
    let (input, labels) = trial.data.test.dataset.batch(&[place], lab.device)?;
    let mut panels = Vec::new();
    for named in list::of_spectrograms(&mean, lab.arguments)? {
        if !SIDE_BY_SIDE.contains(&named.name) {
            continue;
        }
        for name in [AS_TRAINED, "aug_mean"] {
            let method = named.method.of(&find(networks, name)?.graph)?;
            let found = method.attribute(&input, &labels, &|_| ())?;
            let relevance = matrix(&found.relevance.i((0, 0))?)?;
            let (values, relevance) = (spectrogram.view(), relevance.view());
            let panel = Panel::overlay(axes(), values, relevance, limit(relevance))?;
            panels.push(panel.titled(format!("{}, {name}", named.name)));
        }
    }
    grid(&panels, 2)?.write_png(&lab.folder.join(METHODS))?;
    let pictures = panels
        .iter()
        .map(|panel| Ok((panel.picture()?, "A heatmap".to_owned())));
    Ok(Block::Figure {
        pictures: pictures.collect::<Result<_>>()?,
        caption: "The same recording under other methods, before mending and after.".into(),
    })
}

/// What table 6.2 says, in words.
fn verdict(networks: &[Network]) -> Result<String> {
    let at = |name: &str, percent: f64| {
        accuracy(find(networks, name)?.curve(Order::MostRelevant)?, percent)
    };
    let (whole, few) = (at(AS_TRAINED, 0.0)?, at(AS_TRAINED, FEW)?);
    let before = few.max(at("plain", FEW)?);
    let told = MENDED.iter().map(|name| -> Result<String> {
        let (untouched, flipped) = (at(name, 0.0)?, at(name, FEW)?);
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
        "With {FEW} % of the bins set to 0 dB, accuracy is {few:.1} % as trained ({whole:.1} % untouched). Retrained: {}.",
        told.collect::<Result<Vec<_>>>()?.join("; ")
    ))
}

fn lead(networks: &[Network], setting: &Setting) -> Result<String> {
    let own = |name: &str| accuracy(find(networks, name)?.curve(Order::MostRelevant)?, FEW);
    Ok(format!(
        "Retrained on data whose {} % most relevant bins were set to 0, it is right on {:.1} % with the bins that it then calls most \
         relevant gone; on means of their neighbours, on {:.1} %; on plain data, on {:.1} %.",
        setting.percent,
        own("aug_zero")?,
        own("aug_mean")?,
        own("plain")?,
    ))
}
