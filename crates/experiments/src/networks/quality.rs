//! DNSMOS: speech with noise in a part of it. What lowers the score is the noise, and what raises it is what is clean.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_explain::{Reader, Reading, to_tensor};
use speechlens_models::Model;
use speechlens_models::onnx::Told;

use super::speech::{RATE, Speech, audio, scaled};
use super::trial::{Sign, Test, Trial, borne_out, values};

/// The node that has the logarithm of power, `[1, frames, frequencies]`.
const LOG_POWER: &str = "mos_estimator_logpow/truediv";
/// What the network reads, in seconds.
const LENGTH: f64 = 9.01;
/// Which of the scores: that of the whole.
const OVERALL: u32 = 2;
/// The noise's root mean square; speech's is 0.05.
const LOUD: f32 = 0.05;

pub fn noise(path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    test(path, speech, trials, 0.5, true)
}

pub fn clean_second(path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    test(path, speech, trials, 1.0, false)
}

/// Noise for some seconds, or everywhere but there.
fn test(path: &Path, speech: &Speech, trials: usize, seconds: f64, is_noise: bool) -> Result<Test> {
    let told = Told {
        task: Some("score"),
        ..Told::default()
    };
    let model = Model::import_onnx(path, told, &Device::Cpu)?.model;
    let reader = Reader::new(&model, Reading::default());
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let trial = |number: usize| -> Result<Option<Trial>> {
        let mut samples = speech.seconds(number, 0, LENGTH)?;
        let count = (seconds * f64::from(RATE)) as usize;
        let start = rng.random_range(0..samples.len() - count);
        let place = start..start + count;
        let noise = (0..samples.len()).map(|_| rng.random_range(-1f32..1.0));
        let noise = scaled(noise.collect(), LOUD);
        // Without the half second of noise, or without the clean second.
        let otherwise: Vec<f32> = match is_noise {
            true => samples.clone(),
            false => samples.iter().zip(&noise).map(|(a, b)| a + b).collect(),
        };
        for (n, (sample, noise)) in samples.iter_mut().zip(noise).enumerate() {
            if place.contains(&n) == is_noise {
                *sample += noise;
            }
        }
        let length = samples.len();
        let [whole, otherwise] = [samples, otherwise].map(|samples| -> Result<Tensor> {
            let heard = reader.audio("speech", audio(samples))?;
            Ok(to_tensor(&model.graph, heard.features, &Device::Cpu)?)
        });
        let whole = whole?;
        let score = |input: &Tensor| -> Result<f64> {
            Ok(values(&model.graph.forward(input)?)?[OVERALL as usize])
        };
        if (score(&whole)? < score(&otherwise?)?) != is_noise {
            return Ok(None);
        }
        let (graph, input) = model.graph.behind(LOG_POWER, &whole)?;
        let [_, frames, bands] = *input.dims() else {
            anyhow::bail!("{LOG_POWER} is no [1, frames, frequencies]");
        };
        let is_known = |frame: usize| place.contains(&((2 * frame + 1) * length / (2 * frames)));
        let known = (0..frames).flat_map(|frame| vec![is_known(frame); bands]);
        let levels = values(&input)?;
        let lowest = levels.iter().copied().reduce(f64::min);
        let lowest = lowest.context("no levels")?;
        Ok(Some(Trial {
            graph,
            input,
            target: OVERALL,
            reference: lowest,
            known: known.collect(),
            without: levels.iter().map(|level| level - lowest).collect(),
        }))
    };
    let trials = borne_out(trials, trial)?;
    Ok(Test {
        name: if is_noise {
            "DNSMOS, noise"
        } else {
            "DNSMOS, clean"
        },
        asks: match is_noise {
            true => {
                "what lowers the overall score of nine seconds of speech with half a second of white noise: negative relevance of the log \
                     power in that half second"
            }
            false => {
                "what raises the overall score of nine seconds of speech in white noise but for one clean second: positive relevance of \
                      the log power in that second"
            }
        },
        without: "level over the lowest",
        sign: if is_noise {
            Sign::Negative
        } else {
            Sign::Positive
        },
        view: None,
        patch: vec![45, 161],
        trials,
    })
}
