//! Something like noise: a coloured hiss that swells, at times with a hum, with knocks and clicks.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Exp, StandardNormal};

use super::RATE;
use crate::synthetic::filters::Resonator;

/// So many samples of noise-like sound at [`RATE`], of any level.
pub fn synthesize(length: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let rate = f64::from(RATE);
    let centre = logarithmic(100.0, 3000.0, rng);
    let mut sound = coloured(length, centre, centre * rng.random_range(0.7..2.5), rng);
    let hiss = logarithmic(0.01, 0.3, rng);
    let depth = rng.random_range(0.0..1.2);
    let swells = [(); 3].map(|()| (logarithmic(0.1, 3.0, rng), rng.random_range(0.0..TAU)));
    for (n, x) in sound.iter_mut().enumerate() {
        let t = n as f64 / rate;
        let swell: f64 = swells
            .iter()
            .map(|(hertz, phase)| (TAU * hertz * t + phase).sin())
            .sum();
        *x = (*x + hiss * rng.sample::<f64, _>(StandardNormal)) * (depth * swell / 3.0).exp();
    }
    if rng.random_bool(0.3) {
        let mains = if rng.random_bool(0.5) { 50.0 } else { 60.0 };
        let level = logarithmic(0.03, 0.3, rng);
        for harmonic in 1..=8 {
            let (level, phase) = (
                level * rng.random_range(0.0..1.0),
                rng.random_range(0.0..TAU),
            );
            for (n, x) in sound.iter_mut().enumerate() {
                let t = n as f64 / rate;
                *x += level * (TAU * mains * f64::from(harmonic) * t + phase).sin();
            }
        }
    }
    if rng.random_bool(0.6) {
        // By chance, so many a second; alike, as they have one cause.
        let pause = Exp::new(logarithmic(0.5, 6.0, rng)).expect("a positive rate");
        let (centre, seconds) = (
            logarithmic(300.0, 5000.0, rng),
            logarithmic(0.004, 0.2, rng),
        );
        let level = logarithmic(1.0, 8.0, rng);
        let mut t = rng.sample(pause);
        while t * rate < length as f64 {
            let level = level * rng.random_range(0.3..1.0);
            burst(&mut sound, (t * rate) as usize, centre, seconds, level, rng);
            t += rng.sample(pause);
        }
    }
    sound
}

/// Adds a knock from sample `start` on: noise around `centre` Hz that falls to a third in `seconds`.
pub fn burst(
    sound: &mut [f64],
    start: usize,
    centre: f64,
    seconds: f64,
    level: f64,
    rng: &mut ChaCha8Rng,
) {
    let fall = seconds * f64::from(RATE);
    let length = ((6.0 * fall) as usize).min(sound.len() - start);
    let noise = coloured(length, centre, centre, rng);
    for (n, x) in noise.iter().enumerate() {
        sound[start + n] += level * x * (-(n as f64) / fall).exp();
    }
}

/// Gaussian noise through a resonance, all of it of power 1.
fn coloured(length: usize, centre: f64, bandwidth: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut filter = Resonator::default();
    filter.tune(centre, bandwidth, f64::from(RATE));
    let mut noise: Vec<f64> = (0..length)
        .map(|_| filter.step(rng.sample(StandardNormal)))
        .collect();
    let power = noise.iter().map(|x| x * x).sum::<f64>() / length as f64;
    let gain = 1.0 / power.max(f64::MIN_POSITIVE).sqrt();
    for x in &mut noise {
        *x *= gain;
    }
    noise
}

/// A number whose logarithm is as likely to lie anywhere.
fn logarithmic(from: f64, to: f64, rng: &mut ChaCha8Rng) -> f64 {
    from * (to / from).powf(rng.random_range(0.0..1.0))
}
