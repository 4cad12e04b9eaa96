//! What is left of an answer without what an explanation calls relevant.

use candle_core::{DType, Tensor};
use ndarray::Axis;
use speechlens_nn::kernels::pointwise::below_rank;
use speechlens_nn::kernels::ranks::{falling, lots, of_order, rising};

use crate::explainer::{at_a_time, to_tensor};
use crate::{Answers, Error, Explainer, Input, Result};

/// Percent of a window's bins that are gone at each step, between none and all.
const STEPS: [f64; 7] = [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 70.0];
/// Of windows of more values than this a pass takes so long that fewer steps must do.
const LARGE: usize = 1 << 15;
const STEPS_OF_LARGE: [f64; 2] = [10.0, 30.0];
/// Orders by lot.
const LOTS: u64 = 3;
/// Values of all windows of a batch.
const AT_ONCE: usize = 1 << 18;
/// What goes at a time of samples, of which a single one is nothing to hear, in seconds.
const SEGMENT: f64 = 0.01;

/// The score that was asked about, as more and more of one window is set to the value that stands for "nothing here". What goes are
/// single bins, or of samples segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// The window: of those that are not silent the one with the highest score.
    pub window: usize,
    /// What is gone was set to this: the method's reference; without one silence, or 0.
    pub reference: f64,
    /// How long a segment is, in seconds; none where bins go one by one.
    pub segment: Option<f64>,
    /// How many bins or segments the window has, without those that are nothing as they are.
    pub bins: usize,
    /// How many of them are gone at each step: at first none, at last all.
    pub gone: Vec<usize>,
    /// The score at each step, the most relevant gone first.
    pub most: Vec<f64>,
    /// The least relevant gone first: what speaks against it.
    pub least: Vec<f64>,
    /// By lot, for each of several lots.
    pub lots: Vec<Vec<f64>>,
}

impl Deletion {
    /// The share of the window that is gone at a step, in percent.
    pub fn percent(&self, step: usize) -> f64 {
        100.0 * self.gone[step] as f64 / self.bins.max(1) as f64
    }

    /// How far the score, on the mean of all steps with the most relevant gone first, is below that of the lowest lot, as a multiple of how
    /// far lots are apart: not above 0 where the explanation is no better than chance, and hardly by chance above 1.
    pub fn margin(&self) -> f64 {
        let sum = |scores: &Vec<f64>| scores.iter().filter(|x| x.is_finite()).sum::<f64>();
        let lots = || self.lots.iter().map(sum);
        let low = lots().fold(f64::INFINITY, f64::min);
        let high = lots().fold(f64::NEG_INFINITY, f64::max);
        (low - sum(&self.most)) / (high - low).max(f64::MIN_POSITIVE)
    }

    /// The lowest score by lot at a step, the mean and the highest.
    pub fn by_lot(&self, step: usize) -> [f64; 3] {
        let scores = self.lots.iter().map(|scores| scores[step]);
        let mean = scores.clone().sum::<f64>() / self.lots.len() as f64;
        let low = scores.clone().fold(f64::INFINITY, f64::min);
        [low, mean, scores.fold(f64::NEG_INFINITY, f64::max)]
    }
}

impl Explainer {
    /// Tests what was found on its own input, by few passes through the network. A score that is no number, where a network cannot read
    /// what is left, is NaN.
    ///
    /// # Errors
    /// If the answers are not this input's.
    pub fn deletion(&self, input: &Input, answers: &Answers) -> Result<Deletion> {
        let untouched = |window: usize| {
            self.asked_about(&answers.logits[window], answers.targets[window] as usize)
        };
        let highest = input
            .sounding()
            .max_by(|a, b| untouched(*a).total_cmp(&untouched(*b)));
        let window = highest.unwrap_or(0);
        let features = input.features.select(Axis(0), &[window]);
        let values = features.len();
        let features = to_tensor(&self.model().graph, features, self.device())?;
        let silence = self.model().front_end.silence();
        let reference = self.method().reference().or(silence).unwrap_or(0.0);

        let segment = input.axes.are_samples().then_some(SEGMENT);
        let length = segment.map_or(1, |seconds| (seconds / input.axes.step).round() as usize);
        let length = length.max(1);
        let relevance = answers.relevance.index_axis(Axis(0), window);
        if relevance.len() != values {
            let problem = format!("{} relevances for {values} values", relevance.len());
            return Err(Error::input(&input.name, problem));
        }
        let relevance: Vec<f32> = relevance.iter().copied().collect();
        let sums = relevance.chunks(length).map(|bins| bins.iter().sum());
        let sums: Vec<f32> = sums.collect();
        let own = features
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let nothing = |bins: &[f32]| bins.iter().all(|value| *value == reference as f32);
        let is_nothing: Vec<bool> = own.chunks(length).map(nothing).collect();
        let bins = is_nothing.iter().filter(|nothing| !**nothing).count();
        let steps: &[f64] = match values > LARGE {
            true => &STEPS_OF_LARGE,
            false => &STEPS,
        };
        let count = |percent: &f64| (percent / 100.0 * bins as f64).round() as usize;
        let mut counts: Vec<usize> = steps.iter().map(count).collect();
        counts.dedup();
        counts.retain(|count| (1..bins).contains(count));

        let orders = self.orders(&sums, &is_nothing);
        let ranks = |order: &Vec<u32>| -> Result<Tensor> {
            let ranks = of_order(order).into_iter();
            let ranks = ranks.flat_map(|rank| std::iter::repeat_n(rank, length));
            let ranks = ranks.take(values).collect();
            Ok(Tensor::from_vec(ranks, features.shape(), self.device())?)
        };
        let ranks = orders.iter().map(ranks).collect::<Result<Vec<_>>>()?;
        // All that goes is the same in every order.
        let steps = ranks
            .iter()
            .flat_map(|ranks| counts.iter().map(move |count| (ranks, *count)));
        let steps: Vec<(&Tensor, usize)> = steps.chain([(&ranks[0], bins)]).collect();
        let target = answers.targets[window] as usize;
        let mut scores = self.left(&features, &steps, reference as f32, target)?;
        let all = scores.pop().unwrap_or(f64::NAN);
        let curve = |order: usize| -> Vec<f64> {
            let inner = &scores[order * counts.len()..][..counts.len()];
            [&[untouched(window)], inner, &[all]].concat()
        };
        Ok(Deletion {
            window,
            reference,
            segment,
            bins,
            most: curve(0),
            least: curve(1),
            lots: (2..orders.len()).map(curve).collect(),
            gone: [&[0], &*counts, &[bins]].concat(),
        })
    }

    /// In which orders bins go: the most relevant first, the least relevant first, by lot. What is nothing already goes last.
    fn orders(&self, relevance: &[f32], is_nothing: &[bool]) -> Vec<Vec<u32>> {
        let mut orders = vec![falling(relevance), rising(relevance)];
        orders.extend((0..LOTS).map(|number| lots(relevance.len(), self.seed(), number)));
        for order in &mut orders {
            order.sort_by_key(|place| is_nothing[*place as usize]);
        }
        orders
    }

    /// The scores of a window without so many of its bins, the first by their ranks.
    fn left(
        &self,
        features: &Tensor,
        steps: &[(&Tensor, usize)],
        reference: f32,
        target: usize,
    ) -> Result<Vec<f64>> {
        let graph = &self.model().graph;
        let batch = (AT_ONCE / features.elem_count().max(1)).clamp(1, at_a_time(graph));
        let mut scores = Vec::with_capacity(steps.len());
        for steps in steps.chunks(batch) {
            let left = steps
                .iter()
                .map(|(ranks, count)| below_rank(ranks, features, *count, reference));
            let left = left.collect::<candle_core::Result<Vec<_>>>()?;
            let outputs = graph.forward(&Tensor::cat(&left, 0)?.to_dtype(self.dtype())?)?;
            let outputs = outputs.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            let found = outputs.iter();
            scores.extend(found.map(|outputs| self.asked_about(outputs, target)));
        }
        Ok(scores)
    }
}
