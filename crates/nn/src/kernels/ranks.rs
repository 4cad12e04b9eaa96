//! The order of values: which is the largest, the second largest, and so on.

use std::cmp::Ordering;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::cpu;
use crate::Result;

/// The places of values from the largest to the smallest; on a tie the earlier place.
pub fn falling(values: &[f32]) -> Vec<u32> {
    sorted(values, true)
}

/// The places of values from the smallest to the largest; on a tie the earlier place.
pub fn rising(values: &[f32]) -> Vec<u32> {
    sorted(values, false)
}

/// So many places in an order by lot, for each number another.
pub fn lots(count: usize, seed: u64, number: u64) -> Vec<u32> {
    let mut places: Vec<u32> = (0..count as u32).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    places.shuffle(&mut rng);
    places
}

fn sorted(values: &[f32], falling: bool) -> Vec<u32> {
    let mut places: Vec<u32> = (0..values.len() as u32).collect();
    // Adding 0 makes −0 the tie with 0 that it is: `total_cmp` puts it before.
    let value = |place: u32| values[place as usize] + 0.0;
    let compare = |a: u32, b: u32| -> Ordering {
        let order = value(a).total_cmp(&value(b));
        let order = if falling { order.reverse() } else { order };
        order.then(a.cmp(&b))
    };
    places.sort_unstable_by(|a, b| compare(*a, *b));
    places
}

/// How many values of an input `[N, …]` stand before each of its values, from the largest if `falling` and else from the
/// smallest, on a tie the earlier place first: f32, of the input's shape. Values are compared in f32.
pub fn ranks(input: &Tensor, falling: bool) -> Result<Tensor> {
    let rows = input.to_dtype(DType::F32)?.flatten_from(1)?.contiguous()?;
    Ok(rows
        .apply_op1_no_bwd(&Ranks { falling })?
        .reshape(input.shape())?)
}

/// The rank of every place from the places in their order.
pub fn of_order(places: &[u32]) -> Vec<f32> {
    let mut ranks = vec![0.0; places.len()];
    for (rank, place) in places.iter().enumerate() {
        ranks[*place as usize] = rank as f32;
    }
    ranks
}

struct Ranks {
    falling: bool,
}

impl CustomOp1 for Ranks {
    fn name(&self) -> &'static str {
        "ranks"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, length) = layout.shape().dims2()?;
        let values = cpu::slice::<f32>(storage, layout)?;
        let ranks = |row: &[f32]| of_order(&sorted(row, self.falling));
        let ranks: Vec<f32> = values
            .par_chunks(length.max(1))
            .flat_map_iter(ranks)
            .collect();
        Ok((CpuStorage::F32(ranks), layout.shape().clone()))
    }

    /// By a sorting network: so many passes over memory as it has steps.
    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        use super::cuda::{kernel, launch, room, view};
        let (rows, length) = layout.shape().dims2()?;
        let (device, values) = (&storage.device, view::<f32>(storage, layout)?);
        let padded = length.next_power_of_two();
        let items = rows * padded;
        let mut keys = room::<u64>(device, items)?;
        let (length, padded) = (length as u32, padded as u32);
        let falling = u32::from(self.falling);
        let function = kernel::<f32>(device, "keys")?;
        launch!(
            function, items, &values, &mut keys, &length, &padded, &falling
        );
        let function = kernel::<f32>(device, "sorted")?;
        let mut run = 2;
        while run <= padded {
            let mut step = run / 2;
            while step > 0 {
                launch!(&function, items, &mut keys, &run, &step, &padded);
                step /= 2;
            }
            run *= 2;
        }
        let mut ranks = room::<f32>(device, values.len())?;
        let function = kernel::<f32>(device, "ranks")?;
        launch!(function, values.len(), &keys, &mut ranks, &length, &padded);
        Ok((
            CudaStorage::wrap_cuda_slice(ranks, device.clone()),
            layout.shape().clone(),
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::cuda::rehearse_with;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nvidia_devices_find_the_same(
            (rows, length) in (1usize..4, 1usize..70),
            falling: bool,
            values in prop::collection::vec(prop_oneof![Just(0.0f32), Just(-0.0), Just(1.5), Just(-2.0), -1e30f32..1e30], 3 * 70),
        ) {
            let values = &values[..rows * length];
            let input = Tensor::from_slice(values, (rows, length), &Device::Cpu).unwrap();
            let found = ranks(&input, falling).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let numbers = [length, length.next_power_of_two(), usize::from(falling)];
            let numbers = numbers.map(|number| number as u32);
            if let Some(theirs) = rehearse_with("ranks", &[values], &numbers, values.len()) {
                prop_assert_eq!(found, theirs);
            }
        }
    }

    #[test]
    fn ties_go_to_the_earlier_place() {
        assert_eq!(falling(&[1.0, 3.0, -0.0, 3.0, 0.0]), [1, 3, 0, 2, 4]);
        assert_eq!(rising(&[1.0, 3.0, -0.0, 3.0, 0.0]), [2, 4, 0, 1, 3]);
        assert_eq!(of_order(&[1, 3, 0, 2, 4]), [2.0, 0.0, 3.0, 1.0, 4.0]);
    }
}
