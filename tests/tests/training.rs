//! Training against PyTorch: the same weights, batches, optimizer and schedule give the same losses and weights
//! (`goldens/make_networks.py`, `goldens/make_schedule.py`).

#![allow(clippy::unwrap_used)]

use candle_core::DType;
use speechlens_nn::loss::Loss;
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::Config;
use speechlens_nn::{Graph, Trainer};
use speechlens_tests::{Tensors, golden, peer};

const STEPS: usize = 20;

/// Learning rates of one cycle, and a training under one.
fn cycle() -> Tensors {
    golden("training/one-cycle.safetensors").unwrap()
}

fn largest_difference(name: &str, optimizer: Optimizer, schedule: Schedule) -> (f64, f64) {
    let mut golden = golden("training/training.safetensors").unwrap();
    golden.extend(cycle());
    let config = Config {
        epochs: 1,
        batch: 8,
        optimizer,
        schedule,
        seed: 0,
        loss: Loss::BinaryCrossEntropy,
    };
    let mut trainer = Trainer::new(&peer::net(&golden, "start/").unwrap(), config).unwrap();
    let expected: Vec<f64> = golden[&format!("{name}/loss")].to_vec1().unwrap();
    assert_eq!(expected.len(), STEPS);
    let (inputs, labels) = (&golden["input"], &golden["label"]);
    let mut of_losses = 0f64;
    for (step, expected) in expected.iter().enumerate() {
        let batch = step % inputs.dim(0).unwrap();
        let labels = labels.get(batch).unwrap().to_dtype(DType::U32).unwrap();
        trainer
            .step(&inputs.get(batch).unwrap(), &labels.to_vec1().unwrap())
            .unwrap();
        let loss = trainer.history().loss[step];
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
        flat(&peer::net(&golden, "start/").unwrap()),
        flat(&peer::net(&golden, &format!("{name}/")).unwrap()),
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
        Schedule::Constant,
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
        Schedule::Constant,
    );
    assert!(losses < TOLERANCE && weights < 1e-4, "{losses} {weights}");
}

#[test]
fn one_cycle_follows_pytorch() {
    let steps = STEPS as u64;
    let (losses, weights) = largest_difference(
        "one-cycle",
        Optimizer::AdamW {
            lr: 2e-3,
            weight_decay: 0.01,
        },
        Schedule::OneCycle { steps },
    );
    assert!(losses < TOLERANCE && weights < 1e-4, "{losses} {weights}");

    let mut lengths = 0;
    for (name, rates) in cycle() {
        let Some(steps) = name.strip_prefix("lr/") else {
            continue;
        };
        let schedule = Schedule::OneCycle {
            steps: steps.parse().unwrap(),
        };
        for (step, expected) in (0..).zip(rates.to_vec1::<f64>().unwrap()) {
            let rate = 2e-3 * schedule.factor(step);
            assert!(
                (rate / expected - 1.0).abs() < 1e-12,
                "step {step} of {steps}: {rate}, not {expected}"
            );
        }
        lengths += 1;
    }
    assert_eq!(lengths, 6);
}
