//! Training: steps, epochs, checkpoints that resume to the same bits.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::loss::Loss;
use crate::optim::Optimizer;
use crate::random::{Stream, generator};
use crate::schedule::Schedule;
use crate::tensor_file::{self, Metadata};
use crate::{Error, Graph, Mode, Result, Training};

/// Inputs with labels, as training and evaluation read them.
pub trait Samples {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A text that tells these samples from others: a training goes on with the same ones only.
    fn key(&self) -> String;

    /// The inputs `[N, …]` at these places and their labels.
    fn batch(&self, places: &[usize], device: &Device) -> Result<(Tensor, Vec<u32>)>;
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Passes over the samples.
    pub epochs: u64,
    /// Samples a step; what is left over at an epoch's end is left out of it.
    pub batch: usize,
    /// How parameters follow their gradients.
    pub optimizer: Optimizer,
    /// How the optimizer's learning rate changes on the way.
    // Checkpoints from before there were schedules say nothing of one.
    #[serde(default, skip_serializing_if = "Schedule::is_constant")]
    pub schedule: Schedule,
    /// Decides the order of samples and what dropout drops.
    pub seed: u64,
    /// What is made small.
    pub loss: Loss,
}

impl Config {
    /// What must stay the same until the end, as text: a number read back from JSON may differ in its last bit.
    fn to_keep(&self) -> String {
        let mut kept = serde_json::json!(self);
        if let Some(settings) = kept.as_object_mut() {
            settings.remove("epochs");
        }
        kept.to_string()
    }
}

/// What happened at one step, or at one epoch's end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The training loss of every step.
    pub loss: Vec<f64>,
    /// After every epoch: steps done, and loss and accuracy on the validation samples.
    pub validation: Vec<(u64, Score)>,
}

/// Loss and accuracy over some samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The loss, averaged.
    pub loss: f64,
    /// The share classified right, in 0..1.
    pub accuracy: f64,
}

/// Differentiates a graph and steps its parameters. All that is random comes from the seed and the step, so that weights,
/// optimizer state and the number of steps are all there is to keep.
pub struct Trainer {
    graph: Graph,
    /// The same, with fewer passes over memory, and the parameters cut from what candle tracks.
    compute: Graph,
    variables: BTreeMap<String, Var>,
    slots: BTreeMap<String, BTreeMap<String, Var>>,
    config: Config,
    step: u64,
    history: History,
    /// [`Samples::key`] of what it is trained on, once that is known.
    samples: Option<String>,
}

const CONFIG: &str = "speechlens.training";
const STEP: &str = "speechlens.step";
const HISTORY: &str = "speechlens.history";
const SAMPLES: &str = "speechlens.samples";

impl Trainer {
    /// Training that starts from the graph's weights, which it copies.
    pub fn new(graph: &Graph, config: Config) -> Result<Self> {
        let (graph, variables) = graph.to_variables()?;
        let slots = variables
            .iter()
            .map(|(name, variable)| Ok((name.clone(), config.optimizer.start(variable)?)))
            .collect::<Result<_>>()?;
        Ok(Trainer {
            compute: graph.detach().with_relus_joined()?,
            graph,
            variables,
            slots,
            config,
            step: 0,
            history: History::default(),
            samples: None,
        })
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// What happened so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The graph as it is now; later steps change its trained parameters too, but not its running statistics.
    pub fn graph(&self) -> Graph {
        self.graph.detach()
    }

    /// One step on a batch `[N, …]`. Gives the loss before it.
    pub fn step(&mut self, input: &Tensor, labels: &[u32]) -> Result<f64> {
        let mut training = Training::new(generator(self.config.seed, Stream::Dropout, self.step));
        let mut mode = Mode::Train(&mut training);
        let trace = self.compute.run(&input.detach(), &mut mode, |_| true)?;
        let logits = Var::from_tensor(trace.logits()?)?;
        let loss = self.config.loss.of(&logits, labels)?;
        let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        if !value.is_finite() {
            return Err(Error::Diverged {
                step: self.step,
                loss: value,
            });
        }
        let by_logits = loss.backward()?.remove(&logits);
        let by_logits = by_logits.map_or_else(|| logits.zeros_like(), Ok)?;
        let gradients = self.compute.backward(trace, by_logits)?;
        let optimizer = self
            .config
            .optimizer
            .scaled(self.config.schedule.factor(self.step));
        self.step += 1;
        for (name, gradient) in &gradients {
            optimizer.update(
                self.step,
                &self.variables[name],
                gradient,
                &self.slots[name],
            )?;
        }
        self.graph.update(&training.updates);
        self.compute.update(&training.updates);
        self.history.loss.push(value);
        Ok(value)
    }

    /// Trains to the end of the last epoch, from wherever it stands.
    ///
    /// `after_step` sees the trainer after every step, and whether an epoch ended with it: the place to show progress and to
    /// save. It may stop the training by giving `false`.
    ///
    /// # Errors
    /// If there are fewer samples than one batch holds, or a resumed training is given others than before.
    pub fn run(
        &mut self,
        samples: &dyn Samples,
        validation: &dyn Samples,
        device: &Device,
        mut after_step: impl FnMut(&Trainer, bool) -> Result<bool>,
    ) -> Result<()> {
        let key = samples.key();
        if self
            .samples
            .as_ref()
            .is_some_and(|trained_on| *trained_on != key)
        {
            return Err(Error::Samples(
                "the checkpoint was trained on other recordings: give the same, or start anew"
                    .into(),
            ));
        }
        self.samples = Some(key);
        let per_epoch = self.steps_per_epoch(samples)?;
        let mut order = Vec::new();
        while self.step < per_epoch * self.config.epochs {
            let (epoch, position) = (self.step / per_epoch, (self.step % per_epoch) as usize);
            if order.is_empty() || position == 0 {
                order = (0..samples.len()).collect();
                order.shuffle(&mut generator(self.config.seed, Stream::Order, epoch));
            }
            let places = &order[position * self.config.batch..(position + 1) * self.config.batch];
            let (input, labels) = samples.batch(places, device)?;
            self.step(&input, &labels)?;
            let ends_epoch = self.step.is_multiple_of(per_epoch);
            if ends_epoch {
                let (logits, labels) = logits(
                    &self.graph(),
                    validation,
                    self.config.batch,
                    device,
                    &|_| (),
                )?;
                let score = Score::of(self.config.loss, &logits, &labels)?;
                self.history.validation.push((self.step, score));
            }
            if !after_step(self, ends_epoch)? {
                break;
            }
        }
        Ok(())
    }

    /// Steps in one epoch over the samples.
    pub fn steps_per_epoch(&self, samples: &dyn Samples) -> Result<u64> {
        match samples.len().checked_div(self.config.batch).unwrap_or(0) {
            0 => Err(Error::Samples(format!(
                "{} samples do not fill one batch of {}: give more, or a smaller batch",
                samples.len(),
                self.config.batch
            ))),
            steps => Ok(steps as u64),
        }
    }

    /// Writes weights, optimizer state, seed, position and history, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = self.graph.weights();
        for (name, slots) in &self.slots {
            tensors.extend(
                slots
                    .iter()
                    .map(|(slot, tensor)| (format!("{slot}/{name}"), tensor.as_tensor().clone())),
            );
        }
        let json = |value: serde_json::Result<String>| {
            value.map_err(|error| Error::Weights(error.to_string()))
        };
        let mut metadata = Metadata::from([
            (CONFIG.to_owned(), self.config.to_keep()),
            (STEP.to_owned(), self.step.to_string()),
            (
                HISTORY.to_owned(),
                json(serde_json::to_string(&self.history))?,
            ),
        ]);
        metadata.extend(
            self.samples
                .iter()
                .map(|key| (SAMPLES.to_owned(), key.clone())),
        );
        tensor_file::write(path, &tensors, &metadata)
    }

    /// Training that goes on where a checkpoint stands: on the CPU to the same bits as if it had never stopped.
    ///
    /// # Errors
    /// If the file is no checkpoint, is of another architecture, or was trained otherwise; the number of epochs may differ.
    pub fn resume(path: &Path, graph: &Graph, config: Config, device: &Device) -> Result<Self> {
        let wrong = |problem: String| Error::Format {
            path: path.to_owned(),
            problem,
        };
        let (tensors, metadata) = tensor_file::read(path, device)?;
        let text = |key| {
            metadata
                .get(key)
                .ok_or_else(|| wrong("is not a training checkpoint".into()))
        };
        let unreadable =
            |error: serde_json::Error| wrong(format!("holds a damaged state ({error})"));
        let step: u64 = serde_json::from_str(text(STEP)?).map_err(unreadable)?;
        let history: History = serde_json::from_str(text(HISTORY)?).map_err(unreadable)?;
        let (saved, asked) = (text(CONFIG)?, config.to_keep());
        if *saved != asked {
            return Err(wrong(format!(
                "was trained with {saved}, not {asked}: resume with the same settings"
            )));
        }
        // What the optimizer keeps has a `/` in its name; a module's name never has.
        let (slot_tensors, weights): (BTreeMap<_, _>, _) = tensors
            .into_iter()
            .partition(|(name, _)| name.contains('/'));
        let graph = graph
            .architecture()
            .clone()
            .with_weights(weights)
            .map_err(|error| wrong(error.to_string()))?;
        let mut trainer = Trainer {
            step,
            history,
            samples: metadata.get(SAMPLES).cloned(),
            ..Trainer::new(&graph, config)?
        };
        for (name, slots) in &mut trainer.slots {
            for (slot, variable) in slots {
                let full = format!("{slot}/{name}");
                let tensor = slot_tensors
                    .get(&full)
                    .ok_or_else(|| wrong(format!("lacks `{full}`")))?;
                variable
                    .set(tensor)
                    .map_err(|error| wrong(format!("`{full}`: {error}")))?;
            }
        }
        Ok(trainer)
    }
}

/// The logits of every sample, `[N, classes]`, in batches. `progress` is told how many are done.
pub fn logits(
    graph: &Graph,
    samples: &dyn Samples,
    batch: usize,
    device: &Device,
    progress: &dyn Fn(usize),
) -> Result<(Tensor, Vec<u32>)> {
    let (mut logits, mut all_labels) = (Vec::new(), Vec::new());
    let places: Vec<usize> = (0..samples.len()).collect();
    for places in places.chunks(batch.max(1)) {
        let (input, labels) = samples.batch(places, device)?;
        logits.push(graph.forward(&input)?);
        all_labels.extend(labels);
        progress(all_labels.len());
    }
    if logits.is_empty() {
        return Err(Error::Samples("there are no samples to classify".into()));
    }
    Ok((Tensor::cat(&logits, 0)?, all_labels))
}

impl Score {
    /// Loss and accuracy of logits `[N, classes]`.
    ///
    /// # Errors
    /// If a logit is not finite.
    pub fn of(loss: Loss, logits: &Tensor, labels: &[u32]) -> Result<Self> {
        let value = loss
            .of(logits, labels)?
            .to_dtype(DType::F64)?
            .to_scalar::<f64>()?;
        if !value.is_finite() {
            return Err(Error::Samples(format!(
                "the network's loss is {value}: its weights are not finite, or too large"
            )));
        }
        let classes = logits.argmax(1)?.to_vec1::<u32>()?;
        let right = classes
            .iter()
            .zip(labels)
            .filter(|(class, label)| class == label)
            .count();
        Ok(Score {
            loss: value,
            accuracy: right as f64 / labels.len() as f64,
        })
    }
}
