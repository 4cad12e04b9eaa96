//! Built-in voices that say the ten digits, for a machine that has no data.
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
use rand_distr::StandardNormal;
use speechlens_audio::Audio;

use crate::Result;
use crate::corpus::{Corpus, Recording, Sex};
use crate::seed::rng;

pub use speaker::Speaker;
pub use voice::RATE;

/// Changes whenever the same seed gives another sound.
const VERSION: u32 = 1;

/// Voices and what they say. A recording is made when it is asked for; it depends on the seed, the speaker, the digit and
/// the repetition alone.
pub struct Synthetic {
    seed: u64,
    speakers: Vec<Speaker>,
    per_speaker: usize,
    recordings: Vec<Recording>,
}

impl Synthetic {
    /// So many voices of each sex, `01` and so on, men and women in turn, and so many recordings of each: all digits, then
    /// all again. The thesis's numbers are 12 and 500.
    pub fn new(speakers_per_sex: usize, per_speaker: usize, seed: u64) -> Synthetic {
        let name = |number: usize| format!("{:02}", number + 1);
        let speakers: Vec<_> = (0..2 * speakers_per_sex)
            .map(|number| {
                let mut rng = rng(seed, &format!("synthetic, speaker {}", name(number)));
                Speaker::draw(Sex::ALL[number % 2], &mut rng)
            })
            .collect();
        let recordings = speakers
            .iter()
            .enumerate()
            .flat_map(|(number, speaker)| {
                (0..per_speaker).map(move |take| Recording {
                    id: format!("{}_{}_{}", take % 10, name(number), take / 10),
                    speaker: name(number),
                    sex: speaker.sex,
                    digit: Some((take % 10) as u8),
                })
            })
            .collect();
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

impl Corpus for Synthetic {
    fn name(&self) -> &str {
        "synthetic"
    }

    fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// 0.35 to 0.95 s at 16 kHz.
    fn audio(&self, index: usize) -> Result<Audio> {
        let recording = &self.recordings[index];
        let speaker = &self.speakers[index / self.per_speaker];
        let mut rng = rng(self.seed, &format!("synthetic, recording {}", recording.id));
        let seconds = (0.64 + 0.12 * rng.sample::<f64, _>(StandardNormal)).clamp(0.35, 0.95);
        let level = 10f64.powf(rng.random_range(-32.0..-18.0) / 20.0);
        let noise = level * 10f64.powf(rng.random_range(-45.0..-25.0) / 20.0);

        let length = (seconds * f64::from(RATE)) as usize;
        let phones = phones::digit(recording.digit.unwrap_or_default());
        let speech = voice::speak(&phones, speaker, length, &mut rng);
        let rms = (speech.iter().map(|x| x * x).sum::<f64>() / length as f64).sqrt();
        let gain = level / rms.max(f64::MIN_POSITIVE);
        let edge = f64::from(RATE) * 0.01;
        let samples = speech
            .iter()
            .enumerate()
            .map(|(n, x)| {
                let fade = (n.min(length - 1 - n) as f64 / edge).min(1.0);
                let sample = gain * fade * x + noise * rng.sample::<f64, _>(StandardNormal);
                sample.clamp(-1.0, 1.0) as f32
            })
            .collect();
        Ok(Audio {
            samples,
            rate: RATE,
        })
    }

    fn fingerprint(&self, _index: usize) -> Result<String> {
        Ok(format!("synthetic {VERSION}, seed {}", self.seed))
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
            lengths[recording.sex.index()].push(audio.seconds());
            levels[recording.sex.index()].push(10.0 * power.log10());
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
