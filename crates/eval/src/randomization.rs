//! The model-randomization check (Adebayo et al. 2018, section 4.1): an explanation that stays the same while the network's weights
//! are replaced by random ones, from the top down, does not depend on what the network has learnt.

use candle_core::Tensor;
use speechlens_attribution::Method;
use speechlens_nn::{Graph, Node, NodeId};

use crate::agreement::spearman;
use crate::flip::flat;
use crate::{Error, Result};

/// How much is left of an explanation with the weights of some layers random.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The lowest layer whose weights are random; those above it are too.
    pub down_to: String,
    /// For each input, the rank correlation of the relevance with that of the network as it was trained.
    pub similarity: Vec<f64>,
}

/// Replaces the weights of the layers from the output down to the input, and explains a batch `[N, …]` at so many steps on the
/// way, evenly apart, the last with all weights random. `progress` is told how many steps are done.
pub fn randomization(
    graph: &Graph,
    method: &dyn Method,
    input: &Tensor,
    targets: &[u32],
    steps: usize,
    seed: u64,
    progress: &dyn Fn(usize),
) -> Result<Vec<Step>> {
    let has_weights = |(id, _): &(NodeId, &Node)| !graph.params(*id).is_empty();
    let layers: Vec<&str> = graph
        .nodes()
        .rev()
        .filter(has_weights)
        .map(|(_, node)| node.name.as_str())
        .collect();
    if steps == 0 || layers.is_empty() {
        return Err(Error::Plan(
            "there are no weights, or no steps, to randomize".into(),
        ));
    }
    let steps = steps.min(layers.len());
    let random = graph.architecture().clone().random(seed, input.device())?;
    let random = random.to_dtype(input.dtype())?.weights();
    let explain = |graph: &Graph| -> Result<Vec<Vec<f32>>> {
        let found = method.of(graph)?.attribute(input, targets, &|_| ())?;
        Ok(flat(&found.relevance)?
            .chunks(input.elem_count() / targets.len().max(1))
            .map(<[f32]>::to_vec)
            .collect())
    };
    let trained = explain(graph)?;
    let step = |n: usize| {
        let count = (n * layers.len()).div_ceil(steps);
        let replaced = &layers[..count];
        let of_layer = |name: &str| {
            name.rsplit_once('.')
                .map_or(name, |(layer, _)| layer)
                .to_owned()
        };
        let mixed = graph.map_weights(|name, tensor| {
            Ok(match replaced.contains(&of_layer(name).as_str()) {
                true => random[name].clone(),
                false => tensor.clone(),
            })
        })?;
        let found = explain(&mixed)?;
        progress(n);
        Ok(Step {
            down_to: replaced[count - 1].to_owned(),
            similarity: trained
                .iter()
                .zip(&found)
                .map(|(a, b)| spearman(a, b))
                .collect(),
        })
    };
    (1..=steps).map(step).collect()
}
