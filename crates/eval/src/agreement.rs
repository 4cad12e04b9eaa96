//! How far two explanations of one input agree.

use crate::flip::{falling, rising};

/// Spearman's rank correlation, −1 to 1, values that are equal sharing their mean rank. NaN where all values of one are the
/// same.
///
/// # Panics
/// If there are not as many values of one as of the other.
pub fn spearman(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "of the same input");
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        let pairs = x.iter().zip(y);
        pairs.map(|(x, y)| (x - middle) * (y - middle)).sum()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// Each value's rank, from 0 for the smallest; equal values have the mean of their ranks.
fn ranks(values: &[f32]) -> Vec<f64> {
    let order = rising(values);
    let mut ranks = vec![0.0; values.len()];
    let same = |a: &u32, b: &u32| values[*a as usize] == values[*b as usize];
    let mut start = 0;
    for tied in order.chunk_by(same) {
        let mean = start as f64 + (tied.len() as f64 - 1.0) / 2.0;
        tied.iter().for_each(|place| ranks[*place as usize] = mean);
        start += tied.len();
    }
    ranks
}

/// The share of the `count` most relevant values of one that are among those of the other.
pub fn overlap(a: &[f32], b: &[f32], count: usize) -> f64 {
    let top = |values| {
        let mut places = falling(values);
        places.truncate(count);
        places.sort_unstable();
        places
    };
    let (a, b) = (top(a), top(b));
    let shared = a.iter().filter(|place| b.binary_search(place).is_ok());
    shared.count() as f64 / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(ranks(&[3.0, -0.0, 0.0, -5.0]), [3.0, 1.5, 1.5, 0.0]);
        // scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4]).statistic
        let found = spearman(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]);
        assert!((found - 0.948_683_298).abs() < 1e-9, "{found}");
        assert!(spearman(&[1.0, 1.0], &[1.0, 2.0]).is_nan());
    }

    #[test]
    fn tops_overlap() {
        let (a, b) = ([0.9, 0.1, 0.8, -1.0], [0.0, 0.5, 0.7, 0.2]);
        assert_eq!(overlap(&a, &b, 2), 0.5);
        assert_eq!(overlap(&a, &a, 3), 1.0);
        assert_eq!(overlap(&a, &b, 4), 1.0);
    }

    proptest! {
        #[test]
        fn what_rises_with_the_other_agrees(mut values in prop::collection::hash_set(-1000i32..1000, 3..40)) {
            let values: Vec<f32> = values.drain().map(|v| v as f32).collect();
            let (cubes, falling): (Vec<f32>, Vec<f32>) = values.iter().map(|v| (v * v * v, -v)).unzip();
            prop_assert!((spearman(&values, &cubes) - 1.0).abs() < 1e-9);
            prop_assert!((spearman(&values, &falling) + 1.0).abs() < 1e-9);
        }
    }
}
