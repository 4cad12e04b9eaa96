//! The peak that rates are compared with: how many floating-point operations all threads can do in a second.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch as Isa, Simd, WithSimd};

/// Fused multiply-adds that do not wait for each other. More than the units times their latency on x86, and with the factor
/// as many as AVX2 has registers for.
const CHAINS: usize = 14;
const STEPS: usize = 10_000_000;
const REPEATS: usize = 10;

/// The peak of this machine.
#[derive(Clone, Copy)]
pub struct Peak {
    /// Floating-point operations a second, two a multiply-add.
    pub flops: f64,
    /// The width of the vectors they were done with.
    pub vector_bits: usize,
}

impl Peak {
    /// The higher of the two.
    pub fn max(self, other: Peak) -> Peak {
        match other.flops > self.flops {
            true => other,
            false => self,
        }
    }
}

/// Measures for some tenths of a second; the best of several runs counts.
pub fn measure() -> Peak {
    let arch = Isa::new();
    let mut peak = Peak {
        flops: 0.0,
        vector_bits: 0,
    };
    for _ in 0..REPEATS {
        let start = Instant::now();
        let lanes = rayon::broadcast(|_| arch.dispatch(MultiplyAdds));
        let seconds = start.elapsed().as_secs_f64();
        let all: usize = lanes.iter().sum();
        peak = peak.max(Peak {
            flops: (2 * STEPS * CHAINS * all) as f64 / seconds,
            vector_bits: 32 * lanes[0],
        });
    }
    peak
}

/// [`STEPS`] times [`CHAINS`] multiply-adds of vectors; gives the numbers in a vector.
struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let factor = simd.splat_f32s(black_box(0.5));
        let mut chains = [factor; CHAINS];
        // Different from each other, or they would be computed once.
        for (index, chain) in chains.iter_mut().enumerate() {
            *chain = simd.splat_f32s(black_box(index as f32));
        }
        for _ in 0..black_box(STEPS) {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, factor);
            }
        }
        for chain in chains {
            black_box(simd.reduce_sum_f32s(chain));
        }
        S::F32_LANES
    }
}
