//! Winograd's filtering against the products over windows, in f64, with every set of instructions that the processor has; and
//! what other devices compute, run on the CPU, against its own kernels.

use candle_core::{Device, Shape, Tensor};
use proptest::prelude::*;
use pulp::Arch;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::sizes::{Geometry, Sizes};
use super::{Epilogue, columns, devices, winograd};
use crate::kernels::testing::{apart, archs, by_lot, wide};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_shape(
        (kernel, padding) in prop_oneof![Just(3usize), Just(5)].prop_flat_map(|k| (Just(k), 0..k)),
        (height, width) in (5usize..20, 5usize..20),
        (inputs, outputs) in (1usize..40, 1usize..70),
        batch in 0usize..10,
        relu: bool,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let geometry = Geometry { padding: padding.into(), ..Geometry::default() };
        let shape = Shape::from((batch, height, width, inputs));
        let sizes = Sizes::new(&shape, outputs, kernel.into(), geometry).unwrap();
        let input = by_lot(batch * sizes.image(), &mut rng);
        let weight = by_lot(sizes.weights(), &mut rng);
        let bias = by_lot(outputs, &mut rng);
        let gradient = by_lot(batch * sizes.out_image(), &mut rng);
        let (input64, weight64, gradient64) = (wide(&input), wide(&weight), wide(&gradient));
        let epilogue64 = Epilogue { bias: &wide(&bias), relu };
        let output = columns::forward(&input64, &weight64, &epilogue64, &sizes);
        let by_input = columns::input_gradient(&gradient64, &weight64, &sizes);
        let by_weight = columns::weight_gradient(&input64, &gradient64, &sizes);
        let terms = kernel * kernel;
        let pixels = (batch * sizes.out_height * sizes.out_width).max(1);
        for arch in archs() {
            let epilogue = Epilogue { bias: &bias, relu };
            let own = winograd::forward(arch, &input, &weight, &epilogue, &sizes);
            let error = apart(&own, &output, terms * inputs);
            prop_assert!(error < 5e-5, "{:?}: {} apart", arch, error);
            let own = winograd::input_gradient(arch, &gradient, &weight, &sizes);
            let error = apart(&own, &by_input, terms * outputs);
            prop_assert!(error < 5e-5, "{:?}, input: {} apart", arch, error);
            let own = winograd::weight_gradient(arch, &input, &gradient, &sizes);
            let error = apart(&own, &by_weight, pixels);
            prop_assert!(error < 5e-5, "{:?}, weight: {} apart", arch, error);
        }
    }
}

/// Values in ±1, by lot.
fn tensor(shape: (usize, usize, usize, usize), rng: &mut ChaCha8Rng) -> Tensor {
    let count = Shape::from(shape).elem_count();
    Tensor::from_vec(wide(&by_lot(count, rng)), shape, &Device::Cpu).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let apart = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    apart.max(0).unwrap().to_scalar().unwrap()
}

/// Kernel, stride, padding, dilation and a length that they fit.
fn axis() -> impl Strategy<Value = [usize; 5]> {
    (1usize..4, 1usize..4, 0usize..3, 1usize..4, 0usize..7).prop_map(
        |(kernel, stride, padding, dilation, more)| {
            let least = ((kernel - 1) * dilation + 1).saturating_sub(2 * padding);
            [kernel, stride, padding, dilation, least.max(1) + more]
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn other_devices_compute_the_same(
        [kh, sh, ph, dh, h] in axis(),
        [kw, sw, pw, dw, w] in axis(),
        groups in 1usize..4,
        (inputs, outputs) in (1usize..3, 1usize..3),
        batch in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let geometry = Geometry {
            stride: (sh, sw).into(),
            padding: (ph, pw).into(),
            dilation: (dh, dw).into(),
            groups,
        };
        let input = tensor((batch, groups * inputs, h, w), &mut rng);
        let weight = tensor((groups * outputs, inputs, kh, kw), &mut rng);
        let output = super::forward(&input, &weight, None, false, geometry).unwrap();
        let theirs = devices::forward(&input, &weight, geometry).unwrap();
        prop_assert!(largest_difference(&theirs, &output) < 1e-12);

        let gradient = tensor(output.dims4().unwrap(), &mut rng);
        let own = super::input_gradient(&gradient, &weight, input.shape(), geometry).unwrap();
        let theirs = devices::input_gradient(&gradient, &weight, input.shape(), geometry).unwrap();
        prop_assert!(largest_difference(&theirs, &own) < 1e-12);

        let kernel = (kh, kw).into();
        let own = super::weight_gradient(&input, &gradient, kernel, geometry).unwrap();
        let theirs = devices::weight_gradient(&input, &gradient, kernel, geometry).unwrap();
        prop_assert!(largest_difference(&theirs, &own) < 1e-12);
    }
}

/// Neither the number of threads nor the company in the batch changes a bit.
#[test]
fn threads_change_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let geometry = Geometry {
        padding: 1.into(),
        ..Geometry::default()
    };
    let sizes = Sizes::new(&Shape::from((19, 13, 9, 24)), 40, 3.into(), geometry).unwrap();
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
