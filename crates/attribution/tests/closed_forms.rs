//! On a network that is linear in its input, every method has a closed form.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use speechlens_attribution::methods::{self, Score};
use speechlens_attribution::{Attribution, Method, Reference};
use speechlens_nn::loss::Loss;
use speechlens_nn::ops::{Along, Flatten, Linear, ReduceMean, Relu};
use speechlens_nn::{Architecture, Graph};

const SHAPE: [usize; 3] = [1, 3, 4];
const VALUES: usize = 12;

/// Logits `w x + b` of inputs `[1, 3, 4]`, for two classes.
fn linear(weights: &[f64], bias: [f64; 2]) -> Graph {
    let mut net = Architecture::new(SHAPE);
    let x = net.add("flatten", Flatten, [net.input()]).unwrap();
    net.add("dense", Linear::new(VALUES, 2), [x]).unwrap();
    let weight = Tensor::from_slice(weights, (2, VALUES), &Device::Cpu).unwrap();
    let bias = Tensor::from_slice(&bias, 2, &Device::Cpu).unwrap();
    let weights = [("dense.weight", weight), ("dense.bias", bias)];
    net.with_weights(
        weights
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into(),
    )
    .unwrap()
}

fn batch(inputs: &[Vec<f64>]) -> Tensor {
    let [c, h, w] = SHAPE;
    Tensor::from_vec(inputs.concat(), (inputs.len(), c, h, w), &Device::Cpu).unwrap()
}

fn explain(method: &dyn Method, graph: &Graph, input: &Tensor, targets: &[u32]) -> Attribution {
    method
        .of(graph)
        .unwrap()
        .attribute(input, targets, &|_| ())
        .unwrap()
}

/// Normal values `[N, 1, 3, 4]`, the same for a seed.
fn by_lot(count: usize, deviation: f64, seed: u64) -> Tensor {
    let lots = ChaCha8Rng::seed_from_u64(seed).sample_iter::<f64, _>(StandardNormal);
    let values: Vec<f64> = lots
        .take(count * VALUES)
        .map(|lot| lot * deviation)
        .collect();
    let [c, h, w] = SHAPE;
    Tensor::from_vec(values, (count, c, h, w), &Device::Cpu).unwrap()
}

fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    tensor.flatten_from(1).unwrap().to_vec2().unwrap()
}

fn all_near(found: &[f64], expected: &[f64]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-3.0..3.0, VALUES)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_linear_network(
        weights in prop::collection::vec(-2.0..2.0, 2 * VALUES),
        inputs in prop::collection::vec(values(), 1..4),
        reference in values(),
        bias in [-1.0..1.0, -1.0..1.0],
    ) {
        let graph = linear(&weights, bias);
        let targets: Vec<u32> = (0..inputs.len() as u32).map(|place| place % 2).collect();
        let input = batch(&inputs);
        let reference_input = batch(std::slice::from_ref(&reference)).squeeze(0).unwrap();
        let from = || Reference::Input(reference_input.clone());
        let single = |score| methods::Occlusion { patch: vec![1, 1], stride: vec![1, 1], reference: from(), score };
        let gradients: [&dyn Method; 2] = [&methods::Gradient, &methods::SmoothGrad { samples: 3, noise: 0.2, seed: 1 }];
        // The loss of the target's own logit: w (x − r).
        let products: [&dyn Method; 3] = [
            &methods::GradientTimesInput { reference: from() },
            &methods::IntegratedGradients { steps: 3, reference: from() },
            &single(Score::Logit),
        ];
        let of = |method: &dyn Method| explain(method, &graph, &input, &targets);
        for (place, (x, target)) in inputs.iter().zip(&targets).enumerate() {
            let w = &weights[*target as usize * VALUES..][..VALUES];
            let product: Vec<f64> = (0..VALUES).map(|j| w[j] * (x[j] - reference[j])).collect();
            let absolute: Vec<f64> = w.iter().map(|w| w.abs()).collect();
            for method in gradients {
                all_near(&rows(&of(method).relevance)[place], w);
            }
            all_near(&rows(&of(&methods::Sensitivity).relevance)[place], &absolute);
            for method in products {
                let found = of(method);
                all_near(&rows(&found.relevance)[place], &product);
                if let Some(gaps) = found.completeness_gap {
                    prop_assert!(gaps[place].abs() < 1e-9);
                }
            }
            // A probability falls where the logit does.
            let found = of(&single(Score::Probability(Loss::BinaryCrossEntropy)));
            let logit: f64 = bias[*target as usize] + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
            let sigmoid = |logit: f64| 1.0 / (1.0 + (-logit).exp());
            for (found, product) in rows(&found.relevance)[place].iter().zip(&product) {
                let expected = sigmoid(logit) - sigmoid(logit - product);
                prop_assert!((found - expected).abs() < 1e-6);
            }
        }
    }

    /// Larger patches give each value the mean over the patches that hold it, of what each patch is worth.
    #[test]
    fn patches(
        weights in prop::collection::vec(-2.0..2.0, 2 * VALUES),
        x in values(),
        patch in (1usize..=3, 1usize..=4),
        stride in (1usize..=3, 1usize..=4),
    ) {
        let graph = linear(&weights, [0.0, 0.0]);
        let method = methods::Occlusion {
            patch: vec![patch.0, patch.1],
            stride: vec![stride.0, stride.1],
            reference: 1.5.into(),
            score: Score::Logit,
        };
        let found = rows(&explain(&method, &graph, &batch(std::slice::from_ref(&x)), &[1]).relevance).remove(0);
        let (mut lost, mut count) = ([0.0; VALUES], [0.0; VALUES]);
        let mut patches = 0;
        // The first start at or behind which a patch reaches the end is the last.
        let starts = |length: usize, side: usize, step: usize| {
            let mut starts = vec![0];
            while starts[starts.len() - 1] + side < length {
                starts.push(starts[starts.len() - 1] + step);
            }
            starts
        };
        for top in starts(3, patch.0, stride.0) {
            for left in starts(4, patch.1, stride.1) {
                let inside = |place: &usize| {
                    (top..top + patch.0).contains(&(place / 4)) && (left..left + patch.1).contains(&(place % 4))
                };
                let places: Vec<usize> = (0..VALUES).filter(inside).collect();
                let worth: f64 = places.iter().map(|j| weights[VALUES + j] * (x[*j] - 1.5)).sum();
                for place in places {
                    lost[place] += worth;
                    count[place] += 1.0;
                }
                patches += 1;
            }
        }
        let expected: Vec<f64> = lost.iter().zip(count).map(|(lost, n)| if n > 0.0 { lost / n } else { 0.0 }).collect();
        all_near(&found, &expected);
        prop_assert_eq!(method.of(&graph).unwrap().passes().forward, 1 + patches);
    }
}

/// Where the gradient is not constant, quadrature of enough steps gives the difference of the logits.
#[test]
fn integrated_gradients_are_complete_where_the_path_bends() {
    let mut net = Architecture::new(SHAPE);
    let x = net.add("flatten", Flatten, [net.input()]).unwrap();
    let x = net.add("hidden", Linear::new(VALUES, 16), [x]).unwrap();
    let x = net.add("relu", Relu, [x]).unwrap();
    net.add("head", Linear::new(16, 2), [x]).unwrap();
    let graph = net
        .random(3, &Device::Cpu)
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap();
    let input = by_lot(4, 2.0, 3);
    let gap = |steps| {
        let reference = (-3.0).into();
        let method = methods::IntegratedGradients { steps, reference };
        let gaps = explain(&method, &graph, &input, &[0, 1, 1, 0]).completeness_gap;
        gaps.unwrap()
            .into_iter()
            .fold(0.0, |most: f64, gap| most.max(gap.abs()))
    };
    // Where the gradient jumps, quadrature errs by at most the weight of one node, which is in proportion to 1 / steps.
    for steps in [10, 100, 1000] {
        let gap = gap(steps);
        assert!(gap < 3.0 / steps as f64, "{gap} after {steps} steps");
    }
}

#[test]
fn lots_depend_on_the_input_and_the_seed_alone() {
    let graph = linear(&[0.5; 2 * VALUES], [0.0, 0.0]);
    let input = by_lot(3, 1.0, 2);
    let random = |seed, input: &Tensor| {
        let targets = vec![0; input.dim(0).unwrap()];
        rows(&explain(&methods::Random { seed }, &graph, input, &targets).relevance)
    };
    let all = random(1, &input);
    assert_eq!(random(1, &input.narrow(0, 1, 2).unwrap()), all[1..]);
    assert_ne!(random(2, &input), all);
    assert_ne!(all[0], all[1]);
    assert!(all.iter().flatten().all(|r| (-1.0..1.0).contains(r)));
}

/// The noise of SmoothGrad has the share of the input's range that is asked for: the mean gradient of `relu(x)` at x is the
/// share of the copies above 0, the normal distribution's Φ(x / σ).
#[test]
fn smoothgrad_has_the_noise_asked_for() {
    let mut net = Architecture::new([2]);
    let x = net.add("relu", Relu, [net.input()]).unwrap();
    net.add("head", Linear::new(2, 1).without_bias(), [x])
        .unwrap();
    let one = Tensor::ones((1, 2), DType::F64, &Device::Cpu).unwrap();
    let graph = net
        .with_weights([("head.weight".to_owned(), one)].into())
        .unwrap();
    // The range is 2, σ is 0.5: Φ(2) and Φ(−2).
    let input = Tensor::new(&[[1.0, -1.0]], &Device::Cpu).unwrap();
    let method = methods::SmoothGrad {
        samples: 4000,
        noise: 0.25,
        seed: 7,
    };
    let found = rows(&explain(&method, &graph, &input, &[0]).relevance).remove(0);
    assert!(
        (found[0] - 0.977_25).abs() < 0.01 && (found[1] - 0.022_75).abs() < 0.01,
        "{found:?}"
    );
}

/// Of a mean over as many values as are given, each has its share; so has a patch of a 14th, of recordings of any length.
#[test]
fn occlusion_covers_inputs_of_any_length() {
    let mut net = Architecture::reading("input", vec![None, None]);
    let along = Along {
        axes: vec![1],
        keep: true,
        ..Along::default()
    };
    net.add("mean", ReduceMean(along), [net.input()]).unwrap();
    let graph = net.random(1, &Device::Cpu).unwrap();
    for length in [7usize, 140] {
        let values: Vec<f64> = (0..length).map(|place| (place % 5) as f64 - 1.5).collect();
        let input = Tensor::new(values.as_slice(), &Device::Cpu).unwrap();
        let input = input.unsqueeze(0).unwrap();
        let found = explain(&methods::Occlusion::default(), &graph, &input, &[0]);
        let found = rows(&found.relevance).remove(0);
        let (patch, stride) = (length.div_ceil(15), length.div_ceil(15).div_ceil(2));
        // The first value is in the first patch alone.
        let first: f64 = values[..patch].iter().sum::<f64>() / length as f64;
        assert!((found[0] - first).abs() < 1e-12, "{length}: {found:?}");
        // One in the middle is in two, which begin a stride apart.
        let middle = 3 * stride;
        let sum = |start: usize| values[start..start + patch].iter().sum::<f64>();
        let expected = match patch {
            1 => sum(middle),
            _ => (sum(middle) + sum(middle - stride)) / 2.0,
        };
        assert!(
            (found[middle] - expected / length as f64).abs() < 1e-12,
            "{length}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let graph = linear(&[0.5; 2 * VALUES], [0.0, 0.0]);
    let refused = |method: &dyn Method| method.of(&graph).err().unwrap().to_string();
    let occlusion = |patch: &[usize], stride: &[usize]| methods::Occlusion {
        patch: patch.to_vec(),
        stride: stride.to_vec(),
        reference: 0.0.into(),
        score: Score::Logit,
    };
    for (patch, stride) in [
        (&[4, 1][..], &[1, 1][..]),
        (&[1, 1], &[0, 1]),
        (&[0, 1], &[1, 1]),
        (&[1], &[1, 1]),
        (&[], &[1]),
        (&[1, 1, 1, 1], &[1, 1, 1, 1]),
    ] {
        assert!(refused(&occlusion(patch, stride)).contains("do not fit an input of [1, 3, 4]"));
    }
    assert!(
        refused(&methods::IntegratedGradients {
            steps: 0,
            reference: 0.0.into()
        })
        .contains("step")
    );
    assert!(
        refused(&methods::SmoothGrad {
            samples: 0,
            noise: 0.1,
            seed: 1
        })
        .contains("sample")
    );
    let input = Tensor::zeros((2, 1, 3, 4), DType::F64, &Device::Cpu).unwrap();
    let methods: [&dyn Method; 3] = [
        &methods::Gradient,
        &occlusion(&[1, 1], &[1, 1]),
        &methods::Random { seed: 1 },
    ];
    for method in methods {
        let method = method.of(&graph).unwrap();
        let error = method.attribute(&input, &[0], &|_| ()).unwrap_err();
        assert!(error.to_string().contains("1 targets for 2 inputs"));
    }
    let method = occlusion(&[1, 1], &[1, 1]).of(&graph).unwrap();
    let error = method.attribute(&input, &[0, 2], &|_| ()).unwrap_err();
    assert!(error.to_string().contains("no class 2"), "{error}");
}
