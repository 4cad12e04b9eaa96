//! Training against PyTorch: the same weights, batches and optimizer give the same losses and weights
//! (`goldens/make_networks.py`).

#![allow(clippy::unwrap_used)]

mod peer;

use candle_core::DType;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::train::Config;
use speechlens_nn::{Graph, Trainer};
use speechlens_tests::golden;

const STEPS: usize = 20;

fn largest_difference(name: &str, optimizer: Optimizer) -> (f64, f64) {
    let golden = golden("training/training.safetensors").unwrap();
    let config = Config {
        epochs: 1,
        batch: 8,
        optimizer,
        seed: 0,
        loss: Loss::BinaryCrossEntropy,
    };
    let mut trainer = Trainer::new(&peer::net(&golden, "start/"), config).unwrap();
    let expected: Vec<f64> = golden[&format!("{name}/loss")].to_vec1().unwrap();
    assert_eq!(expected.len(), STEPS);
    let (inputs, labels) = (&golden["input"], &golden["label"]);
    let mut of_losses = 0f64;
    for (step, expected) in expected.iter().enumerate() {
        let batch = step % inputs.dim(0).unwrap();
        let labels = labels.get(batch).unwrap().to_dtype(DType::U32).unwrap();
        let loss = trainer
            .step(&inputs.get(batch).unwrap(), &labels.to_vec1().unwrap())
            .unwrap();
        of_losses = of_losses.max((loss - expected).abs());
    }
    let flat = |graph: &Graph| -> Vec<f32> {
        graph
            .weights()
            .values()
            .flat_map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .collect()
    };
    let (ours, start, theirs) = (
        flat(&trainer.graph()),
        flat(&peer::net(&golden, "start/")),
        flat(&peer::net(&golden, &format!("{name}/"))),
    );
    let largest = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from((a - b).abs()))
            .fold(0.0, f64::max)
    };
    let of_weights = largest(&ours, &theirs);
    println!(
        "{name}: losses at most {of_losses:.1e} apart, weights {of_weights:.1e} after moving up to {:.1e}",
        largest(&start, &theirs)
    );
    (of_losses, of_weights)
}

/// The design's tolerance is 1e-4; both compute in f32, so that a hundredth of it is enough.
const TOLERANCE: f64 = 1e-6;

#[test]
fn sgd_follows_pytorch() {
    let (losses, weights) = largest_difference(
        "sgd",
        Optimizer::Sgd {
            lr: 0.05,
            momentum: 0.9,
        },
    );
    assert!(losses < TOLERANCE && weights < 1e-5, "{losses} {weights}");
}

#[test]
fn adamw_follows_pytorch() {
    // A step of AdamW is as long where the gradient is lost in rounding as elsewhere: the weights bear more of it.
    let (losses, weights) = largest_difference(
        "adamw",
        Optimizer::AdamW {
            lr: 1e-3,
            weight_decay: 0.01,
        },
    );
    assert!(losses < TOLERANCE && weights < 1e-4, "{losses} {weights}");
}
