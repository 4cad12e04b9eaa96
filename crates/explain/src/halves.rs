//! A question to a speaker network whose answer is known: why a recording of two voices is similar to one of them.

use candle_core::{Device, Tensor};
use speechlens_audio::Audio;
use speechlens_frontend::Length;
use speechlens_models::{Embedding, Model};

use crate::{Asked, Error, Reader, Result, embedding, to_tensor};

/// Seconds of each voice, for networks that hear any length.
const SECONDS: f64 = 2.0;

/// What front ends that count frames may take beyond them, in seconds: the window of the last one.
const WINDOW: f64 = 0.05;

/// The level that voices are brought to: their root mean square.
const LEVEL: f32 = 0.05;

/// A half by itself is heard as often as makes a whole.
const WHOLE: usize = 2;

/// How many samples each voice has, of what such a network hears at a time.
pub fn samples_of_half(model: &Model) -> usize {
    let axes = model.front_end.axes();
    let seconds = match model.front_end.length() {
        Length::Any => SECONDS,
        Length::AtMost(whole) | Length::Exactly(whole) | Length::Last(whole) => whole / 2.0,
        Length::Frames(frames) => frames as f64 * axes.step / 2.0 + WINDOW,
    };
    (seconds * f64::from(axes.rate)).round() as usize
}

/// Voices of two speakers, as samples at the front end's rate.
pub struct Voices {
    /// One's half of a recording, of as many samples as [`samples_of_half`].
    pub own: Vec<f32>,
    /// A stranger's half of it.
    pub strange: Vec<f32>,
    /// Whether the one's comes before the stranger's.
    pub is_first: bool,
    /// Another recording of the one, which the two halves are compared with.
    pub compared: Vec<f32>,
    /// Another recording of the stranger, if it is asked why they are like the one rather than like the stranger.
    pub rather_than: Option<Vec<f32>>,
}

/// A recording of two voices, one half each, and the network that says how similar it is to one of them. What makes it so is the half of
/// that voice.
pub struct Halves {
    /// The network that answers.
    pub asks: Model,
    /// What it hears, `[1, …]`.
    pub input: Tensor,
    /// By value of the input, whether it lies in the half of the voice that is compared.
    pub known: Vec<bool>,
}

impl Halves {
    /// The question about these voices. None where the network does not bear it out: it must find the one's half, by itself, more similar
    /// than the stranger's to what both are compared with.
    ///
    /// # Errors
    /// If it is no network of embeddings, or its front end can make nothing of such a recording.
    pub fn new(
        (model, reader): (&Model, &Reader),
        voices: &Voices,
        device: &Device,
    ) -> Result<Option<Halves>> {
        let rate = model.front_end.axes().rate;
        let read = |name: &str, samples: Vec<f32>| reader.audio(name, Audio { samples, rate });
        let of = |name: &str, samples: &[f32]| -> Result<Embedding> {
            let read = read(name, scaled(samples))?;
            Ok(Embedding {
                name: name.into(),
                embedding: embedding(model, &read, device)?,
            })
        };
        let [own, strange] = [&voices.own, &voices.strange].map(|voice| scaled(voice));
        let is_first = voices.is_first;
        let against = of("the speaker's other", &voices.compared)?;
        let similarity = |half: &[f32]| -> Result<f32> {
            let half = read("a half", half.repeat(WHOLE))?;
            let found = embedding(model, &half, device)?;
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            Ok(dot(&found, &against.embedding) / dot(&found, &found).sqrt())
        };
        if similarity(&own)? <= similarity(&strange)? {
            return Ok(None);
        }
        let half = own.len() as f64 / f64::from(rate);
        let both = match is_first {
            true => [own, strange],
            false => [strange, own],
        };
        let heard = read("two voices", both.concat())?;
        let asked = Asked {
            against: Some(against),
            rather_than: (voices.rather_than.as_ref())
                .map(|other| of("the stranger's other", other))
                .transpose()?,
            ..Asked::default()
        };
        let asks = asked.of(model, &heard, device)?.into_owned();
        let axes = &heard.axes;
        let frames = *heard.features.shape().last().unwrap_or(&0);
        let input = to_tensor(&model.graph, heard.features, device)?.narrow(0, 0, 1)?;
        let is_own = |place: usize| (axes.time(place % frames) < half) == is_first;
        let known: Vec<bool> = (0..input.elem_count()).map(is_own).collect();
        if known.iter().all(|own| *own) || !known.contains(&true) {
            return Err(Error::Setting(
                "the network hears too little at a time for two voices: leave --by halves out"
                    .into(),
            ));
        }
        Ok(Some(Halves { asks, input, known }))
    }
}

/// The same samples at [`LEVEL`].
fn scaled(samples: &[f32]) -> Vec<f32> {
    let squares: f32 = samples.iter().map(|x| x * x).sum();
    let now = (squares / samples.len().max(1) as f32).sqrt();
    let factor = if now > 0.0 { LEVEL / now } else { 1.0 };
    samples.iter().map(|x| x * factor).collect()
}
