//! Random numbers that depend on a seed and a place alone, so that nothing but the two must be kept to go on from there.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the numbers are for: each use has a stream of its own.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Weights = 1,
    Dropout = 2,
    Order = 3,
}

/// The generator for `stream` at `position`.
pub(crate) fn generator(seed: u64, stream: Stream, position: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&position.to_le_bytes());
    key[16] = stream as u8;
    ChaCha8Rng::from_seed(key)
}
