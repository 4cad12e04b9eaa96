//! The symmetric relevance gain of Blücher et al. 2024 ("Decoupling pixel flipping and occlusion strategy for consistent XAI benchmarks"):
//! SRG = LIF − MIF, the area between the curves of a score as an input is flipped, the least relevant first and the most relevant first.
//!
//! The higher, the better an explanation tells what matters from what does not; one by lot has 0 in the mean. What is flipped at a time
//! is a patch and not a value: one sample, or one bin, among many tells a network next to nothing, and hardly any explanation has the
//! right sign in each.

use candle_core::{DType, Tensor};
use speechlens_nn::Graph;

use crate::flip::falling;
use crate::{Error, Result};

/// The shares of the patches that are flipped, between none and all, where both curves are the same. One falls at its beginning the
/// most, and the other at its end.
const SHARES: [f64; 3] = [0.1, 0.5, 0.9];

/// The values of an input in patches, that are flipped together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patches {
    /// By value, which patch it lies in.
    of: Vec<usize>,
    count: usize,
}

impl Patches {
    /// Patches of these sides along the last axes of an input of this shape; the axes before are flipped whole. Those at the far end of
    /// an axis may be smaller.
    pub fn new(shape: &[usize], sides: &[usize]) -> Self {
        let (mut of, mut count) = (vec![0], 1);
        let whole = shape.len().saturating_sub(sides.len());
        for (axis, length) in shape.iter().enumerate() {
            let side = match axis.checked_sub(whole) {
                Some(axis) => sides[axis].max(1),
                None => (*length).max(1),
            };
            let along = length.div_ceil(side);
            let places = |patch: &usize| {
                let first = patch * along;
                (0..*length).map(move |place| first + place / side)
            };
            of = of.iter().flat_map(places).collect();
            count *= along;
        }
        Patches { of, count }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The patches by the sum of their relevance, the most relevant first.
    fn falling(&self, relevance: &[f32]) -> Vec<u32> {
        let mut sums = vec![0f64; self.count];
        for (patch, relevance) in self.of.iter().zip(relevance) {
            sums[*patch] += f64::from(*relevance);
        }
        falling(&sums.iter().map(|sum| *sum as f32).collect::<Vec<_>>())
    }
}

/// What the network gives a target for each of these inputs, `[N, …]`.
fn scores(graph: &Graph, inputs: &Tensor, target: u32) -> Result<Vec<f64>> {
    let logits = graph.forward(inputs)?;
    let own = logits.narrow(1, target as usize, 1)?.flatten_all()?;
    Ok(own.to_dtype(DType::F64)?.to_vec1()?)
}

/// What the target's score loses if all of an input, `[1, …]`, is set to a value.
///
/// # Errors
/// If the network fails on it.
pub fn all(graph: &Graph, input: &Tensor, target: u32, value: f32) -> Result<f64> {
    let flipped = (input.zeros_like()? + f64::from(value))?;
    let both = Tensor::cat(&[input, &flipped], 0)?;
    let scores = scores(graph, &both, target)?;
    Ok(scores[0] - scores[1])
}

/// The gain of relevance of an input, `[1, …]`, in the target's own unit: the area between both curves over the share of the patches that
/// are set to a value, by trapezoids.
///
/// # Errors
/// If there is not a relevance for every value, or the network fails.
pub fn gain(
    graph: &Graph,
    input: &Tensor,
    target: u32,
    relevance: &[f32],
    (patches, value): (&Patches, f32),
) -> Result<f64> {
    let values = crate::flip::flat(input)?;
    if values.len() != patches.of.len() || relevance.len() != values.len() {
        return Err(Error::Plan(format!(
            "{} values cannot be flipped by {} relevances in patches of {} values",
            values.len(),
            relevance.len(),
            patches.of.len()
        )));
    }
    let most_first = patches.falling(relevance);
    let least_first: Vec<u32> = most_first.iter().rev().copied().collect();
    let counts = SHARES.map(|share| (share * patches.count as f64).round() as usize);
    let mut flipped = Vec::with_capacity(2 * counts.len() * values.len());
    for order in [&least_first, &most_first] {
        for count in counts {
            let mut is_flipped = vec![false; patches.count];
            order[..count]
                .iter()
                .for_each(|patch| is_flipped[*patch as usize] = true);
            let pairs = values.iter().zip(&patches.of);
            flipped.extend(pairs.map(|(own, patch)| if is_flipped[*patch] { value } else { *own }));
        }
    }
    let mut shape = input.dims().to_vec();
    shape[0] = 2 * counts.len();
    let flipped = Tensor::from_vec(flipped, shape, input.device())?.to_dtype(input.dtype())?;
    let scores = scores(graph, &flipped, target)?;
    let (least_first, most_first) = scores.split_at(counts.len());
    let between = least_first
        .iter()
        .zip(most_first)
        .map(|(lif, mif)| lif - mif);
    let points = counts.iter().zip(between);
    let points = points.map(|(count, height)| (*count as f64 / patches.count as f64, height));
    let points: Vec<(f64, f64)> = [(0.0, 0.0)]
        .into_iter()
        .chain(points)
        .chain([(1.0, 0.0)])
        .collect();
    let trapezoid = |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0;
    Ok(points.windows(2).map(trapezoid).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use speechlens_nn::Architecture;
    use speechlens_nn::ops::Linear;

    #[test]
    fn patches_cover_the_last_axes() {
        let patches = Patches::new(&[2, 3, 5], &[2, 2]);
        assert_eq!(patches.count(), 6);
        let rows = [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]].concat();
        // Of both channels at a time.
        assert_eq!(patches.of, [rows.clone(), rows].concat());
        assert_eq!(Patches::new(&[4], &[9]).of, [0; 4]);
    }

    /// Of a linear network without a bias, whose patches have these relevances, the curves are known: what is left is the sum of what
    /// is not flipped.
    #[test]
    fn the_gain_of_a_linear_network_is_that_of_its_relevance() {
        let net = Architecture::new([40]);
        let mut net = net;
        net.add("dense", Linear::new(40, 2).without_bias(), [net.input()])
            .unwrap();
        let of_target = (0..40).map(|n| ((n * 7) % 40) as f32 - 12.0);
        let weights: Vec<f32> = vec![0.0; 40].into_iter().chain(of_target).collect();
        let relevance: Vec<f32> = weights[40..].iter().map(|weight| 2.0 * weight).collect();
        let weight = Tensor::from_vec(weights, (2, 40), &Device::Cpu).unwrap();
        let graph = net
            .with_weights([("dense.weight".to_owned(), weight)].into())
            .unwrap();
        // 2 above a value of 3.
        let input = Tensor::full(5f32, (1, 40), &Device::Cpu).unwrap();
        let patches = Patches::new(&[40], &[2]);
        let by = (&patches, 3.0);
        let found = gain(&graph, &input, 1, &relevance, by).unwrap();

        let mut sums: Vec<f32> = relevance.chunks(2).map(|pair| pair.iter().sum()).collect();
        sums.sort_by(f32::total_cmp);
        let first = |count: usize| sums[..count].iter().sum::<f32>();
        let last = |count: usize| sums[20 - count..].iter().sum::<f32>();
        // Of 20 patches these are flipped, and between them lines are straight.
        let heights = [0, 2, 10, 18, 20].map(|count| (count, last(count) - first(count)));
        let area = |pair: &[(usize, f32)]| {
            (pair[1].0 - pair[0].0) as f32 / 20.0 * (pair[0].1 + pair[1].1) / 2.0
        };
        let known: f32 = heights.windows(2).map(area).sum();
        assert!(known > 50.0);
        assert!((found - f64::from(known)).abs() < 1e-3, "{found} {known}");

        // The other way round it is as much below nought, and what all flipping takes is all relevance.
        let against: Vec<f32> = relevance.iter().map(|relevance| -relevance).collect();
        let turned = gain(&graph, &input, 1, &against, by).unwrap();
        assert!((turned + f64::from(known)).abs() < 1e-3, "{turned}");
        let lost = all(&graph, &input, 1, 3.0).unwrap();
        assert!((lost - f64::from(relevance.iter().sum::<f32>())).abs() < 1e-3);
        assert!(gain(&graph, &input, 1, &relevance[1..], by).is_err());
    }
}
