//! A short voice in digital silence: many equal values under the pools, and rounding must not choose among them. Of values that
//! differ by less than f32 resolves it does choose, in any order of summation; what that does to the relevance is printed.
//! `SPEECHLENS_RECORDING` names another recording, `SPEECHLENS_NETWORKS` how many random networks.

#![allow(clippy::unwrap_used)]

use std::f32::consts::TAU;

use candle_core::{DType, Device, IndexOp, Tensor};
use speechlens_audio::Audio;
use speechlens_frontend::thesis::SIZE;
use speechlens_frontend::{FrontEnd, Placement, Reading};
use speechlens_lrp::{Composite, Lrp};
use speechlens_models::alexnet;
use speechlens_nn::{Graph, Trace};
use speechlens_tests::relative_l2;

/// A third of a second of a buzz that rises and falls, at 16 kHz: harmonics of a gliding pitch.
fn voice() -> Audio {
    const RATE: u32 = 16000;
    const LENGTH: usize = 5600;
    let sample = |i: usize| {
        let (time, part) = (i as f32 / RATE as f32, i as f32 / LENGTH as f32);
        let phase = TAU * time * (110.0 + 40.0 * time);
        let harmonics = (1..20).map(|n| (phase * n as f32).sin() / n as f32);
        0.2 * (part * TAU / 2.0).sin() * harmonics.sum::<f32>()
    };
    Audio {
        samples: (0..LENGTH).map(sample).collect(),
        rate: RATE,
    }
}

/// What f32 may be off by after some layers, in parts of a layer's largest value: 8 units of its last place.
const RESOLUTION: f64 = 8.0 * f32::EPSILON as f64;

/// AlexNet's max pools, of 3 by 3 in steps of 2.
const POOLS: [&str; 3] = ["features.2", "features.5", "features.12"];

/// Of the windows of every max pool whose winner in f32 is not that of f64, by how much that one leads in f64, in parts of the
/// layer's largest value.
fn leads_of_losers(graph: &Graph, input: &Tensor) -> Vec<f64> {
    let trace = |dtype: DType| -> Trace {
        let graph = graph.to_dtype(dtype).unwrap();
        graph.trace(&input.to_dtype(dtype).unwrap()).unwrap()
    };
    let (rounded, exact) = (trace(DType::F32), trace(DType::F64));
    let mut leads = Vec::new();
    for (_, node) in graph.nodes() {
        if !POOLS.contains(&&*node.name) {
            continue;
        }
        let channels = |trace: &Trace| -> Vec<Vec<Vec<f64>>> {
            let values = trace.output(node.inputs[0]).unwrap().i(0).unwrap();
            values.to_dtype(DType::F64).unwrap().to_vec3().unwrap()
        };
        let (rounded, exact) = (channels(&rounded), channels(&exact));
        let most = exact
            .iter()
            .flatten()
            .flatten()
            .copied()
            .fold(0.0, f64::max);
        for (rounded, exact) in rounded.iter().zip(&exact) {
            let (height, width) = (exact.len(), exact[0].len());
            for top in (0..=height - 3).step_by(2) {
                for left in (0..=width - 3).step_by(2) {
                    let winner = |values: &[Vec<f64>]| {
                        let mut best = (top, left);
                        for y in top..top + 3 {
                            for x in left..left + 3 {
                                if values[y][x] > values[best.0][best.1] {
                                    best = (y, x);
                                }
                            }
                        }
                        best
                    };
                    let (first, other) = (winner(exact), winner(rounded));
                    if first != other {
                        leads.push((exact[first.0][first.1] - exact[other.0][other.1]) / most);
                    }
                }
            }
        }
    }
    leads
}

#[test]
fn rounding_does_not_choose_among_equal_values() {
    let recording = std::env::var_os("SPEECHLENS_RECORDING");
    let audio = match &recording {
        Some(path) => speechlens_audio::read(path).unwrap(),
        None => voice(),
    };
    let networks = std::env::var("SPEECHLENS_NETWORKS");
    let networks: u64 = networks.map_or(2, |count| count.parse().unwrap());
    let front_end = FrontEnd::load("thesis-spectrogram").unwrap();
    let reading = Reading {
        placement: Placement::At(1000),
        ..Reading::default()
    };
    let heard = front_end.compute(&audio, &reading).unwrap();
    let values: Vec<f32> = heard.windows.iter().copied().collect();
    let silence = values.iter().copied().fold(f32::INFINITY, f32::min);
    let silent = values.iter().filter(|level| **level == silence);
    assert!(silent.count() > SIZE * SIZE / 4);
    let input = Tensor::from_vec(values, (1, 1, SIZE, SIZE), &Device::Cpu).unwrap();
    for seed in 1..=networks {
        let graph = alexnet::architecture(2).unwrap();
        let graph = graph.random(seed, &Device::Cpu).unwrap();
        let leads = leads_of_losers(&graph, &input);
        for lead in &leads {
            assert!(
                *lead > 0.0,
                "seed {seed}: rounding chose among equal values"
            );
            assert!(*lead < RESOLUTION, "seed {seed}: {lead:.1e} was not seen");
        }
        for preset in ["epsilon-plus", "lrp-0"] {
            let relevance = |dtype: DType| {
                let graph = graph.to_dtype(dtype).unwrap();
                let lrp = Lrp::new(&graph, &Composite::preset(preset).unwrap()).unwrap();
                let input = input.to_dtype(dtype).unwrap();
                lrp.explain(&input, &[1]).unwrap().relevance
            };
            let apart = relative_l2(&relevance(DType::F32), &relevance(DType::F64)).unwrap();
            let near = leads.len();
            println!("{preset}, seed {seed}: f32 is {apart:.1e} from f64, {near} near ties");
            // Each near tie leads some relevance another way.
            let bound = if near == 0 { 1e-3 } else { 1e-1 };
            assert!(apart < bound, "{preset}, seed {seed}: {apart}");
        }
    }
}
