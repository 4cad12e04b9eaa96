//! Something like music: chords, a bass and a melody of harmonic tones, in a key and a rhythm.

use std::f64::consts::TAU;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::RATE;
use super::noise::burst;

/// Semitones above the key.
const SCALES: [[i32; 7]; 2] = [[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10]];
/// Degrees of the scale that chords stand on.
const CHORDS: [i32; 4] = [0, 3, 4, 5];
/// Harmonics of a tone, as far as they lie below 7.5 kHz.
const HARMONICS: usize = 16;

/// How chords are played.
#[derive(Clone, Copy)]
enum Style {
    /// Held for a bar.
    Held,
    /// On every beat.
    Beats,
    /// One note after another, two a beat.
    Broken,
}

/// How a tone sounds.
struct Instrument {
    /// The amplitude of each harmonic.
    harmonics: [f64; HARMONICS],
    /// Time to full level, in seconds.
    attack: f64,
    /// Time in which the level falls to a third, in seconds.
    decay: f64,
    /// Share of the frequency by which it swings.
    vibrato: f64,
}

impl Instrument {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let slope = rng.random_range(0.8..2.2);
        let even = rng.random_range(0.1..1.0);
        let harmonics = std::array::from_fn(|place| {
            let weight = if place % 2 == 1 { even } else { 1.0 };
            weight * rng.random_range(0.5..1.5) * ((place + 1) as f64).powf(-slope)
        });
        // Plucked, or bowed and blown.
        let plucked = rng.random_bool(0.5);
        let [attack, decay] = match plucked {
            true => [0.002..0.01, 0.2..1.0],
            false => [0.03..0.12, 2.0..6.0],
        }
        .map(|range| rng.random_range(range));
        Instrument {
            harmonics,
            attack,
            decay,
            vibrato: if plucked {
                0.0
            } else {
                rng.random_range(0.0..0.006)
            },
        }
    }

    /// Adds a tone from sample `start` on, `seconds` long.
    fn play(&self, sound: &mut [f64], start: usize, seconds: f64, hertz: f64, level: f64) {
        let rate = f64::from(RATE);
        let count = ((7500.0 / hertz) as usize).clamp(1, HARMONICS);
        let end = start + (seconds * rate) as usize;
        let mut phase = 0.0;
        for n in start..end.min(sound.len()) {
            let t = (n - start) as f64 / rate;
            let left = (end - n) as f64 / rate;
            let envelope =
                (t / self.attack).min(1.0) * (left / 0.02).min(1.0) * (-t / self.decay).exp();
            phase += TAU * hertz / rate * (1.0 + self.vibrato * (TAU * 5.5 * t).sin());
            // sin (k + 1)φ = 2 cos φ sin kφ − sin (k − 1)φ.
            let (mut now, cos) = phase.sin_cos();
            let (mut before, mut sum) = (0.0, 0.0);
            for amplitude in &self.harmonics[..count] {
                sum += amplitude * now;
                (before, now) = (now, 2.0 * cos * now - before);
            }
            sound[n] += level * envelope * sum;
        }
    }
}

/// So many samples of music-like sound at [`RATE`], of any level.
pub fn synthesize(length: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut sound = vec![0.0; length];
    let eighth = 30.0 / rng.random_range(70.0..160.0);
    let key = rng.random_range(45..57);
    let scale = SCALES[rng.random_range(0..2)];
    // Of a degree of the scale, in semitones above 8.18 Hz, to Hz.
    let hertz = |degree: i32| {
        let semitones = key + 12 * degree.div_euclid(7) + scale[degree.rem_euclid(7) as usize];
        440.0 * 2f64.powf(f64::from(semitones - 69) / 12.0)
    };
    let progression: [i32; 4] = std::array::from_fn(|bar| match bar {
        0 => 0,
        _ => *CHORDS.choose(rng).expect("there are some"),
    });
    let style = [Style::Held, Style::Beats, Style::Broken][rng.random_range(0..3)];
    let [chords, bass, melody] = [(); 3].map(|()| Instrument::draw(rng));
    let [chord_level, bass_level, melody_level] =
        [0.3..0.8, 0.4..1.0, 0.5..1.2].map(|range| rng.random_range(range));
    let busy = rng.random_range(0.4..0.9);
    let drums = if rng.random_bool(0.5) {
        rng.random_range(0.05..0.2)
    } else {
        0.0
    };

    let mut tune = 9;
    let at = |number: usize| (number as f64 * eighth * f64::from(RATE)) as usize;
    for number in (0..).take_while(|&number| at(number) < length) {
        let start = at(number);
        let (bar, place) = (number / 8, number % 8);
        let root = progression[bar % 4];
        // Thirds above the root, for how many eighths.
        let (thirds, eighths, level): (&[i32], f64, f64) = match style {
            Style::Held if place == 0 => (&[0, 2, 4], 8.0, chord_level),
            Style::Beats if place % 2 == 0 => (&[0, 2, 4], 1.8, chord_level),
            Style::Broken => (&[[0], [2], [4], [2]][place % 4], 1.5, 1.5 * chord_level),
            _ => (&[], 0.0, 0.0),
        };
        for third in thirds {
            let hertz = hertz(root + third);
            chords.play(&mut sound, start, eighths * eighth, hertz, level);
        }
        if place % 4 == 0 {
            bass.play(&mut sound, start, 4.0 * eighth, hertz(root - 7), bass_level);
        }
        if rng.random_bool(busy) {
            tune = (tune + rng.random_range(-2..=2)).clamp(5, 16);
            let eighths = *[1.0, 1.0, 2.0, 3.0].choose(rng).expect("there are some");
            melody.play(
                &mut sound,
                start,
                eighths * eighth,
                hertz(tune),
                melody_level,
            );
        }
        if drums > 0.0 {
            let (centre, seconds) = if place % 4 == 2 {
                (1500.0, 0.06)
            } else {
                (6000.0, 0.02)
            };
            burst(&mut sound, start, centre, seconds, drums, rng);
        }
    }
    sound
}
