//! How well an explanation finds what is known to matter: a mask of the input's values that gave the answer away.

use crate::flip::falling;

/// An explanation held against the known answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The share of the positive relevance that lies on the mask ("relevance mass accuracy", Arras et al. 2022, Eq. 1). NaN where
    /// none is positive.
    pub mass: f64,
    /// Of as many of the most relevant values as the mask has, the share that lies on it ("relevance rank accuracy", the same,
    /// Eq. 2).
    pub rank: f64,
    /// The area under the curve of precision over recall as more and more of the most relevant values are taken, in steps:
    /// `Σ_n (R_n − R_{n−1}) P_n`, values of the same relevance in one step.
    pub average_precision: f64,
}

/// Holds relevance against the mask of what is known to matter. Relevance by lot finds the mask's share of the values, in all
/// three numbers.
///
/// # Panics
/// If there is not a relevance for every value of the mask, or the mask is empty.
pub fn find(relevance: &[f32], mask: &[bool]) -> Found {
    assert_eq!(relevance.len(), mask.len(), "a relevance for every value");
    let planted = mask.iter().filter(|inside| **inside).count();
    assert!(planted > 0, "something was planted");
    let (mut on_mask, mut positive) = (0.0, 0.0);
    for (relevance, inside) in relevance.iter().zip(mask) {
        let relevance = f64::from(relevance.max(0.0));
        positive += relevance;
        on_mask += if *inside { relevance } else { 0.0 };
    }
    let order = falling(relevance);
    let hits = |places: &[u32]| places.iter().filter(|place| mask[**place as usize]).count();
    let same = |a: &u32, b: &u32| relevance[*a as usize] == relevance[*b as usize];
    let (mut taken, mut found, mut precision) = (0, 0, 0.0);
    for tied in order.chunk_by(same) {
        let new = hits(tied);
        (taken, found) = (taken + tied.len(), found + new);
        precision += new as f64 * found as f64 / taken as f64;
    }
    Found {
        mass: on_mask / positive,
        rank: hits(&order[..planted]) as f64 / planted as f64,
        average_precision: precision / planted as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn by_hand() {
        let relevance = [0.5, -0.4, 0.2, 0.2, 0.1, 0.0];
        let mask = [true, false, true, false, false, true];
        let found = find(&relevance, &mask);
        assert!((found.mass - 0.7).abs() < 1e-6);
        // Of the three most relevant the first, and of two that are equal the first.
        assert_eq!(found.rank, 2.0 / 3.0);
        // sklearn.metrics.average_precision_score(mask, relevance): (1 + 2/3 + 3/5) / 3.
        assert!((found.average_precision - (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn all_and_nothing() {
        let mask = [true, true, false, false, false];
        let all = find(&[2.0, 1.0, 0.0, -1.0, 0.0], &mask);
        assert_eq!((all.mass, all.rank, all.average_precision), (1.0, 1.0, 1.0));
        let none = find(&[-2.0, -1.0, 0.5, 0.7, 0.2], &mask);
        assert_eq!((none.mass, none.rank), (0.0, 0.0));
        assert!(find(&[0.0; 5], &mask).mass.is_nan());
        assert_eq!(find(&[0.0; 5], &mask).average_precision, 0.4);
    }

    #[test]
    fn lots_find_the_masks_share() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mask: Vec<bool> = (0..50_000).map(|n| n % 20 == 0).collect();
        let relevance: Vec<f32> = mask.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
        let found = find(&relevance, &mask);
        for share in [found.mass, found.rank, found.average_precision] {
            assert!((share - 0.05).abs() < 0.01, "{found:?}");
        }
    }
}
