//! Dense products in f32 that read the weights once and as they lie in memory: for batches they are by far the larger matrix,
//! and packing them, as a general product does, takes as long as the product.

use pulp::{Arch as Isa, Simd, WithSimd};
use rayon::prelude::*;

use crate::kernels::cpu;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panel::{self, PANEL, Panel, Size};

/// The sizes of a dense layer and its batch.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
}

/// Larger batches amortize packing; and then the products of a general matrix library are hard to beat.
const LARGEST_BATCH: usize = 256;

impl Sizes {
    /// Whether the weights are much the larger matrix.
    pub fn suits(&self) -> bool {
        (1..=LARGEST_BATCH).contains(&self.batch) && self.outputs >= PANEL && self.inputs >= PANEL
    }
}

/// Inputs that are taken at a time: those of a batch stay in a core's cache.
const DEPTH: usize = 512;
/// Outputs that one thread takes at a time.
const OUTPUTS: usize = 64;

/// `x [N, inputs] · wᵀ`, w `[outputs, inputs]`, as `[N, outputs]`: scalar products along the rows of both.
pub(super) fn forward(
    arch: Isa,
    input: &[f32],
    weight: &[f32],
    epilogue: &Epilogue<f32>,
    sizes: Sizes,
) -> Vec<f32> {
    let Sizes {
        batch,
        inputs,
        outputs,
    } = sizes;
    // By outputs first, so that every thread has its own part.
    let by_output = cpu::in_blocks(
        cpu::lengths(outputs * batch, OUTPUTS * batch),
        |block, output| {
            let weight = &weight[block * OUTPUTS * inputs..][..output.len() / batch * inputs];
            arch.dispatch(Forward {
                input,
                weight,
                inputs,
                batch,
                output,
            });
        },
    );
    let mut output = vec![0.0; batch * outputs];
    output
        .par_chunks_mut(outputs)
        .enumerate()
        .for_each(|(n, output)| {
            output
                .iter_mut()
                .zip(by_output[n..].iter().step_by(batch))
                .for_each(|(to, from)| *to = *from);
            epilogue.apply(output);
        });
    output
}

struct Forward<'a> {
    input: &'a [f32],
    weight: &'a [f32],
    inputs: usize,
    batch: usize,
    /// `[outputs, N]`.
    output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Forward {
            input,
            weight,
            inputs,
            batch,
            output,
        } = self;
        for first in (0..inputs).step_by(DEPTH) {
            let depth = first..inputs.min(first + DEPTH);
            // Four rows of weights by six of the batch fill the registers of the widest vectors, four by three those of others. Those of
            // the batch stay in the innermost cache while the weights pass.
            let mut n = 0;
            macro_rules! by {
                ($HIGH:literal) => {
                    while batch - n >= $HIGH {
                        let few: [&[f32]; $HIGH] = rows(&input[n * inputs..], inputs, &depth);
                        let mut o = 0;
                        by!(o, $HIGH, 4, few);
                        by!(o, $HIGH, 1, few);
                        n += $HIGH;
                    }
                };
                ($o:ident, $HIGH:literal, $WIDE:literal, $few:ident) => {
                    while ($o + $WIDE) * batch <= output.len() {
                        let weights: [&[f32]; $WIDE] = rows(&weight[$o * inputs..], inputs, &depth);
                        let sums = &mut output[$o * batch + n..];
                        dot::<S, $HIGH, $WIDE>(simd, $few, weights, sums, batch);
                        $o += $WIDE;
                    }
                };
            }
            if S::REGISTER_COUNT >= 32 {
                by!(6);
            }
            by!(3);
            by!(1);
        }
    }
}

/// A part of some rows that lie `stride` apart.
fn rows<'a, const N: usize>(
    values: &'a [f32],
    stride: usize,
    part: &std::ops::Range<usize>,
) -> [&'a [f32]; N] {
    std::array::from_fn(|row| &values[row * stride..][part.clone()])
}

/// Adds the scalar product of every a with every b; those of one b lie `stride` from those of the next.
#[inline(always)]
fn dot<S: Simd, const A: usize, const B: usize>(
    simd: S,
    a: [&[f32]; A],
    b: [&[f32]; B],
    sums: &mut [f32],
    stride: usize,
) {
    let lanes = S::F32_LANES;
    let whole = a[0].len() / lanes;
    let mut vectors = [[simd.splat_f32s(0.0); A]; B];
    let mut a_vectors = [S::as_simd_f32s(a[0]).0; A];
    for i in 0..A {
        a_vectors[i] = &S::as_simd_f32s(a[i]).0[..whole];
    }
    let mut b_vectors = [S::as_simd_f32s(b[0]).0; B];
    for j in 0..B {
        b_vectors[j] = &S::as_simd_f32s(b[j]).0[..whole];
    }
    for d in 0..whole {
        for j in 0..B {
            // SAFETY: each was cut to `whole` vectors above.
            let b = unsafe { *b_vectors[j].get_unchecked(d) };
            for i in 0..A {
                // SAFETY: likewise.
                let a = unsafe { *a_vectors[i].get_unchecked(d) };
                vectors[j][i] = simd.mul_add_f32s(a, b, vectors[j][i]);
            }
        }
    }
    for j in 0..B {
        for i in 0..A {
            let mut sum = simd.reduce_sum_f32s(vectors[j][i]);
            for d in whole * lanes..a[0].len() {
                sum += a[i][d] * b[j][d];
            }
            sums[j * stride + i] += sum;
        }
    }
}

/// Columns that one thread takes at a time, and rows of the weights: together they stay in a core's cache.
const COLUMNS: usize = 32 * PANEL;
const ROWS: usize = 256;

/// `g [N, outputs] · w`, w `[outputs, inputs]`, as `[N, inputs]`.
pub(super) fn input_gradient(
    arch: Isa,
    gradient: &[f32],
    weight: &[f32],
    sizes: Sizes,
) -> Vec<f32> {
    let Sizes { batch, inputs, .. } = sizes;
    let widths: Vec<usize> = cpu::lengths(inputs, COLUMNS).collect();
    // By blocks of columns first, `[N, PANEL]` after `[N, PANEL]`, so that every thread has its own part.
    let length = |width: &usize| batch * width.next_multiple_of(PANEL);
    let blocks = cpu::in_blocks(widths.iter().map(length), |block, output| {
        arch.dispatch(InputGradient {
            gradient,
            weight,
            sizes,
            first: block * COLUMNS,
            output,
        });
    });
    let mut output = vec![0.0; batch * inputs];
    output
        .par_chunks_mut(inputs)
        .enumerate()
        .for_each(|(n, output)| {
            for (panel, output) in output.chunks_mut(PANEL).enumerate() {
                output.copy_from_slice(&blocks[(panel * batch + n) * PANEL..][..output.len()]);
            }
        });
    output
}

struct InputGradient<'a> {
    gradient: &'a [f32],
    weight: &'a [f32],
    sizes: Sizes,
    /// The first column.
    first: usize,
    /// `[panel, N, PANEL]`.
    output: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let InputGradient {
            gradient,
            weight,
            sizes,
            first,
            output,
        } = self;
        let Sizes {
            batch,
            inputs,
            outputs,
        } = sizes;
        let mut last = Vec::new();
        for row in (0..outputs).step_by(ROWS) {
            let length = ROWS.min(outputs - row);
            let size = Size {
                rows: batch,
                columns: length,
                stride: outputs,
            };
            for (panel, output) in output.chunks_exact_mut(batch * PANEL).enumerate() {
                let column = first + panel * PANEL;
                let out = Panel {
                    values: output,
                    stride: PANEL,
                };
                if column + PANEL <= inputs {
                    let values = &weight[row * inputs + column..];
                    panel::multiply(
                        simd,
                        &gradient[row..],
                        size,
                        Panel {
                            values,
                            stride: inputs,
                        },
                        PANEL,
                        out,
                        true,
                    );
                } else {
                    // The columns that are left over, with zeros beside them.
                    last.clear();
                    for row in weight[row * inputs..].chunks_exact(inputs).take(length) {
                        last.extend_from_slice(&row[column..]);
                        last.resize(last.len().next_multiple_of(PANEL), 0.0);
                    }
                    let values = Panel {
                        values: last.as_slice(),
                        stride: PANEL,
                    };
                    panel::multiply(simd, &gradient[row..], size, values, PANEL, out, true);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::kernels::testing::{Sums, add, archs, by_lot, of_rounding, wide};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against the definition in f64, with every set of instructions; inputs that are more than one part of [`DEPTH`], and
        /// columns more than one block, among them.
        #[test]
        fn of_any_shape(
            batch in 1usize..20,
            inputs in prop_oneof![1usize..200, 2000usize..2200],
            outputs in prop_oneof![1usize..200, 250usize..300],
            seed: u64,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let sizes = Sizes { batch, inputs, outputs };
            let (input, weight) = (by_lot(batch * inputs, &mut rng), by_lot(outputs * inputs, &mut rng));
            let gradient = by_lot(batch * outputs, &mut rng);
            let mut product: Sums = vec![(0.0, 0.0); batch * outputs];
            let mut back: Sums = vec![(0.0, 0.0); batch * inputs];
            let (input64, weight64, gradient64) = (wide(&input), wide(&weight), wide(&gradient));
            for (n, o) in (0..batch).flat_map(|n| (0..outputs).map(move |o| (n, o))) {
                for i in 0..inputs {
                    add(&mut product[n * outputs + o], input64[n * inputs + i] * weight64[o * inputs + i]);
                    add(&mut back[n * inputs + i], gradient64[n * outputs + o] * weight64[o * inputs + i]);
                }
            }
            for arch in archs() {
                let epilogue = Epilogue { bias: &[], relu: false };
                let own = forward(arch, &input, &weight, &epilogue, sizes);
                let error = of_rounding(&own, &product, inputs);
                prop_assert!(error <= 1.0, "{:?}: {} times what rounding can do", arch, error);
                let own = input_gradient(arch, &gradient, &weight, sizes);
                let error = of_rounding(&own, &back, outputs);
                prop_assert!(error <= 1.0, "{:?}: {} times what rounding can do", arch, error);
            }
        }
    }
}
