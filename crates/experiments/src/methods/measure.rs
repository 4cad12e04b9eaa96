//! What the measures say of one method on one network.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use ndarray::ArrayView2;
use speechlens_attribution::{Attribute, Passes};
use speechlens_eval::flip::{Curve, Order, Plan, counts, flip};
use speechlens_eval::heatmap::compressed_size;
use speechlens_eval::randomization::randomization;
use speechlens_eval::robustness::max_sensitivity;
use speechlens_nn::Graph;
use speechlens_nn::loss::Loss;
use speechlens_nn::train::Samples;

use crate::shared::Lab;
use crate::shared::methods::Named;

/// The shares of the bins that are flipped, in percent.
const PERCENTAGES: [f64; 7] = [0.0, 0.5, 2.0, 5.0, 20.0, 50.0, 80.0];
/// Noise on the input for the sensitivity of explanations, as a share of its range, and how many copies have it.
pub const RADIUS: f64 = 0.02;
const COPIES: usize = 2;
/// Steps on the way to a network with random weights.
const STEPS: usize = 3;

/// A network whose explanations are measured.
pub struct Subject<'a> {
    /// `gender`, `speaker`.
    pub name: &'static str,
    pub graph: &'a Graph,
    pub loss: Loss,
    pub samples: &'a dyn Samples,
    /// How many of the samples take part, and how many in what is slow: noise and random weights.
    pub explained: usize,
    pub slow: usize,
    pub batch: usize,
    /// The values that bins are flipped to.
    pub values: [f32; 2],
    /// Rows and columns of an input.
    pub shape: (usize, usize),
    pub methods: Vec<Named>,
}

/// What was measured of a method.
pub struct Measured {
    pub name: &'static str,
    pub passes: Passes,
    /// Seconds for one recording.
    pub seconds: f64,
    /// The relevance of every explained sample.
    pub relevance: Vec<Vec<f32>>,
    /// The most and the least relevant bins first, to every value.
    curves: Vec<Curve>,
    /// Mean bytes of a heatmap.
    pub size: f64,
    /// Mean relative change under noise.
    pub sensitivity: f64,
    /// Mean rank correlation with the explanation of a network whose weights are random, from the top down.
    pub similarity: Vec<f64>,
}

impl Measured {
    /// The area between the curves of the least and the most relevant bins flipped to a value, in points: of accuracy, or of
    /// the true class's probability.
    pub fn gap(&self, value: f32, area: fn(&Curve) -> f64) -> Result<f64> {
        let of = |order| {
            let mut curves = self.curves.iter();
            let found = curves.find(|curve| curve.order == order && curve.value == value);
            found.map(area).context("a curve was not measured")
        };
        Ok(100.0 * (of(Order::LeastRelevant)? - of(Order::MostRelevant)?))
    }
}

/// A method that remembers what it said, and how long it took.
struct Watched<'a> {
    method: &'a dyn Attribute,
    said: RefCell<Vec<f32>>,
    took: RefCell<Duration>,
}

impl Watched<'_> {
    fn relevance(&self, input: &Tensor, labels: &[u32]) -> speechlens_eval::Result<Tensor> {
        let start = Instant::now();
        let relevance = self.method.attribute(input, labels, &|_| ())?.relevance;
        let values = relevance
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        *self.took.borrow_mut() += start.elapsed();
        self.said.borrow_mut().extend(values);
        Ok(relevance)
    }
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

impl Subject<'_> {
    fn bins(&self) -> usize {
        self.shape.0 * self.shape.1
    }

    /// Explains, flips, disturbs. `step` hears of each of the three.
    pub fn measure(&self, lab: &Lab, named: &Named, step: &dyn Fn()) -> Result<Measured> {
        let (device, seed) = (lab.device, lab.arguments.seed);
        let method = named.method.of(self.graph).context(named.name)?;
        let watched = Watched {
            method: method.as_ref(),
            said: RefCell::default(),
            took: RefCell::default(),
        };
        let plan = Plan {
            counts: counts(&PERCENTAGES, self.bins()),
            values: self.values.to_vec(),
            orders: vec![Order::MostRelevant, Order::LeastRelevant],
            seed,
            batch: self.batch,
            recordings: self.explained,
        };
        let explain = |input: &Tensor, labels: &[u32]| watched.relevance(input, labels);
        let (graph, samples, loss) = (self.graph, self.samples, self.loss);
        let curves = flip(graph, samples, &explain, loss, &plan, device, &|_| ())?;
        let said = watched.said.into_inner();
        let relevance: Vec<Vec<f32>> = said.chunks(self.bins()).map(<[f32]>::to_vec).collect();
        let seconds = watched.took.into_inner().as_secs_f64() / relevance.len() as f64;
        let sizes = relevance.iter().map(|values| {
            let heatmap = ArrayView2::from_shape(self.shape, values)?;
            Ok(compressed_size(heatmap)? as f64)
        });
        let size = mean(sizes.collect::<Result<Vec<_>>>()?);
        step();

        let few: Vec<usize> = (0..self.slow.min(samples.len())).collect();
        let (input, labels) = samples.batch(&few, device)?;
        let moved = max_sensitivity(method.as_ref(), &input, &labels, RADIUS, COPIES, seed)?;
        step();
        let steps = randomization(
            graph,
            named.method.as_ref(),
            &input,
            &labels,
            STEPS,
            seed,
            &|_| (),
        )?;
        step();
        Ok(Measured {
            name: named.name,
            passes: method.passes(),
            seconds,
            relevance,
            curves,
            size,
            sensitivity: mean(moved),
            similarity: steps
                .into_iter()
                .map(|step| mean(step.similarity))
                .collect(),
        })
    }
}
