//! Pixel flipping (Samek et al. 2017): accuracy and target probability as more and more bins are set to a value.

use std::cmp::Ordering;
use std::fmt::{self, Display};

use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use speechlens_attribution::Attribute;
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;
use speechlens_nn::train::Samples;

use crate::{Error, Result};

/// Which bins go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The most relevant.
    #[serde(rename = "lrp")]
    MostRelevant,
    /// The least relevant: those that speak against the target.
    #[serde(rename = "lrp_rev")]
    LeastRelevant,
    /// By lot.
    #[serde(rename = "random")]
    Random,
    /// The largest input values: a control that looks at no network.
    #[serde(rename = "loudest")]
    Loudest,
}

impl Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::MostRelevant => "lrp",
            Order::LeastRelevant => "lrp_rev",
            Order::Random => "random",
            Order::Loudest => "loudest",
        })
    }
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
    /// For each recording, the target's probability.
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

/// The places of values from the largest to the smallest; on a tie the earlier place.
pub fn falling(values: &[f32]) -> Vec<u32> {
    sorted(values, |a, b| b.total_cmp(&a))
}

/// The places of values from the smallest to the largest; on a tie the earlier place.
pub fn rising(values: &[f32]) -> Vec<u32> {
    sorted(values, |a, b| a.total_cmp(&b))
}

fn sorted(values: &[f32], compare: impl Fn(f32, f32) -> Ordering) -> Vec<u32> {
    let mut places: Vec<u32> = (0..values.len() as u32).collect();
    // Adding 0 makes −0 the tie with 0 that it is: `total_cmp` puts it before.
    let value = |place: u32| values[place as usize] + 0.0;
    places.sort_unstable_by(|a, b| compare(value(*a), value(*b)).then(a.cmp(b)));
    places
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
        Order::Random => {
            let mut places: Vec<u32> = (0..input.len() as u32).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(recording as u64);
            places.shuffle(&mut rng);
            places
        }
    }
}

/// The relevance that a method gives, as [`flip`] asks for it.
pub fn relevance_by(method: &dyn Attribute) -> impl Fn(&Tensor, &[u32]) -> Result<Tensor> {
    |input, labels| Ok(method.attribute(input, labels, &|_| ())?.relevance)
}

/// Flips the bins of every sample; the target is its label.
///
/// `explain` gives the relevance `[N, …]` of a batch of inputs for their labels; it is asked only if an order needs it.
/// The loss that the network was trained by says what its logits mean.
/// Recordings are taken a batch at a time, so that memory does not grow with their number. `progress` is told how many
/// forward passes are done of `samples × orders × values × counts`.
pub fn flip(
    graph: &Graph,
    samples: &dyn Samples,
    explain: &dyn Fn(&Tensor, &[u32]) -> Result<Tensor>,
    loss: Loss,
    plan: &Plan,
    device: &Device,
    progress: &dyn Fn(usize),
) -> Result<Vec<Curve>> {
    if !plan.counts.is_sorted() {
        return Err(Error::Plan(format!(
            "the counts of flipped bins must rise: {:?}",
            plan.counts
        )));
    }
    if samples.is_empty() || plan.recordings == 0 {
        return Err(Error::Plan("there are no recordings to flip".into()));
    }
    let mut curves = plan.empty_curves();
    let places: Vec<usize> = (0..samples.len().min(plan.recordings)).collect();
    let mut passes = 0;
    for places in places.chunks(plan.batch.max(1)) {
        let (input, labels) = samples.batch(places, device)?;
        let shape = input.dims().to_vec();
        let bins = input.elem_count() / places.len();
        if let Some(count) = plan.counts.iter().find(|count| **count > bins) {
            return Err(Error::Plan(format!(
                "{count} bins cannot be flipped: a recording has {bins}"
            )));
        }
        let needed = plan.orders.iter().any(|order| order.needs_relevance());
        let relevance = if needed {
            rows(&explain(&input, &labels)?)?
        } else {
            vec![0.0; input.elem_count()]
        };
        if relevance.iter().any(|relevance| !relevance.is_finite()) {
            return Err(Error::Explanation("some relevance is not finite".into()));
        }
        let untouched = graph.forward(&input)?;
        let input = rows(&input)?;
        // The curves stand in the order of these loops.
        let mut curve = curves.iter_mut();
        for order in &plan.orders {
            let rank = |(index, place): (usize, &usize)| {
                let range = index * bins..(index + 1) * bins;
                ranking(
                    *order,
                    &input[range.clone()],
                    &relevance[range],
                    plan.seed,
                    *place,
                )
            };
            let rankings: Vec<Vec<u32>> = places.par_iter().enumerate().map(rank).collect();
            for (value, curve) in plan.values.iter().zip(curve.by_ref()) {
                let mut flipped = input.clone();
                let mut done = 0;
                for (count, point) in plan.counts.iter().zip(&mut curve.points) {
                    for (recording, ranking) in flipped.chunks_mut(bins).zip(&rankings) {
                        ranking[done..*count]
                            .iter()
                            .for_each(|place| recording[*place as usize] = *value);
                    }
                    done = *count;
                    let logits = match count {
                        0 => untouched.clone(),
                        _ => {
                            graph.forward(&Tensor::from_slice(&flipped, shape.clone(), device)?)?
                        }
                    };
                    point.add(&logits, &labels, loss)?;
                    passes += places.len();
                    progress(passes);
                }
            }
        }
    }
    Ok(curves)
}

/// All values of a tensor.
pub(crate) fn rows(tensor: &Tensor) -> Result<Vec<f32>> {
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

impl Point {
    fn add(&mut self, logits: &Tensor, labels: &[u32], loss: Loss) -> Result<()> {
        let predicted = logits.argmax(1)?.to_vec1::<u32>()?;
        let logits = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        for ((predicted, logits), label) in predicted.iter().zip(logits).zip(labels) {
            let class = *label as usize;
            if class >= logits.len() {
                return Err(Error::Plan(format!(
                    "a recording has the label {label}; the network has {} classes",
                    logits.len()
                )));
            }
            self.right.push(predicted == label);
            self.probability.push(loss.probability(&logits, class));
        }
        Ok(())
    }
}
