//! Silence at the ends, and pauses within: trimming recordings, and cutting them into pieces.
//!
//! Sound is judged in steps of 10 ms by the energy of the 25 ms around each. A step is silent where its level lies more
//! than a threshold below that of the loudest step of the recording, so that the overall level does not matter.

use std::ops::Range;

use crate::Audio;

/// A threshold for [`trim`] that spares the weak ends of words.
pub const TRIM_DB: f32 = 40.0;

/// How [`segments`] cuts; durations are in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cutting {
    /// This many dB below the loudest step counts as silence.
    pub threshold_db: f32,
    /// Silence shorter than this belongs to the speech around it.
    pub pause: f64,
    /// No piece is shorter.
    pub shortest: f64,
    /// No piece is longer.
    pub longest: f64,
}

impl Default for Cutting {
    /// 30 dB, pauses from 0.1 s, pieces of 0.25 to 1 s. On LibriSpeech this keeps three quarters of the time, in pieces of
    /// 0.7 s on average.
    fn default() -> Self {
        Cutting {
            threshold_db: 30.0,
            pause: 0.1,
            shortest: 0.25,
            longest: 1.0,
        }
    }
}

/// The least that samples of a sound differ: a step of 24 bits.
const LEAST: f32 = 1.0 / (1 << 23) as f32;

/// A piece shorter than this, in seconds, is a click.
const SHORTEST_PIECE: f64 = 0.05;

/// The pieces of a recording that are asked about: cut as for training; where that leaves nothing, pieces from 0.05 s are better
/// than none.
pub fn pieces(audio: &Audio) -> Vec<Range<usize>> {
    let all = segments(audio, &Cutting::default());
    if !all.is_empty() {
        return all;
    }
    let cutting = Cutting {
        shortest: SHORTEST_PIECE,
        ..Cutting::default()
    };
    segments(audio, &cutting)
}

/// Whether samples hold no sound at all: all are the same, to a step of 24 bits.
pub fn is_silent(samples: &[f32]) -> bool {
    let first = samples.first().copied().unwrap_or(0.0);
    samples.iter().all(|s| (s - first).abs() <= LEAST)
}

/// The recording without the silence before its first and after its last sound.
///
/// A recording with no sound at all stays as it is.
pub fn trim(audio: &Audio, threshold_db: f32) -> Audio {
    let steps = Steps::new(audio);
    let sound = steps.sound(threshold_db);
    match (
        sound.iter().position(|&s| s),
        sound.iter().rposition(|&s| s),
    ) {
        (Some(first), Some(last)) => audio.slice(steps.samples(first..last + 1)),
        _ => audio.clone(),
    }
}

/// Cuts speech into pieces at its pauses, and leaves the silence out; the samples of each piece, in order.
///
/// Speech that goes on for longer than the longest piece is cut at its quietest step in the last two fifths of that
/// length. What is shorter than the shortest piece is dropped.
pub fn segments(audio: &Audio, cutting: &Cutting) -> Vec<Range<usize>> {
    let steps = Steps::new(audio);
    let [pause, shortest, longest] = [cutting.pause, cutting.shortest, cutting.longest]
        .map(|seconds| (seconds * 100.0).round() as usize);
    let mut pieces = Vec::new();
    for Range { mut start, end } in stretches(&steps.sound(cutting.threshold_db), pause) {
        while end - start > longest {
            // A cut that leaves enough for another piece.
            let last = (start + longest).min(end - shortest).max(start + 1);
            let first = (start + longest * 3 / 5).min(last);
            let quietest = (first..=last)
                .min_by(|&a, &b| steps.energy[a].total_cmp(&steps.energy[b]))
                .unwrap_or(last);
            pieces.push(start..quietest);
            start = quietest;
        }
        pieces.push(start..end);
    }
    pieces
        .into_iter()
        .filter(|piece| piece.len() >= shortest)
        .map(|piece| steps.samples(piece))
        .collect()
}

/// Runs of sound, where silence shorter than `pause` does not end a run.
fn stretches(sound: &[bool], pause: usize) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for (i, _) in sound.iter().enumerate().filter(|(_, s)| **s) {
        match stretches.last_mut() {
            Some(last) if i - last.end < pause.max(1) => last.end = i + 1,
            _ => stretches.push(i..i + 1),
        }
    }
    stretches
}

/// A recording in steps of 10 ms.
struct Steps {
    /// Energy around each step.
    energy: Vec<f64>,
    /// Samples a step.
    step: usize,
    /// Samples in all.
    length: usize,
}

impl Steps {
    fn new(audio: &Audio) -> Self {
        let (length, rate) = (audio.samples.len(), audio.rate as usize);
        let step = (rate / 100).max(1);
        let half_window = rate / 80;
        let mut up_to = Vec::with_capacity(length + 1);
        up_to.push(0.0);
        for &s in &audio.samples {
            up_to.push(up_to[up_to.len() - 1] + f64::from(s).powi(2));
        }
        let energy_around = |i: usize| {
            let centre = i * step + step / 2;
            up_to[(centre + half_window).min(length)]
                - up_to[centre.saturating_sub(half_window).min(length)]
        };
        Steps {
            energy: (0..length.div_ceil(step)).map(energy_around).collect(),
            step,
            length,
        }
    }

    fn sound(&self, threshold_db: f32) -> Vec<bool> {
        let loudest = self.energy.iter().copied().fold(0.0, f64::max);
        let threshold = loudest * 10f64.powf(f64::from(-threshold_db) / 10.0);
        self.energy
            .iter()
            .map(|&e| e > 0.0 && e >= threshold)
            .collect()
    }

    fn samples(&self, steps: Range<usize>) -> Range<usize> {
        steps.start * self.step..(steps.end * self.step).min(self.length)
    }
}
