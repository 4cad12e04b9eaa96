//! Training: steps, epochs, checkpoints that resume to the same bits.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::loss::Loss;
use crate::optim::Optimizer;
use crate::random::{Stream, generator};
use crate::read_ahead::each_batch;
use crate::schedule::Schedule;
use crate::tensor_file::{self, Metadata};
use crate::{Error, Graph, Mode, Result, Training};

/// Inputs with labels, as training and evaluation read them: while they compute, from a thread beside theirs.
pub trait Samples: Sync {
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

    /// What training sees of these places in an epoch, counted from 0: the same as ever, unless something is drawn anew each
    /// time. What is drawn follows from the epoch and the place alone, so that a training that is resumed sees the same.
    fn batch_of_epoch(
        &self,
        _epoch: u64,
        places: &[usize],
        device: &Device,
    ) -> Result<(Tensor, Vec<u32>)> {
        self.batch(places, device)
    }
}

/// Samples as training sees them in an epoch.
struct InEpoch<'a>(&'a dyn Samples, u64);

impl Samples for InEpoch<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn key(&self) -> String {
        self.0.key()
    }

    fn batch(&self, places: &[usize], device: &Device) -> Result<(Tensor, Vec<u32>)> {
        self.0.batch_of_epoch(self.1, places, device)
    }
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
    /// The share of the class that most samples are of: who always says that one is right as often.
    // Checkpoints from before this was kept say nothing of it.
    #[serde(default)]
    pub chance: f64,
}

/// The graph after the epoch that did best on the validation samples.
#[derive(Clone, Debug)]
pub struct Best {
    /// The steps done by then.
    pub step: u64,
    /// How it did.
    pub score: Score,
    /// Its weights.
    pub graph: Graph,
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
    /// The losses of the last steps, in f64, where they are still on the device.
    unread: Vec<Tensor>,
    /// How many losses are read at once.
    read_at_once: usize,
    /// [`Samples::key`] of what it is trained on, once that is known.
    samples: Option<String>,
    best: Option<Best>,
}

/// Of a device beside the CPU: to read a loss is to wait until all that was asked of the device is done.
const READ_AT_ONCE: usize = 32;

const CONFIG: &str = "speechlens.training";
const STEP: &str = "speechlens.step";
const HISTORY: &str = "speechlens.history";
const SAMPLES: &str = "speechlens.samples";
/// The step of the best epoch.
const BEST: &str = "speechlens.best";
/// What the names of its weights begin with.
const BEST_WEIGHTS: &str = "best/";

impl Trainer {
    /// Training that starts from the graph's weights, which it copies.
    pub fn new(graph: &Graph, config: Config) -> Result<Self> {
        let (graph, variables) = graph.to_variables()?;
        let slots = variables
            .iter()
            .map(|(name, variable)| Ok((name.clone(), config.optimizer.start(variable)?)))
            .collect::<Result<_>>()?;
        let on_cpu = variables
            .values()
            .all(|variable| variable.device().is_cpu());
        Ok(Trainer {
            compute: graph.detach().with_relus_joined()?,
            graph,
            variables,
            slots,
            config,
            step: 0,
            history: History::default(),
            unread: Vec::new(),
            read_at_once: if on_cpu { 1 } else { READ_AT_ONCE },
            samples: None,
            best: None,
        })
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// What happened so far. On a device beside the CPU the losses of the last steps may be missing, until an epoch ends, or the
    /// training is saved.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The graph as it is now; later steps change its trained parameters too, but not its running statistics.
    pub fn graph(&self) -> Graph {
        self.graph.detach()
    }

    /// What the best epoch so far gave: the one with most validation samples right, of several the one with the smallest loss, of
    /// several the first.
    pub fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// One step on a batch `[N, …]`. Its loss, before the step, goes into the [`history`](Trainer::history).
    ///
    /// # Errors
    /// If a label is no class, or a loss is not finite: that of this step, or on a device beside the CPU of one before it.
    pub fn step(&mut self, input: &Tensor, labels: &[u32]) -> Result<()> {
        let mut training = Training::new(generator(self.config.seed, Stream::Dropout, self.step));
        let mut mode = Mode::Train(&mut training);
        let trace = self.compute.run(&input.detach(), &mut mode, |_| true)?;
        let logits = Var::from_tensor(trace.logits()?)?;
        let loss = self.config.loss.of(&logits, labels)?;
        self.unread.push(loss.detach().to_dtype(DType::F64)?);
        if self.unread.len() >= self.read_at_once {
            self.read_losses()?;
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
        Ok(())
    }

    /// Takes the losses that are still on the device into the history.
    fn read_losses(&mut self) -> Result<()> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let losses = Tensor::stack(&self.unread, 0)?.to_vec1::<f64>()?;
        self.unread.clear();
        for loss in losses {
            if !loss.is_finite() {
                return Err(Error::Diverged {
                    step: self.history.loss.len() as u64,
                    loss,
                });
            }
            self.history.loss.push(loss);
        }
        Ok(())
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
        mut after_step: impl FnMut(&mut Trainer, bool) -> Result<bool>,
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
        while self.step < per_epoch * self.config.epochs {
            let (epoch, done) = (self.step / per_epoch, (self.step % per_epoch) as usize);
            let mut order: Vec<usize> = (0..samples.len()).collect();
            order.shuffle(&mut generator(self.config.seed, Stream::Order, epoch));
            let batches = order.chunks_exact(self.config.batch).skip(done);
            let mut stopped = false;
            let samples = &InEpoch(samples, epoch);
            each_batch(samples, batches, device, |_, input, labels| -> Result<_> {
                self.step(&input, &labels)?;
                let ends_epoch = self.step.is_multiple_of(per_epoch);
                if ends_epoch {
                    self.read_losses()?;
                    self.validate(validation, device)?;
                }
                stopped = !after_step(self, ends_epoch)?;
                Ok(match stopped {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
            })?;
            if stopped {
                break;
            }
        }
        Ok(())
    }

    fn validate(&mut self, samples: &dyn Samples, device: &Device) -> Result<()> {
        let batch = self.config.batch;
        let (logits, labels) = logits(&self.graph(), samples, batch, device, &|_| ())?;
        let score = Score::of(self.config.loss, &logits, &labels)?;
        self.history.validation.push((self.step, score));
        if self
            .best
            .as_ref()
            .is_none_or(|best| score.beats(&best.score))
        {
            // A copy: the parameters change in place.
            let graph = self
                .graph
                .detach()
                .map_weights(|_, weight| Ok(weight.copy()?))?;
            self.best = Some(Best {
                step: self.step,
                score,
                graph,
            });
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

    /// Writes weights, those of the best epoch, optimizer state, seed, position and history, whole or not at all.
    ///
    /// # Errors
    /// If a loss is not finite that was not known before, or the file cannot be written.
    pub fn save(&mut self, path: &Path) -> Result<()> {
        self.read_losses()?;
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
        if let Some(best) = &self.best {
            metadata.insert(BEST.to_owned(), best.step.to_string());
            let weights = best.graph.weights().into_iter();
            tensors.extend(weights.map(|(name, tensor)| (format!("{BEST_WEIGHTS}{name}"), tensor)));
        }
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
        // What the optimizer keeps and the best epoch's weights have a `/` in their names; a module's name never has.
        let (slot_tensors, weights): (BTreeMap<_, _>, _) = tensors
            .into_iter()
            .partition(|(name, _)| name.contains('/'));
        let with_weights = |weights| {
            let architecture = graph.architecture().clone();
            let graph = architecture.with_weights(weights);
            graph.map_err(|error| wrong(error.to_string()))
        };
        let best = match metadata.get(BEST) {
            // A checkpoint from before the best was kept.
            None => None,
            Some(step) => {
                let step: u64 = serde_json::from_str(step).map_err(unreadable)?;
                let mut scores = history.validation.iter();
                let score = scores.find(|(of, _)| *of == step).map(|(_, score)| *score);
                let score = score.ok_or_else(|| wrong(format!("knows no score of step {step}")))?;
                let weights = slot_tensors.iter().filter_map(|(name, tensor)| {
                    let name = name.strip_prefix(BEST_WEIGHTS)?;
                    Some((name.to_owned(), tensor.clone()))
                });
                let graph = with_weights(weights.collect())?;
                Some(Best { step, score, graph })
            }
        };
        let graph = with_weights(weights)?;
        let mut trainer = Trainer {
            step,
            history,
            best,
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
    let batches = places.chunks(batch.max(1));
    each_batch(samples, batches, device, |_, input, labels| -> Result<_> {
        logits.push(graph.forward(&input)?);
        all_labels.extend(labels);
        progress(all_labels.len());
        Ok(ControlFlow::Continue(()))
    })?;
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
        let mut counts = BTreeMap::<u32, usize>::new();
        for label in labels {
            *counts.entry(*label).or_default() += 1;
        }
        let share = |count: usize| count as f64 / labels.len() as f64;
        Ok(Score {
            loss: value,
            accuracy: share(right),
            chance: share(counts.into_values().max().unwrap_or(0)),
        })
    }

    /// Whether it is better than another: more are right, or as many and the loss is smaller.
    fn beats(&self, other: &Score) -> bool {
        let by_loss = || other.loss.total_cmp(&self.loss);
        let order = self.accuracy.total_cmp(&other.accuracy).then_with(by_loss);
        order.is_gt()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::Linear;
    use crate::{Architecture, Params};

    /// A step on an input for class 0 of a dense layer.
    fn step(trainer: &mut Trainer, input: f32) -> Result<()> {
        trainer.step(&Tensor::new(&[[input]], &Device::Cpu)?, &[0])
    }

    /// Training as on a device beside the CPU, whose losses are read three at a time.
    fn trainer() -> Trainer {
        let mut net = Architecture::new([1]);
        net.add("dense", Linear::new(1, 2), [net.input()]).unwrap();
        let weight = Tensor::new(&[[0.5f32], [-0.5]], &Device::Cpu).unwrap();
        let bias = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        let weights = [("dense.weight", weight), ("dense.bias", bias)];
        let weights: Params = weights
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into();
        let config = Config {
            epochs: 1,
            batch: 1,
            optimizer: Optimizer::Sgd {
                lr: 0.0,
                momentum: 0.0,
            },
            schedule: Schedule::Constant,
            seed: 0,
            loss: Loss::CrossEntropy,
        };
        let mut trainer = Trainer::new(&net.with_weights(weights).unwrap(), config).unwrap();
        trainer.read_at_once = 3;
        trainer
    }

    #[test]
    fn losses_are_read_together_and_none_is_missed() {
        let mut trainer = trainer();
        let known: Vec<usize> = (1..=5)
            .map(|input| {
                step(&mut trainer, input as f32).unwrap();
                trainer.history().loss.len()
            })
            .collect();
        assert_eq!(known, [0, 0, 3, 3, 3]);
        let file = tempfile::NamedTempFile::new().unwrap();
        trainer.save(file.path()).unwrap();
        // ln(1 + e^−x), as the logits are ±x/2.
        let expected = (1..=5).map(|x| (1.0 + (-f64::from(x)).exp()).ln());
        for (found, expected) in trainer.history().loss.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        }
        assert_eq!(trainer.history().loss.len(), 5);
    }

    #[test]
    fn a_loss_that_is_no_number_is_told_with_its_step() {
        let mut trainer = trainer();
        step(&mut trainer, 1.0).unwrap();
        step(&mut trainer, f32::NAN).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = trainer.save(file.path()).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error}");
    }
}
