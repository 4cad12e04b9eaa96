use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use speechlens_frontend::FrontEnd;

use crate::checkpoint::{Checkpoint, Weights};
use crate::model::{check_numbers, fit};
use crate::{Error, Model, Network, Probability, Result, Task};

/// A model of a checkpoint, and what else stood there.
#[derive(Debug)]
pub struct Imported {
    /// The model.
    pub model: Model,
    /// Whether the checkpoint has one logit, which is now two classes.
    pub had_one_logit: bool,
    /// The tensors that belong to no layer, by their names in the file.
    pub left_out: Vec<String>,
}

impl Model {
    /// Makes a model of a checkpoint of one of [`NETWORKS`](crate::NETWORKS), of the weights at `prefix` where there are several (see
    /// [`Checkpoint::weights`]), for what a front end gives, or the network's own. The number of classes is that of the last layer; their names are
    /// 0, 1, …. One logit, which binary cross entropy trained, is two classes: it speaks for class 1, and its negative for class 0.
    ///
    /// # Errors
    /// If the file is no checkpoint, or the network cannot read what the front end gives; every tensor that is missing or of another
    /// shape is named.
    pub fn import(
        network: &Network,
        path: &Path,
        prefix: Option<&str>,
        front_end: Option<FrontEnd>,
        device: &Device,
    ) -> Result<Imported> {
        let wrong = |problem: String| Error::Model {
            path: path.to_owned(),
            problem,
        };
        let front_end = match front_end {
            Some(front_end) => front_end,
            None => FrontEnd::load(network.front_end)?,
        };
        let build = |classes: usize| (network.build)(classes, &front_end.shape());
        let one = build(1)?;
        fit(&one, &front_end).map_err(wrong)?;
        let Weights {
            tensors: mut weights,
            left_out,
        } = Checkpoint::open(path)?.weights(&one, prefix)?;
        check_numbers(&weights, path)?;
        let last = &one.nodes()[one.output().index()].name;
        let outputs = weights.get(&format!("{last}.weight"));
        let outputs = outputs.and_then(|weight| weight.dims().first()).copied();
        let had_one_logit = outputs == Some(1);
        if had_one_logit {
            for (_, weight) in weights.iter_mut().filter(|(name, _)| {
                name.rsplit_once('.')
                    .is_some_and(|(node, _)| node == last.as_str())
            }) {
                let both = weight
                    .neg()
                    .and_then(|other| Tensor::cat(&[&other, weight], 0));
                *weight = both.map_err(speechlens_nn::Error::from)?;
            }
        }
        let classes = outputs.map_or(1, |outputs| outputs.max(2));
        let architecture = build(classes)?;
        let graph = architecture
            .with_weights(weights)
            .map_err(|error| {
                let has_no_place = |name: &String| format!(", `{name}` has no place");
                let surplus: String = left_out.iter().map(has_no_place).collect();
                wrong(format!("{error}{surplus}"))
            })?
            .map_weights(|_, weight| Ok(weight.to_device(device)?))?;
        let names = (0..classes).map(|class| class.to_string());
        let mut model = Model::of(network, graph, names.collect())?;
        model.front_end = Arc::new(front_end);
        if had_one_logit {
            model.task = Task::Classes {
                probability: Probability::Sigmoid,
                classes: model.task.classes().to_vec(),
            };
        }
        Ok(Imported {
            model,
            had_one_logit,
            left_out,
        })
    }
}
