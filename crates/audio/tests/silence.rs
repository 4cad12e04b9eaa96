//! Trimming, and cutting at pauses.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use speechlens_audio::{
    Audio,
    silence::{Cutting, TRIM_DB, segments, trim},
};

/// Stretches of a 200 Hz tone, each of some seconds at some amplitude.
fn tones(rate: u32, stretches: &[(f64, f32)]) -> Audio {
    let mut samples = Vec::new();
    for &(seconds, amplitude) in stretches {
        let start = samples.len();
        let wave = |i: usize| {
            amplitude * ((start + i) as f32 * 200.0 / rate as f32 * std::f32::consts::TAU).sin()
        };
        samples.extend((0..(seconds * f64::from(rate)).round() as usize).map(wave));
    }
    Audio { samples, rate }
}

/// Start and end in seconds.
fn cut(audio: &Audio) -> Vec<(f64, f64)> {
    let rate = f64::from(audio.rate);
    segments(audio, &Cutting::default())
        .iter()
        .map(|s| (s.start as f64 / rate, s.end as f64 / rate))
        .collect()
}

fn close(found: &[(f64, f64)], expected: &[(f64, f64)]) {
    let near = |a: f64, b: f64| (a - b).abs() < 0.025;
    let all = found
        .iter()
        .zip(expected)
        .all(|(f, e)| near(f.0, e.0) && near(f.1, e.1));
    assert!(
        found.len() == expected.len() && all,
        "{found:?} instead of {expected:?}"
    );
}

#[test]
fn silence_at_the_ends_is_trimmed() {
    // Noise 50 dB down is silence, what is 30 dB down is not.
    let audio = tones(
        16000,
        &[
            (0.5, 0.5e-2 / 3.16),
            (0.2, 0.5),
            (0.1, 0.0),
            (0.3, 0.5e-1 / 3.16),
            (0.4, 0.0),
        ],
    );
    let trimmed = trim(&audio, TRIM_DB);
    assert_eq!(trimmed.rate, 16000);
    assert!(
        (trimmed.seconds() - 0.6).abs() < 0.04,
        "{} s",
        trimmed.seconds()
    );
    let at = audio
        .samples
        .windows(trimmed.samples.len())
        .position(|w| w == trimmed.samples)
        .unwrap();
    assert!((at as f64 / 16000.0 - 0.5).abs() < 0.02, "{at}");
}

#[test]
fn a_recording_with_no_sound_stays_as_it_is() {
    for samples in [vec![], vec![0.0; 5000]] {
        let audio = Audio {
            samples,
            rate: 8000,
        };
        assert_eq!(trim(&audio, TRIM_DB), audio);
        assert!(segments(&audio, &Cutting::default()).is_empty());
    }
}

#[test]
fn speech_is_cut_at_pauses_and_short_scraps_are_dropped() {
    let audio = tones(
        16000,
        &[
            (0.3, 0.0),
            (0.6, 0.5),
            (0.2, 0.0),
            (0.1, 0.4),
            (0.3, 0.0),
            (0.3, 0.1),
            (0.05, 0.0),
            (0.3, 0.5),
        ],
    );
    // The scrap of 0.1 s goes; the gap of 0.05 s is no pause.
    close(&cut(&audio), &[(0.3, 0.9), (1.5, 2.15)]);
}

#[test]
fn long_speech_is_cut_where_it_is_quietest() {
    // A dip 20 dB deep, within the last two fifths of the first second; the rest is under a second.
    let audio = tones(22050, &[(0.8, 0.5), (0.06, 0.05), (0.8, 0.5)]);
    let pieces = cut(&audio);
    assert_eq!(pieces.len(), 2, "{pieces:?}");
    assert!(
        (0.8..0.86).contains(&pieces[0].1) && pieces[0].1 == pieces[1].0,
        "{pieces:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Pieces are in order, apart, within the recording, and of an allowed length; none is silent.
    #[test]
    fn pieces_are_what_they_promise(
        stretches in prop::collection::vec((0.01f64..2.5, prop::sample::select(vec![0.0f32, 1e-3, 0.02, 0.1, 0.5])), 1..8),
        rate in prop::sample::select(vec![8000u32, 11025, 16000, 22050, 44100]),
    ) {
        let audio = tones(rate, &stretches);
        let mut end = 0;
        for piece in segments(&audio, &Cutting::default()) {
            prop_assert!(piece.start >= end && piece.end <= audio.samples.len());
            prop_assert!(piece.len() <= rate as usize);
            // Steps are whole samples, a little under 10 ms at some rates; the last may be cut off.
            prop_assert!(piece.len() as f64 >= 0.23 * f64::from(rate));
            prop_assert!(audio.samples[piece.clone()].iter().any(|s| s.abs() > 0.0));
            end = piece.end;
        }
    }
}
