//! Built-in voices that say the ten digits, in single words or several in a row, for a machine that has no data.
//!
//! A source–filter synthesizer: glottal pulses with jitter and shimmer, breath and frication noise, five formants that move
//! through the sounds of a word. What differs between the sexes is what phonetics measured, with its overlap: fundamental
//! frequency, formants, breathiness ([`Speaker::draw`] has the sources). Length, level and background noise are drawn alike
//! for both, so that they tell nothing.

pub(crate) mod filters;
mod phones;
mod speaker;
mod voice;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use speechlens_audio::Audio;

use crate::Result;
use crate::corpus::{Corpus, Recording, Sex};
use crate::seed::rng;

pub use speaker::Speaker;
pub use voice::RATE;

/// Changes whenever the same seed gives another sound.
const VERSION: u32 = 1;

/// Voices and what they say. A recording is made when it is asked for; it depends on the seed and its id alone.
pub struct Synthetic {
    seed: u64,
    speakers: Vec<Speaker>,
    per_speaker: usize,
    recordings: Vec<Recording>,
}

impl Synthetic {
    /// So many voices of each sex, `01` and so on, men and women in turn, and so many words of each: all digits, then all
    /// again. The thesis's numbers are 12 and 500.
    pub fn new(speakers_per_sex: usize, per_speaker: usize, seed: u64) -> Synthetic {
        Synthetic::with_recordings(speakers_per_sex, per_speaker, seed, |name, take| {
            let digit = (take % 10) as u8;
            (format!("{digit}_{name}_{}", take / 10), Some(digit))
        })
    }

    /// The same voices in utterances of 3 to 6 s, `SPEAKER-TAKE`: digits by lot with pauses between them.
    pub fn utterances(speakers_per_sex: usize, per_speaker: usize, seed: u64) -> Synthetic {
        Synthetic::with_recordings(speakers_per_sex, per_speaker, seed, |name, take| {
            (format!("{name}-{take:03}"), None)
        })
    }

    /// `recording` gives the id and the digit of a speaker's recordings, by their number.
    fn with_recordings(
        speakers_per_sex: usize,
        per_speaker: usize,
        seed: u64,
        recording: impl Fn(&str, usize) -> (String, Option<u8>),
    ) -> Synthetic {
        let name = |number: usize| format!("{:02}", number + 1);
        let speakers: Vec<_> = (0..2 * speakers_per_sex)
            .map(|number| {
                let mut rng = rng(seed, &format!("synthetic, speaker {}", name(number)));
                Speaker::draw(Sex::ALL[number % 2], &mut rng)
            })
            .collect();
        let mut recordings = Vec::with_capacity(speakers.len() * per_speaker);
        for (number, speaker) in speakers.iter().enumerate() {
            for take in 0..per_speaker {
                let (id, digit) = recording(&name(number), take);
                recordings.push(Recording {
                    id,
                    speaker: name(number),
                    sex: Some(speaker.sex),
                    digit,
                    ..Recording::default()
                });
            }
        }
        Synthetic {
            seed,
            speakers,
            per_speaker,
            recordings,
        }
    }

    /// The voices, in the order of their names.
    pub fn speakers(&self) -> &[Speaker] {
        &self.speakers
    }
}

/// The length of a word in seconds.
fn word_seconds(rng: &mut ChaCha8Rng) -> f64 {
    (0.64 + 0.12 * rng.sample::<f64, _>(StandardNormal)).clamp(0.35, 0.95)
}

/// A digit at a level (root mean square), faded in and out.
fn word(digit: u8, speaker: &Speaker, seconds: f64, level: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let length = (seconds * f64::from(RATE)) as usize;
    let mut speech = voice::speak(&phones::digit(digit), speaker, length, rng);
    let rms = (speech.iter().map(|x| x * x).sum::<f64>() / length as f64).sqrt();
    let gain = level / rms.max(f64::MIN_POSITIVE);
    let edge = f64::from(RATE) * 0.01;
    for (n, x) in speech.iter_mut().enumerate() {
        let fade = (n.min(length - 1 - n) as f64 / edge).min(1.0);
        *x *= gain * fade;
    }
    speech
}

/// Digits by lot, a pause before each, until there are 3 to 4.7 s; the last one may reach to 6 s.
fn digits_in_a_row(speaker: &Speaker, seconds: f64, level: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut speech = Vec::new();
    while (speech.len() as f64) < seconds * f64::from(RATE) {
        let pause = rng.random_range(0.05..0.35) * f64::from(RATE);
        speech.resize(speech.len() + pause as usize, 0.0);
        let (digit, seconds) = (rng.random_range(0..10), word_seconds(rng));
        speech.extend(word(digit, speaker, seconds, level, rng));
    }
    speech
}

impl Corpus for Synthetic {
    fn name(&self) -> &str {
        "synthetic"
    }

    fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// Words of 0.35 to 0.95 s, utterances of 3 to 6 s, at 16 kHz.
    fn audio(&self, index: usize) -> Result<Audio> {
        let recording = &self.recordings[index];
        let speaker = &self.speakers[index / self.per_speaker];
        let mut rng = rng(self.seed, &format!("synthetic, recording {}", recording.id));
        let seconds = match recording.digit {
            Some(_) => word_seconds(&mut rng),
            None => rng.random_range(3.0..4.7),
        };
        let level = 10f64.powf(rng.random_range(-32.0..-18.0) / 20.0);
        let noise = level * 10f64.powf(rng.random_range(-45.0..-25.0) / 20.0);
        let speech = match recording.digit {
            Some(digit) => word(digit, speaker, seconds, level, &mut rng),
            None => digits_in_a_row(speaker, seconds, level, &mut rng),
        };
        let samples = speech
            .into_iter()
            .map(|x| (x + noise * rng.sample::<f64, _>(StandardNormal)).clamp(-1.0, 1.0) as f32)
            .collect();
        Ok(Audio {
            samples,
            rate: RATE,
        })
    }

    fn fingerprint(&self, _index: usize) -> Result<String> {
        Ok(format!("synthetic {VERSION}, seed {}", self.seed))
    }

    fn origin(&self) -> String {
        format!("synthetic, seed {}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn a_recording_depends_on_nothing_but_its_name_and_the_seed() {
        let (small, large) = (Synthetic::new(1, 10, 7), Synthetic::new(3, 20, 7));
        let find = |corpus: &Synthetic, id: &str| {
            corpus.recordings().iter().position(|r| r.id == id).unwrap()
        };
        let id = "4_02_0";
        let audio = small.audio(find(&small, id)).unwrap();
        assert_eq!(audio, large.audio(find(&large, id)).unwrap());
        assert_ne!(
            audio,
            Synthetic::new(1, 10, 8).audio(find(&small, id)).unwrap()
        );
    }

    #[test]
    fn utterances_are_several_words_of_the_same_voices() {
        let corpus = Synthetic::utterances(2, 5, 3);
        assert_eq!(corpus.speakers(), Synthetic::new(2, 1, 3).speakers());
        assert_eq!(corpus.recordings()[7].id, "02-002");
        for (index, recording) in corpus.recordings().iter().enumerate() {
            let audio = corpus.audio(index).unwrap();
            assert!((3.0..=6.0).contains(&audio.seconds()), "{}", recording.id);
            assert!(audio.samples.iter().all(|x| x.abs() <= 1.0));
            // Words and pauses between them.
            let pieces = speechlens_audio::silence::segments(&audio, &Default::default());
            assert!(pieces.len() >= 3, "{}: {pieces:?}", recording.id);
        }
        let one = |seed| Synthetic::utterances(1, 1, seed).audio(0).unwrap();
        assert!(one(3) == corpus.audio(0).unwrap() && one(3) != one(4));
    }

    #[test]
    fn lengths_and_levels_are_in_range_and_alike_for_both_sexes() {
        let corpus = Synthetic::new(4, 50, 3);
        let mut lengths = [vec![], vec![]];
        let mut levels = [vec![], vec![]];
        for (index, recording) in corpus.recordings().iter().enumerate() {
            let audio = corpus.audio(index).unwrap();
            assert!(
                audio
                    .samples
                    .iter()
                    .all(|x| x.is_finite() && x.abs() <= 1.0),
                "{}",
                recording.id
            );
            assert!((0.349..=0.951).contains(&audio.seconds()));
            let power = audio
                .samples
                .iter()
                .map(|&x| f64::from(x).powi(2))
                .sum::<f64>()
                / audio.samples.len() as f64;
            lengths[recording.sex.unwrap().index()].push(audio.seconds());
            levels[recording.sex.unwrap().index()].push(10.0 * power.log10());
        }
        // 200 of each: means differ by less than three standard errors of their difference.
        for [male, female] in [lengths, levels] {
            let ((m, deviation), (f, _)) = (mean_and_deviation(&male), mean_and_deviation(&female));
            assert!(
                (m - f).abs() < 3.0 * deviation * (2.0f64 / 200.0).sqrt(),
                "{m} {f}"
            );
        }
    }

    /// The sexes differ and overlap: the median woman lies above 95 % of the men, yet the highest 3 % of the men lie above
    /// the lowest 3 % of the women.
    #[test]
    fn voices_overlap() {
        let corpus = Synthetic::new(500, 1, 1);
        for of in [|s: &Speaker| s.f0, |s: &Speaker| s.tract] {
            let mut values = Sex::ALL.map(|sex| {
                let mut values: Vec<f64> = corpus
                    .speakers()
                    .iter()
                    .filter(|s| s.sex == sex)
                    .map(of)
                    .collect();
                values.sort_by(f64::total_cmp);
                values
            });
            let [male, female] = &mut values;
            assert!(female[250] > male[475], "the medians stand apart");
            assert!(male[485] > female[14], "the ranges overlap");
        }
    }
}
