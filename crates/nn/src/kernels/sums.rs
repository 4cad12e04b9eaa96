//! Sums over a batch, and over each of its inputs.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Shape, Tensor, WithDType};
use rayon::prelude::*;

use super::cpu;
use super::cuda::Expression;
use super::layout::{Aligned, channels_last, inverse};
use super::pointwise::{Product, Zip, zip};
use crate::Result;

/// `[N, C, …]` to `[C]`. Not differentiable.
pub fn sum_by_channel(tensor: &Tensor) -> Result<Tensor> {
    Ok(channels_last(tensor)?.apply_op1_no_bwd(&ByChannel)?)
}

/// The sum over each input's values, in f64: `[N, …]` to `[N]`. Not differentiable.
///
/// # Errors
/// Those of candle.
pub fn sum_by_input(tensor: &Tensor) -> Result<Vec<f64>> {
    pairs_by_input(&First, tensor, tensor)
}

/// The sum over each input's values of `a · b`, in f64: `[N, …]`, and a shape that is broadcast to it, to `[N]`. Not differentiable.
///
/// # Errors
/// If the shapes do not fit.
pub fn sum_of_products(a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    pairs_by_input(&Product, a, &b.broadcast_as(a.shape())?)
}

/// The sum over each input's values of `a · ε s(z)` with s(0) = +1, in f64: `[N, …]` of one shape to `[N]`. Not differentiable.
///
/// # Errors
/// If the shapes differ.
pub fn sum_stabilized(a: &Tensor, z: &Tensor, epsilon: f64) -> Result<Vec<f64>> {
    pairs_by_input(&Stabilizer { epsilon }, a, z)
}

fn pairs_by_input(op: &impl Zip, a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    let sums = if a.device().is_cpu() {
        let aligned = Aligned::new([a, b])?;
        let [a, b] = &aligned.tensors;
        a.apply_op2_no_bwd(b, &ByInput(op))?
    } else {
        let [a, b] = [a.to_dtype(DType::F64)?, b.to_dtype(DType::F64)?];
        zip(op, &a, &b)?.flatten_from(1)?.sum(1)?
    };
    Ok(sums.to_vec1()?)
}

/// The sum along axes, which stay with length 1, added up in f64 and in the order in which values lie in memory; by candle where autograd
/// follows, on devices, and where other axes lie between these in memory.
pub(crate) fn sum_along(tensor: &Tensor, axes: &[usize]) -> candle_core::Result<Tensor> {
    let mut order: Vec<usize> = (0..tensor.rank()).collect();
    order.sort_by_key(|axis| std::cmp::Reverse(tensor.stride()[*axis]));
    let is_drawn = |axis: &usize| axes.contains(axis);
    let first = order.iter().position(is_drawn);
    let past = order.iter().rposition(is_drawn).map(|last| last + 1);
    let (true, Some(first), Some(past)) = (cpu::are_real(&[tensor]), first, past) else {
        return tensor.sum_keepdim(axes);
    };
    let in_order = tensor.permute(order.as_slice())?;
    if !in_order.is_contiguous() || !order[first..past].iter().all(is_drawn) {
        return tensor.sum_keepdim(axes);
    }
    let mut dims = in_order.dims().to_vec();
    let length = |dims: &[usize]| dims.iter().product::<usize>();
    let op = Middle {
        outer: length(&dims[..first]),
        drawn: length(&dims[first..past]),
        inner: length(&dims[past..]),
    };
    dims[first..past].fill(1);
    let sums = in_order.apply_op1_no_bwd(&op)?.reshape(dims)?;
    sums.permute(inverse(&order))
}

/// The sum over the middle axis of `[outer, drawn, inner]`.
struct Middle {
    outer: usize,
    drawn: usize,
    inner: usize,
}

/// Sums that are added up beside each other in the cache.
const BESIDE: usize = 256;

impl CustomOp1 for Middle {
    fn name(&self) -> &'static str {
        "a sum along axes"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let Middle {
            outer,
            drawn,
            inner,
        } = *self;
        let sums = cpu::dispatch!(storage, "a sum", T => {
            let values = cpu::slice::<T>(storage, layout)?;
            if inner == 1 {
                let rows = (cpu::CHUNK / drawn.max(1)).max(1);
                T::to_cpu_storage_owned(cpu::in_blocks(cpu::lengths(outer, rows), |block, sums: &mut [T]| {
                    for (place, sum) in sums.iter_mut().enumerate() {
                        let row = &values[(block * rows + place) * drawn..][..drawn];
                        *sum = T::from_f64(sum_of(row));
                    }
                }))
            } else {
                let of_outer = cpu::lengths(inner, BESIDE);
                let blocks = of_outer.clone().count();
                let lengths = (0..outer).flat_map(|_| of_outer.clone());
                T::to_cpu_storage_owned(cpu::in_blocks(lengths, |block, sums: &mut [T]| {
                    let (row, first) = (block / blocks, block % blocks * BESIDE);
                    let mut beside = [0.0; BESIDE];
                    for place in 0..drawn {
                        let from = &values[(row * drawn + place) * inner + first..];
                        let pairs = beside[..sums.len()].iter_mut().zip(from);
                        pairs.for_each(|(sum, value)| *sum += value.to_f64());
                    }
                    let pairs = sums.iter_mut().zip(beside);
                    pairs.for_each(|(sum, value)| *sum = T::from_f64(value));
                }))
            }
        });
        Ok((sums, Shape::from(outer * inner)))
    }
}

/// In lanes first.
fn sum_of<T: WithDType>(values: &[T]) -> f64 {
    let mut lanes = [0.0; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest: f64 = blocks.remainder().iter().map(|value| value.to_f64()).sum();
    for block in blocks {
        let pairs = lanes.iter_mut().zip(block);
        pairs.for_each(|(sum, value)| *sum += value.to_f64());
    }
    lanes.iter().sum::<f64>() + rest
}

/// `a`.
struct First;

impl Zip for First {
    fn name(&self) -> &'static str {
        "the first of two"
    }

    fn of<T: WithDType>(&self, a: T, _: T) -> T {
        a
    }

    fn expression(&self) -> Expression {
        Expression::of("a")
    }
}

/// [`sum_stabilized`], of a value and z.
struct Stabilizer {
    epsilon: f64,
}

impl Zip for Stabilizer {
    fn name(&self) -> &'static str {
        "what a stabilizer takes"
    }

    fn of<T: WithDType>(&self, a: T, z: T) -> T {
        let epsilon = T::from_f64(self.epsilon);
        match z >= T::zero() {
            true => a * epsilon,
            false => T::zero() - a * epsilon,
        }
    }

    fn expression(&self) -> Expression {
        Expression {
            text: "b >= T(0) ? a * p : -(a * p)",
            numbers: [self.epsilon, 0.0, 0.0],
        }
    }
}

/// The sum over each input's values of what becomes of two, in f64.
struct ByInput<'a, Z>(&'a Z);

/// Sums that are added up beside each other, which a processor does at once.
const LANES: usize = 8;

impl<Z: Zip> CustomOp2 for ByInput<'_, Z> {
    fn name(&self) -> &'static str {
        "sum-by-input"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let inputs = a_layout.dims()[0];
        let sums = cpu::dispatch!(a, "a sum", T => {
            let (a, b) = (cpu::slice::<T>(a, a_layout)?, cpu::slice::<T>(b, b_layout)?);
            let length = a.len() / inputs.max(1);
            let part = |(a, b): (&[T], &[T])| {
                let of = |a: &T, b: &T| self.0.of(a.to_f64(), b.to_f64());
                let mut lanes = [0.0; LANES];
                let (whole, rest) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
                let last = whole.remainder().iter().zip(rest.remainder());
                let last: f64 = last.map(|(a, b)| of(a, b)).sum();
                for (a, b) in whole.zip(rest) {
                    let pairs = a.iter().zip(b);
                    lanes.iter_mut().zip(pairs).for_each(|(sum, (a, b))| *sum += of(a, b));
                }
                lanes.iter().sum::<f64>() + last
            };
            // In parts and these in order, so that the result does not depend on the number of threads.
            let of_input = |(a, b): (&[T], &[T])| {
                let parts: Vec<f64> = a.par_chunks(PART).zip(b.par_chunks(PART)).map(part).collect();
                parts.iter().sum()
            };
            let of = |input: usize| input * length..(input + 1) * length;
            (0..inputs).into_par_iter().map(|one| of_input((&a[of(one)], &b[of(one)]))).collect::<Vec<f64>>()
        });
        Ok((f64::to_cpu_storage_owned(sums), Shape::from(inputs)))
    }
}

/// Values that one thread sums at a time.
const PART: usize = 1 << 17;

/// K sums for each channel over `length` values `[…, C]`, in f64, in parts and these in order, so that the result does not depend
/// on the number of threads: `add` adds the row that begins at a place.
pub(super) fn sum_rows<const K: usize>(
    length: usize,
    channels: usize,
    add: impl Fn(usize, &mut [Vec<f64>; K]) + Sync,
) -> [Vec<f64>; K] {
    let zeros = || std::array::from_fn(|_| vec![0.0; channels]);
    let part_length = (PART / channels).max(1) * channels;
    let of_part = |part: usize| {
        let mut sums = zeros();
        let past = length.min((part + 1) * part_length);
        (part * part_length..past)
            .step_by(channels)
            .for_each(|row| add(row, &mut sums));
        sums
    };
    let parts: Vec<_> = (0..length.div_ceil(part_length))
        .into_par_iter()
        .map(of_part)
        .collect();
    parts
        .iter()
        .fold(zeros(), |mut total: [Vec<f64>; K], part| {
            for (total, part) in total.iter_mut().flatten().zip(part.iter().flatten()) {
                *total += part;
            }
            total
        })
}

struct ByChannel;

impl CustomOp1 for ByChannel {
    fn name(&self) -> &'static str {
        "sum-by-channel"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let channels = layout.dims()[layout.dims().len() - 1].max(1);
        let sums = cpu::dispatch!(storage, "a sum", T => {
            let data = cpu::slice::<T>(storage, layout)?;
            let [sums] = sum_rows(data.len(), channels, |row, [sums]| {
                sums.iter_mut().zip(&data[row..]).for_each(|(sum, value)| *sum += value.to_f64());
            });
            T::to_cpu_storage_owned(sums.into_iter().map(T::from_f64).collect())
        });
        Ok((sums, Shape::from(channels)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        use super::cuda::{Expression, room, sum_by_channel, view};
        let channels = layout.dims()[layout.dims().len() - 1].max(1);
        let device = &storage.device;
        let sums = cpu::dispatch!(storage, "a sum", T => {
            let values = view::<T>(storage, layout)?;
            let mut sums = room::<T>(device, channels)?;
            let of_values = Expression::of("a");
            sum_by_channel(device, of_values, [&values; 2], None, 1.0, &mut sums.as_view_mut())?;
            CudaStorage::wrap_cuda_slice(sums, device.clone())
        });
        Ok((sums, Shape::from(channels)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::cuda::rehearse;
    use crate::kernels::testing::tensor_by_lot;

    /// As sums of candle's f64, of values in memory by rows, by pixels and of a part of the batch.
    #[test]
    fn by_input_are_those_of_the_definition() {
        for shape in [
            vec![3, 5],
            vec![2, 0],
            vec![2, 3, 7, 11],
            vec![1, 4, 300, 130],
        ] {
            let rows = [tensor_by_lot(&shape, 1), tensor_by_lot(&shape, 2)];
            let pixels = [channels_last(&rows[0]).unwrap(), rows[1].clone()];
            let pixels = [
                crate::kernels::layout::channels_first(&pixels[0]).unwrap(),
                pixels[1].clone(),
            ];
            let part = rows
                .clone()
                .map(|tensor| tensor.narrow(0, shape[0] - 1, 1).unwrap());
            for [a, z] in [rows, pixels, part] {
                let wide = [&a, &z].map(|tensor| tensor.to_dtype(DType::F64).unwrap());
                let total = |tensor: Tensor| -> Vec<f64> {
                    tensor
                        .flatten_from(1)
                        .unwrap()
                        .sum(1)
                        .unwrap()
                        .to_vec1()
                        .unwrap()
                };
                let sign = wide[1].ge(0.0).unwrap().to_dtype(DType::F64).unwrap();
                let sign = sign.affine(2.0, -1.0).unwrap();
                let mut of_channel = vec![1; shape.len()];
                of_channel[1] = shape[1];
                let bias = tensor_by_lot(&of_channel, 3);
                let wide_bias = bias.to_dtype(DType::F64).unwrap();
                let pairs = [
                    (sum_by_input(&a), total(wide[0].clone())),
                    (
                        sum_of_products(&a, &z),
                        total((&wide[0] * &wide[1]).unwrap()),
                    ),
                    (
                        sum_of_products(&a, &bias),
                        total(wide[0].broadcast_mul(&wide_bias).unwrap()),
                    ),
                    (
                        sum_stabilized(&a, &z, 0.25),
                        total((&wide[0] * sign).unwrap().affine(0.25, 0.0).unwrap()),
                    ),
                ];
                for (found, expected) in pairs {
                    let found = found.unwrap();
                    assert_eq!(found.len(), expected.len());
                    for (found, expected) in found.iter().zip(expected) {
                        assert!(
                            (found - expected).abs() < 1e-10,
                            "{shape:?}: {found}, not {expected}"
                        );
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        /// As candle's in f64, of axes in any order.
        #[test]
        fn along_axes_they_are_candles(
            dims in proptest::collection::vec(1usize..7, 4),
            long: bool,
            order in Just([0usize, 1, 2, 3]).prop_shuffle(),
            drawn in [any::<bool>(); 4],
            seed: u64,
        ) {
            let mut dims = dims;
            if long {
                dims[3] = 300;
            }
            let x = tensor_by_lot(&dims, seed).permute(order.as_slice()).unwrap();
            let axes: Vec<usize> = (0..4).filter(|axis| drawn[*axis]).collect();
            let own = sum_along(&x, &axes).unwrap();
            let expected = x.to_dtype(DType::F64).unwrap().sum_keepdim(axes).unwrap();
            prop_assert_eq!(own.dims(), expected.dims());
            let own = own.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let expected = expected.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            // candle's own in f32 lose a place for each value.
            let least = 1e-7 * (x.elem_count() as f64 + 10.0);
            for (own, expected) in own.iter().zip(expected) {
                prop_assert!((own - expected).abs() < least, "{} and {}", own, expected);
            }
        }
    }

    #[test]
    fn expressions_say_the_same() {
        let few = [0.0, -0.0, 1.5, -2.25];
        let (a, b): (Vec<f64>, Vec<f64>) = few.iter().flat_map(|a| few.map(|b| (*a, b))).unzip();
        let op = Stabilizer { epsilon: 0.25 };
        let Some(found) = rehearse::<f64>(op.expression(), [&a, &b, &b]) else {
            return;
        };
        for ((a, b), found) in a.iter().zip(&b).zip(found) {
            assert_eq!(found, op.of(*a, *b), "of {a} and {b}");
        }
    }
}
