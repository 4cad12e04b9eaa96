//! The second task of Becker et al. (2018): which of ten digits is said, told from spectrograms by AlexNet and from waveforms by
//! AudioNet, of speakers that neither heard; what both listen to, and whether that is true.

mod data;
mod explaining;

use anyhow::Result;
use speechlens_models::{Model, Network, alexnet, audionet};
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Config, Samples, Score, logits};
use speechlens_report::page::{Block, Section};
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;

use self::data::Data;
use self::explaining::{BATCH, Explained};
use crate::shared::fit::fit;
use crate::shared::{Arguments, Findings, Lab, Profile};

/// The networks, with the rules that each is explained by: their reference is silence.
const SUBJECTS: [(Network, &str); 2] = [
    (alexnet::NETWORK, "epsilon-plus-silence"),
    (audionet::NETWORK, "lrp-0"),
];

/// How to train: three times as fast as the network's recipe has it, since voices and epochs are few.
fn config(arguments: &Arguments, network: &Network) -> Config {
    let (epochs, batch) = match arguments.profile {
        Profile::Smoke => (1, 10),
        Profile::Quick => (8, 20),
        Profile::Full => (20, 20),
    };
    Config {
        epochs,
        batch,
        optimizer: Optimizer::AdamW {
            lr: 3.0 * network.recipe.lr,
            weight_decay: 0.01,
        },
        schedule: Schedule::Constant,
        seed: arguments.seed,
        loss: network.probability.loss(),
    }
}

/// Trains both, explains and tests them.
pub fn run(lab: &Lab) -> Result<Findings> {
    let (mut accuracy, mut right, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let mut description = String::new();
    for (network, preset) in SUBJECTS {
        let data = Data::prepare(lab, &network)?;
        let model = train(lab, &network, &data)?;
        let score = test(lab, &model, &data)?;
        let percent = 100.0 * score.accuracy;
        right.push(format!("{percent:.1} % by {}", network.title));
        let cells = [percent, data.test.len() as f64];
        accuracy.push(Row::measured(network.title, cells));
        all.push(explaining::explain(lab, &network, &model, preset, &data)?);
        description = data.description;
    }
    let lead = lead(&right, &all);
    let table = Experiment {
        id: "digits".into(),
        title: "Ten digits, of speakers that the networks never heard".into(),
        columns: ["right (%)", "recordings"].map(str::to_owned).to_vec(),
        rows: accuracy,
        files: Vec::new(),
    };
    let mut blocks = vec![Block::table(
        Table::from(&table),
        "How many of the test recordings each network is right on.",
    )];
    let mut experiments = vec![table];
    for explained in all {
        blocks.extend(explained.blocks);
        experiments.push(explained.entry);
    }
    Ok(Findings {
        lead,
        sections: vec![Section {
            id: "digits".into(),
            title: "The ten digits".into(),
            blocks,
        }],
        experiments,
        data: description,
        ..Findings::default()
    })
}

/// Trains a network, or takes up a run that was stopped, and writes `digits-NETWORK.safetensors`.
fn train(lab: &Lab, network: &Network, data: &Data) -> Result<Model> {
    let name = format!("digits-{network}");
    let graph = network.architecture(data.classes.len())?;
    let graph = graph.random(lab.arguments.seed, lab.device)?;
    let config = config(lab.arguments, network);
    let trainer = fit(lab, &name, &graph, &config, [&data.train, &data.validation])?;
    let best = trainer.best().map(|best| best.graph.clone());
    let graph = best.unwrap_or_else(|| trainer.graph());
    let model = Model::of(network, graph, data.classes.clone())?;
    model.save(&lab.folder.join(format!("{name}.safetensors")))?;
    Ok(model)
}

fn test(lab: &Lab, model: &Model, data: &Data) -> Result<Score> {
    let bar = progress::bar("classifying", data.test.len(), lab.arguments.quiet);
    let done = |done: usize| bar.set_position(done as u64);
    let (logits, labels) = logits(&model.graph, &data.test, BATCH, lab.device, &done)?;
    bar.finish_and_clear();
    Ok(Score::of(model.loss(), &logits, &labels)?)
}

fn lead(right: &[String], all: &[Explained]) -> String {
    let flipped: Vec<&str> = all.iter().map(|one| one.told.as_str()).collect();
    format!(
        "Of digits said by strangers {} are told right; {}.",
        right.join(" and "),
        flipped.join("; ")
    )
}
