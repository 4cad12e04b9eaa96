//! CAM++ and GE2E: a recording of two voices, one half each. What makes it similar to one of them is that one's half.

use std::path::Path;

use anyhow::Result;
use candle_core::Device;
use speechlens_explain::halves::{Halves, Voices};
use speechlens_explain::{Reader, Reading};
use speechlens_models::Model;
use speechlens_models::onnx::Told;

use super::speech::Speech;
use super::trial::{Sign, Test, Trial, borne_out, values};

/// What differs between the networks.
struct Network {
    name: &'static str,
    /// Seconds of each voice.
    half: f64,
    /// Seconds of the recording that is compared.
    other: f64,
    /// Whether the question is why it is like the one voice rather than the other. GE2E's embeddings have no number below 0, so that any two
    /// are alike, and what a voice shares with all speaks for either.
    rather_than: bool,
    patch: Vec<usize>,
    asks: &'static str,
}

pub fn halves_by_cam(path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    let network = Network {
        name: "CAM++, halves",
        half: 2.0,
        other: 4.0,
        rather_than: false,
        patch: vec![20, 20],
        asks: "why is this voice similar to that of another recording, where one half is that speaker's and one is a stranger's: positive \
               relevance in the speaker's half",
    };
    halves(&network, path, speech, trials)
}

pub fn halves_by_ge2e(path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    let network = Network {
        name: "GE2E, halves",
        half: 0.8,
        other: 1.6,
        rather_than: true,
        patch: vec![10, 10],
        asks: "why is this voice similar to that of another recording rather than to that of a stranger's other recording, where one half is \
               the speaker's and one is the stranger's: positive relevance in the speaker's half",
    };
    halves(&network, path, speech, trials)
}

/// Who speaks the other half of a trial: another than the trial's own speaker, whose number is the trial's, both counted round and round.
pub fn stranger(number: usize, speakers: usize) -> usize {
    number + 1 + number / speakers % (speakers - 1)
}

fn halves(network: &Network, path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    let told = Told {
        task: Some("embedding"),
        ..Told::default()
    };
    let model = Model::import_onnx(path, told, &Device::Cpu)?.model;
    let reader = Reader::new(&model, Reading::default());
    let trial = |number: usize| -> Result<Option<Trial>> {
        let (one, other) = (number, stranger(number, speech.speakers()));
        let other_of = |speaker: usize| speech.seconds(speaker, 4, network.other);
        let voices = Voices {
            own: speech.seconds(one, 1, network.half)?,
            strange: speech.seconds(other, 1, network.half)?,
            is_first: number.is_multiple_of(2),
            compared: other_of(one)?,
            rather_than: network.rather_than.then(|| other_of(other)).transpose()?,
        };
        let Some(halves) = Halves::new((&model, &reader), &voices, &Device::Cpu)? else {
            return Ok(None);
        };
        let values = values(&halves.input)?;
        Ok(Some(Trial {
            graph: halves.asks.graph,
            input: halves.input,
            target: 0,
            reference: 0.0,
            known: halves.known,
            without: values.iter().map(|x| x.abs()).collect(),
        }))
    };
    let trials = borne_out(trials, trial)?;
    Ok(Test {
        name: network.name,
        asks: network.asks,
        without: "size of the features",
        sign: Sign::Positive,
        view: None,
        patch: network.patch.clone(),
        trials,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn strangers_are_others() {
        for speakers in 2..30 {
            for number in 0..100 {
                assert_ne!(
                    super::stranger(number, speakers) % speakers,
                    number % speakers
                );
            }
        }
    }
}
