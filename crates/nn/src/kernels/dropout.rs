//! What dropout drops.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, WithDType};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::cpu;
#[cfg(any(feature = "cuda", test))]
use super::cuda;
use crate::Result;

/// A tensor like this one that is 0 with probability `p` and else `1/(1 − p)`, by one draw of `rng` a value: the same on every
/// device.
pub(crate) fn mask(rng: &mut ChaCha8Rng, p: f64, like: &Tensor) -> Result<Tensor> {
    let mask = Tensor::zeros(like.shape(), like.dtype(), like.device())?;
    let draws = Draws {
        rng: rng.clone(),
        limit: (p * BITS).ceil() as u64,
        kept: 1.0 / (1.0 - p),
    };
    mask.inplace_op1(&draws)?;
    rng.set_word_pos(draws.word(mask.elem_count()));
    Ok(mask)
}

/// Of each draw the upper 53 bits count, as many as a number in f64 has.
const BITS: f64 = (1u64 << 53) as f64;

struct Draws {
    rng: ChaCha8Rng,
    /// A draw below this drops its value.
    limit: u64,
    /// What the others are.
    kept: f64,
}

impl Draws {
    /// Where in the generator's stream a draw begins, in words of 32 bits.
    fn word(&self, draw: usize) -> u128 {
        self.rng.get_word_pos() + 2 * draw as u128
    }

    /// The generator's stream, as the kernels read it.
    #[cfg(any(feature = "cuda", test))]
    fn stream(&self) -> cuda::Stream {
        let (key, stream) = (self.rng.get_seed(), self.rng.get_stream());
        let bytes = [&key[..], &stream.to_le_bytes()].concat();
        let mut words = [0; 10];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        cuda::Stream(words)
    }

    fn fill<T: WithDType>(&self, mask: &mut [T]) {
        let kept = T::from_f64(self.kept);
        let fill = |(chunk, mask): (usize, &mut [T])| {
            let mut rng = self.rng.clone();
            rng.set_word_pos(self.word(chunk * cpu::CHUNK));
            let drawn = mask.iter_mut();
            drawn.for_each(|value| match rng.next_u64() >> 11 < self.limit {
                true => *value = T::zero(),
                false => *value = kept,
            });
        };
        mask.par_chunks_mut(cpu::CHUNK).enumerate().for_each(fill);
    }
}

impl InplaceOp1 for Draws {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, mask: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("a mask is contiguous");
        };
        match mask {
            CpuStorage::F32(mask) => self.fill(&mut mask[start..end]),
            CpuStorage::F64(mask) => self.fill(&mut mask[start..end]),
            other => return Err(cpu::unsupported("dropout", other.dtype())),
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, mask: &mut CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        use super::cuda::{kernel, launch, view_mut};
        let device = mask.device.clone();
        let (stream, first) = (self.stream(), self.word(0) as u64);
        cpu::dispatch!(mask, "dropout", T => {
            let kept = <T as WithDType>::from_f64(self.kept);
            let mut mask = view_mut::<T>(mask, layout)?;
            let (function, count) = (kernel::<T>(&device, "dropout")?, mask.len());
            launch!(function, count, &mut mask, &stream, &first, &self.limit, &kept);
        });
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::kernels::cuda::rehearse_with;

    /// A generator that has given so many words.
    fn generator(seed: u64, stream: u64, words: u8) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        for _ in 0..words {
            rng.next_u32();
        }
        rng
    }

    fn drawn(rng: &mut ChaCha8Rng, p: f64, count: usize) -> Vec<f64> {
        let like = Tensor::zeros(count, DType::F64, &Device::Cpu).unwrap();
        mask(rng, p, &like).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn every_value_takes_the_next_draw() {
        let mut rng = generator(1, 0, 3);
        let mut same = rng.clone();
        // More than one thread's share, and once more from where that ended.
        for count in [2 * cpu::CHUNK + 7, 5] {
            let kept = |_| {
                if same.random::<f64>() < 0.3 {
                    0.0
                } else {
                    1.0 / 0.7
                }
            };
            let expected: Vec<f64> = (0..count).map(kept).collect();
            assert_eq!(drawn(&mut rng, 0.3, count), expected);
        }
        assert_eq!(rng.next_u64(), same.next_u64());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nvidia_devices_draw_the_same(seed: u64, stream: u64, words: u8, p in 0.0f64..1.0, count in 1usize..50) {
            let rng = generator(seed, stream, words);
            let draws = Draws { rng: rng.clone(), limit: (p * BITS).ceil() as u64, kept: 1.0 / (1.0 - p) };
            let halves = [draws.limit as u32, (draws.limit >> 32) as u32, draws.word(0) as u32];
            let numbers = [&draws.stream().0[..], &halves].concat();
            if let Some(theirs) = rehearse_with("dropout", &[&[draws.kept]], &numbers, count) {
                prop_assert_eq!(drawn(&mut rng.clone(), p, count), theirs);
            }
        }
    }
}
