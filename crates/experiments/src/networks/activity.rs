//! Silero: speech behind noise that is louder. What says that there is speech is the speech.

use std::path::Path;

use anyhow::Result;
use candle_core::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_explain::{Reader, Reading, to_tensor};
use speechlens_models::Model;
use speechlens_models::onnx::Told;

use super::speech::{RATE, Speech, audio, scaled};
use super::trial::{Sign, Test, Trial, borne_out, values};

/// Seconds of noise, of silence behind it, and of speech.
const NOISE: f64 = 1.0;
const PAUSE: f64 = 0.5;
const SPEECH: f64 = 0.64;
/// The noise's root mean square; speech's is 0.05.
const LOUD: f32 = 0.15;
/// That of the pause: digital silence would be free for what multiplies by the input.
const FAINT: f32 = 1e-3;
/// Samples of a frame.
const HOP: usize = 512;

pub fn onset(path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    let told = Told {
        classes: Some(vec!["speech".into()]),
        ..Told::default()
    };
    let model = Model::import_onnx(path, told, &Device::Cpu)?.model;
    let reader = Reader::new(&model, Reading::default());
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let trial = |number: usize| -> Result<Option<Trial>> {
        let count = (NOISE * f64::from(RATE)) as usize;
        let noise = (0..count).map(|_| rng.random_range(-1f32..1.0)).collect();
        let mut samples = scaled(noise, LOUD);
        let pause = (PAUSE * f64::from(RATE)) as usize;
        let faint = (0..pause).map(|_| rng.random_range(-1f32..1.0)).collect();
        samples.extend(scaled(faint, FAINT));
        samples.extend(speech.seconds(number, 0, SPEECH)?);
        let count = samples.len() - (SPEECH * f64::from(RATE)) as usize;
        let frames = count / HOP..samples.len() / HOP;
        let end = frames.end * HOP;
        let asking = model.over_frames(Some(&frames))?;
        let heard = reader.audio("speech", audio(samples))?;
        let input = to_tensor(&model.graph, heard.features, &Device::Cpu)?;
        let values = values(&input)?;
        let trial = Trial {
            graph: asking.graph,
            input,
            target: 0,
            reference: 0.0,
            known: (0..values.len()).map(|n| n >= count && n < end).collect(),
            without: values.iter().map(|x| x * x).collect(),
        };
        // It has to take it for that.
        trial.above(0.0)
    };
    let trials = borne_out(trials, trial)?;
    Ok(Test {
        name: "Silero, onset",
        asks: "why speech, in two thirds of a second behind a second of louder noise and half a second that is faint: positive relevance of the samples of speech",
        without: "power",
        sign: Sign::Positive,
        view: None,
        patch: vec![HOP],
        trials,
    })
}
