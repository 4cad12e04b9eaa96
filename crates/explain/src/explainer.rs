//! A network with a method: what it answers to an input, and why.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use ndarray::{ArrayD, Axis};
use speechlens_attribution::{Attribute, Method};
use speechlens_lrp::{Assignment, Balance, Lrp, Start};
use speechlens_models::Model;

use crate::{Error, Input, Result, Settings};

/// Windows explained at a time.
const BATCH: usize = 16;

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
                let mut classes = model.classes.iter().take(12).cloned().collect::<Vec<_>>();
                if classes.len() < model.classes.len() {
                    classes.push(format!("… ({} in all)", model.classes.len()));
                }
                let classes = classes.join(", ");
                Error::Setting(format!(
                    "`{name}` is no class of the model; there are {classes}"
                ))
            })
        };
        Ok(match (target, against) {
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
    /// Whether what becomes of relevance at every layer is kept.
    pub conservation: bool,
}

/// A network with a method, ready to explain.
pub struct Explainer {
    model: Model,
    settings: Settings,
    method: Method,
    how: How,
    question: Question,
    details: Details,
    device: Device,
    dtype: DType,
}

/// The method, ready to explain.
enum How {
    /// Which can tell more than relevance.
    Lrp(Lrp),
    Other(Box<dyn Attribute>),
}

impl How {
    fn attribute(&self) -> &dyn Attribute {
        match self {
            How::Lrp(lrp) => lrp,
            How::Other(method) => method.as_ref(),
        }
    }
}

/// What was found for every window of an input.
pub struct Answers {
    /// Of the features' shape, `[N, …]`.
    pub relevance: ArrayD<f32>,
    /// The classes' logits.
    pub logits: Vec<Vec<f32>>,
    /// The class that was asked about.
    pub targets: Vec<u32>,
    /// By name, `[N, …]` each.
    pub layers: BTreeMap<String, ArrayD<f32>>,
    /// By node, the output's first; if asked for.
    pub conservation: Vec<Balance>,
    /// What relevance fails to account for, if the method can tell.
    pub completeness_gap: Option<Vec<f64>>,
}

impl Answers {
    /// The class with the largest logit and its probability, in a window.
    pub fn answer(&self, model: &Model, window: usize) -> (usize, f32) {
        answer(model, &self.logits[window])
    }
}

/// The class with the largest logit and its probability.
pub fn answer(model: &Model, logits: &[f32]) -> (usize, f32) {
    let index = (0..logits.len()).fold(0, |best, index| {
        if logits[index] > logits[best] {
            index
        } else {
            best
        }
    });
    (index, model.probability(logits, index))
}

/// What the network gives for every window.
///
/// # Errors
/// If the features do not suit the network, or a logit is not finite.
pub fn logits(model: &Model, input: &Input, device: &Device) -> Result<Vec<Vec<f32>>> {
    let mut logits = Vec::with_capacity(input.len());
    for features in input.features.axis_chunks_iter(Axis(0), BATCH) {
        let features = to_tensor(features.to_owned(), device)?;
        logits.extend(model.graph.forward(&features)?.to_vec2::<f32>()?);
    }
    check_finite(input, &logits)?;
    Ok(logits)
}

fn check_finite(input: &Input, logits: &[Vec<f32>]) -> Result<()> {
    if logits.iter().flatten().all(|logit| logit.is_finite()) {
        return Ok(());
    }
    Err(Error::NotFinite(input.name.clone()))
}

/// `[N, …]` as the network's input `[N, 1, …]`.
fn to_tensor(features: ArrayD<f32>, device: &Device) -> Result<Tensor> {
    let mut shape = features.shape().to_vec();
    shape.insert(1, 1);
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
        let method = settings.method(model)?;
        let mut model = model.clone();
        model.graph = model.graph.to_dtype(dtype)?;
        let named = |source| Error::Method {
            method: match &method {
                Method::Lrp(composite) => composite.name().to_owned(),
                other => other.to_string(),
            },
            source,
        };
        let how = match &method {
            Method::Lrp(composite) => {
                How::Lrp(Lrp::new(&model.graph, composite).map_err(|error| named(error.into()))?)
            }
            _ if details != Details::default() => {
                return Err(Error::Setting(format!(
                    "--explain-rules, --conservation and --layer are for the method lrp, not {method}: leave them out"
                )));
            }
            // The difference of two absolute values is not the absolute value of the difference.
            Method::Sensitivity if matches!(question, Question::Contrast(..)) => {
                How::Other(Method::Gradient.of(&model.graph).map_err(named)?)
            }
            method => How::Other(method.of(&model.graph).map_err(named)?),
        };
        Ok(Explainer {
            model,
            settings,
            method,
            how,
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
    pub fn method(&self) -> &Method {
        &self.method
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
        match &self.how {
            How::Lrp(lrp) => Some(lrp.assignments()),
            How::Other(_) => None,
        }
    }

    /// The same rules with the other question, where silence is the least of all values, as in a decibel spectrogram: from silence,
    /// what is there; from the largest, 0 dB, what is missing. None where nothing can be asked so: of other methods, features and
    /// references.
    ///
    /// # Errors
    /// If the rules do not suit the network.
    pub fn other_question(&self) -> Result<Option<Explainer>> {
        let Method::Lrp(composite) = &self.method else {
            return Ok(None);
        };
        let front_end = self.model.front_end()?;
        let ends = front_end.silence().zip(front_end.bounds());
        let other = match (composite.options().reference, ends) {
            (now, Some((silence, [low, high]))) if silence == low && now == high => silence,
            (now, Some((silence, [low, high]))) if silence == low && now == silence => high,
            _ => return Ok(None),
        };
        let composite = composite.clone().with_reference(other);
        let lrp = Lrp::new(&self.model.graph, &composite).map_err(|error| Error::Method {
            method: composite.name().to_owned(),
            source: error.into(),
        })?;
        Ok(Some(Explainer {
            model: self.model.clone(),
            settings: self.settings.clone(),
            method: Method::Lrp(composite),
            how: How::Lrp(lrp),
            question: self.question,
            details: Details::default(),
            device: self.device.clone(),
            dtype: self.dtype,
        }))
    }

    /// What relevance is a part of, in a window: the logit that is asked about, or the difference of two. None where a method's
    /// relevance is no part of it.
    pub fn score(&self, answers: &Answers, window: usize) -> Option<f64> {
        match &self.method {
            Method::Lrp(composite) if composite.options().start == Start::One => return None,
            Method::Lrp(_)
            | Method::GradientTimesInput { .. }
            | Method::IntegratedGradients { .. } => {}
            Method::Gradient
            | Method::Sensitivity
            | Method::SmoothGrad { .. }
            | Method::Occlusion { .. }
            | Method::Random { .. } => return None,
        }
        let logit = |class: usize| f64::from(answers.logits[window][class]);
        Some(match self.question {
            Question::Contrast(class, other) => logit(class) - logit(other),
            _ => logit(answers.targets[window] as usize),
        })
    }

    /// Of the network, for one window.
    pub fn passes(&self) -> usize {
        let passes = self.how.attribute().passes().total();
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
            logits: Vec::new(),
            targets: Vec::new(),
            layers: BTreeMap::new(),
            conservation: Vec::new(),
            completeness_gap: None,
        };
        let mut values = Vec::with_capacity(input.features.len());
        for features in input.features.axis_chunks_iter(Axis(0), BATCH) {
            let features = to_tensor(features.to_owned(), &self.device)?.to_dtype(self.dtype)?;
            let logits = self.model.graph.forward(&features)?;
            let as_read = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            check_finite(input, &as_read)?;
            let windows = features.dim(0)?;
            let of_class = |class: usize| vec![class as u32; windows];
            let (targets, others) = match self.question {
                Question::Predicted => (logits.argmax(1)?.to_vec1()?, None),
                Question::Class(class) => (of_class(class), None),
                Question::Contrast(class, other) => (of_class(class), Some(of_class(other))),
            };
            let before = answers.targets.len() * self.passes();
            let mut found = self.about(&features, &targets, &|done| progress(before + done))?;
            if let Some(others) = others {
                // Every method here but sensitivity is linear in the score, so that the relevance of a difference of logits is
                // the difference of their relevances.
                let half = before + windows * self.passes() / 2;
                let against = self.about(&features, &others, &|done| progress(half + done))?;
                found.less(against)?;
                if matches!(self.method, Method::Sensitivity) {
                    found.relevance = found.relevance.abs()?;
                }
            }
            values.extend(array(&found.relevance)?);
            answers.append(found)?;
            answers.logits.extend(as_read);
            answers.targets.extend(targets);
        }
        answers.relevance = ArrayD::from_shape_vec(input.features.raw_dim(), values)
            .map_err(|error| Error::input(&input.name, error))?;
        Ok(answers)
    }

    /// What became of relevance at every layer, for the first window; none if the method is not layer-wise relevance
    /// propagation.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn books(&self, input: &Input) -> Result<Option<Vec<Balance>>> {
        let How::Lrp(lrp) = &self.how else {
            return Ok(None);
        };
        let features = input.features.slice_axis(Axis(0), (0..1).into()).to_owned();
        let features = to_tensor(features, &self.device)?.to_dtype(self.dtype)?;
        let of_class = |class: u32| -> Result<Found> {
            let detail = lrp.explain_in_detail(&features, &[class], &[])?;
            Ok(Found {
                relevance: detail.explanation.relevance,
                layers: detail.layers,
                conservation: detail.conservation,
                completeness_gap: None,
            })
        };
        Ok(Some(match self.question {
            Question::Predicted => {
                let logits = self.model.graph.forward(&features)?;
                let predicted: Vec<u32> = logits.argmax(1)?.to_vec1()?;
                of_class(predicted[0])?.conservation
            }
            Question::Class(class) => of_class(class as u32)?.conservation,
            Question::Contrast(class, other) => {
                let mut found = of_class(class as u32)?;
                found.less(of_class(other as u32)?)?;
                found.conservation
            }
        }))
    }

    /// The relevance of a batch for a class each.
    fn about(&self, features: &Tensor, targets: &[u32], progress: &dyn Fn(usize)) -> Result<Found> {
        let wanted = &self.details;
        match &self.how {
            How::Lrp(lrp) if *wanted != Details::default() => {
                let layers: Vec<&str> = wanted.layers.iter().map(String::as_str).collect();
                let detail = lrp.explain_in_detail(features, targets, &layers)?;
                Ok(Found {
                    relevance: detail.explanation.relevance,
                    layers: detail.layers,
                    conservation: match wanted.conservation {
                        true => detail.conservation,
                        false => Vec::new(),
                    },
                    completeness_gap: None,
                })
            }
            how => {
                let found = how.attribute().attribute(features, targets, progress)?;
                Ok(Found {
                    relevance: found.relevance,
                    layers: BTreeMap::new(),
                    conservation: Vec::new(),
                    completeness_gap: found.completeness_gap,
                })
            }
        }
    }
}

/// What was found for a batch.
struct Found {
    relevance: Tensor,
    layers: BTreeMap<String, Tensor>,
    conservation: Vec<Balance>,
    completeness_gap: Option<Vec<f64>>,
}

impl Found {
    /// Takes off what was found for another class.
    fn less(&mut self, other: Found) -> Result<()> {
        self.relevance = (&self.relevance - &other.relevance)?;
        for (name, relevance) in &mut self.layers {
            if let Some(other) = other.layers.get(name) {
                *relevance = (&*relevance - other)?;
            }
        }
        let less = |ours: &mut Vec<f64>, theirs: &[f64]| {
            ours.iter_mut().zip(theirs).for_each(|(a, b)| *a -= b);
        };
        for (ours, theirs) in self.conservation.iter_mut().zip(&other.conservation) {
            less(&mut ours.arrived, &theirs.arrived);
            less(&mut ours.passed, &theirs.passed);
            less(&mut ours.bias, &theirs.bias);
            less(&mut ours.epsilon, &theirs.epsilon);
        }
        if let (Some(ours), Some(theirs)) = (&mut self.completeness_gap, &other.completeness_gap) {
            less(ours, theirs);
        }
        Ok(())
    }
}

impl Answers {
    /// Puts another batch's layers and books behind those there are.
    fn append(&mut self, found: Found) -> Result<()> {
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
                all.arrived.append(&mut more.arrived);
                all.passed.append(&mut more.passed);
                all.bias.append(&mut more.bias);
                all.epsilon.append(&mut more.epsilon);
            }
        }
        if let Some(gap) = found.completeness_gap {
            self.completeness_gap.get_or_insert_default().extend(gap);
        }
        Ok(())
    }
}

fn array(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
