//! Random numbers that depend on a seed and a name, and on nothing else.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A generator for one purpose, `label`. Its stream is independent of every other label's and of the order of calls.
pub(crate) fn rng(seed: u64, label: &str) -> ChaCha8Rng {
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes());
    hash.update(label.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}
