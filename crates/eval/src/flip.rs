//! Pixel flipping (Samek et al. 2017): accuracy and target probability as more and more bins are set to a value.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use speechlens_attribution::Attribute;
use speechlens_nn::Graph;
use speechlens_nn::each_batch;
use speechlens_nn::kernels::pointwise::below_rank;
use speechlens_nn::kernels::ranks::{lots, of_order, ranks};
use speechlens_nn::loss::Loss;
use speechlens_nn::train::Samples;

use crate::{Error, Result};
pub use speechlens_nn::kernels::ranks::{falling, rising};

/// Which bins go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Order {
    /// The most relevant.
    #[serde(rename = "lrp")]
    #[strum(serialize = "lrp")]
    MostRelevant,
    /// The least relevant: those that speak against the target.
    #[serde(rename = "lrp_rev")]
    #[strum(serialize = "lrp_rev")]
    LeastRelevant,
    /// By lot.
    #[serde(rename = "random")]
    #[strum(serialize = "random")]
    Random,
    /// The largest input values: a control that looks at no network.
    #[serde(rename = "loudest")]
    #[strum(serialize = "loudest")]
    Loudest,
}

impl Order {
    /// Whether the order comes from an explanation.
    pub fn needs_relevance(self) -> bool {
        matches!(self, Order::MostRelevant | Order::LeastRelevant)
    }
}

/// What to flip.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many bins are flipped at each step, rising. 0 is the untouched input.
    pub counts: Vec<usize>,
    /// What flipped bins are set to; a set of curves for each.
    pub values: Vec<f32>,
    /// The orders; a curve for each.
    pub orders: Vec<Order>,
    /// Decides [`Order::Random`].
    pub seed: u64,
    /// Inputs a forward pass.
    pub batch: usize,
    /// At most so many samples, the first.
    pub recordings: usize,
}

/// Percentages of `bins` as counts, rounded to the nearest.
pub fn counts(percentages: &[f64], bins: usize) -> Vec<usize> {
    percentages
        .iter()
        .map(|percent| (percent / 100.0 * bins as f64).round() as usize)
        .collect()
}

/// What the network answered as bins were flipped in one order to one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Which bins went first.
    pub order: Order,
    /// What they were set to.
    pub value: f32,
    /// The steps, one for each count of the plan.
    pub points: Vec<Point>,
}

/// The answers at one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How many bins are flipped.
    pub count: usize,
    /// For each recording, whether its target has the largest logit.
    pub right: Vec<bool>,
    /// For each recording, the target's probability; of a network that gives scores, the score.
    pub probability: Vec<f32>,
}

impl Point {
    /// The share of recordings classified right, in 0..1.
    pub fn accuracy(&self) -> f64 {
        self.right.iter().filter(|right| **right).count() as f64 / self.right.len() as f64
    }

    /// Where the accuracy of many more such recordings lies, with 95 % confidence (Wilson 1927, Eq. 5).
    pub fn accuracy_interval(&self) -> (f64, f64) {
        let (n, p, z) = (self.right.len() as f64, self.accuracy(), 1.959_964);
        let middle = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        (
            ((middle - half) / scale).max(0.0),
            ((middle + half) / scale).min(1.0),
        )
    }

    /// The target probability, averaged over recordings.
    pub fn mean_probability(&self) -> f64 {
        self.probability.iter().map(|p| f64::from(*p)).sum::<f64>() / self.probability.len() as f64
    }
}

impl Curve {
    /// The area under the accuracy over the share of flipped bins, by trapezoids, between the plan's first and last count
    /// and divided by their distance: 1 if every recording stays right throughout.
    pub fn area(&self) -> f64 {
        self.area_under(Point::accuracy)
    }

    /// The same under the target probability, averaged over recordings.
    pub fn probability_area(&self) -> f64 {
        self.area_under(Point::mean_probability)
    }

    fn area_under(&self, height: impl Fn(&Point) -> f64) -> f64 {
        let width = |pair: &[Point]| (pair[1].count - pair[0].count) as f64;
        let pairs = || self.points.windows(2);
        let total: f64 = pairs().map(width).sum();
        pairs()
            .map(|pair| width(pair) * (height(&pair[0]) + height(&pair[1])) / 2.0)
            .sum::<f64>()
            / total
    }
}

/// The places of the bins, the first to go first; on a tie the earlier place.
///
/// `recording` tells recordings apart where the order is by lot.
pub fn ranking(
    order: Order,
    input: &[f32],
    relevance: &[f32],
    seed: u64,
    recording: usize,
) -> Vec<u32> {
    match order {
        Order::MostRelevant => falling(relevance),
        Order::LeastRelevant => rising(relevance),
        Order::Loudest => falling(input),
        Order::Random => lots(input.len(), seed, recording as u64),
    }
}

/// The relevance that a method gives, as [`flip`] asks for it.
pub fn relevance_by(method: &dyn Attribute) -> impl Fn(&Tensor, &[u32]) -> Result<Tensor> {
    |input, labels| Ok(method.attribute(input, labels, &|_| ())?.relevance)
}

/// Flips the bins of every sample; the target is its label.
///
/// `explain` gives the relevance `[N, …]` of a batch of inputs for their labels; it is asked only if an order needs it.
/// The loss that the network was trained by says what its logits mean; without one they are scores, and stand in place of
/// probabilities.
/// Recordings are taken a batch at a time, so that memory does not grow with their number. `progress` is told how many
/// forward passes are done of `samples × orders × values × counts`.
pub fn flip(
    graph: &Graph,
    samples: &dyn Samples,
    explain: &dyn Fn(&Tensor, &[u32]) -> Result<Tensor>,
    loss: impl Into<Option<Loss>>,
    plan: &Plan,
    device: &Device,
    progress: &dyn Fn(usize),
) -> Result<Vec<Curve>> {
    let loss = loss.into();
    if !plan.counts.is_sorted() {
        return Err(Error::Plan(format!(
            "the counts of flipped bins must rise: {:?}",
            plan.counts
        )));
    }
    if plan.counts.is_empty() {
        return Err(Error::Plan("there are no counts of bins to flip".into()));
    }
    if samples.is_empty() || plan.recordings == 0 {
        return Err(Error::Plan("there are no recordings to flip".into()));
    }
    let mut curves = plan.empty_curves();
    let places: Vec<usize> = (0..samples.len().min(plan.recordings)).collect();
    let batches = places.chunks(plan.batch.max(1));
    let mut passes = 0;
    each_batch(
        samples,
        batches,
        device,
        |places, input, labels| -> Result<_> {
            let bins = input.elem_count() / places.len();
            if let Some(count) = plan.counts.iter().find(|count| **count > bins) {
                return Err(Error::Plan(format!(
                    "{count} bins cannot be flipped: a recording has {bins}"
                )));
            }
            let needed = plan.orders.iter().any(|order| order.needs_relevance());
            let relevance = match needed {
                true => Some(finite(explain(&input, &labels)?)?),
                false => None,
            };
            let untouched = answers(&graph.forward(&input)?, &labels, loss)?;
            let input = input.to_dtype(DType::F32)?;
            // The curves stand in the order of these loops.
            let mut curve = curves.iter_mut();
            for order in &plan.orders {
                let ranks = ranks_of(*order, &input, relevance.as_ref(), plan.seed, places)?;
                for (value, curve) in plan.values.iter().zip(curve.by_ref()) {
                    let mut at_counts = Vec::with_capacity(plan.counts.len());
                    for count in &plan.counts {
                        at_counts.push(match count {
                            0 => untouched.clone(),
                            _ => {
                                let flipped = below_rank(&ranks, &input, *count, *value)?;
                                answers(&graph.forward(&flipped)?, &labels, loss)?
                            }
                        });
                        passes += places.len();
                        progress(passes);
                    }
                    // Read only now: a device that computes beside the CPU is not kept waiting at each step.
                    let at_counts = Tensor::stack(&at_counts, 0)?.to_vec3::<f32>()?;
                    for (point, answers) in curve.points.iter_mut().zip(at_counts) {
                        point
                            .right
                            .extend(answers[0].iter().map(|right| *right == 1.0));
                        point.probability.extend(&answers[1]);
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(curves)
}

/// The relevance, if every value is a number.
fn finite(relevance: Tensor) -> Result<Tensor> {
    let relevance = relevance.to_dtype(DType::F32)?;
    let nought: f32 = relevance.affine(0.0, 0.0)?.sum_all()?.to_scalar()?;
    match nought == 0.0 {
        true => Ok(relevance),
        false => Err(Error::Explanation("some relevance is not finite".into())),
    }
}

/// Whether the target of each recording has the largest logit, 1 or 0, and the target's probability: `[2, N]`, of logits
/// `[N, classes]`.
fn answers(logits: &Tensor, targets: &[u32], loss: Option<Loss>) -> Result<Tensor> {
    let labels = targets;
    let targets = Tensor::new(targets, logits.device())?;
    let probability = match loss {
        Some(loss) => loss.probabilities(logits, labels)?,
        None => {
            let own = logits.gather(&targets.unsqueeze(1)?, 1)?;
            own.squeeze(1)?.to_dtype(DType::F32)?
        }
    };
    let right = logits.argmax(1)?.eq(&targets)?.to_dtype(DType::F32)?;
    Ok(Tensor::stack(&[right, probability], 0)?)
}

/// How many bins of each recording go before each of its bins, of the input's shape.
fn ranks_of(
    order: Order,
    input: &Tensor,
    relevance: Option<&Tensor>,
    seed: u64,
    recordings: &[usize],
) -> Result<Tensor> {
    let ranks = match (order, relevance) {
        (Order::MostRelevant, Some(relevance)) => ranks(relevance, true)?,
        (Order::LeastRelevant, Some(relevance)) => ranks(relevance, false)?,
        (Order::Loudest, _) => ranks(input, true)?,
        _ => {
            let bins = input.elem_count() / recordings.len();
            let lots = |recording: &usize| of_order(&lots(bins, seed, *recording as u64));
            let lots: Vec<f32> = recordings.par_iter().flat_map_iter(lots).collect();
            Tensor::from_vec(lots, input.shape(), input.device())?
        }
    };
    Ok(ranks.reshape(input.shape())?)
}

/// All values of a tensor.
pub(crate) fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

impl Plan {
    fn empty_curves(&self) -> Vec<Curve> {
        let points: Vec<Point> = self
            .counts
            .iter()
            .map(|count| Point {
                count: *count,
                ..Point::default()
            })
            .collect();
        let curve = |(order, value): (&Order, &f32)| Curve {
            order: *order,
            value: *value,
            points: points.clone(),
        };
        self.orders
            .iter()
            .flat_map(|order| self.values.iter().map(move |value| (order, value)))
            .map(curve)
            .collect()
    }

    /// Forward passes on these samples.
    pub fn passes(&self, samples: &dyn Samples) -> usize {
        samples.len().min(self.recordings)
            * self.orders.len()
            * self.values.len()
            * self.counts.len()
    }
}
