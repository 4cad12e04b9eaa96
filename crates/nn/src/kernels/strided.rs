//! Values of tensors that lie in memory in any order, or stand for several places at once, as rows that are read with one step.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use super::cpu;

/// An axis: its length, and from one place to the next the step in each of N tensors.
#[derive(Clone, Copy)]
struct Axis<const N: usize> {
    length: usize,
    steps: [usize; N],
}

/// N tensors of one shape, read row by row in the shape's order.
pub(crate) struct Walk<const N: usize> {
    outer: Vec<Axis<N>>,
    row: Axis<N>,
    starts: [usize; N],
}

/// Part of a row: where it begins in each tensor, and the step.
pub(crate) struct Run<const N: usize> {
    pub starts: [usize; N],
    pub steps: [usize; N],
    pub length: usize,
}

impl<const N: usize> Walk<N> {
    /// Of layouts of one shape; axes that lie behind each other in all are one.
    pub fn new(layouts: [&Layout; N]) -> Self {
        let mut joined: Vec<Axis<N>> = Vec::new();
        for (place, length) in layouts[0].dims().iter().enumerate() {
            let axis = Axis {
                length: *length,
                steps: layouts.map(|layout| layout.stride()[place]),
            };
            match joined.last_mut() {
                _ if axis.length == 1 => {}
                Some(last) if (0..N).all(|n| last.steps[n] == axis.steps[n] * axis.length) => {
                    *last = Axis {
                        length: last.length * axis.length,
                        steps: axis.steps,
                    };
                }
                _ => joined.push(axis),
            }
        }
        let row = joined.pop().unwrap_or(Axis {
            length: 1,
            steps: [1; N],
        });
        Walk {
            outer: joined,
            row,
            starts: layouts.map(Layout::start_offset),
        }
    }

    fn rows(&self) -> usize {
        self.outer.iter().map(|axis| axis.length).product()
    }

    /// The pieces that one thread takes at a time: several rows, or a part of one.
    fn pieces(&self) -> (usize, usize) {
        let row = self.row.length.max(1);
        match row >= cpu::CHUNK {
            true => (1, cpu::CHUNK),
            false => (cpu::CHUNK / row, row),
        }
    }

    /// Writes every value of a contiguous output, run by run.
    pub fn write<T: WithDType>(&self, write: impl Fn(&mut [T], Run<N>) + Send + Sync) -> Vec<T> {
        let (rows, length) = self.pieces();
        let row = self.row.length;
        let parts = row.div_ceil(length.max(1)).max(1);
        let lengths: Vec<usize> = match parts {
            1 => cpu::lengths(self.rows() * row, rows * row).collect(),
            _ => (0..self.rows())
                .flat_map(|_| cpu::lengths(row, length))
                .collect(),
        };
        cpu::in_blocks(lengths.iter().copied(), |block, output: &mut [T]| {
            let (first, part) = (block / parts * rows, block % parts * length);
            let pieces = output.chunks_mut(length.min(row).max(1)).enumerate();
            for (place, output) in pieces {
                let run = self.run(first + place, part..part + output.len());
                write(output, run);
            }
        })
    }

    /// A part of the row of this number.
    fn run(&self, row: usize, part: Range<usize>) -> Run<N> {
        let (mut starts, mut rest) = (self.starts, row);
        for axis in self.outer.iter().rev() {
            let place = rest % axis.length;
            rest /= axis.length;
            (0..N).for_each(|n| starts[n] += place * axis.steps[n]);
        }
        (0..N).for_each(|n| starts[n] += part.start * self.row.steps[n]);
        Run {
            starts,
            steps: self.row.steps,
            length: part.len(),
        }
    }
}

/// A tensor's values one behind another in its shape's order, on the CPU by all threads. Not differentiable.
pub(crate) fn contiguous(tensor: &Tensor) -> Result<Tensor> {
    match cpu::are_real(&[tensor]) && !tensor.is_contiguous() {
        true => tensor.apply_op1_no_bwd(&Contiguous),
        false => tensor.contiguous(),
    }
}

struct Contiguous;

impl CustomOp1 for Contiguous {
    fn name(&self) -> &'static str {
        "contiguous"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let walk = Walk::new([layout]);
        let output = cpu::dispatch!(storage, "a copy", T => {
            let values = T::cpu_storage_as_slice(storage)?;
            T::to_cpu_storage_owned(walk.write(|output: &mut [T], run| {
                let values = &values[run.starts[0]..];
                match run.steps[0] {
                    0 => output.fill(values[0]),
                    1 => output.copy_from_slice(&values[..run.length]),
                    step => {
                        let values = values.iter().step_by(step);
                        output.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
                    }
                }
            }))
        });
        Ok((output, layout.shape().clone()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::DType;
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::testing::tensor_by_lot;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// As candle copies, of axes in any order, parts of them, and repeated ones.
        #[test]
        fn copies_are_candles(
            dims in proptest::collection::vec(1usize..6, 4),
            order in Just([0usize, 1, 2, 3]).prop_shuffle(),
            long: bool,
            repeated: bool,
            seed: u64,
        ) {
            let mut dims = dims;
            if long {
                dims[3] = 40_000;
            }
            let x = tensor_by_lot(&dims, seed);
            let x = x.narrow(1, dims[1] / 2, dims[1] - dims[1] / 2).unwrap();
            let x = x.permute(order.as_slice()).unwrap();
            let x = match repeated {
                true => x.unsqueeze(2).unwrap().broadcast_as(
                    [&x.dims()[..2], &[3], &x.dims()[2..]].concat()).unwrap(),
                false => x,
            };
            let flat = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            prop_assert_eq!(flat(contiguous(&x).unwrap()), flat(x.contiguous().unwrap()));
        }
    }

    /// Of numbers that our kernels do not know.
    #[test]
    fn half_precision_and_whole_numbers_are_copied_too() {
        let x = tensor_by_lot(&[3, 4], 1).affine(8.0, 0.0).unwrap();
        for dtype in [DType::F16, DType::I64] {
            let x = x.to_dtype(dtype).unwrap().t().unwrap();
            let copy = contiguous(&x).unwrap();
            assert!(copy.is_contiguous());
            let values = |x: &Tensor| {
                let x = x.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
                x.to_vec1::<f64>().unwrap()
            };
            assert_eq!(values(&copy), values(&x));
        }
    }
}
