//! How far an explanation moves when its input hardly does.

use candle_core::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_attribution::Attribute;

use crate::Result;
use crate::flip::flat;

/// For each input of a batch `[N, …]`, the largest relative change of its relevance among so many noisy copies,
/// `max_δ ‖R(x + δ) − R(x)‖ / ‖R(x)‖`, δ uniform in `radius` times the input's range to either side (Yeh et al. 2019,
/// Definition 2, in proportion to the explanation's norm). NaN where there is no relevance.
pub fn max_sensitivity(
    method: &dyn Attribute,
    input: &Tensor,
    targets: &[u32],
    radius: f64,
    samples: usize,
    seed: u64,
) -> Result<Vec<f64>> {
    let values = flat(input)?;
    let length = values.len() / targets.len().max(1);
    let explain = |input: &Tensor| -> Result<Vec<f32>> {
        flat(&method.attribute(input, targets, &|_| ())?.relevance)
    };
    let before = explain(input)?;
    let mut most = vec![0f64; targets.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..samples {
        let noisy = values.chunks(length).flat_map(|values| {
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let reach = radius as f32 * (high - low);
            let noise: Vec<f32> = values
                .iter()
                .map(|value| value + reach * rng.random_range(-1f32..1.0))
                .collect();
            noise
        });
        let noisy = Tensor::from_vec(noisy.collect::<Vec<f32>>(), input.shape(), input.device())?;
        let after = explain(&noisy.to_dtype(input.dtype())?)?;
        let pairs = before.chunks(length).zip(after.chunks(length));
        for (most, (before, after)) in most.iter_mut().zip(pairs) {
            let norm =
                |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
            let moved = norm(&mut before.iter().zip(after).map(|(a, b)| f64::from(b - a)));
            let change = moved / norm(&mut before.iter().map(|r| f64::from(*r)));
            // A maximum would pass over what is not a number.
            *most = if change.is_nan() {
                change
            } else {
                most.max(change)
            };
        }
    }
    Ok(most)
}
