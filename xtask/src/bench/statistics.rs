//! Medians and ranges.

/// The median; of an even count, the mean of the two in the middle. Not a number if there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// A value over several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub smallest: f64,
    pub largest: f64,
}

/// Ours over the peer within each round, which cancels what slows a whole round down. Nothing where there is no peer.
pub fn ratio(ours: &[f64], peer: &[f64]) -> Option<Spread> {
    let ratios: Vec<f64> = ours
        .iter()
        .zip(peer)
        .map(|(ours, peer)| ours / peer)
        .collect();
    if ratios.is_empty() {
        return None;
    }
    Some(Spread {
        smallest: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        largest: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        median: median(ratios),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_odd_and_even_counts() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // A round half as fast for both changes nothing; the ratio of the medians would be 20 / 10.
        let found = ratio(&[30.0, 15.0, 20.0], &[10.0, 5.0, 20.0]);
        let expected = Spread {
            median: 3.0,
            smallest: 1.0,
            largest: 3.0,
        };
        assert_eq!(found, Some(expected));
        assert_eq!(ratio(&[30.0], &[]), None);
    }
}
