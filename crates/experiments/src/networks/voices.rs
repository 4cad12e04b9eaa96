//! CAM++ and GE2E: a recording of two voices, one half each. What makes it similar to one of them is that one's half.

use std::path::Path;

use anyhow::Result;
use candle_core::Device;
use speechlens_explain::{Asked, Reader, Reading, embedding, to_tensor};
use speechlens_models::Model;
use speechlens_models::onnx::Told;

use super::speech::{Speech, audio};
use super::trial::{Sign, Test, Trial, borne_out, values};

/// What differs between the networks.
struct Network {
    name: &'static str,
    /// Seconds of each voice.
    half: f64,
    /// Seconds of the recording that is compared.
    other: f64,
    patch: Vec<usize>,
}

pub fn halves_by_cam(path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    let network = Network {
        name: "CAM++, halves",
        half: 2.0,
        other: 4.0,
        patch: vec![20, 20],
    };
    halves(&network, path, speech, trials)
}

pub fn halves_by_ge2e(path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    let network = Network {
        name: "GE2E, halves",
        half: 0.8,
        other: 1.6,
        patch: vec![10, 10],
    };
    halves(&network, path, speech, trials)
}

/// Who speaks the other half of a trial: another than the trial's own speaker, whose number is the trial's, both counted round and round.
fn stranger(number: usize, speakers: usize) -> usize {
    number + 1 + number / speakers % (speakers - 1)
}

/// A half by itself is heard as often as makes a whole.
const WHOLE: usize = 2;

fn halves(network: &Network, path: &Path, speech: &Speech, trials: usize) -> Result<Test> {
    let told = Told {
        task: Some("embedding"),
        ..Told::default()
    };
    let model = Model::import_onnx(path, told, &Device::Cpu)?.model;
    let reader = Reader::new(&model, Reading::default());
    let trial = |number: usize| -> Result<Option<Trial>> {
        let (one, other) = (number, stranger(number, speech.speakers()));
        let [own, strange] = [one, other].map(|speaker| speech.seconds(speaker, 1, network.half));
        let (own, strange) = (own?, strange?);
        let compared = audio(speech.seconds(one, 4, network.other)?);
        let compared = reader.audio("other", compared)?;
        let against = embedding(&model, &compared, &Device::Cpu)?;
        let similarity = |half: &[f32]| -> Result<f32> {
            let half = reader.audio("half", audio(half.repeat(WHOLE)))?;
            let found = embedding(&model, &half, &Device::Cpu)?;
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            Ok(dot(&found, &against) / dot(&found, &found).sqrt())
        };
        if similarity(&own)? <= similarity(&strange)? {
            return Ok(None);
        }
        let is_first = number.is_multiple_of(2);
        let halves = match is_first {
            true => [own, strange],
            false => [strange, own],
        };
        let asked = Asked {
            against: Some(("the other".into(), against)),
            ..Asked::default()
        };
        let heard = reader.audio("halves", audio(halves.concat()))?;
        let asking = asked.of(&model, &heard, &Device::Cpu)?;
        let frames = *heard.features.shape().last().unwrap_or(&0);
        let input = to_tensor(&model.graph, heard.features, &Device::Cpu)?;
        let is_own = |place: usize| {
            let frame = place % frames;
            (2 * frame + 1 < frames) == is_first
        };
        let values = values(&input.narrow(0, 0, 1)?)?;
        Ok(Some(Trial {
            graph: asking.graph.clone(),
            input: input.narrow(0, 0, 1)?,
            target: 0,
            reference: 0.0,
            known: (0..values.len()).map(is_own).collect(),
            without: values.iter().map(|x| x.abs()).collect(),
        }))
    };
    let trials = borne_out(trials, trial)?;
    Ok(Test {
        name: network.name,
        asks: "why is this voice similar to that of another recording, where one half is that speaker's and one is a stranger's: positive \
               relevance in the speaker's half",
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
