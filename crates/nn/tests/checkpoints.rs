//! Training that stops and resumes, is repeated, or runs on another number of threads, ends in the same bits.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Mutex;

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_nn::loss::Loss;
use speechlens_nn::ops::{AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Relu};
use speechlens_nn::optim::Optimizer;
use speechlens_nn::schedule::Schedule;
use speechlens_nn::train::{Config, History, Samples};
use speechlens_nn::{Architecture, Graph, Result, Trainer};

/// Noise with labels by lot.
struct Noise {
    values: Vec<f32>,
    labels: Vec<u32>,
    /// What training asked for: epochs and places.
    asked: Mutex<Vec<(u64, Vec<usize>)>>,
}

const SIDE: usize = 15;

impl Noise {
    fn new(count: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Noise {
            values: (0..count * SIDE * SIDE)
                .map(|_| rng.random_range(-1.0..1.0))
                .collect(),
            labels: (0..count).map(|_| rng.random_range(0..2)).collect(),
            asked: Mutex::default(),
        }
    }
}

impl Samples for Noise {
    fn key(&self) -> String {
        self.len().to_string()
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn batch(&self, places: &[usize], device: &Device) -> Result<(Tensor, Vec<u32>)> {
        let values: Vec<f32> = places
            .iter()
            .flat_map(|at| &self.values[at * SIDE * SIDE..(at + 1) * SIDE * SIDE])
            .copied()
            .collect();
        let input = Tensor::from_vec(values, (places.len(), 1, SIDE, SIDE), device)?;
        Ok((input, places.iter().map(|at| self.labels[*at]).collect()))
    }

    /// Another in every epoch.
    fn batch_of_epoch(
        &self,
        epoch: u64,
        places: &[usize],
        device: &Device,
    ) -> Result<(Tensor, Vec<u32>)> {
        self.asked.lock().unwrap().push((epoch, places.to_vec()));
        let (input, labels) = self.batch(places, device)?;
        Ok((input.affine(1.0, 0.1 * epoch as f64)?, labels))
    }
}

/// Wide enough that products are spread over threads.
fn net(seed: u64) -> Graph {
    let mut net = Architecture::new([1, SIDE, SIDE]);
    let mut x = net.input();
    x = net
        .add("features.0", Conv2d::new(1, 16, 3).padding(1), [x])
        .unwrap();
    x = net.add("features.1", Relu, [x]).unwrap();
    x = net.add("features.2", MaxPool2d::new(3, 2), [x]).unwrap();
    x = net
        .add("avgpool", AdaptiveAvgPool2d { size: (4, 4) }, [x])
        .unwrap();
    x = net.add("flatten", Flatten, [x]).unwrap();
    x = net.add("classifier.0", Dropout { p: 0.5 }, [x]).unwrap();
    x = net.add("classifier.1", Linear::new(256, 300), [x]).unwrap();
    x = net.add("classifier.2", Relu, [x]).unwrap();
    x = net.add("classifier.3", Dropout { p: 0.5 }, [x]).unwrap();
    net.add("classifier.4", Linear::new(300, 2), [x]).unwrap();
    net.random(seed, &Device::Cpu).unwrap()
}

const SGD: Optimizer = Optimizer::Sgd {
    lr: 0.05,
    momentum: 0.9,
};
const ADAMW: Optimizer = Optimizer::AdamW {
    lr: 1e-3,
    weight_decay: 0.01,
};

/// 45 samples in batches of 10: four steps an epoch, five samples left over.
fn config(optimizer: Optimizer) -> Config {
    Config {
        epochs: 3,
        batch: 10,
        optimizer,
        schedule: Schedule::Constant,
        seed: 11,
        loss: Loss::BinaryCrossEntropy,
    }
}

const STEPS: u64 = 12;

fn bits(graph: &Graph) -> Vec<u32> {
    graph
        .weights()
        .values()
        .flat_map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        .map(f32::to_bits)
        .collect()
}

/// Runs `trainer` to the end, or until it has done `stop` steps.
fn run(trainer: &mut Trainer, stop: Option<u64>) {
    let (samples, validation) = (Noise::new(45, 1), Noise::new(8, 2));
    trainer
        .run(&samples, &validation, &Device::Cpu, |trainer, _| {
            Ok(Some(trainer.steps()) != stop)
        })
        .unwrap();
}

/// The step of the best epoch, and its weights.
fn kept(trainer: &Trainer) -> (u64, Vec<u32>) {
    let best = trainer.best().unwrap();
    (best.step, bits(&best.graph))
}

fn train(config: Config) -> (Vec<u32>, History) {
    let mut trainer = Trainer::new(&net(3), config).unwrap();
    run(&mut trainer, None);
    assert_eq!(trainer.steps(), STEPS);
    (bits(&trainer.graph()), trainer.history().clone())
}

fn resume(path: &Path, config: Config) -> Result<Trainer> {
    // The graph says the architecture alone: its weights are others.
    Trainer::resume(path, &net(99), config, &Device::Cpu)
}

#[test]
fn resumed_training_ends_in_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let cycle = Config {
        schedule: Schedule::OneCycle { steps: STEPS },
        ..config(ADAMW)
    };
    for config in [config(SGD), config(ADAMW), cycle] {
        let mut trainer = Trainer::new(&net(3), config.clone()).unwrap();
        run(&mut trainer, None);
        let (whole, history) = (bits(&trainer.graph()), trainer.history().clone());
        let best = kept(&trainer);
        assert_eq!((history.loss.len(), history.validation.len()), (12, 3));
        // In the middle of an epoch, at its end, before the first step, and twice.
        for stops in [vec![6], vec![4], vec![8], vec![0], vec![1, 7], vec![12]] {
            let path = folder.path().join(format!("{stops:?}.safetensors"));
            let mut trainer = Trainer::new(&net(3), config.clone()).unwrap();
            for stop in &stops {
                if *stop > 0 {
                    run(&mut trainer, Some(*stop));
                }
                assert_eq!(trainer.steps(), *stop);
                trainer.save(&path).unwrap();
                drop(trainer);
                trainer = resume(&path, config.clone()).unwrap();
                assert_eq!(trainer.steps(), *stop);
            }
            run(&mut trainer, None);
            assert!(
                bits(&trainer.graph()) == whole,
                "{config:?} stopped at {stops:?}"
            );
            assert_eq!(
                trainer.history(),
                &history,
                "{config:?} stopped at {stops:?}"
            );
            assert!(kept(&trainer) == best, "{config:?} stopped at {stops:?}");
        }
    }
}

/// Each epoch's weights beside those that are said to be the best.
#[test]
fn the_best_epoch_is_kept_and_not_the_last() {
    let (mut kept_early, mut by_loss) = (0, 0);
    for seed in 0..6 {
        let mut trainer = Trainer::new(
            &net(seed),
            Config {
                epochs: 5,
                ..config(SGD)
            },
        )
        .unwrap();
        let (samples, validation) = (Noise::new(45, seed), Noise::new(8, 100 + seed));
        let mut epochs = Vec::new();
        trainer
            .run(&samples, &validation, &Device::Cpu, |trainer, ends| {
                if ends {
                    let (step, score) = *trainer.history().validation.last().unwrap();
                    epochs.push((step, score, bits(&trainer.graph())));
                }
                Ok(true)
            })
            .unwrap();
        let most = epochs.iter().map(|(_, score, _)| score.accuracy);
        let most = most.fold(0.0, f64::max);
        let most: Vec<_> = epochs
            .iter()
            .filter(|(_, score, _)| score.accuracy == most)
            .collect();
        let least = most.iter().min_by(|a, b| a.1.loss.total_cmp(&b.1.loss));
        let (step, _, weights) = least.unwrap();
        assert!(kept(&trainer) == (*step, weights.clone()), "seed {seed}");
        kept_early += usize::from(*step < trainer.steps());
        by_loss += usize::from(most.len() > 1);
    }
    assert!(
        kept_early > 0 && by_loss > 0,
        "seeds that test nothing: {kept_early} early, {by_loss} by the loss"
    );
}

/// A checkpoint from before there were schedules has none, and so has one without a schedule now.
#[test]
fn checkpoints_of_a_constant_rate_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    Trainer::new(&net(3), config(SGD))
        .unwrap()
        .save(&path)
        .unwrap();
    let (_, metadata) = speechlens_nn::tensor_file::read(&path, &Device::Cpu).unwrap();
    assert_eq!(
        metadata["speechlens.training"],
        r#"{"batch":10,"loss":"binary-cross-entropy","optimizer":{"lr":0.05,"momentum":0.9,"optimizer":"sgd"},"seed":11}"#
    );
}

/// More epochs than first meant continue from the end.
#[test]
fn a_finished_training_can_be_prolonged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut trainer = Trainer::new(
        &net(3),
        Config {
            epochs: 1,
            ..config(ADAMW)
        },
    )
    .unwrap();
    run(&mut trainer, None);
    assert_eq!(trainer.steps(), 4);
    trainer.save(&path).unwrap();
    let mut trainer = resume(&path, config(ADAMW)).unwrap();
    run(&mut trainer, None);
    let (whole, history) = train(config(ADAMW));
    assert!(bits(&trainer.graph()) == whole);
    assert_eq!(trainer.history(), &history);
}

#[test]
fn the_seed_decides() {
    let (one, of_one) = train(config(ADAMW));
    let (same, of_same) = train(config(ADAMW));
    assert!(one == same && of_one == of_same);
    let (other, _) = train(Config {
        seed: 12,
        ..config(ADAMW)
    });
    assert!(one != other);
    assert!(bits(&net(3)) == bits(&net(3)) && bits(&net(3)) != bits(&net(4)));
}

#[test]
fn the_number_of_threads_decides_nothing() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| (train(config(SGD)), train(config(ADAMW))))
    };
    let one = on(1);
    for threads in [2, 3, 5] {
        assert!(on(threads) == one, "{threads} threads");
    }
}

/// The trainer works on a copy, and the graph that it shows follows it.
#[test]
fn the_given_graph_stays_as_it_was() {
    let graph = net(3);
    let before = bits(&graph);
    let mut trainer = Trainer::new(&graph, config(ADAMW)).unwrap();
    let shown = trainer.graph();
    run(&mut trainer, None);
    assert!(bits(&graph) == before);
    assert!(bits(&shown) != before && bits(&shown) == bits(&trainer.graph()));
}

#[test]
fn what_a_killed_save_leaves_does_not_disturb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut trainer = Trainer::new(&net(3), config(ADAMW)).unwrap();
    run(&mut trainer, Some(2));
    trainer.save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Killed on the way, a save leaves part of a file in a folder of another name.
    let left = folder.path().join(".checkpoint.safetensors.AbCdEf.partial");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join(".tmp"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(resume(&path, config(ADAMW)).unwrap().steps(), 2);
    run(&mut trainer, Some(3));
    trainer.save(&path).unwrap();
    assert_eq!(resume(&path, config(ADAMW)).unwrap().steps(), 3);
    // Nothing else is left behind.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// A model that one trains, others may read.
#[cfg(unix)]
#[test]
fn a_checkpoint_is_as_readable_as_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    let (ours, other) = (folder.path().join("checkpoint"), folder.path().join("file"));
    Trainer::new(&net(3), config(SGD))
        .unwrap()
        .save(&ours)
        .unwrap();
    std::fs::write(&other, b"").unwrap();
    assert_eq!(mode(&ours), mode(&other));
}

#[test]
fn a_save_that_fails_names_the_file_and_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(&net(3), config(SGD)).unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"not a folder").unwrap();
    let below = file.join("checkpoint.safetensors");
    let error = trainer.save(&below).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}: ", below.display())),
        "{error}"
    );

    let path = folder.path().join("closed/checkpoint.safetensors");
    trainer.save(&path).unwrap();
    let old = std::fs::read(&path).unwrap();
    let closed = path.parent().unwrap();
    let mut permissions = std::fs::metadata(closed).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(closed, permissions.clone()).unwrap();
    if std::fs::write(closed.join("probe"), b"").is_ok() {
        println!("skipped: this user may write to read-only folders");
    } else {
        let error = trainer.save(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: ", path.display())),
            "{error}"
        );
        assert!(std::fs::read(&path).unwrap() == old);
    }
    // So that it can be removed.
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    std::fs::set_permissions(closed, permissions).unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut trainer = Trainer::new(&net(3), config(ADAMW)).unwrap();
    trainer.save(&path).unwrap();
    let refused = |config: Config| resume(&path, config).err().unwrap().to_string();
    for other in [
        config(SGD),
        config(Optimizer::AdamW {
            lr: 2e-3,
            weight_decay: 0.01,
        }),
        Config {
            seed: 1,
            ..config(ADAMW)
        },
        Config {
            batch: 9,
            ..config(ADAMW)
        },
        Config {
            schedule: Schedule::OneCycle { steps: STEPS },
            ..config(ADAMW)
        },
    ] {
        let error = refused(other);
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert!(error.contains("same settings"), "{error}");
    }

    let mut other = Architecture::new([1, SIDE, SIDE]);
    let x = other.add("flatten", Flatten, [other.input()]).unwrap();
    other
        .add("classifier.1", Linear::new(SIDE * SIDE, 300), [x])
        .unwrap();
    let other = other.random(1, &Device::Cpu).unwrap();
    let error = Trainer::resume(&path, &other, config(ADAMW), &Device::Cpu)
        .err()
        .unwrap()
        .to_string();
    for named in [
        "checkpoint.safetensors",
        "`classifier.1.weight`",
        "`features.0.bias` has no place",
    ] {
        assert!(error.contains(named), "{error}");
    }

    let (few, none) = (Noise::new(9, 1), Noise::new(1, 1));
    let mut trainer = Trainer::new(&net(3), config(ADAMW)).unwrap();
    let error = trainer
        .run(&few, &none, &Device::Cpu, |_, _| Ok(true))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("9 samples do not fill one batch of 10"),
        "{error}"
    );
}

#[test]
fn training_sees_samples_as_they_are_in_the_epoch() {
    let (samples, validation) = (Noise::new(45, 1), Noise::new(8, 2));
    let mut trainer = Trainer::new(&net(3), config(ADAMW)).unwrap();
    trainer
        .run(&samples, &validation, &Device::Cpu, |_, _| Ok(true))
        .unwrap();
    let asked = samples.asked.into_inner().unwrap();
    let epochs: Vec<u64> = asked.iter().map(|(epoch, _)| *epoch).collect();
    assert_eq!(epochs, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    assert!(asked.iter().all(|(_, places)| places.len() == 10));
    // A test is the same after every epoch.
    assert!(validation.asked.into_inner().unwrap().is_empty());
}

/// A label that is no class is an error, not the next sample's target.
#[test]
fn labels_beyond_the_classes_are_refused() {
    let mut trainer = Trainer::new(&net(3), config(ADAMW)).unwrap();
    let (input, _) = Noise::new(2, 1).batch(&[0, 1], &Device::Cpu).unwrap();
    for labels in [vec![2, 0], vec![0, 2], vec![0]] {
        assert!(trainer.step(&input, &labels).is_err(), "{labels:?}");
    }
    assert_eq!(trainer.steps(), 0);
    trainer.step(&input, &[0, 1]).unwrap();
}

/// Every file cut short is one error that names it.
#[test]
fn a_damaged_checkpoint_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut trainer = Trainer::new(&net(3), config(SGD)).unwrap();
    trainer.save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 4, 8, 200, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = resume(&path, config(SGD)).err().unwrap().to_string();
        assert!(
            error.starts_with(&format!("{}: is not a whole", path.display())),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
    std::fs::write(&path, b"RIFF\0\0\0\0WAVEfmt ").unwrap();
    let error = resume(&path, config(SGD)).err().unwrap().to_string();
    assert!(
        error.starts_with(&format!("{}: is not a whole", path.display())),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Settings come back from a checkpoint as they were, whatever their digits.
    #[test]
    fn any_learning_rate_resumes(lr in 1e-7f64..1.0, decay in 0f64..1.0, seed: u64) {
        let mut net = Architecture::new([3]);
        net.add("dense", Linear::new(3, 2), [net.input()]).unwrap();
        let graph = net.random(1, &Device::Cpu).unwrap();
        let config = Config { epochs: 1, batch: 1, optimizer: Optimizer::AdamW { lr, weight_decay: decay }, schedule: Schedule::OneCycle { steps: seed >> 32 }, seed, loss: Loss::default() };
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut trainer = Trainer::new(&graph, config.clone()).unwrap();
        trainer.step(&Tensor::new(&[[0.3f32, lr as f32, -1.0]], &Device::Cpu).unwrap(), &[1]).unwrap();
        trainer.save(file.path()).unwrap();
        let resumed = Trainer::resume(file.path(), &graph, config, &Device::Cpu);
        prop_assert!(resumed.is_ok(), "{}", resumed.err().unwrap());
        prop_assert_eq!(resumed.as_ref().ok().map(Trainer::history), Some(trainer.history()));
    }
}
