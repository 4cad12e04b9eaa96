//! Batch normalization and statistics pooling: gradients by finite differences, and closed forms.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::kernels::batch_norm::{normalize, statistics};
use speechlens_nn::ops::{TimeDeviation, TimeMean};
use speechlens_nn::{LinearOp, Mode, Op, Params, Result};

fn by_lot(shape: &[usize], rng: &mut ChaCha8Rng) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn scalar(tensor: &Tensor) -> f64 {
    tensor.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

/// The gradient of `loss` by every tensor against central differences at every value.
fn gradients_hold(loss: impl Fn(&[Tensor]) -> Result<Tensor>, at: &[Tensor]) {
    const STEP: f64 = 1e-5;
    let variables: Vec<Var> = at
        .iter()
        .map(|tensor| Var::from_tensor(tensor).unwrap())
        .collect();
    let inputs: Vec<Tensor> = variables
        .iter()
        .map(|variable| variable.as_tensor().clone())
        .collect();
    let gradients = loss(&inputs).unwrap().backward().unwrap();
    for (which, variable) in variables.iter().enumerate() {
        let gradient = gradients
            .get(variable)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap();
        for (place, gradient) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut values = at[which].flatten_all().unwrap().to_vec1::<f64>().unwrap();
                values[place] += by;
                let mut all = at.to_vec();
                all[which] = Tensor::from_vec(values, at[which].shape(), &Device::Cpu).unwrap();
                scalar(&loss(&all).unwrap())
            };
            let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!(
                (gradient - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                "{gradient}, not {expected}"
            );
        }
    }
}

/// A loss that weighs every output differently.
fn weighed(output: &Tensor) -> Result<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    Ok((output * by_lot(output.dims(), &mut rng))?.sum_all()?)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalization_by_input_scale_and_shift(
        batch in 2usize..5, channels in 1usize..4, rest in prop::collection::vec(1usize..4, 0..3), seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape: Vec<usize> = [batch, channels].into_iter().chain(rest).collect();
        let tensors = [by_lot(&shape, &mut rng), by_lot(&[channels], &mut rng), by_lot(&[channels], &mut rng)];
        gradients_hold(
            |x| weighed(&normalize(&x[0], &x[1], &x[2], &statistics(&x[0])?, 0.1)?),
            &tensors,
        );
    }

    #[test]
    fn statistics_pooling_by_its_input(height in 1usize..3, frames in 2usize..6, over_time: bool, seed: u64) {
        // Rising over time: where all frames are equal, the deviation has a kink.
        let ramp = Tensor::arange(0f64, frames as f64, &Device::Cpu).unwrap();
        let lot = by_lot(&[2, 2, height, frames], &mut ChaCha8Rng::seed_from_u64(seed));
        let mut input = (lot * 0.2).unwrap().broadcast_add(&ramp).unwrap();
        if over_time {
            input = input.get_on_dim(2, 0).unwrap();
        }
        gradients_hold(|x| weighed(&TimeDeviation.forward(&Params::new(), &[&x[0]], &mut Mode::Infer)?), std::slice::from_ref(&input));
        gradients_hold(|x| weighed(&TimeMean.forward(&Params::new(), &[&x[0]], &mut Mode::Infer)?), &[input]);
    }

    /// The deviation is the sum of its input times its weights, and a bias, its floor: what relevance propagation takes it for.
    #[test]
    fn the_deviation_is_linear_for_its_input(frames in 2usize..20, seed: u64) {
        let input = by_lot(&[3, 2, 2, frames], &mut ChaCha8Rng::seed_from_u64(seed));
        let forward = TimeDeviation.forward(&Params::new(), &[&input], &mut Mode::Infer).unwrap();
        let (weight, bias) = TimeDeviation.weights(&Params::new(), &[&input]).unwrap();
        let bias = bias.unwrap();
        let sum = TimeDeviation.apply(&input, &weight).unwrap();
        let apart = (&forward - (sum + &bias).unwrap()).unwrap().abs().unwrap();
        prop_assert!(scalar(&apart.max_all().unwrap()) < 1e-14);
        // σ times it is the floor.
        let floor = (bias * &forward).unwrap();
        let apart = (floor - 1e-10).unwrap().abs().unwrap().max_all().unwrap();
        prop_assert!(scalar(&apart) < 1e-24);
    }
}

#[test]
fn normalized_channels_have_mean_zero_and_variance_one() {
    let input = by_lot(&[4, 3, 5, 6], &mut ChaCha8Rng::seed_from_u64(1));
    let ones = Tensor::ones(3, DType::F64, &Device::Cpu).unwrap();
    let output = normalize(
        &input,
        &ones,
        &ones.zeros_like().unwrap(),
        &statistics(&input).unwrap(),
        0.0,
    )
    .unwrap();
    for (row, expected) in statistics(&output)
        .unwrap()
        .to_vec2::<f64>()
        .unwrap()
        .iter()
        .zip([0.0, 1.0])
    {
        assert!(
            row.iter().all(|value| (value - expected).abs() < 1e-12),
            "{row:?}"
        );
    }
}
