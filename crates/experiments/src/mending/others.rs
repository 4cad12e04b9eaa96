//! What mending has beside the thesis's: networks retrained in other ways, whether they read the marks that augmentation leaves, and
//! what other methods show of them.

use anyhow::Result;
use candle_core::IndexOp;
use speechlens_eval::flip::{Curve, Order};
use speechlens_nn::train::Samples;
use speechlens_report::heatmap::{Panel, grid, limit};
use speechlens_report::page::{Block, Section};
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;

use super::networks::{ALEXNET, AUG_MEAN, Network};
use super::story::{find, recipes, row};
use crate::shared::Lab;
use crate::shared::gender::flipping::{percent, shares};
use crate::shared::gender::heatmaps::{Example, Top, axes, matrix, top_columns};
use crate::shared::gender::{Explainer, PRESET, Trial};
use crate::shared::methods as list;

/// The files of the heatmaps: by network, and by method.
const HEATMAPS: &str = "mending-heatmaps.png";
const METHODS: &str = "mending-methods.png";
/// The methods that show a recording before mending and after.
const SIDE_BY_SIDE: [&str; 4] = [
    "LRP thesis, from silence",
    "IG from silence",
    "SmoothGrad",
    "occlusion by silence",
];

/// All of it.
pub fn tell(
    lab: &Lab,
    trial: &Trial,
    networks: &[Network],
    example: &Example,
) -> Result<(Vec<Experiment>, Section)> {
    let columns = shares()?;
    let all = |id: &str, title: &str, pick: &dyn Fn(&Network) -> Result<&Curve>| {
        let rows = networks
            .iter()
            .map(|network| Ok(row(network.name, pick(network)?, &columns)));
        Ok::<_, anyhow::Error>(Experiment {
            id: id.into(),
            title: title.into(),
            columns: percent(&columns),
            rows: rows.collect::<Result<_>>()?,
            files: Vec::new(),
        })
    };
    let own = all(
        "mending-own",
        "Accuracy in percent of every retrained network as the bins that it calls most relevant are set to 0",
        &|network| network.curve(Order::MostRelevant),
    )?;
    let by_lot = all(
        "mending-random",
        "Accuracy in percent of every retrained network as bins are set to 0 by lot",
        &|network| network.curve(Order::Random),
    )?;
    let first = all(
        "mending-first",
        "Accuracy in percent of every retrained network as the bins that the first network leans on are set to 0",
        &|network| Ok(&network.first),
    )?;
    let marks = marks(networks);
    let (heatmaps, pictures) = heatmaps(lab, trial, networks, example)?;
    let methods = by_every_method(lab, trial, networks, example)?;
    let section = Section {
        id: "mending-marks".into(),
        title: "Beyond the thesis: do the mended networks read marks?".into(),
        blocks: vec![
            recipes(),
            Block::text(
                "Replacing a class's most relevant bins leaves marks where they were, and the marks tell the class: a network can learn to \
                 read them in place of the voice. Whether it does is seen where the other sex's bins are marked: a network that reads \
                 marks is wrong there. `zero_lot` marks the bins of a sex drawn by lot, so that marks tell nothing, and `mixed` keeps the \
                 plain recordings beside them.",
            ),
            Block::table(
                Table::from(&marks),
                "Accuracy in percent on test recordings as they are, and marked with 0 dB by the first network's relevance.",
            ),
            Block::table(
                Table::from(&own),
                "Accuracy in percent by share of bins set to 0, each network by its own relevance.",
            ),
            Block::table(
                Table::from(&first),
                "The same in the order of the first network's relevance: the bins that it leaned on. A network that no longer needs them \
                 holds here.",
            ),
            Block::table(
                Table::from(&by_lot),
                "The same by lot: how well a network bears bins at 0 dB at all.",
            ),
            pictures,
            Block::table(
                Table::from(&heatmaps),
                "How narrowly each network looks at this recording, and where.",
            ),
            methods,
        ],
    };
    Ok((vec![marks, own, by_lot, first, heatmaps], section))
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

/// A recording as every network sees it.
fn heatmaps(
    lab: &Lab,
    trial: &Trial,
    networks: &[Network],
    example: &Example,
) -> Result<(Experiment, Block)> {
    let (mut panels, mut rows) = (Vec::new(), Vec::new());
    for network in networks {
        let explainer = Explainer::new(&network.graph, PRESET)?;
        let (relevance, _) = example.relevance(lab, trial, &explainer)?;
        rows.push(Row::measured(
            network.name,
            Top::of(&example.spectrogram, &relevance).cells(),
        ));
        panels.push(example.overlay(network.name.to_owned(), &relevance)?);
    }
    grid(&panels, 3)?.write_png(&lab.folder.join(HEATMAPS))?;
    let pictures = panels.iter().zip(networks);
    let pictures = pictures
        .map(|(panel, network)| Ok((panel.picture()?, format!("Heatmap of {}", network.name))));
    let figure = Block::Figure {
        pictures: pictures.collect::<Result<_>>()?,
        caption: format!(
            "{}, relevance for the true sex, rules `{PRESET}`, by network.",
            example.title()
        ),
    };
    let experiment = Experiment {
        id: "mending-heatmaps".into(),
        title: "What every retrained network looks at".into(),
        columns: top_columns(),
        rows,
        files: vec![HEATMAPS.into(), METHODS.into()],
    };
    Ok((experiment, figure))
}

/// The same recording under several methods, as trained and mended.
fn by_every_method(
    lab: &Lab,
    trial: &Trial,
    networks: &[Network],
    example: &Example,
) -> Result<Block> {
    let batch = trial.setting.config.batch;
    let mean = list::mean(&trial.data.train.dataset, batch, lab.device)?;
    let (input, labels) = (trial.data.test.dataset).batch(&[example.place], lab.device)?;
    let mut panels = Vec::new();
    for named in list::of_spectrograms(&mean, lab.arguments)? {
        if !SIDE_BY_SIDE.contains(&named.name) {
            continue;
        }
        for name in [ALEXNET, AUG_MEAN] {
            let method = named.method.of(&find(networks, name)?.graph)?;
            let found = method.attribute(&input, &labels, &|_| ())?;
            let relevance = matrix(&found.relevance.i((0, 0))?)?;
            let (values, relevance) = (example.spectrogram.view(), relevance.view());
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
