//! Winograd's filtering against the products over windows, in f64, with every set of instructions that the processor has.

use candle_core::Shape;
use proptest::prelude::*;
use pulp::Arch;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::sizes::{Geometry, Sizes};
use super::{Epilogue, columns, winograd};

/// All that there are here, the widest vectors first.
fn archs() -> Vec<Arch> {
    let mut archs = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        archs.extend(pulp::x86::V4::try_new().map(Arch::V4));
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
    }
    archs.push(Arch::Scalar);
    archs
}

fn by_lot(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// The largest distance, as a part of the values' root mean square.
fn apart(values: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(values.len(), expected.len());
    let square = expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64;
    let furthest = values
        .iter()
        .zip(expected)
        .map(|(a, b)| (f64::from(*a) - b).abs());
    furthest.fold(0.0, f64::max) / square.sqrt().max(1e-3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_shape(
        (kernel, padding) in prop_oneof![Just(3usize), Just(5)].prop_flat_map(|k| (Just(k), 0..k)),
        (height, width) in (5usize..20, 5usize..20),
        (inputs, outputs) in (1usize..40, 1usize..70),
        batch in 1usize..10,
        relu: bool,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let geometry = Geometry { stride: 1, padding };
        let shape = Shape::from((batch, height, width, inputs));
        let sizes = Sizes::new(&shape, outputs, kernel, geometry).unwrap();
        let input = by_lot(batch * sizes.image(), &mut rng);
        let weight = by_lot(sizes.weights(), &mut rng);
        let bias = by_lot(outputs, &mut rng);
        let gradient = by_lot(batch * sizes.out_image(), &mut rng);
        let (input64, weight64, gradient64) = (wide(&input), wide(&weight), wide(&gradient));
        let epilogue64 = Epilogue { bias: &wide(&bias), relu };
        let output = columns::forward(&input64, &weight64, &epilogue64, &sizes);
        let by_input = columns::input_gradient(&gradient64, &weight64, &sizes);
        let by_weight = columns::weight_gradient(&input64, &gradient64, &sizes);
        for arch in archs() {
            let epilogue = Epilogue { bias: &bias, relu };
            let own = winograd::forward(arch, &input, &weight, &epilogue, &sizes);
            prop_assert!(apart(&own, &output) < 5e-5, "{:?}: {} apart", arch, apart(&own, &output));
            let own = winograd::input_gradient(arch, &gradient, &weight, &sizes);
            prop_assert!(apart(&own, &by_input) < 5e-5, "{:?}, input: {} apart", arch, apart(&own, &by_input));
            let own = winograd::weight_gradient(arch, &input, &gradient, &sizes);
            prop_assert!(apart(&own, &by_weight) < 5e-5, "{:?}, weight: {} apart", arch, apart(&own, &by_weight));
        }
    }
}

/// Neither the number of threads nor the company in the batch changes a bit.
#[test]
fn threads_change_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let geometry = Geometry {
        stride: 1,
        padding: 1,
    };
    let sizes = Sizes::new(&Shape::from((19, 13, 9, 24)), 40, 3, geometry).unwrap();
    let input = by_lot(19 * sizes.image(), &mut rng);
    let (weight, bias) = (by_lot(sizes.weights(), &mut rng), by_lot(40, &mut rng));
    let gradient = by_lot(19 * sizes.out_image(), &mut rng);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let epilogue = Epilogue {
                bias: &bias,
                relu: true,
            };
            (
                winograd::forward(Arch::new(), &input, &weight, &epilogue, &sizes),
                winograd::input_gradient(Arch::new(), &gradient, &weight, &sizes),
                winograd::weight_gradient(Arch::new(), &input, &gradient, &sizes),
                columns::forward(&input, &weight, &epilogue, &sizes),
                columns::input_gradient(&gradient, &weight, &sizes),
                columns::weight_gradient(&input, &gradient, &sizes),
            )
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
    let alone = Sizes { batch: 1, ..sizes };
    let epilogue = Epilogue {
        bias: &bias,
        relu: true,
    };
    let first = winograd::forward(
        Arch::new(),
        &input[..sizes.image()],
        &weight,
        &epilogue,
        &alone,
    );
    assert_eq!(first, one.0[..sizes.out_image()]);
}
