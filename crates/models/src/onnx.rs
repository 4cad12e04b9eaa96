//! Networks of ONNX files as models.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use speechlens_frontend::{Framing, FrontEnd};
use speechlens_nn::ops::{Registry, Unsqueeze};
use speechlens_nn::{Architecture, Graph, NodeId, Params};
use speechlens_onnx::{Axes, Onnx};

use crate::model::{check_numbers, fit};
use crate::{Error, Model, Probability, Result, Task};

/// The key of the metadata under which stands what wrote the file that a model was imported from.
pub const SOURCE: &str = "source";

/// The key of the metadata under which stands the hash (BLAKE3) of the ONNX file that a model was imported from.
pub const HASH: &str = "hash";

/// What is told of a network that its file does not tell.
#[derive(Debug, Default)]
pub struct Told {
    /// What it reads; else what its input's shape suggests.
    pub front_end: Option<FrontEnd>,
    /// What its outputs mean, by its name in a file ([`Task::name`]); else what its last function suggests.
    pub task: Option<&'static str>,
    /// The classes' names, or the scores', in the order of the outputs.
    pub classes: Option<Vec<String>>,
    /// Numbers for inputs behind the first, by their names: a sample rate, a relative length.
    pub given: Vec<(String, f64)>,
    /// The output that is the answer; else the first of real numbers, before which a label may stand.
    pub answer: Option<String>,
}

/// A model of an ONNX file, and what of it is a guess.
#[derive(Debug)]
pub struct Imported {
    /// The model.
    pub model: Model,
    /// What the front end was guessed from, if it was not told.
    pub guess: Option<String>,
    /// Inputs behind the first that were given nothing, and that no output gives back as a state: what is computed needs them.
    pub missing: Vec<String>,
}

impl Model {
    /// Makes a model of an ONNX network. A final softmax or sigmoid is the task's, and no node of the graph any more. Where the network
    /// reads the axes that the front end gives in another order, a node behind its input turns them.
    ///
    /// # Errors
    /// If the file is no network, a node of it is not supported, it cannot read what the front end gives, or it is not told what its
    /// outputs mean.
    pub fn import_onnx(path: &Path, mut told: Told, device: &Device) -> Result<Imported> {
        let wrong = |problem: String| Error::Model {
            path: path.to_owned(),
            problem,
        };
        let mut network = Onnx::open(path)?;
        for (name, number) in &told.given {
            network.give(name, *number)?;
        }
        let outputs = network.outputs();
        let of_reals = outputs.iter().find(|output| output.is_real);
        let answer = told.answer.as_ref();
        if let Some(answer) = answer.or(of_reals.map(|output| &output.name)) {
            network.answer_with(answer)?;
        }
        let graph = network.graph()?;
        let last = last_function(&graph, network.outputs().first());
        let input = network.inputs().into_iter().next();
        let input = input.ok_or_else(|| wrong("reads nothing".into()))?;
        if !input.is_real {
            return Err(wrong(format!(
                "its input `{}` is of whole numbers, and no front end gives these: export the network with an input of real \
                 numbers, and the cast inside",
                input.name
            )));
        }
        let (front_end, guess) = match told.front_end.take() {
            Some(front_end) => (front_end, None),
            None => {
                let (front_end, guess) = guess(&input).map_err(wrong)?;
                (front_end, Some(guess))
            }
        };
        let (framing, front_end) = match front_end.framing()? {
            Some((framing, front_end)) => (Some(framing), front_end),
            None => (None, front_end),
        };
        let mut output = network.outputs().into_iter().next();
        if let (Some(_), Some(output)) = (framing, &mut output) {
            output.shape.insert(0, Ok(1));
        }
        let last_op = last.map(|(last, _)| last);
        let (task, lacks_classes) =
            task(&told, last_op, output.as_ref(), framing.is_some()).map_err(wrong)?;
        let graph = match last {
            // What is left out is what the task says anew.
            Some((_, place)) if task.probability().is_some() => graph.without(place)?,
            _ => graph,
        };
        let graph = graph.without_unread();
        check_numbers(&graph.weights(), path)?;
        let graph = match framing {
            Some(Framing { hop, before }) => graph
                .reading_frames(hop, before)
                .map_err(|error| wrong(error.to_string()))?,
            None => graph,
        };
        let graph = match lacks_classes {
            true => {
                let axis = Unsqueeze { axes: vec![-1] };
                graph.followed_by("of-one-class", axis, Params::new())?
            }
            false => graph,
        };
        let graph = match &output {
            Some(output) => called(graph, &output.name)?,
            None => graph,
        };
        let graph = in_order(graph, &front_end).map_err(wrong)?;
        // What cannot be read again is no model.
        let text = graph.architecture().to_json();
        Architecture::parse(&text, &Registry::default())
            .map_err(|error| wrong(format!("{error}, which a model file cannot hold")))?;
        let mut model = Model {
            graph: graph.map_weights(|_, weight| Ok(weight.to_device(device)?))?,
            front_end: Arc::new(front_end),
            task,
            metadata: Default::default(),
        };
        let source = format!("ONNX, opset {}, {}", network.opset(), network.producer());
        model.metadata.insert(SOURCE.to_owned(), source);
        let mut hash = blake3::Hasher::new();
        let content = File::open(path).and_then(|file| Ok(hash.update_reader(file)?.finalize()));
        let content = content.map_err(|error| wrong(error.to_string()))?;
        model.metadata.insert(HASH.to_owned(), content.to_string());
        let missing = without_state(&network.inputs(), &network.outputs());
        Ok(Imported {
            model,
            guess,
            missing,
        })
    }
}

/// The inputs behind the first that no output behind the first could be the next value of. A state is real, and has a length on every axis.
fn without_state(inputs: &[Axes], outputs: &[Axes]) -> Vec<String> {
    let may_be = |(length, given): (&Result<usize, String>, &Result<usize, String>)| {
        length.is_ok() && (given.is_err() || length == given)
    };
    let is_next = |input: &Axes, output: &Axes| {
        input.is_real
            && output.is_real
            && input.shape.len() == output.shape.len()
            && input.shape.iter().zip(&output.shape).all(may_be)
    };
    let others = inputs.iter().skip(1);
    let lacks = |input: &&Axes| !outputs.iter().skip(1).any(|output| is_next(input, output));
    others
        .filter(lacks)
        .map(|input| input.name.clone())
        .collect()
}

/// The function behind the logits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Over the last axis of the output, and nothing behind it.
    Softmax,
    /// Over another axis, or seen in another shape.
    SoftmaxAcross,
    Sigmoid,
}

/// A softmax or a sigmoid that nothing but the output reads, behind which values are only put in another shape.
fn last_function(graph: &Graph, output: Option<&Axes>) -> Option<(Last, NodeId)> {
    let net = graph.architecture();
    let mut place: NodeId = net.output();
    loop {
        let node = &net.nodes()[place.index()];
        let readers = net.nodes().iter().flat_map(|node| &node.inputs);
        let outputs = net.outputs();
        let count = readers
            .chain(&outputs)
            .filter(|read| **read == place)
            .count();
        if count > 1 {
            return None;
        }
        match (node.op.name(), node.inputs.as_slice()) {
            ("softmax", [_]) => {
                let rank = output.map_or(0, |output| output.shape.len());
                let axis = node.op.attributes().remove("axis")?.as_i64()?;
                let is_last = axis == -1 || (rank > 0 && axis == rank as i64 - 1);
                return Some(match place == net.output() && is_last {
                    true => (Last::Softmax, place),
                    false => (Last::SoftmaxAcross, place),
                });
            }
            ("sigmoid", [_]) => return Some((Last::Sigmoid, place)),
            ("reshape" | "squeeze" | "unsqueeze" | "flatten" | "flatten-at", [read, ..]) => {
                place = *read;
            }
            _ => return None,
        }
    }
}

/// What suits an input's shape, with the batch before it: the axes, free where none; a front end; and why.
const GUESSES: &[(&[Option<usize>], &str, &str)] = &[
    (&[None], "samples", "one free axis, as of samples at 16 kHz"),
    (
        &[Some(1), None],
        "samples",
        "one free axis, as of samples at 16 kHz",
    ),
    (&[Some(1024)], "crepe", "1024 samples, as CREPE's"),
    (
        &[Some(144_160)],
        "dnsmos",
        "144160 samples, as of 9.01 s at 16 kHz",
    ),
    (&[Some(576)], "silero", "64 and 512 samples, as Silero's"),
    (
        &[None, Some(80)],
        "kaldi-fbank-80",
        "80 bands and a free axis, as of a Kaldi filterbank",
    ),
    (
        &[Some(80), None],
        "kaldi-fbank-80",
        "80 bands and a free axis, as of a Kaldi filterbank",
    ),
    (
        &[Some(80), Some(3000)],
        "whisper-log-mel",
        "80 bands of 3000 frames, as Whisper's",
    ),
    (
        &[Some(80), Some(800)],
        "smart-turn",
        "80 bands of 800 frames, as Smart Turn's",
    ),
    (
        &[Some(160), Some(40)],
        "ge2e-mel",
        "160 frames of 40 bands, as Resemblyzer's",
    ),
    (
        &[None, Some(40)],
        "ge2e-mel",
        "frames of 40 bands, as Resemblyzer's",
    ),
];

/// So many values along one axis, and no other, are taken for samples.
const SAMPLES: usize = 1600;

/// What an input's shape suggests that the network reads, and why.
///
/// # Errors
/// Says that it suggests nothing.
pub fn guess(input: &Axes) -> Result<(FrontEnd, String), String> {
    let axes: Vec<Option<usize>> = input.shape.iter().map(|axis| axis.clone().ok()).collect();
    let axes = axes.get(1..).unwrap_or_default();
    if let Some((_, name, why)) = GUESSES.iter().find(|(known, ..)| *known == axes) {
        let front_end = FrontEnd::load(name).map_err(|error| error.to_string())?;
        return Ok((front_end, format!("{name} ({why})")));
    }
    match axes {
        [Some(count)] | [Some(1), Some(count)] | [Some(count), Some(1)] if *count >= SAMPLES => {
            let seconds = *count as f64 / 16000.0;
            let text = format!(
                "rate = 16000\nlength = {{ exactly = {seconds:?} }}\nsilence = 0.0\nbounds = [-1.0, 1.0]\n"
            );
            let front_end = FrontEnd::parse(&text).map_err(|error| error.to_string())?;
            let guess = format!("{count} samples, as of {seconds} s at 16 kHz");
            Ok((front_end, guess))
        }
        _ => Err(format!(
            "its input `{}` of the shape {} suits no front end that is known: give it with --frontend, by name or a TOML file (see \
             `speechlens features --help`)",
            input.name,
            shape(input)
        )),
    }
}

fn shape(axes: &Axes) -> String {
    let axis = |axis: &Result<usize, String>| match axis {
        Ok(length) => length.to_string(),
        Err(name) => name.clone(),
    };
    let all: Vec<String> = axes.shape.iter().map(axis).collect();
    format!("[{}]", all.join(", "))
}

/// The graph, whose output is called as the file calls it, also where nodes were added behind it or left out.
fn called(graph: Graph, name: &str) -> Result<Graph, speechlens_nn::Error> {
    let net = graph.architecture();
    let output = net.output();
    if net.nodes()[output.index()].op.as_input().is_some() {
        return Ok(graph);
    }
    let graph = match net.node(name) {
        Some(node) if node == output => return Ok(graph),
        Some(node) => graph.renamed(node, &format!("{name}.in-file"))?,
        None => graph,
    };
    graph.renamed(output, name)
}

/// The orders in which a network may have the axes that front ends give, `[N, bands, frames]` with a channel before them or without, by
/// rank: frames before bands, and the channel last, as Keras has it.
const ORDERS: [&[usize]; 4] = [&[0, 2, 1], &[0, 1, 3, 2], &[0, 2, 3, 1], &[0, 3, 2, 1]];

/// The graph, with its input's axes turned if they fit then, and not as they are.
fn in_order(graph: Graph, front_end: &FrontEnd) -> Result<Graph, String> {
    let problem = match fit(graph.architecture(), front_end) {
        Ok(()) => return Ok(graph),
        Err(problem) => problem,
    };
    let rank = graph.architecture().input_shape().len() + 1;
    for order in ORDERS.iter().filter(|order| order.len() == rank) {
        let turned = graph.reading_in_order(order);
        let turned = turned.map_err(|error| error.to_string())?;
        if fit(turned.architecture(), front_end).is_ok() {
            return Ok(turned);
        }
    }
    Err(problem)
}

/// What the outputs mean, and whether they lack an axis of one class. `is_framed`: the first axis of the network in the file is time.
fn task(
    told: &Told,
    last: Option<Last>,
    output: Option<&Axes>,
    is_framed: bool,
) -> Result<(Task, bool), String> {
    let rank = output.map_or(0, |output| output.shape.len());
    let name = match (told.task, last) {
        (Some(name), _) => name,
        (None, Some(_)) if is_framed => "frames",
        (None, Some(Last::Softmax | Last::Sigmoid)) if rank == 3 => "frames",
        (None, Some(Last::Softmax | Last::SoftmaxAcross)) => "classes",
        (None, Some(Last::Sigmoid)) => "labels",
        (None, None) => {
            return Err(
                "does not tell what its outputs mean: say --task classes, labels, frames, embedding or score".into(),
            );
        }
    };
    let probability = match last {
        Some(Last::Sigmoid) => Probability::Sigmoid,
        _ => Probability::Softmax,
    };
    let of_classes = ["classes", "labels", "frames", "score"].contains(&name);
    if of_classes && last == Some(Last::SoftmaxAcross) {
        return Err(
            "ends with a softmax over another axis than that of the classes, the last: say --task embedding to have its outputs as \
             they are"
                .into(),
        );
    }
    let axes = if name == "frames" { 3 } else { 2 };
    // Of one class or one score, its axis is often left out.
    let lacks_classes = of_classes && name != "classes" && rank + 1 == axes;
    let rank = rank + usize::from(lacks_classes);
    if of_classes && rank > 0 && rank != axes {
        let expected = match name {
            "frames" => "frames are [N, frames, classes]",
            "labels" => "labels are [N, classes]",
            "score" => "scores are [N, scores]",
            _ => "classes are [N, classes]",
        };
        return Err(format!(
            "gives {}, and {expected}: say --task embedding to have its outputs as they are",
            output.map_or_else(String::new, shape)
        ));
    }
    let count = match (lacks_classes, output) {
        (true, _) => Some(1),
        (false, output) => output.and_then(|output| output.shape.last()?.as_ref().ok().copied()),
    };
    let classes = || match (&told.classes, count) {
        (Some(names), Some(count)) if names.len() != count => Err(format!(
            "has {count} outputs, and --classes names {}",
            names.len()
        )),
        (Some(names), _) => Ok(names.clone()),
        (None, Some(1)) if name == "score" => Ok(vec!["score".to_owned()]),
        (None, Some(count)) if name == "score" => {
            Ok((0..count).map(|score| format!("score {score}")).collect())
        }
        (None, Some(count)) => Ok((0..count).map(|class| class.to_string()).collect()),
        (None, None) => {
            Err("does not tell how many outputs it has: name them with --classes".to_owned())
        }
    };
    let task = match name {
        "classes" => Task::Classes {
            probability,
            classes: classes()?,
        },
        "labels" if last == Some(Last::Softmax) => {
            return Err(
                "ends with a softmax, of which one class is right: say --task classes".into(),
            );
        }
        "labels" => Task::Labels {
            classes: classes()?,
        },
        "frames" => Task::Frames {
            probability,
            classes: classes()?,
        },
        "embedding" => Task::Embedding,
        "score" => Task::Score { names: classes()? },
        other => return Err(format!("there is no task `{other}`")),
    };
    Ok((task, lacks_classes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Tensor;
    use speechlens_nn::ops::{Along, ReduceMean};

    use super::*;

    /// Bands and frames in every order, with a channel before them, behind them or none: a front end's `[N, 4, T]` reaches each axis.
    #[test]
    fn axes_are_turned_to_what_a_network_reads() {
        let text = "rate = 16000\nlength = \"any\"\n[[stage]]\nop = \"fbank\"\nbands = 4\n";
        let front_end = FrontEnd::parse(text).unwrap();
        let (bands, frames) = (Some(4), None);
        for (shape, place) in [
            (vec![bands, frames], 1),
            (vec![frames, bands], 2),
            (vec![Some(1), bands, frames], 2),
            (vec![Some(1), frames, bands], 3),
            (vec![bands, frames, Some(1)], 1),
            (vec![frames, bands, Some(1)], 2),
        ] {
            let axes: Vec<i64> = (1..=shape.len() as i64)
                .filter(|axis| *axis != place)
                .collect();
            let reads = [&[None], shape.as_slice()].concat();
            let mut net = Architecture::reading("x", reads);
            let along = Along {
                axes,
                ..Along::default()
            };
            net.add("mean", ReduceMean(along), [net.input()]).unwrap();
            let graph = net.random(1, &Device::Cpu).unwrap();
            let graph = in_order(graph, &front_end).unwrap();
            let given = graph.architecture().input_shape().to_vec();
            let x = Tensor::arange(0f32, 4.0, &Device::Cpu).unwrap();
            let mut dims = vec![1; given.len() + 1];
            dims[given.len() - 1] = 4;
            let x = x.reshape(dims.clone()).unwrap();
            dims[given.len()] = 3;
            let found = graph.forward(&x.broadcast_as(dims).unwrap()).unwrap();
            let found = found.to_vec2::<f32>().unwrap();
            assert_eq!(found, [[0.0, 1.0, 2.0, 3.0]], "{shape:?}");
        }
        let wrong = Architecture::reading("x", vec![None, Some(5), None, Some(1)]);
        let graph = wrong.random(1, &Device::Cpu).unwrap();
        assert!(
            in_order(graph, &front_end)
                .unwrap_err()
                .contains("[5, any, 1]")
        );
    }
}
