//! What goes in comes out: the relevance of the input sums to that of the output, over graphs by lot.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_lrp::{Composite, Detail, Lrp};
use speechlens_nn::ops::{
    AdaptiveAvgPool2d, AvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Relu,
};
use speechlens_nn::{Architecture, Graph};

/// Rounding in f64, as a share of the absolute relevance at all nodes: sums of up to a thousand products, 2⁻⁵³ each, with room for
/// what cancels between them.
const ROUNDING: f64 = 1e-9;

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
            0 => net.add(name, AvgPool2d::new(kernel, stride), [x]).unwrap(),
            1 => x,
            _ => net.add(name, MaxPool2d::new(kernel, stride), [x]).unwrap(),
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

/// Of each input: what it starts from, what reached the input, and how far rounding may part the two; what the stabilizers took
/// is counted with what reached the input.
struct Account {
    start: f64,
    reached: f64,
    rounding: f64,
}

/// Explains, and adds up. Without biases, or with the biases left out of the denominators, nothing but ε takes relevance.
fn account(lrp: &Lrp, input: &Tensor) -> (Detail, Vec<Account>) {
    let names: Vec<String> = lrp
        .assignments()
        .into_iter()
        .flat_map(|a| a.nodes)
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let detail = lrp.explain_in_detail(input, &TARGETS, &names).unwrap();
    let total = |tensor: &Tensor| -> Vec<f64> {
        let sums = tensor.flatten_from(1).unwrap().sum(1);
        sums.unwrap().to_vec1().unwrap()
    };
    let passed = total(&detail.explanation.relevance);
    let mut masses = vec![0.0; TARGETS.len()];
    let relevances = detail.layers.values();
    for relevance in relevances.chain([&detail.explanation.relevance]) {
        for (mass, layer) in masses.iter_mut().zip(total(&relevance.abs().unwrap())) {
            *mass += layer;
        }
    }
    let of_input = |i: usize| {
        let taken: f64 = detail.conservation.iter().map(|b| b.epsilon[i]).sum();
        Account {
            start: detail.conservation[0].arrived[i],
            reached: passed[i] + taken,
            rounding: ROUNDING * masses[i],
        }
    };
    let accounts = (0..TARGETS.len()).map(of_input).collect();
    (detail, accounts)
}

const TARGETS: [u32; 3] = [0, 2, 1];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Without biases LRP-0 conserves, but for what its stabilizer takes.
    #[test]
    fn lrp_0_sums_to_the_logit(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = without_biases(&by_lot(&mut rng)).to_dtype(DType::F64).unwrap();
        let input = (noise((3, SHAPE[0], SHAPE[1], SHAPE[2]), 40.0, &mut rng) - 40.0).unwrap();
        let lrp = Lrp::new(&graph, &Composite::preset("lrp-0").unwrap()).unwrap();
        let (detail, accounts) = account(&lrp, &input);
        let logits = detail.explanation.logits.to_vec2::<f64>().unwrap();
        for ((account, logits), target) in accounts.iter().zip(logits).zip(TARGETS) {
            prop_assert_eq!(account.start, logits[target as usize]);
            prop_assert!((account.start - account.reached).abs() <= account.rounding, "{} for {}", account.reached, account.start);
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
        for account in account(&lrp, &input).1 {
            prop_assert!((account.start - account.reached).abs() <= account.rounding, "{} for {}", account.reached, account.start);
        }
    }

    /// z⁺ keeps the sign: relevance of a positive start is nowhere negative. And it conserves, but for what its stabilizer takes:
    /// little of what is large beside it, and all where nothing positive flows into an output.
    #[test]
    fn z_plus_conserves_and_keeps_the_sign(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = without_biases(&by_lot(&mut rng)).to_dtype(DType::F64).unwrap();
        let text = "[[rule]]\nrule = \"z-plus\"\n[options]\nstart = \"one\"";
        let lrp = Lrp::new(&graph, &composite(text)).unwrap();
        let input = noise((3, SHAPE[0], SHAPE[1], SHAPE[2]), 4000.0, &mut rng);
        let (detail, accounts) = account(&lrp, &input);
        let least: f64 = detail.explanation.relevance.min_all().unwrap().to_scalar().unwrap();
        prop_assert!(least >= 0.0);
        for account in accounts {
            prop_assert_eq!(account.start, 1.0);
            prop_assert!((1.0 - account.reached).abs() <= account.rounding, "{}", account.reached);
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
        let lrp = Lrp::new(&graph, &composite(&text)).unwrap();
        for account in account(&lrp, &noise((3, 40), 40.0, &mut rng)).1 {
            prop_assert!((account.start - account.reached).abs() <= account.rounding, "{} for {}", account.reached, account.start);
        }
    }

    /// An explanation does not depend on what else is in the batch. An ε of 1 keeps rounding from growing: no denominator is
    /// smaller, and what flows into one is a few hundred at most.
    #[test]
    fn inputs_are_explained_apart(seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = by_lot(&mut rng).to_dtype(DType::F64).unwrap();
        let input = (noise((3, SHAPE[0], SHAPE[1], SHAPE[2]), 40.0, &mut rng) - 40.0).unwrap();
        let of_convolutions = ["", "[[rule]]\nkind = \"conv\"\nrule = \"alpha-beta\"\nalpha = 2.0\nbeta = 1.0\n"];
        for rule in of_convolutions {
            let text = format!("{rule}[[rule]]\nrule = \"epsilon\"\nepsilon = 1.0\n[options]\nreference = -80.0");
            let lrp = Lrp::new(&graph, &composite(&text)).unwrap();
            let together = lrp.explain(&input, &TARGETS).unwrap().relevance;
            for (index, target) in TARGETS.iter().enumerate() {
                let alone = lrp.explain(&input.narrow(0, index, 1).unwrap(), &[*target]).unwrap().relevance;
                let apart = (alone - together.narrow(0, index, 1).unwrap()).unwrap().abs().unwrap();
                let scale: f64 = together.abs().unwrap().max_all().unwrap().to_scalar().unwrap();
                prop_assert!(apart.max_all().unwrap().to_scalar::<f64>().unwrap() <= ROUNDING * scale);
            }
        }
    }
}
