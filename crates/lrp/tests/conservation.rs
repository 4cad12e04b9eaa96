//! What goes in comes out: the relevance of the input sums to that of the output, over graphs by lot.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_lrp::{Composite, Explanation, Lrp};
use speechlens_nn::ops::{
    AdaptiveAvgPool2d, AvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Relu,
};
use speechlens_nn::{Architecture, Graph};

const SHAPE: [usize; 3] = [2, 14, 17];

/// One to three blocks of convolution, ReLU and a pooling that the last of three leaves out, then two dense layers.
fn by_lot(rng: &mut ChaCha8Rng) -> Graph {
    let mut net = Architecture::new(SHAPE);
    let (mut x, mut channels) = (net.input(), SHAPE[0]);
    for block in 0..rng.random_range(1..4) {
        let outputs = rng.random_range(3..9);
        let conv = Conv2d::new(channels, outputs, rng.random_range(1..4)).padding(1);
        let stride = if block == 0 {
            rng.random_range(1..3)
        } else {
            1
        };
        x = net
            .add(format!("{block}.conv"), conv.stride(stride), [x])
            .unwrap();
        x = net.add(format!("{block}.relu"), Relu, [x]).unwrap();
        let (kernel, stride) = (
            rng.random_range(1..4 - block.min(2)),
            rng.random_range(1..3 - block.min(2) / 2),
        );
        let name = format!("{block}.pool");
        x = match rng.random_range(0..3) {
            0 => net.add(name, AvgPool2d { kernel, stride }, [x]).unwrap(),
            1 => x,
            _ => net.add(name, MaxPool2d { kernel, stride }, [x]).unwrap(),
        };
        channels = outputs;
    }
    x = net
        .add("avgpool", AdaptiveAvgPool2d { size: (2, 3) }, [x])
        .unwrap();
    x = net.add("flatten", Flatten, [x]).unwrap();
    x = net.add("dropout", Dropout { p: 0.5 }, [x]).unwrap();
    x = net
        .add("hidden", Linear::new(channels * 6, 20), [x])
        .unwrap();
    x = net.add("relu", Relu, [x]).unwrap();
    net.add("head", Linear::new(20, 3), [x]).unwrap();
    net.random(rng.random(), &Device::Cpu).unwrap()
}

fn without_biases(graph: &Graph) -> Graph {
    graph
        .map_weights(|name, tensor| {
            Ok(if name.ends_with(".bias") {
                tensor.zeros_like()?
            } else {
                tensor.clone()
            })
        })
        .unwrap()
}

fn noise(shape: impl Into<candle_core::Shape>, scale: f64, rng: &mut ChaCha8Rng) -> Tensor {
    let shape = shape.into();
    let values: Vec<f64> = (0..shape.elem_count())
        .map(|_| rng.random_range(-scale..scale))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn composite(text: &str) -> Composite {
    Composite::parse(text, Path::new("test")).unwrap()
}

/// Of each input: the target's logit, and the relevance's sum.
fn sums(explanation: &Explanation, targets: &[u32]) -> Vec<(f64, f64)> {
    let logits = explanation
        .logits
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec2::<f64>()
        .unwrap();
    let relevance = explanation.relevance.to_dtype(DType::F64).unwrap();
    let totals = relevance
        .flatten_from(1)
        .unwrap()
        .sum(1)
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    logits
        .iter()
        .zip(targets)
        .map(|(row, t)| row[*t as usize])
        .zip(totals)
        .collect()
}

const TARGETS: [u32; 3] = [0, 2, 1];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Without biases LRP-0 conserves: but for the stabilizer (1e-6 for every value on the way) in f64, within 1 % in f32
    /// on inputs like decibels.
    #[test]
    fn lrp_0_sums_to_the_logit(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = without_biases(&by_lot(&mut rng));
        let input = (noise((3, SHAPE[0], SHAPE[1], SHAPE[2]), 40.0, &mut rng) - 40.0).unwrap();
        for (dtype, tolerance) in [(DType::F64, 1e-6), (DType::F32, 1e-2)] {
            let graph = graph.to_dtype(dtype).unwrap();
            let lrp = Lrp::new(&graph, &Composite::preset("lrp-0").unwrap()).unwrap();
            let explanation = lrp.explain(&input.to_dtype(dtype).unwrap(), &TARGETS).unwrap();
            for (logit, sum) in sums(&explanation, &TARGETS) {
                let allowed = tolerance * logit.abs() + 1e-5;
                prop_assert!((logit - sum).abs() <= allowed, "{:?}: {} for {}", dtype, sum, logit);
            }
        }
    }

    /// With the biases left out of the denominators, a network with biases conserves too. (They are negative here, and 0 in
    /// the head: what a positive bias makes of inputs that are all 0 can be shared out among none of them.)
    #[test]
    fn lrp_0_conserves_where_biases_are_left_out(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = by_lot(&mut rng).map_weights(|name, tensor| {
            let tensor = tensor.to_dtype(DType::F64)?;
            Ok(if name == "head.bias" {
                    tensor.zeros_like()?
                } else if name.ends_with(".bias") { tensor.abs()?.neg()? } else { tensor })
        });
        let graph = graph.unwrap();
        let input = noise((3, SHAPE[0], SHAPE[1], SHAPE[2]), 40.0, &mut rng);
        let text = "[[rule]]\nrule = \"epsilon\"\nepsilon = 1e-12\n[options]\nbias = \"zero\"";
        let lrp = Lrp::new(&graph, &composite(text)).unwrap();
        for (logit, sum) in sums(&lrp.explain(&input, &TARGETS).unwrap(), &TARGETS) {
            prop_assert!((logit - sum).abs() <= 1e-6 * logit.abs(), "{} for {}", sum, logit);
        }
    }

    /// z⁺ conserves and keeps the sign: relevance of a positive start is nowhere negative. Where nothing positive flows into
    /// an output, there is nothing to share its relevance out by: inputs and weights are chosen so that there always is.
    #[test]
    fn z_plus_conserves_and_keeps_the_sign(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = without_biases(&by_lot(&mut rng)).to_dtype(DType::F64).unwrap();
        let text = "[[rule]]\nrule = \"z-plus\"\n[options]\nstart = \"one\"";
        let lrp = Lrp::new(&graph, &composite(text)).unwrap();
        // Large values: the stabilizer of 1e-6 is nothing beside them.
        let input = noise((3, SHAPE[0], SHAPE[1], SHAPE[2]), 4000.0, &mut rng);
        let explanation = lrp.explain(&input, &TARGETS).unwrap();
        let least: f64 = explanation.relevance.min_all().unwrap().to_scalar().unwrap();
        prop_assert!(least >= 0.0);
        for (_, sum) in sums(&explanation, &TARGETS) {
            prop_assert!((sum - 1.0).abs() < 1e-3 || sum.abs() < 1e-9, "{}", sum);
        }
    }

    /// One dense layer of mixed signs: αβ gives out α − β = 1 of the relevance for any α.
    #[test]
    fn alpha_beta_conserves(seed: u64, beta in 0f64..3.0) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut net = Architecture::new([40]);
        net.add("dense", Linear::new(40, 3), [net.input()]).unwrap();
        let graph = without_biases(&net.random(seed, &Device::Cpu).unwrap()).to_dtype(DType::F64).unwrap();
        let alpha = 1.0 + beta;
        let text = format!("[[rule]]\nrule = \"alpha-beta\"\nalpha = {alpha:?}\nbeta = {beta:?}");
        let explanation =
            Lrp::new(&graph, &composite(&text)).unwrap().explain(&noise((3, 40), 40.0, &mut rng), &TARGETS).unwrap();
        for (logit, sum) in sums(&explanation, &TARGETS) {
            prop_assert!((logit - sum).abs() < 1e-4 * (1.0 + logit.abs()), "{} for {}", sum, logit);
        }
    }

    /// An explanation does not depend on what else is in the batch.
    #[test]
    fn inputs_are_explained_apart(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = by_lot(&mut rng).to_dtype(DType::F64).unwrap();
        let input = (noise((3, SHAPE[0], SHAPE[1], SHAPE[2]), 40.0, &mut rng) - 40.0).unwrap();
        for preset in ["gender-silence", "epsilon-alpha2-beta1"] {
            let lrp = Lrp::new(&graph, &Composite::preset(preset).unwrap()).unwrap();
            let together = lrp.explain(&input, &TARGETS).unwrap().relevance;
            for (index, target) in TARGETS.iter().enumerate() {
                let alone = lrp.explain(&input.narrow(0, index, 1).unwrap(), &[*target]).unwrap().relevance;
                let apart = (alone - together.narrow(0, index, 1).unwrap()).unwrap().abs().unwrap();
                let scale: f64 = together.abs().unwrap().max_all().unwrap().to_scalar().unwrap();
                prop_assert!(apart.max_all().unwrap().to_scalar::<f64>().unwrap() <= 1e-9 * scale);
            }
        }
    }
}
