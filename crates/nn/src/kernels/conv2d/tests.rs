//! Winograd's filtering, and channels by themselves, against the products over windows, in f64, with every set of instructions that the
//! processor has; and
//! what NVIDIA devices compute, run on the CPU, against its own kernels.

use candle_core::Shape;
use proptest::prelude::*;
use pulp::Arch as Isa;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::sizes::{Geometry, Sizes};
use super::winograd::Weight;
use super::{columns, depthwise, direct, winograd};
use crate::kernels::cuda;
use crate::kernels::epilogue::Epilogue;
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
            let filters = winograd::packed(arch, &weight, &sizes);
            let packed = Weight::Packed(&filters);
            let packed = winograd::forward(arch, &input, packed, &epilogue, &sizes);
            let own = winograd::forward(arch, &input, Weight::Plain(&weight), &epilogue, &sizes);
            prop_assert!(own == packed);
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

/// Images that are one colour but for a rectangle, as silence around a voice.
#[test]
fn equal_windows_give_equal_values() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (kernel, padding, inputs) in [(3, 1, 24), (5, 2, 9), (5, 0, 40), (3, 2, 200)] {
        let (batch, height, width, outputs) = (2, 23, 19, 37);
        let geometry = Geometry {
            padding: padding.into(),
            ..Geometry::default()
        };
        let shape = Shape::from((batch, height, width, inputs));
        let sizes = Sizes::new(&shape, outputs, kernel.into(), geometry).unwrap();
        let silence = by_lot(inputs, &mut rng);
        let mut input = by_lot(batch * sizes.image(), &mut rng);
        for (at, pixel) in input.chunks_mut(inputs).enumerate() {
            let (y, x) = (at / width % height, at % width);
            if !((9..14).contains(&y) && (6..9).contains(&x)) {
                pixel.copy_from_slice(&silence);
            }
        }
        let (weight, bias) = (by_lot(sizes.weights(), &mut rng), by_lot(outputs, &mut rng));
        let epilogue = Epilogue {
            bias: &bias,
            relu: false,
        };
        // Of each window, by its bits: what it gave first.
        let mut windows: Vec<Vec<u32>> = Vec::new();
        for (n, y, x) in (0..batch).flat_map(|n| {
            (0..sizes.out_height).flat_map(move |y| (0..sizes.out_width).map(move |x| (n, y, x)))
        }) {
            let places = (y..y + kernel).flat_map(|y| (x..x + kernel).map(move |x| (y, x)));
            let values = places.flat_map(|(y, x)| {
                let inside = (padding..height + padding).contains(&y)
                    && (padding..width + padding).contains(&x);
                let pixel = inside.then(|| {
                    let at = ((n * height + y - padding) * width + x - padding) * inputs;
                    &input[at..at + inputs]
                });
                (0..inputs).map(move |c| pixel.map_or(0, |pixel| pixel[c].to_bits()))
            });
            windows.push(values.collect());
        }
        for arch in archs() {
            let output = winograd::forward(arch, &input, Weight::Plain(&weight), &epilogue, &sizes);
            let mut first = std::collections::HashMap::new();
            let image = sizes.out_height * sizes.out_width;
            for (at, (window, values)) in windows.iter().zip(output.chunks(outputs)).enumerate() {
                let expected = *first.entry((at / image, window)).or_insert(values);
                assert!(values == expected, "{arch:?}, {kernel}: output {at}");
            }
            // There are windows of silence alone, and others.
            assert!(first.len() > 2 * 40 && first.len() < windows.len() * 3 / 4);
        }
    }
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

    /// The windows of images are what a convolution with the identity gives, and gathering them is its transposed map.
    #[test]
    fn nvidia_devices_find_the_same_windows(
        [kh, sh, ph, dh, h] in axis(),
        [kw, sw, pw, dw, w] in axis(),
        inputs in 1usize..4,
        batch in 1usize..4,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let geometry = Geometry {
            stride: (sh, sw).into(),
            padding: (ph, pw).into(),
            dilation: (dh, dw).into(),
            groups: 1,
        };
        let window = kh * kw * inputs;
        let shape = Shape::from((batch, h, w, inputs));
        let sizes = Sizes::new(&shape, window, (kh, kw).into(), geometry).unwrap();
        // Output (r, s, c) of a place is its window's value there; weights are [K, C, kh, kw].
        let mut identity = vec![0.0; window * window];
        for output in 0..window {
            let (position, channel) = (output / inputs, output % inputs);
            identity[output * window + channel * kh * kw + position] = 1.0;
        }
        let input = wide(&by_lot(batch * sizes.image(), &mut rng));
        let epilogue = Epilogue { bias: &vec![0.0; window], relu: false };
        let output = columns::forward(&input, &identity, &epilogue, &sizes);
        let (windows, count) = (sizes.windows(), output.len());
        let Some(theirs) = cuda::rehearse_kernel("columns", &[&input], windows, count) else {
            return Ok(());
        };
        prop_assert_eq!(theirs, output);
        let values = wide(&by_lot(count, &mut rng));
        let gathered = columns::input_gradient(&values, &identity, &sizes);
        let theirs = cuda::rehearse_kernel("images", &[&values], windows, input.len()).unwrap();
        let apart = gathered.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
        prop_assert!(apart.fold(0.0, f64::max) < 1e-12);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Products with panels against those over windows, of windows that lie in the image one behind another and of others.
    #[test]
    fn panels_of_any_geometry(
        [kh, sh, ph, dh, h] in prop_oneof![axis(), Just([1, 1, 0, 1, 1]), Just([1, 1, 0, 1, 5])],
        [kw, sw, pw, dw, w] in prop_oneof![axis(), Just([1, 1, 0, 1, 1]), Just([1, 1, 0, 1, 5]), Just([9, 2, 0, 1, 40])],
        (inputs, outputs) in (1usize..60, 1usize..70),
        batch in 0usize..4,
        relu: bool,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let geometry = Geometry {
            stride: (sh, sw).into(),
            padding: (ph, pw).into(),
            dilation: (dh, dw).into(),
            groups: 1,
        };
        let shape = Shape::from((batch, h, w, inputs));
        let sizes = Sizes::new(&shape, outputs, (kh, kw).into(), geometry).unwrap();
        let input = by_lot(batch * sizes.image(), &mut rng);
        let (weight, bias) = (by_lot(sizes.weights(), &mut rng), by_lot(outputs, &mut rng));
        let expected = Epilogue { bias: &wide(&bias), relu };
        let expected = columns::forward(&wide(&input), &wide(&weight), &expected, &sizes);
        let epilogue = Epilogue { bias: &bias, relu };
        for arch in archs() {
            let panels = direct::panels(&weight, &sizes);
            let own = direct::forward(arch, &input, &panels, &epilogue, &sizes);
            let error = apart(&own, &expected, sizes.window());
            prop_assert!(error < 5e-5, "{:?}: {} apart", arch, error);
        }
    }
}

/// One channel of pixels, or of kernels.
fn channel(values: &[f64], channel: usize, channels: usize) -> Vec<f64> {
    values
        .iter()
        .skip(channel)
        .step_by(channels)
        .copied()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Depthwise convolution is that of every channel alone.
    #[test]
    fn channels_by_themselves(
        [kh, sh, ph, dh, h] in axis(),
        [kw, sw, pw, dw, w] in axis(),
        channels in prop_oneof![2usize..6, 30usize..70],
        batch in 1usize..7,
        relu: bool,
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let geometry = Geometry {
            stride: (sh, sw).into(),
            padding: (ph, pw).into(),
            dilation: (dh, dw).into(),
            groups: channels,
        };
        let sizes = |channels, geometry| {
            let shape = Shape::from((batch, h, w, channels));
            Sizes::new(&shape, channels, (kh, kw).into(), geometry).unwrap()
        };
        let (all, one) = (sizes(channels, geometry), sizes(1, Geometry { groups: 1, ..geometry }));
        let input = wide(&by_lot(batch * all.image(), &mut rng));
        let weight = wide(&by_lot(channels * kh * kw, &mut rng));
        let bias = wide(&by_lot(channels, &mut rng));
        let gradient = wide(&by_lot(batch * all.out_image(), &mut rng));
        let close = |a: &[f64], b: &[f64]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
        };
        for arch in archs() {
            let epilogue = Epilogue { bias: &bias, relu };
            let output = depthwise::forward(arch, &input, &weight, &epilogue, &all);
            let by_input = depthwise::input_gradient(arch, &gradient, &weight, &all);
            let by_weight = depthwise::weight_gradient(&input, &gradient, &all);
            for c in 0..channels {
                let (input, gradient) = (channel(&input, c, channels), channel(&gradient, c, channels));
                let weight = &weight[c * kh * kw..(c + 1) * kh * kw];
                let epilogue = Epilogue { bias: &bias[c..=c], relu };
                let expected = columns::forward(&input, weight, &epilogue, &one);
                prop_assert!(close(&channel(&output, c, channels), &expected));
                let expected = columns::input_gradient(&gradient, weight, &one);
                prop_assert!(close(&channel(&by_input, c, channels), &expected));
                let expected = columns::weight_gradient(&input, &gradient, &one);
                prop_assert!(close(&by_weight[c * kh * kw..(c + 1) * kh * kw], &expected));
            }
        }
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
                winograd::forward(
                    Isa::new(),
                    &input,
                    Weight::Plain(&weight),
                    &epilogue,
                    &sizes,
                ),
                winograd::input_gradient(Isa::new(), &gradient, &weight, &sizes),
                winograd::weight_gradient(Isa::new(), &input, &gradient, &sizes),
                direct::forward(
                    Isa::new(),
                    &input,
                    &direct::panels(&weight, &sizes),
                    &epilogue,
                    &sizes,
                ),
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
        Isa::new(),
        &input[..sizes.image()],
        Weight::Plain(&weight),
        &epilogue,
        &alone,
    );
    assert_eq!(first, one.0[..sizes.out_image()]);
}
