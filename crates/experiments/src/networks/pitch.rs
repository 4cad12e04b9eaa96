//! CREPE: a tone of harmonics in noise. What raises the pitch that it hears are the harmonics.

use std::f32::consts::TAU;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{D, Device};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_audio::View;
use speechlens_explain::{Reader, Reading, to_tensor};
use speechlens_models::Model;
use speechlens_models::onnx::Told;

use super::speech::{RATE, Speech, audio, scaled};
use super::trial::{Sign, Test, Trial, borne_out, values};

/// Samples of a frame, and the window that it is seen in.
const FRAME: usize = 1024;
const HOP: usize = 256;
/// Harmonics of a tone, each as loud as the first over its number.
const HARMONICS: usize = 20;

/// How far from the tone CREPE may be to be asked, in cents.
const NEAR: f32 = 50.0;

/// What pitch a number of CREPE's answer stands for, in cents over 10 Hz.
fn cents(number: u32) -> f32 {
    1_997.379_4 + 20.0 * number as f32
}

pub fn harmonics(path: &Path, _: &Speech, trials: usize) -> Result<Test> {
    let model = Model::import_onnx(path, Told::default(), &Device::Cpu)?.model;
    let view = View::new(FRAME, HOP)?;
    let reader = Reader::new(&model, Reading::default());
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let trial = |_| -> Result<Option<Trial>> {
        // From 200 to 500 Hz, by ratios; noise 10 dB below the tone.
        let pitch = 200.0 * 2.5f32.powf(rng.random_range(0.0..1.0));
        let phases: Vec<f32> = (0..HARMONICS).map(|_| rng.random_range(0.0..TAU)).collect();
        let partials = (RATE as f32 / 2.0 / pitch).ceil() as usize - 1;
        let partials = partials.min(HARMONICS);
        let tone = |n: usize| {
            let time = n as f32 / RATE as f32;
            let partial = |(place, phase): (usize, &f32)| {
                let order = (place + 1) as f32;
                (TAU * pitch * order * time + phase).sin() / order
            };
            let heard = phases[..partials].iter().enumerate();
            heard.map(partial).sum::<f32>()
        };
        let tone = scaled((0..FRAME).map(tone).collect(), 0.1);
        let noise = (0..FRAME).map(|_| rng.random_range(-1f32..1.0)).collect();
        let noise = scaled(noise, 0.03);
        let samples = tone.iter().zip(&noise).map(|(a, b)| a + b).collect();
        let heard = reader.audio("tone", audio(samples))?;
        let input = to_tensor(&model.graph, heard.features, &Device::Cpu)?;
        let logits = model.graph.forward(&input)?;
        let target = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let target = *target.first().context("CREPE answered nothing")?;
        if (cents(target) - 1200.0 * (pitch / 10.0).log2()).abs() > NEAR {
            return Ok(None);
        }
        let seen = view.of(&values(&input)?, &values(&input)?);
        let (bins, slots) = seen.power.dim();
        let step = RATE as f32 / FRAME as f32;
        let is_harmonic = |bin: usize| {
            (1..=partials).any(|order| {
                let nearest = (pitch * order as f32 / step).round();
                (bin as f32 - nearest).abs() <= 1.0
            })
        };
        let known = (0..bins).flat_map(|bin| vec![is_harmonic(bin); slots]);
        Ok(Some(Trial {
            graph: model.graph.clone(),
            input,
            target,
            reference: 0.0,
            known: known.collect(),
            without: seen.power.iter().copied().collect(),
        }))
    };
    let trials = borne_out(trials, trial)?;
    Ok(Test {
        name: "CREPE, harmonics",
        asks: "why this pitch, of a tone of 20 harmonics in white noise 10 dB below: positive relevance, in time and frequency, on the \
               harmonics and one bin beside",
        without: "power",
        sign: Sign::Positive,
        view: Some(view),
        patch: vec![64],
        trials,
    })
}
