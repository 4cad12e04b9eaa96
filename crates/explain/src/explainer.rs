//! A network with a method: what it answers to an input, and why.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use ndarray::{ArrayD, Axis};
use speechlens_attribution::methods::Lrp;
use speechlens_attribution::{Attribute, Attribution, Error as Reason, Method, Target};
use speechlens_lrp::{Assignment, Conservation};
use speechlens_models::Model;
use speechlens_nn::{Architecture, Graph};

use crate::{Deletion, Error, Frames, Input, Result, Settings};

/// Windows explained at a time, by networks that take any number of them.
const BATCH: usize = 16;

/// How many windows a network takes at a time.
pub(crate) fn at_a_time(graph: &Graph) -> usize {
    graph.architecture().batch().unwrap_or(BATCH).max(1)
}

/// Whose relevance is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Question {
    /// That of the class which is predicted, window by window.
    #[default]
    Predicted,
    /// That of this class.
    Class(usize),
    /// Why this class rather than that one: the relevance of the difference of their logits.
    Contrast(usize, usize),
}

impl Question {
    /// The question about classes given by name or index.
    ///
    /// # Errors
    /// If the model has no such class.
    pub fn new(model: &Model, target: Option<&str>, against: Option<&str>) -> Result<Self> {
        let class = |name: &str| {
            model.class(name).ok_or_else(|| {
                let mut classes = model.classes().iter().take(12).cloned().collect::<Vec<_>>();
                if classes.len() < model.classes().len() {
                    classes.push(format!("… ({} in all)", model.classes().len()));
                }
                let classes = classes.join(", ");
                Error::Setting(format!(
                    "`{name}` is no class of the model; there are {classes}"
                ))
            })
        };
        Ok(match (target, against) {
            // The largest of several scores is no answer.
            (None, _) if model.task.probability().is_none() => Question::Class(0),
            (None, _) => Question::Predicted,
            (Some(target), None) => Question::Class(class(target)?),
            (Some(target), Some(against)) => Question::Contrast(class(target)?, class(against)?),
        })
    }
}

/// What beside relevance is wanted of layer-wise relevance propagation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Layers whose output's relevance is kept.
    pub layers: Vec<String>,
    /// Whether what becomes of relevance at every layer is kept of every window, and not of the first alone.
    pub conservation: bool,
}

/// A network with a method, ready to explain.
pub struct Explainer {
    model: Model,
    settings: Settings,
    method: Box<dyn Method>,
    attribute: Box<dyn Attribute>,
    question: Question,
    details: Details,
    device: Device,
    dtype: DType,
}

/// What was found for every window of an input.
pub struct Answers {
    /// As it is shown: of the features' shape, `[N, …]`; of what is seen in time and frequency, of that.
    pub relevance: ArrayD<f32>,
    /// Of what is explained, where that is shown in another way ([`Seeing`](crate::Seeing), [`At`](crate::At)): samples, `[N, samples]`, or
    /// what a node gives.
    pub explained: Option<ArrayD<f32>>,
    /// The classes' logits.
    pub logits: Vec<Vec<f32>>,
    /// The class that was asked about.
    pub targets: Vec<u32>,
    /// By name, `[N, …]` each.
    pub layers: BTreeMap<String, ArrayD<f32>>,
    /// By node, the output's first, if the method can tell: of the first window, or of all if asked for.
    pub conservation: Vec<Conservation>,
    /// What relevance fails to account for, if the method can tell.
    pub completeness_gap: Option<Vec<f64>>,
    /// What is left of the answer without what is relevant, if that was [tested](Explainer::deletion).
    pub deletion: Option<Deletion>,
    /// What the network says of each frame, where its task is that.
    pub frames: Option<Frames>,
}

impl Answers {
    /// The output that says what the network answers in a window: the class with the largest logit, or the score.
    pub fn foremost(&self, model: &Model, window: usize) -> usize {
        model.task.foremost(&self.logits[window])
    }

    /// What that output says, in words.
    pub fn says(&self, model: &Model, window: usize) -> String {
        model.says(&self.logits[window], self.foremost(model, window))
    }

    /// What that output says, as a number: a probability, or a score.
    fn value(&self, model: &Model, window: usize) -> f32 {
        model.value(&self.logits[window], self.foremost(model, window))
    }

    /// Of the windows of an input those that are not silent: the answer that most give, how many do, and which of these gives it the
    /// most surely.
    pub fn majority(&self, model: &Model, input: &Input) -> (usize, usize, usize) {
        let mut votes = vec![0usize; model.classes().len()];
        input
            .sounding()
            .for_each(|window| votes[self.foremost(model, window)] += 1);
        let most = votes.iter().max().copied().unwrap_or(0);
        let class = votes.iter().position(|count| *count == most).unwrap_or(0);
        let of_class = input
            .sounding()
            .filter(|window| self.foremost(model, *window) == class);
        let surest =
            of_class.max_by(|a, b| self.value(model, *a).total_cmp(&self.value(model, *b)));
        (class, most, surest.unwrap_or(0))
    }
}

/// What the network gives for every window.
///
/// # Errors
/// If the features do not suit the network, or a logit is not finite.
pub fn logits(model: &Model, input: &Input, device: &Device) -> Result<Vec<Vec<f32>>> {
    let mut logits = Vec::with_capacity(input.len());
    for features in input
        .features
        .axis_chunks_iter(Axis(0), at_a_time(&model.graph))
    {
        let features = to_tensor(&model.graph, features.to_owned(), device)?;
        logits.extend(model.graph.forward(&features)?.to_vec2::<f32>()?);
    }
    check_finite(input, &logits)?;
    check_classes(model, input.len(), &logits)?;
    Ok(logits)
}

/// Fails unless there is a logit for each class of each window.
fn check_classes(model: &Model, windows: usize, all: &[Vec<f32>]) -> Result<()> {
    if all.len() != windows {
        let given = all.len();
        return Err(Error::Setting(format!(
            "its graph gives {given} rows of logits for {windows} windows: its output must be [N, classes]"
        )));
    }
    let (classes, logits) = (model.classes().len(), all.first().map_or(0, Vec::len));
    if classes == logits || windows == 0 {
        return Ok(());
    }
    Err(Error::Setting(format!(
        "its graph gives {logits} logits, and its task names {classes} classes: name as many"
    )))
}

fn check_finite(input: &Input, logits: &[Vec<f32>]) -> Result<()> {
    if logits.iter().flatten().all(|logit| logit.is_finite()) {
        return Ok(());
    }
    Err(Error::NotFinite(input.name.clone()))
}

/// What nodes of the network give for the windows of an input, `[windows, …]`, by their names: the outputs if none is named.
///
/// # Errors
/// If the features do not suit the network, or it has no such node.
pub fn outputs(
    model: &Model,
    input: &Input,
    names: &[&str],
    device: &Device,
) -> Result<Vec<(String, Tensor)>> {
    let mut all: Vec<(String, Vec<Tensor>)> = Vec::new();
    let read = &model.graph.architecture().nodes()[model.graph.architecture().input().index()];
    let follows = following(model.graph.architecture());
    for features in input
        .features
        .axis_chunks_iter(Axis(0), at_a_time(&model.graph))
    {
        let features = to_tensor(&model.graph, features.to_owned(), device)?;
        let found = model.graph.outputs_of(&[(&read.name, &features)], names)?;
        for (place, (name, values)) in found.into_iter().enumerate() {
            // What holds no batch is the same for all windows.
            let is_of_batch = values.dims().first() == features.dims().first() && follows(&name);
            let values = match is_of_batch {
                true => values,
                false => Tensor::stack(&vec![values; features.dim(0)?], 0)?,
            };
            match all.get_mut(place) {
                Some((_, chunks)) => chunks.push(values),
                None => all.push((name, vec![values])),
            }
        }
    }
    let joined = |(name, chunks): (String, Vec<Tensor>)| Ok((name, Tensor::cat(&chunks, 0)?));
    all.into_iter().map(joined).collect()
}

/// Whether what a node gives, by its name, depends on the input.
fn following(architecture: &Architecture) -> impl Fn(&str) -> bool + '_ {
    let mut follows = vec![false; architecture.nodes().len()];
    follows[architecture.input().index()] = true;
    for (place, node) in architecture.nodes().iter().enumerate() {
        let any = node.inputs.iter().any(|read| follows[read.index()]);
        follows[place] |= any;
    }
    move |name| {
        let node = architecture.node(name);
        node.is_some_and(|node| follows[node.index()])
    }
}

/// `[N, …]` as the network reads it: `[N, 1, …]` if that has a channel.
///
/// # Errors
/// If there is no room for it.
pub fn to_tensor(graph: &Graph, features: ArrayD<f32>, device: &Device) -> Result<Tensor> {
    let mut shape = features.shape().to_vec();
    if graph.architecture().input_shape().len() == shape.len() {
        shape.insert(1, 1);
    }
    let values: Vec<f32> = features.iter().copied().collect();
    Ok(Tensor::from_vec(values, shape, device)?)
}

impl Explainer {
    /// A method on a network, computed in `dtype`, on the device that holds it.
    ///
    /// # Errors
    /// If the settings or the rules do not suit the network, or details are asked of a method that has none.
    pub fn new(
        model: &Model,
        settings: Settings,
        question: Question,
        details: Details,
        (device, dtype): (&Device, DType),
    ) -> Result<Self> {
        if !model.task.is_of_inputs() {
            return Err(Error::Setting(format!(
                "the network's task is `{}`, and what is explained is a number for a whole input: ask `Asked` for the network that gives it",
                model.task.name()
            )));
        }
        let mut method = settings.method(model)?;
        if details != Details::default() && method.rules().is_none() {
            return Err(Error::Setting(format!(
                "--explain-rules, --conservation and --layer are for the method lrp, not {method}: leave them out"
            )));
        }
        let mut model = model.clone();
        model.graph = model.graph.to_dtype(dtype)?;
        let is_chosen = settings.options.contains_key("rules");
        let attribute = match (ready(method.as_ref(), &model), method.rules()) {
            // Nobody asked for silence as the reference, and the first layer can take none.
            (Err(Error::Method { source, .. }), Some(composite))
                if !is_chosen
                    && matches!(source, Reason::Lrp(speechlens_lrp::Error::Reference { .. })) =>
            {
                method = Box::new(Lrp(composite.clone().with_reference(0.0)));
                ready(method.as_ref(), &model)?
            }
            (attribute, _) => attribute?,
        };
        Ok(Explainer {
            attribute,
            model,
            settings,
            method,
            question,
            details,
            device: device.clone(),
            dtype,
        })
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The method.
    pub fn method(&self) -> &dyn Method {
        self.method.as_ref()
    }

    /// The method's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is asked.
    pub fn question(&self) -> Question {
        self.question
    }

    /// What else is asked.
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// What is computed in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The rules of each layer, if the method is layer-wise relevance propagation.
    pub fn assignments(&self) -> Option<Vec<Assignment>> {
        self.attribute.assignments()
    }

    /// The same rules with the other question, where silence is the least of all values, as in a decibel spectrogram: from silence,
    /// what is there; from the largest, 0 dB, what is missing. None where nothing can be asked so: of other methods, features and
    /// references.
    ///
    /// # Errors
    /// If the rules do not suit the network.
    pub fn other_question(&self) -> Result<Option<Explainer>> {
        let Some(composite) = self.method.rules() else {
            return Ok(None);
        };
        let front_end = &self.model.front_end;
        let ends = front_end.silence().zip(front_end.bounds());
        let other = match (composite.options().reference, ends) {
            (now, Some((silence, [low, high]))) if silence == low && now == high => silence,
            (now, Some((silence, [low, high]))) if silence == low && now == silence => high,
            _ => return Ok(None),
        };
        let method = Lrp(composite.clone().with_reference(other));
        Ok(Some(Explainer {
            attribute: ready(&method, &self.model)?,
            model: self.model.clone(),
            settings: self.settings.clone(),
            method: Box::new(method),
            question: self.question,
            details: Details::default(),
            device: self.device.clone(),
            dtype: self.dtype,
        }))
    }

    /// What relevance is a part of, in a window: the logit that is asked about, or the difference of two. None where a method's
    /// relevance is no part of it.
    pub fn score(&self, answers: &Answers, window: usize) -> Option<f64> {
        if !self.method.shares_score() {
            return None;
        }
        let target = answers.targets[window] as usize;
        Some(self.asked_about(&answers.logits[window], target))
    }

    /// What is asked about, of what the network gives: the target's logit, or the difference of two.
    pub(crate) fn asked_about(&self, logits: &[f32], target: usize) -> f64 {
        let logit = |class: usize| f64::from(logits[class]);
        match self.question {
            Question::Contrast(class, other) => logit(class) - logit(other),
            _ => logit(target),
        }
    }

    /// Where the network is computed.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Decides what is chosen by lot.
    pub(crate) fn seed(&self) -> u64 {
        let seed = self.settings.options.get("seed");
        seed.and_then(serde_json::Value::as_u64).unwrap_or(0)
    }

    /// Of the network, for one window.
    pub fn passes(&self) -> usize {
        let passes = self.attribute.passes().total();
        match self.question {
            Question::Contrast(..) => 2 * passes,
            _ => passes,
        }
    }

    /// Explains every window of an input. `progress` is told how many passes are done.
    ///
    /// # Errors
    /// If the features do not suit the network, or a logit is not finite.
    pub fn explain(&self, input: &Input, progress: &dyn Fn(usize)) -> Result<Answers> {
        let mut answers = Answers {
            relevance: ArrayD::zeros(vec![0]),
            explained: None,
            logits: Vec::new(),
            targets: Vec::new(),
            layers: BTreeMap::new(),
            conservation: Vec::new(),
            completeness_gap: None,
            deletion: None,
            frames: None,
        };
        let mut values = Vec::with_capacity(input.features.len());
        for features in input
            .features
            .axis_chunks_iter(Axis(0), at_a_time(&self.model.graph))
        {
            let features = to_tensor(&self.model.graph, features.to_owned(), &self.device)?
                .to_dtype(self.dtype)?;
            let conserved = match (self.details.conservation, answers.targets.is_empty()) {
                (true, _) => usize::MAX,
                (false, first) => usize::from(first),
            };
            let before = answers.targets.len() * self.passes();
            let found = self.about(&features, conserved, &|done| progress(before + done))?;
            let logits = found.logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            check_finite(input, &logits)?;
            check_classes(&self.model, features.dim(0)?, &logits)?;
            values.extend(array(&found.relevance)?);
            answers.logits.extend(logits);
            answers.append(found)?;
        }
        answers.relevance = ArrayD::from_shape_vec(input.features.raw_dim(), values)
            .map_err(|error| Error::input(&input.name, error))?;
        Ok(answers)
    }

    /// What the method says of a batch, with what became of relevance at every layer for so many of its windows.
    fn about(
        &self,
        features: &Tensor,
        conserved: usize,
        progress: &dyn Fn(usize),
    ) -> Result<Attribution> {
        let details = speechlens_attribution::Details {
            layers: self.details.layers.clone(),
            conserved,
        };
        let of_class = |class: usize| vec![class as u32; features.dims()[0]];
        let explain = |target| self.attribute.explain(features, target, &details, progress);
        Ok(match self.question {
            Question::Predicted => explain(Target::Predicted),
            Question::Class(class) => explain(Target::Of(&of_class(class))),
            Question::Contrast(class, other) => {
                let pair = [&*of_class(class), &*of_class(other)];
                self.attribute.contrast(features, pair, &details, progress)
            }
        }?)
    }
}

/// A method on a model's network.
fn ready(method: &dyn Method, model: &Model) -> Result<Box<dyn Attribute>> {
    method.of(&model.graph).map_err(|source| Error::Method {
        method: match method.rules() {
            Some(composite) => composite.name().to_owned(),
            None => method.to_string(),
        },
        source,
    })
}

impl Answers {
    /// Puts another batch's targets, layers and conservation behind those there are.
    fn append(&mut self, found: Attribution) -> Result<()> {
        self.targets.extend(found.targets);
        for (name, relevance) in found.layers {
            let more = ArrayD::from_shape_vec(relevance.dims(), array(&relevance)?)
                .map_err(|error| Error::input(&name, error))?;
            match self.layers.get_mut(&name) {
                Some(all) => all
                    .append(Axis(0), more.view())
                    .map_err(|error| Error::input(&name, error))?,
                None => {
                    self.layers.insert(name, more);
                }
            }
        }
        if self.conservation.is_empty() {
            self.conservation = found.conservation;
        } else {
            for (all, mut more) in self.conservation.iter_mut().zip(found.conservation) {
                for (all, more) in all.parts().into_iter().zip(more.parts()) {
                    all.append(more);
                }
            }
        }
        if let Some(gap) = found.completeness_gap {
            self.completeness_gap.get_or_insert_default().extend(gap);
        }
        Ok(())
    }
}

pub(crate) fn array(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
