//! What a network attends to, as sound.

use ndarray::Array2;
use speechlens_audio::{Audio, Masking, filterbank};
use speechlens_frontend::thesis::{HOP, RATE, WINDOW};
use speechlens_report::limit;

use crate::{Heard, Plane, Result};

/// A recording and its parts, all as long as it is and at its rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Sounds {
    /// The recording as the network heard it.
    pub heard: Audio,
    /// What speaks for the class: each bin by its share of positive relevance.
    pub supporting: Audio,
    /// What speaks against it.
    pub opposing: Audio,
    /// The recording without what speaks for it.
    pub rest: Audio,
    /// The recording without the most relevant bins.
    pub without_top: Audio,
}

/// How many percent of the bins are taken away where nothing else is asked for.
pub const TOP: f64 = 5.0;

/// Samples from frame to frame of the transform that filterbanks are heard through: every fourth frame is one of theirs.
const FILTERBANK_HOP: usize = filterbank::HOP / 4;

impl Sounds {
    /// The parts of a recording by the relevance of its plane; `top` percent of the bins are the most relevant ones.
    ///
    /// Of a bin's power its positive (or negative) relevance over the picture's [`limit`] is kept, at most all: what sounds is as
    /// strong as it is coloured in the picture.
    ///
    /// # Errors
    /// If the recording is empty or not finite.
    pub fn new(heard: &Heard, plane: &Plane, top: f64) -> Result<Sounds> {
        let limit = limit(plane.relevance.view());
        let share = |sign: f32| {
            plane
                .relevance
                .mapv(|r| (sign * r / limit).clamp(0.0, 1.0).sqrt())
        };
        let supporting = share(1.0);
        let shares = [
            supporting.mapv(|share| 1.0 - share),
            supporting,
            share(-1.0),
            plane.top(top).mapv(|top| if top { 0.0 } else { 1.0 }),
        ];
        let [rest, supporting, opposing, without_top] = parts(&heard.audio, plane, &shares)?;
        Ok(Sounds {
            heard: heard.audio.clone(),
            supporting,
            opposing,
            rest,
            without_top,
        })
    }
}

/// What is left of a recording whose bins keep these shares of themselves.
fn parts<const N: usize>(
    audio: &Audio,
    plane: &Plane,
    shares: &[Array2<f32>; N],
) -> Result<[Audio; N]> {
    if plane.frequencies.is_empty() {
        let part = |shares: &Array2<f32>| {
            let shares = shares.iter().chain(std::iter::repeat(&0.0));
            let samples = audio.samples.iter().zip(shares);
            Audio {
                samples: samples.map(|(sample, share)| sample * share).collect(),
                rate: audio.rate,
            }
        };
        return Ok(shares.each_ref().map(part));
    }
    let (window, hop) = match audio.rate {
        RATE => (WINDOW, HOP),
        _ => (filterbank::FRAME, FILTERBANK_HOP),
    };
    let masking = Masking::new(audio, (&plane.times, &plane.frequencies), window, hop)?;
    Ok(shares.each_ref().map(|shares| masking.part(shares.view())))
}
