//! `speechlens augment`

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use speechlens_data::hdf5_layout;
use speechlens_eval::augment::by_lot;
use speechlens_eval::{Augmentation, Replacement};
use speechlens_frontend::FrontEnd;
use speechlens_models::Model;
use speechlens_nn::train::Samples;
use speechlens_report::progress;

use crate::common::{Common, at_least_one, check_writable, percentage};
use crate::data::{self, OfThesis};
use crate::method;

/// Make data without the bins that a network leans on, to retrain it on what is left.
///
/// Of every recording of DATA, or of --limit of them, the bins that are most relevant for its true class are replaced. The result is a feature store, or a
/// folder of files as AudioMNIST's preprocessing writes them. `speechlens train --from MODEL RESULT` retrains the network on it.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model that tells male from female, or that `train --task LABELS.csv|digits` made.
    model: PathBuf,
    #[command(flatten)]
    data: data::Arguments,
    #[command(flatten)]
    method: method::One,
    /// The share of the bins that is replaced, in percent.
    #[arg(long, default_value_t = 0.5, value_parser = percentage, value_name = "P")]
    percent: f64,
    /// What stands in their place.
    #[arg(long, value_enum, default_value = "mean")]
    fill: Fill,
    /// How far away along each axis a bin still counts as a neighbour, for --fill mean.
    #[arg(long, default_value_t = 1, value_parser = at_least_one, value_name = "N")]
    radius: usize,
    /// Which class is explained. `true` leaves marks where each class's bins were, which a network can learn to read; `lot` draws
    /// the class, so that they tell nothing.
    #[arg(long, value_enum, default_value = "true")]
    class: Class,
    /// Recordings explained at a time.
    #[arg(long, default_value_t = 50, value_parser = at_least_one, value_name = "N")]
    batch: usize,
    /// The store (.h5) or the folder to write.
    #[arg(short, long, value_name = "STORE.h5|DIR")]
    output: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Fill {
    /// 0: in dB full level.
    Zero,
    /// The mean of the bins around each.
    Mean,
    /// Silence: −80 dB for spectrograms.
    Floor,
}

#[derive(Clone, Copy, ValueEnum)]
enum Class {
    /// The true one.
    True,
    /// One by lot, by --seed.
    Lot,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    arguments.data.require();
    let output = &arguments.output;
    let is_store = output
        .extension()
        .is_some_and(|extension| extension == "h5");
    check_writable(&if is_store {
        output.clone()
    } else {
        output.join("any")
    })?;
    let device = common.device()?;
    let model = Model::load(&arguments.model, &device)?;
    let of_sexes = data::of_thesis(&model) == Some(OfThesis::Sexes);
    ensure!(
        of_sexes || data::of_thesis(&model).is_none(),
        "{}: tells known speakers: the data can be augmented of networks that tell male from female, or that `train --task LABELS.csv|digits` made",
        arguments.model.display()
    );
    let classes_of_sexes = || data::classes_of_sexes(&arguments.model, &model);
    let of_sexes = of_sexes.then(classes_of_sexes).transpose()?;
    let of_audiomnist = FrontEnd::load("audiomnist-spectrogram")?.to_toml()?;
    ensure!(
        is_store || of_sexes.is_some() && model.front_end.to_toml()? == of_audiomnist,
        "{}: files are those of AudioMNIST's preprocessing, whose crop is audiomnist, and the model reads {}: give a store (.h5)",
        output.display(),
        model
            .front_end
            .name()
            .unwrap_or("another front end's features")
    );
    let silence = model.front_end.silence();
    ensure!(
        silence.is_some() || !matches!(arguments.fill, Fill::Floor),
        "{}: its front end does not tell which value is silence: leave --fill floor out",
        arguments.model.display()
    );
    let settings = arguments.method.settings(&model, common.seed)?;
    let method = settings.method(&model)?;
    let augmentation = arguments.augmentation(silence.unwrap_or_default() as f32);
    let (front_end, classes) = (&model.front_end, model.classes());
    let windows = match of_sexes {
        Some(of_sexes) => arguments.data.read_whole(front_end, of_sexes, common)?,
        None => arguments.data.all_windows(front_end, classes, common)?,
    };
    let targets = match arguments.class {
        Class::True => windows.labels(),
        Class::Lot => by_lot(windows.len(), classes.len(), common.seed),
    };
    let bar = progress::bar("augmenting", windows.len(), common.quiet);
    let progress = |done: usize| bar.set_position(done as u64);
    if is_store {
        ensure!(
            windows.store().is_some(),
            "{}: files of AudioMNIST's preprocessing make such files again: give a folder",
            output.display()
        );
        let (graph, batch) = (&model.graph, arguments.batch);
        augmentation.store(
            &windows,
            &targets,
            graph,
            method.as_ref(),
            output,
            batch,
            &device,
            &progress,
        )?;
    } else {
        let explainer = method.of(&model.graph)?;
        let places: Vec<usize> = (0..windows.len()).collect();
        for places in places.chunks(arguments.batch) {
            let explainer = explainer.as_ref();
            let targets: Vec<u32> = places.iter().map(|place| targets[*place]).collect();
            let values = augmentation.of_places(&windows, places, &targets, explainer, &device)?;
            for (values, place) in values.outer_iter().zip(places) {
                let values = values.into_dimensionality()?;
                hdf5_layout::write(output, windows.origin(*place).0, values)?;
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    let what = match of_sexes.is_some() {
        true => "recordings",
        false => "windows",
    };
    let what = format!("{} {what}", windows.len());
    tell(output, &what, &augmentation, common);
    Ok(())
}

fn tell(output: &Path, what: &str, augmentation: &Augmentation, common: &Common) {
    if !common.quiet {
        println!("{}: {what}, {augmentation}", output.display());
    }
}

impl Arguments {
    fn augmentation(&self, silence: f32) -> Augmentation {
        Augmentation {
            percent: self.percent,
            replacement: match self.fill {
                Fill::Zero => Replacement::Value(0.0),
                Fill::Mean => Replacement::NeighbourMean {
                    radius: self.radius,
                },
                Fill::Floor => Replacement::Value(silence),
            },
        }
    }
}
