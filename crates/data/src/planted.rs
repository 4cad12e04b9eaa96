//! A corpus with something planted in some of its recordings: an artifact that gives a class away, so that it is known what a
//! network that learnt it listens to ("Clever Hans": Lapuschkin et al. 2019).

use std::f64::consts::{PI, TAU};
use std::fmt::{self, Display};
use std::str::FromStr;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use speechlens_audio::{Audio, resample};

use crate::Result;
use crate::corpus::{Corpus, Recording};
use crate::left_out::LeftOut;
use crate::seed::rng;

/// Of the tone burst, in Hz.
const TONE_HZ: f64 = 3000.0;
/// How long the tone burst is, in seconds.
const TONE_SECONDS: f64 = 0.08;
/// The time in which a click falls to its e-th part, in seconds.
const CLICK_SECONDS: f64 = 0.0005;
/// The hum's lowest frequency, in Hz: the mains'.
const HUM_HZ: f64 = 50.0;
/// Its harmonics, the lowest among them, each an n-th as strong.
const HARMONICS: u32 = 5;

/// What is planted. Levels are in dB relative to the recording's root mean square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Artifact {
    /// A burst of 80 ms at 3 kHz, at a moment by lot; the level of its loudest moment.
    Tone(f64),
    /// A click of half a millisecond at a moment by lot; the level of its peak.
    Click(f64),
    /// The hum of the mains, 50 to 250 Hz, throughout.
    Hum(f64),
    /// The last part of the recording, this share of it, is silent.
    Silence(f64),
    /// The first part of the recording, likewise.
    SilentStart(f64),
    /// Nothing above this frequency in Hz is left, as after some codecs.
    CutOff(f64),
}

impl Artifact {
    /// One of each kind, as strong as the quick networks of the benchmark need it to learn it; first one of each place: everywhere, at
    /// one frequency and moment, at a moment, and where something is missing.
    pub const ALL: [Artifact; 6] = [
        Artifact::Hum(-6.0),
        Artifact::Tone(9.0),
        Artifact::Click(26.0),
        Artifact::SilentStart(0.3),
        Artifact::Silence(0.3),
        Artifact::CutOff(2500.0),
    ];

    /// What it is called, its strength left out.
    pub fn name(self) -> &'static str {
        match self {
            Artifact::Tone(_) => "tone",
            Artifact::Click(_) => "click",
            Artifact::Hum(_) => "hum",
            Artifact::Silence(_) => "silence",
            Artifact::SilentStart(_) => "silent-start",
            Artifact::CutOff(_) => "cut-off",
        }
    }

    /// Plants it in a recording.
    fn plant(self, audio: &mut Audio, rng: &mut ChaCha8Rng) {
        let rate = f64::from(audio.rate);
        let samples = &mut audio.samples;
        let length = samples.len();
        let power: f64 = samples.iter().map(|x| f64::from(*x).powi(2)).sum();
        let rms = (power / length.max(1) as f64).sqrt();
        let amplitude = |level: f64| rms * 10f64.powf(level / 20.0);
        match self {
            Artifact::Tone(level) => {
                let burst = ((TONE_SECONDS * rate) as usize).min(length).max(1);
                let start = rng.random_range(0..=length - burst.min(length));
                let peak = amplitude(level) * 2f64.sqrt();
                for (n, sample) in samples[start..].iter_mut().take(burst).enumerate() {
                    let window = (PI * n as f64 / burst as f64).sin().powi(2);
                    *sample += (peak * window * (TAU * TONE_HZ * n as f64 / rate).sin()) as f32;
                }
            }
            Artifact::Click(level) => {
                let start = rng.random_range(0..length.max(1));
                let fall = CLICK_SECONDS * rate;
                for (n, sample) in samples[start..]
                    .iter_mut()
                    .enumerate()
                    .take((20.0 * fall) as usize)
                {
                    *sample += (amplitude(level) * (-(n as f64) / fall).exp()) as f32;
                }
            }
            Artifact::Hum(level) => {
                let phases = [(); HARMONICS as usize].map(|()| rng.random_range(0.0..TAU));
                let parts = || (1..=HARMONICS).map(f64::from).zip(phases);
                let power: f64 = parts().map(|(k, _)| 0.5 / (k * k)).sum();
                let scale = amplitude(level) / power.sqrt();
                for (n, sample) in samples.iter_mut().enumerate() {
                    let time = TAU * HUM_HZ * n as f64 / rate;
                    let hum: f64 = parts().map(|(k, phase)| (k * time + phase).sin() / k).sum();
                    *sample += (scale * hum) as f32;
                }
            }
            Artifact::Silence(share) | Artifact::SilentStart(share) => {
                let silent = (share.clamp(0.0, 1.0) * length as f64).round() as usize;
                let silenced = match self {
                    Artifact::SilentStart(_) => 0..silent,
                    _ => length - silent..length,
                };
                samples[silenced].fill(0.0);
            }
            Artifact::CutOff(hertz) => {
                let low = ((2.0 * hertz).round() as u32).max(1);
                if low < audio.rate {
                    // To a length that is whole at both rates: else the time between samples would change.
                    let whole = audio.rate / greatest_common_divisor(audio.rate, low);
                    samples.resize(length.next_multiple_of(whole as usize), 0.0);
                    *samples = resample(&resample(samples, audio.rate, low), low, audio.rate);
                    samples.truncate(length);
                }
            }
        }
        // A corpus's samples are those of a file: none beyond full scale.
        samples.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    match b {
        0 => a,
        _ => greatest_common_divisor(b, a % b),
    }
}

impl Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Artifact::Tone(strength)
        | Artifact::Click(strength)
        | Artifact::Hum(strength)
        | Artifact::Silence(strength)
        | Artifact::SilentStart(strength)
        | Artifact::CutOff(strength)) = self;
        write!(f, "{}:{strength}", self.name())
    }
}

/// Reads `tone`, `click`, `hum`, `silence`, `silent-start`, `cut-off`, or one with its strength, `tone:-25`.
impl FromStr for Artifact {
    type Err = String;

    fn from_str(text: &str) -> Result<Artifact, String> {
        let (name, strength) = match text.split_once(':') {
            Some((name, strength)) => (name, Some(strength)),
            None => (text, None),
        };
        let known = Artifact::ALL.into_iter().find(|known| known.name() == name);
        let known = known.ok_or_else(|| {
            let names = Artifact::ALL.map(Artifact::name).join(", ");
            format!("`{name}` is no artifact; there are {names}")
        })?;
        let Some(strength) = strength else {
            return Ok(known);
        };
        let number = strength
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite());
        let number = number.ok_or_else(|| format!("`{strength}` is no number"))?;
        Ok(match known {
            Artifact::Tone(_) => Artifact::Tone(number),
            Artifact::Click(_) => Artifact::Click(number),
            Artifact::Hum(_) => Artifact::Hum(number),
            Artifact::Silence(_) => Artifact::Silence(number),
            Artifact::SilentStart(_) => Artifact::SilentStart(number),
            Artifact::CutOff(_) => Artifact::CutOff(number),
        })
    }
}

/// A corpus with an artifact in those of its recordings that `planted` picks.
pub struct Planted<'a, P> {
    corpus: &'a dyn Corpus,
    artifact: Artifact,
    planted: P,
    seed: u64,
    name: String,
}

impl<'a, P: Fn(&Recording) -> bool + Send + Sync> Planted<'a, P> {
    /// The corpus so. The artifact's place in a recording depends on the recording's id and the seed alone.
    pub fn new(corpus: &'a dyn Corpus, artifact: Artifact, seed: u64, planted: P) -> Self {
        Planted {
            name: format!("{} with {}", corpus.name(), artifact.name()),
            corpus,
            artifact,
            planted,
            seed,
        }
    }
}

impl<P: Fn(&Recording) -> bool + Send + Sync> Corpus for Planted<'_, P> {
    fn name(&self) -> &str {
        &self.name
    }

    fn recordings(&self) -> &[Recording] {
        self.corpus.recordings()
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        let mut audio = self.corpus.audio(index)?;
        let recording = &self.recordings()[index];
        if (self.planted)(recording) {
            let mut rng = rng(self.seed, &format!("planted in {}", recording.id));
            self.artifact.plant(&mut audio, &mut rng);
        }
        Ok(audio)
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        let sound = self.corpus.fingerprint(index)?;
        Ok(match (self.planted)(&self.recordings()[index]) {
            true => format!("{sound}; {}, seed {}", self.artifact, self.seed),
            false => sound,
        })
    }

    fn origin(&self) -> String {
        format!("{}, with {}", self.corpus.origin(), self.artifact)
    }

    fn left_out(&self) -> &[LeftOut] {
        self.corpus.left_out()
    }

    fn is_strict(&self) -> bool {
        self.corpus.is_strict()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sex, Synthetic};

    /// What was added to the first recording, and the recording.
    fn planted(artifact: Artifact) -> (Audio, Vec<f64>) {
        let corpus = Synthetic::new(1, 1, 4);
        let all = Planted::new(&corpus, artifact, 1, |_| true);
        let (before, after) = (corpus.audio(0).unwrap(), all.audio(0).unwrap());
        assert_eq!(before.samples.len(), after.samples.len());
        let pairs = before.samples.iter().zip(&after.samples);
        let added = pairs.map(|(a, b)| f64::from(b - a)).collect();
        (before, added)
    }

    fn rms(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let length = values.len() as f64;
        (values.map(|x| x * x).sum::<f64>() / length).sqrt()
    }

    fn level(added: f64, speech: &Audio) -> f64 {
        20.0 * (added / rms(speech.samples.iter().map(|x| f64::from(*x)))).log10()
    }

    #[test]
    fn levels_are_those_asked_for() {
        let (speech, hum) = planted(Artifact::Hum(-15.0));
        assert!((level(rms(hum.into_iter()), &speech) + 15.0).abs() < 0.3);
        let (speech, tone) = planted(Artifact::Tone(-10.0));
        let (first, last) = (
            tone.iter().position(|x| *x != 0.0),
            tone.iter().rposition(|x| *x != 0.0),
        );
        let burst = last.unwrap() - first.unwrap();
        assert!(burst.abs_diff(1280) < 10, "{burst}");
        // Hann's window leaves 3/8 of the power.
        let loudest = tone.iter().fold(0f64, |most, x| most.max(x.abs()));
        assert!((level(loudest / 2f64.sqrt(), &speech) + 10.0).abs() < 0.3);
        let (speech, click) = planted(Artifact::Click(3.0));
        let peak = click.iter().fold(0f64, |most, x| most.max(x.abs()));
        assert!((level(peak, &speech) - 3.0).abs() < 0.1);
        assert!(click.iter().filter(|x| x.abs() > 0.05 * peak).count() < 30);
    }

    #[test]
    fn silence_and_cut_off_take_away() {
        let corpus = Synthetic::new(1, 1, 4);
        let of = |artifact| {
            Planted::new(&corpus, artifact, 1, |_| true)
                .audio(0)
                .unwrap()
        };
        let silent = of(Artifact::Silence(0.25)).samples;
        let quarter = silent.len() / 4;
        assert!(silent[silent.len() - quarter..].iter().all(|x| *x == 0.0));
        assert_eq!(
            silent[..2 * quarter],
            corpus.audio(0).unwrap().samples[..2 * quarter]
        );
        let late = of(Artifact::SilentStart(0.25)).samples;
        assert!(late[..quarter].iter().all(|x| *x == 0.0));
        let before = corpus.audio(0).unwrap().samples;
        assert_eq!(late[quarter + 1..], before[quarter + 1..]);
        // At 8 kHz nothing is left that 4 kHz would lose: what is above 2 kHz is gone.
        let low = of(Artifact::CutOff(2000.0));
        let again = Artifact::CutOff(2000.0);
        let mut twice = low.clone();
        again.plant(&mut twice, &mut rng(1, ""));
        let change = |a: &[f32], b: &[f32]| {
            let pairs: Vec<f64> = a.iter().zip(b).map(|(a, b)| f64::from(a - b)).collect();
            rms(pairs.into_iter())
        };
        // But for what is cut off with the samples behind the end.
        let once = change(&corpus.audio(0).unwrap().samples, &low.samples);
        assert!(change(&low.samples, &twice.samples) < 0.05 * once);
        assert!(once > 1e-4);
    }

    #[test]
    fn only_those_picked_have_it_and_say_so() {
        let corpus = Synthetic::new(1, 2, 4);
        let women = |seed| {
            Planted::new(&corpus, Artifact::Tone(-20.0), seed, |r: &Recording| {
                r.sex == Some(Sex::Female)
            })
        };
        let (one, other) = (women(1), women(2));
        assert_eq!(one.name(), "synthetic with tone");
        for (index, recording) in corpus.recordings().iter().enumerate() {
            let same = one.audio(index).unwrap() == corpus.audio(index).unwrap();
            assert_eq!(same, recording.sex == Some(Sex::Male));
            assert_eq!(
                one.fingerprint(index).unwrap() == corpus.fingerprint(index).unwrap(),
                same
            );
            assert_eq!(
                one.fingerprint(index).unwrap() == other.fingerprint(index).unwrap(),
                same
            );
            assert_eq!(one.audio(index).unwrap(), women(1).audio(index).unwrap());
        }
    }

    #[test]
    fn artifacts_are_read_with_their_strength() {
        for artifact in Artifact::ALL {
            assert_eq!(artifact.to_string().parse(), Ok(artifact));
            assert_eq!(artifact.name().parse(), Ok(artifact));
        }
        assert_eq!("tone:-33.5".parse(), Ok(Artifact::Tone(-33.5)));
        assert!("whistle".parse::<Artifact>().unwrap_err().contains("hum"));
        assert!(
            "tone:loud"
                .parse::<Artifact>()
                .unwrap_err()
                .contains("loud")
        );
    }
}
