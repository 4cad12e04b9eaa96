//! A short voice in digital silence: many equal values under the pools, and rounding must not choose among them.
//! `SPEECHLENS_RECORDING` names another recording.

#![allow(clippy::unwrap_used)]

use std::f32::consts::TAU;

use candle_core::{DType, Device, Tensor};
use speechlens_audio::{Audio, Crop, Placement, SIZE, Spectrogram};
use speechlens_lrp::{Composite, Lrp};
use speechlens_models::Arch;
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

#[test]
fn rounding_does_not_choose_among_equal_values() {
    let audio = match std::env::var_os("SPEECHLENS_RECORDING") {
        Some(path) => speechlens_audio::read(path).unwrap(),
        None => voice(),
    };
    let spectrogram = Spectrogram::new(Crop::Thesis);
    let placed = spectrogram.compute(&audio, Placement::At(1000)).unwrap();
    let values: Vec<f32> = placed.values.iter().copied().collect();
    let silence = values.iter().copied().fold(f32::INFINITY, f32::min);
    let silent = values.iter().filter(|level| **level == silence);
    assert!(silent.count() > SIZE * SIZE / 4);
    let input = Tensor::from_vec(values, (1, 1, SIZE, SIZE), &Device::Cpu).unwrap();
    for seed in 1..=2 {
        let graph = Arch::AlexNet.architecture(2).unwrap();
        let graph = graph.random(seed, &Device::Cpu).unwrap();
        for preset in ["epsilon-plus", "lrp-0"] {
            let relevance = |dtype: DType| {
                let graph = graph.to_dtype(dtype).unwrap();
                let lrp = Lrp::new(&graph, &Composite::preset(preset).unwrap()).unwrap();
                let input = input.to_dtype(dtype).unwrap();
                lrp.explain(&input, &[1]).unwrap().relevance
            };
            let apart = relative_l2(&relevance(DType::F32), &relevance(DType::F64)).unwrap();
            println!("{preset}, seed {seed}: f32 is {apart:.1e} from f64");
            assert!(apart < 1e-3, "{preset}, seed {seed}: {apart}");
        }
    }
}
