//! Smart Turn: whether the speaker has finished is told by the last sentence.

use std::path::Path;

use anyhow::Result;
use candle_core::Device;
use speechlens_explain::{Reader, Reading, to_tensor};
use speechlens_models::Model;
use speechlens_models::onnx::Told;

use super::speech::{RATE, Speech, audio};
use super::trial::{Sign, Test, Trial, borne_out, values};

/// What the network reads, in seconds, and how much of it is the last utterance and silence behind it.
const LENGTH: f64 = 8.0;
const LAST: f64 = 2.0;
const PAUSE: f64 = 0.2;

pub fn ending(path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    let told = Told {
        classes: Some(vec!["finished".into()]),
        ..Told::default()
    };
    let model = Model::import_onnx(path, told, &Device::Cpu)?.model;
    let reader = Reader::new(&model, Reading::default());
    let seconds = |seconds: f64| (seconds * f64::from(RATE)) as usize;
    let trial = |number: usize| -> Result<Option<Trial>> {
        // Others speak first: the end of somebody's utterance stands at the end.
        let mut samples = speech.seconds(number + 1, 1, LENGTH - LAST)?;
        let last = speech.utterance(number, number / speech.speakers())?;
        samples.extend(&last[last.len().saturating_sub(seconds(LAST - PAUSE))..]);
        samples.resize(samples.len() + seconds(PAUSE), 0.0);
        let heard = reader.audio("turn", audio(samples))?;
        let frames = heard.features.shape()[2];
        let input = to_tensor(&model.graph, heard.features, &Device::Cpu)?;
        let levels = values(&input)?;
        let lowest = levels.iter().copied().fold(f64::INFINITY, f64::min);
        let is_last =
            |place: usize| (place % frames) as f64 >= frames as f64 * (1.0 - LAST / LENGTH);
        let trial = Trial {
            graph: model.graph.clone(),
            input,
            target: 0,
            reference: 0.0,
            known: (0..levels.len()).map(is_last).collect(),
            without: levels.iter().map(|level| level - lowest).collect(),
        };
        // It has to take it for that.
        trial.above(0.0)
    };
    let trials = borne_out(trials, trial)?;
    Ok(Test {
        name: "Smart Turn, ending",
        asks: "why has the speaker finished, where the last two of eight seconds are another's: positive relevance in the last two",
        without: "level over the lowest",
        sign: Sign::Positive,
        view: None,
        patch: vec![80, 40],
        trials,
    })
}
