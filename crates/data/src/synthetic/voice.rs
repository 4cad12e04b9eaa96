//! The voice: glottal pulses and noise, filtered by moving formants.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::filters::Resonator;
use super::phones::Phone;
use super::speaker::Speaker;

/// Samples per second.
pub const RATE: u32 = 16_000;

/// Samples between two settings of the filters: 2 ms.
const STEP: usize = 32;

/// Time over which the formants glide from phone to phone, in seconds.
const GLIDE: f64 = 0.06;

/// Time over which sources fade in and out, in seconds.
const FADE: f64 = 0.02;

/// Bandwidths of F1 to F5 in Hz (Klatt 1980).
const BANDWIDTHS: [f64; 5] = [60.0, 90.0, 150.0, 250.0, 300.0];

/// What the voice does at one moment.
#[derive(Clone, Copy, Default)]
struct Pose {
    log_formants: [f64; 5],
    damping: f64,
    voicing: f64,
    aspiration: f64,
    frication: f64,
    centre: f64,
    width: f64,
}

impl Pose {
    fn of(phone: &Phone, speaker: &Speaker) -> Pose {
        let [men, women] = phone.formants;
        let mut log_formants = [0.0; 5];
        for (place, log) in log_formants.iter_mut().enumerate() {
            // F5 was not measured: that of a tube closed at one end, 17.5 cm and 15 cm long.
            let (man, woman) = if place < 4 {
                (men[place], women[place])
            } else {
                (4500.0, 5250.0)
            };
            *log = man.ln() + speaker.tract * (woman / man).ln();
        }
        let frication = phone.frication.unwrap_or(super::phones::Frication {
            level: 0.0,
            centre: 4500.0,
            width: 3000.0,
        });
        Pose {
            log_formants,
            damping: speaker.damping * if phone.nasal { 2.5 } else { 1.0 },
            voicing: phone.voicing,
            aspiration: phone.aspiration,
            frication: frication.level,
            centre: (frication.centre * 1.16f64.powf(speaker.tract)).min(7000.0),
            width: frication.width,
        }
    }
}

/// The pose at every step: that of the phone at that time, averaged over a window of [`GLIDE`] for the tract and of
/// [`FADE`] for the sources.
fn poses(phones: &[Phone], speaker: &Speaker, steps: usize) -> Vec<Pose> {
    let total: f64 = phones.iter().map(|phone| phone.share).sum();
    let mut ends = Vec::with_capacity(phones.len());
    let mut end = 0.0;
    for phone in phones {
        end += phone.share / total * steps as f64;
        ends.push(end);
    }
    let targets: Vec<Pose> = phones
        .iter()
        .map(|phone| Pose::of(phone, speaker))
        .collect();
    let at = |step: usize| {
        let place = ends
            .partition_point(|end| *end <= step as f64)
            .min(targets.len() - 1);
        targets[place]
    };
    let track: Vec<Pose> = (0..steps).map(at).collect();
    let half_window = |seconds: f64| (seconds * f64::from(RATE) / STEP as f64 / 2.0) as usize;
    let (glide, fade) = (half_window(GLIDE), half_window(FADE));
    (0..steps)
        .map(|step| {
            let around =
                |half: usize| &track[step.saturating_sub(half)..(step + half + 1).min(steps)];
            let mean = |half: usize, value: &dyn Fn(&Pose) -> f64| {
                let window = around(half);
                window.iter().map(value).sum::<f64>() / window.len() as f64
            };
            let mut pose = track[step];
            for place in 0..5 {
                pose.log_formants[place] = mean(glide, &|p| p.log_formants[place]);
            }
            pose.damping = mean(glide, &|p| p.damping);
            pose.voicing = mean(fade, &|p| p.voicing);
            pose.aspiration = mean(fade, &|p| p.aspiration);
            pose.frication = mean(fade / 2, &|p| p.frication);
            pose
        })
        .collect()
}

/// Glottal flow at a phase of 0 to 1 of the cycle, at most 1: KLGLOTT88 (Klatt and Klatt 1990, Eq. 1), a rise and a faster
/// fall while the glottis is open, 0 while it is closed.
fn flow(phase: f64, open_quotient: f64) -> f64 {
    let t = phase / open_quotient;
    if t < 1.0 {
        6.75 * t * t * (1.0 - t)
    } else {
        0.0
    }
}

/// Glottal cycles: phase, and the strength of this cycle.
struct Glottis {
    phase: f64,
    period: f64,
    strength: f64,
    last_flow: f64,
}

impl Glottis {
    /// The derivative of the flow, which is what the lips radiate, and the flow itself. The difference of two samples of the
    /// flow has less aliasing than samples of the derivative, which jumps when the glottis closes.
    fn step(&mut self, f0: f64, speaker: &Speaker, rng: &mut ChaCha8Rng) -> (f64, f64) {
        let increment = f0 * self.period / f64::from(RATE);
        self.phase += increment;
        if self.phase >= 1.0 {
            self.phase -= 1.0;
            self.period = 1.0 + speaker.jitter * rng.sample::<f64, _>(StandardNormal);
            self.strength = 1.0 + speaker.shimmer * rng.sample::<f64, _>(StandardNormal);
        }
        let flow = flow(self.phase, speaker.open_quotient);
        let change = (flow - self.last_flow) / increment;
        self.last_flow = flow;
        (self.strength * change, flow)
    }
}

/// Speaks phones: `length` samples at [`RATE`], in arbitrary units.
pub fn speak(phones: &[Phone], speaker: &Speaker, length: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let rate = f64::from(RATE);
    let poses = poses(phones, speaker, length.div_ceil(STEP));

    // Intonation: a peak early in the word, then a fall, and a slow waver; the whole word a little higher or lower.
    let shift = 1.5 * rng.sample::<f64, _>(StandardNormal);
    let peak = rng.random_range(0.15..0.45);
    let waver = (
        rng.random_range(3.0..6.0),
        rng.random_range(0.0..std::f64::consts::TAU),
    );
    let semitones = |place: f64, seconds: f64| {
        let accent = (-((place - peak) / 0.25).powi(2)).exp();
        let waver = 0.2 * (std::f64::consts::TAU * waver.0 * seconds + waver.1).sin();
        shift + speaker.liveliness * (0.7 * accent - place + 0.2) + waver
    };

    let mut glottis = Glottis {
        phase: rng.random_range(0.0..1.0),
        period: 1.0,
        strength: 1.0,
        last_flow: 0.0,
    };
    glottis.last_flow = flow(glottis.phase, speaker.open_quotient);
    let mut formants = [Resonator::default(); 5];
    let mut mouth = Resonator::default();
    let smoothing = (-std::f64::consts::TAU * speaker.tilt / rate).exp();
    let (mut tilted, mut last_hiss, mut last_breath, mut last_sample) = (0.0, 0.0, 0.0, 0.0);
    let mut f0 = speaker.f0;
    let mut output = Vec::with_capacity(length);
    for n in 0..length {
        let pose = poses[n / STEP];
        if n % STEP == 0 {
            f0 =
                speaker.f0 * 2f64.powf(semitones(n as f64 / length as f64, n as f64 / rate) / 12.0);
            for (place, formant) in formants.iter_mut().enumerate() {
                let frequency = pose.log_formants[place].exp().min(0.47 * rate);
                formant.tune(frequency, BANDWIDTHS[place] * pose.damping, rate);
            }
            mouth.tune(pose.centre, pose.width, rate);
        }
        let (change, flow) = glottis.step(f0, speaker, rng);
        tilted = (1.0 - smoothing) * change + smoothing * tilted;
        // Breath is strongest while the glottis is open; radiation lifts it like everything else.
        let hiss: f64 = rng.sample(StandardNormal);
        let breath = hiss * (pose.aspiration + speaker.breath * pose.voicing * (0.3 + flow));
        // The voice swells at the start of the word and weakens towards its end.
        let seconds = [n, length - 1 - n].map(|samples| samples as f64 / rate);
        let effort = (seconds[0] / 0.03).min(1.0) * (seconds[1] / 0.12).min(1.0).sqrt();
        let throat = effort * pose.voicing * tilted + 2.0 * (breath - 0.7 * last_breath);
        last_breath = breath;
        let voice = formants
            .iter_mut()
            .fold(throat, |x, formant| formant.step(x));
        let mouth_noise = mouth.step(pose.frication * (hiss - last_hiss));
        last_hiss = hiss;
        let sample = voice + 2.0 * mouth_noise;
        output.push(sample + speaker.colour * (sample - last_sample));
        last_sample = sample;
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sex;
    use crate::seed::rng;
    use crate::synthetic::phones;

    /// Power of a signal at a frequency, from the Fourier sum over a Hann window.
    fn power(samples: &[f64], frequency: f64) -> f64 {
        let sums = samples.iter().enumerate().fold([0.0; 2], |[c, s], (n, x)| {
            let window = (std::f64::consts::PI * n as f64 / samples.len() as f64)
                .sin()
                .powi(2);
            let angle = std::f64::consts::TAU * frequency * n as f64 / f64::from(RATE);
            [c + window * x * angle.cos(), s + window * x * angle.sin()]
        });
        sums[0].powi(2) + sums[1].powi(2)
    }

    /// The first harmonic stands where the speaker's F0 is, and between the harmonics there is little.
    #[test]
    fn the_voice_has_the_speakers_pitch() {
        for number in 0..20 {
            let mut rng = rng(1, &format!("pitch {number}"));
            let mut speaker = Speaker::draw(Sex::ALL[number % 2], &mut rng);
            (speaker.liveliness, speaker.breath) = (0.0, 0.0);
            // The vowels of "one", 0.1 s at the middle.
            let samples = speak(&phones::digit(1), &speaker, 9600, &mut rng);
            let middle = &samples[3200..4800];
            let around =
                |f0: f64| (-40..=40).map(move |step| f0 * 2f64.powf(f64::from(step) / 120.0));
            let strongest = |f0: f64| around(f0).map(|f| power(middle, f)).fold(0.0, f64::max);
            let at = around(speaker.f0)
                .max_by(|a, b| power(middle, *a).total_cmp(&power(middle, *b)))
                .unwrap();
            // The whole word is up to three standard deviations of 1.5 semitones higher or lower.
            assert!(
                (12.0 * (at / speaker.f0).log2()).abs() < 3.9,
                "{at} Hz for {} Hz",
                speaker.f0
            );
            assert!(
                strongest(speaker.f0) > 30.0 * power(middle, 0.5 * at),
                "{number}"
            );
            assert!(
                strongest(speaker.f0) > 30.0 * power(middle, 1.5 * at),
                "{number}"
            );
        }
    }

    /// A long vowel has its formants where the table says, for the average man and the average woman.
    #[test]
    fn vowels_have_their_formants() {
        for (sex, f0) in [(Sex::Male, 100.0), (Sex::Female, 120.0)] {
            let mut rng = rng(2, "formants");
            let mut speaker = Speaker::draw(sex, &mut rng);
            speaker.tract = sex.index() as f64;
            (speaker.f0, speaker.liveliness, speaker.jitter) = (f0, 0.0, 0.0);
            // "Three" ends in a long /i/.
            let phone = phones::digit(3)[2];
            let samples = speak(&[phone], &speaker, 16_000, &mut rng);
            let middle = &samples[4000..12_000];
            let level = |frequency: f64| -> f64 {
                // Over a harmonic to each side.
                let near =
                    (-12..=12).map(|step| power(middle, frequency + f64::from(step) * f0 / 16.0));
                near.fold(0.0, f64::max)
            };
            let [f1, f2, ..] = phone.formants[sex.index()];
            assert!(
                level(f2) > 10.0 * level((f1 + f2) / 2.0),
                "{sex}: no valley between F1 and F2"
            );
            assert!(
                level(f2) > 3.0 * level(f2 - 400.0),
                "{sex}: no peak at {f2} Hz"
            );
        }
    }
}
