//! Music and noise behind speech, to see what a network makes of them.
//!
//! The recordings are MUSAN's (Snyder, Chen and Povey 2015), or synthesized where it is not at hand: music-like and
//! noise-like, not the real thing, so a report says which by [`Background::name`]. The signal-to-noise ratio is drawn from
//! the range of Kaldi's VoxCeleb recipe, 5 to 15 dB for music and 0 to 15 dB for noise; it compares mean powers over all
//! of the speech.
//!
//! ```
//! use speechlens_data::background::{Background, Backdrop};
//! # let speech = speechlens_audio::Audio { samples: (0..16000).map(|n| (n as f32 * 0.1).sin()).collect(), rate: 16000 };
//! let background = Background::synthetic(1); // or Background::musan("data/musan".as_ref(), 1, false)?
//! let mixed = background.mix(&speech, Backdrop::Music, "84-121123-0000")?;
//! assert!((5.0..=15.0).contains(&mixed.snr_db));
//! assert_eq!(mixed.audio.samples.len(), speech.samples.len());
//! # Ok::<(), speechlens_data::Error>(())
//! ```

mod musan;
mod music;
mod noise;

use std::ops::{Range, RangeInclusive};
use std::path::Path;

use musan::Musan;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use speechlens_audio::{Audio, resample};

use crate::left_out::LeftOut;
use crate::seed::rng;
use crate::{Error, Result};

/// Changes whenever the same seed gives another background.
const VERSION: u32 = 1;
/// Samples a second of what is synthesized.
const RATE: u32 = 16_000;
/// How long what is synthesized goes on before it repeats, in samples.
const LENGTH: usize = 10 * RATE as usize;
/// How many excerpts are drawn before one is not silent.
const TRIES: usize = 100;

/// What stands behind the speech.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = no_backdrop)]
pub enum Backdrop {
    /// Music.
    Music,
    /// Noise that is neither music nor speech.
    Noise,
}

fn no_backdrop(name: &str) -> String {
    format!("`{name}` is neither music nor noise")
}

impl Backdrop {
    /// Both.
    pub const ALL: [Backdrop; 2] = [Backdrop::Music, Backdrop::Noise];

    /// `music` or `noise`, also the name of MUSAN's folder.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The signal-to-noise ratios that are drawn, each as likely as any other, in dB.
    pub fn snr_db(self) -> RangeInclusive<f64> {
        match self {
            Backdrop::Music => 5.0..=15.0,
            Backdrop::Noise => 0.0..=15.0,
        }
    }
}

/// Where music and noise come from, and the seed that draws them.
pub struct Background {
    source: Source,
    seed: u64,
}

enum Source {
    Musan(Musan),
    Synthetic,
}

/// Speech before a background.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// The speech at the level it had, and the background. Samples may lie beyond full scale.
    pub audio: Audio,
    /// The signal-to-noise ratio, in dB.
    pub snr_db: f64,
    /// What was mixed in: the file, as MUSAN's folder has it, or `synthetic`.
    pub clip: String,
}

impl Background {
    /// The music and noise of MUSAN's folder. A file that is drawn and cannot be read is passed over
    /// ([`left_out`](Background::left_out)), or, if `strict`, an error.
    ///
    /// # Errors
    /// If the folder has no `music/` or no `noise/` with recordings in it or in folders below it.
    pub fn musan(folder: &Path, seed: u64, strict: bool) -> Result<Background> {
        let source = Source::Musan(Musan::open(folder, strict)?);
        Ok(Background { source, seed })
    }

    /// Synthesized music and noise, for a machine without MUSAN.
    pub fn synthetic(seed: u64) -> Background {
        let source = Source::Synthetic;
        Background { source, seed }
    }

    /// Backgrounds to train with, and others to test with that training never hears: of MUSAN's files every fifth of a kind is
    /// held out, or the last of fewer; what is synthesized is drawn by two seeds.
    ///
    /// # Errors
    /// If MUSAN's folder has one file of a kind only.
    pub fn split(self) -> Result<[Background; 2]> {
        let of_training = rng(self.seed, "backgrounds to train with").random();
        let [training, held_out] = match self.source {
            Source::Musan(musan) => musan.split()?.map(Source::Musan),
            Source::Synthetic => [Source::Synthetic, Source::Synthetic],
        };
        let background = |source, seed| Background { source, seed };
        Ok([
            background(training, of_training),
            background(held_out, self.seed),
        ])
    }

    /// What to call it in reports.
    pub fn name(&self) -> &'static str {
        match self.source {
            Source::Musan(_) => "MUSAN",
            Source::Synthetic => "synthesized music and noise",
        }
    }

    /// The files that were drawn so far and passed over, as they cannot be read.
    pub fn left_out(&self) -> Vec<LeftOut> {
        match &self.source {
            Source::Musan(musan) => musan.left_out(),
            Source::Synthetic => Vec::new(),
        }
    }

    /// A text that changes when what it gives may: the seed, and MUSAN's files by their names and sizes.
    pub fn fingerprint(&self) -> String {
        let source = match &self.source {
            Source::Musan(musan) => musan.fingerprint(),
            Source::Synthetic => format!("synthetic {VERSION}"),
        };
        format!("{source}, seed {}", self.seed)
    }

    /// One of these kinds, or none of them, each as likely as any other, for the recording that is called `id`.
    pub fn choose(&self, kinds: &[Option<Backdrop>], id: &str) -> Option<Backdrop> {
        let mut rng = rng(self.seed, &format!("what is behind {id}"));
        kinds.choose(&mut rng).copied().flatten()
    }

    /// Puts music or noise behind the recording that is called `id`: a clip that is shorter repeats, a longer one starts
    /// anywhere, and it is resampled to the speech's rate. The seed, the kind and `id` decide what, where and how loud,
    /// whatever else was mixed before. Silent speech stays silent.
    ///
    /// # Errors
    /// If the speech has no samples or no rate, no clip can be read, or the clips are silent.
    pub fn mix(&self, speech: &Audio, kind: Backdrop, id: &str) -> Result<Mixed> {
        self.mix_part(speech, 0..speech.samples.len(), kind, id)
    }

    /// As [`mix`](Background::mix), of a part of the speech alone: these samples, and a background for them. The ratio compares
    /// the background with all of the speech, so that a pause is no quieter place.
    ///
    /// # Errors
    /// Also if the speech ends before the part does.
    pub fn mix_part(
        &self,
        speech: &Audio,
        part: Range<usize>,
        kind: Backdrop,
        id: &str,
    ) -> Result<Mixed> {
        if speech.rate == 0 {
            return Err(speechlens_audio::Error::NoRate.into());
        }
        let samples = speech.samples.get(part).unwrap_or_default();
        if samples.is_empty() {
            return Err(speechlens_audio::Error::NoSamples.into());
        }
        let mut rng = rng(self.seed, &format!("background, {kind} behind {id}"));
        let snr_db = rng.random_range(kind.snr_db());
        let (clip, background) = self.excerpt(samples.len(), speech.rate, kind, &mut rng)?;
        let ratio = 10f64.powf(snr_db / 10.0);
        let gain = (power(&speech.samples) / (power(&background) * ratio)).sqrt();
        let mix = |(s, b): (&f32, &f32)| (f64::from(*s) + gain * f64::from(*b)) as f32;
        let samples = samples.iter().zip(&background).map(mix).collect();
        Ok(Mixed {
            audio: Audio {
                samples,
                rate: speech.rate,
            },
            snr_db,
            clip,
        })
    }

    /// A background of so many samples at a rate, that is not silent, and its name.
    fn excerpt(
        &self,
        samples: usize,
        rate: u32,
        kind: Backdrop,
        rng: &mut ChaCha8Rng,
    ) -> Result<(String, Vec<f32>)> {
        let mut name = String::new();
        // Recordings of MUSAN have pauses.
        for _ in 0..TRIES {
            let clip = match &self.source {
                Source::Musan(musan) => {
                    let clip = musan.draw(kind, rng)?;
                    name = clip.name;
                    clip.audio
                }
                Source::Synthetic => {
                    name = "synthetic".into();
                    synthesize(kind, rng)
                }
            };
            let excerpt = cut(&clip, samples, rate, rng);
            if power(&excerpt) > 0.0 {
                return Ok((name, excerpt));
            }
        }
        Err(Error::malformed(
            Path::new(&name),
            format!(
                "silent, as were {TRIES} excerpts of {kind} drawn from {}; download it again",
                self.name()
            ),
        ))
    }
}

/// Ten seconds of something like it.
fn synthesize(kind: Backdrop, rng: &mut ChaCha8Rng) -> Audio {
    let samples = match kind {
        Backdrop::Music => music::synthesize(LENGTH, rng),
        Backdrop::Noise => noise::synthesize(LENGTH, rng),
    };
    Audio {
        samples: samples.into_iter().map(|x| x as f32).collect(),
        rate: RATE,
    }
}

/// So many samples of a clip at a rate; from its beginning over and over if the clip is shorter.
fn cut(clip: &Audio, wanted: usize, rate: u32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let rates = (u64::from(clip.rate), u64::from(rate));
    let length = (wanted as u64 * rates.0).div_ceil(rates.1) as usize;
    let start = match clip.samples.len().checked_sub(length) {
        Some(spare) => rng.random_range(0..=spare),
        None => 0,
    };
    let endless = clip.samples.iter().cycle().skip(start);
    let excerpt: Vec<f32> = endless.take(length).copied().collect();
    let mut excerpt = resample(&excerpt, clip.rate, rate);
    excerpt.truncate(wanted);
    excerpt
}

/// The mean square.
fn power(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
    sum / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use speechlens_audio::{Stft, write_wav};
    use std::path::PathBuf;

    fn speech(rate: u32, samples: usize) -> Audio {
        let wave = |n: usize| 0.2 * (n as f32 * 0.05).sin() * (n as f32 * 0.0007).cos();
        Audio {
            samples: (0..samples).map(wave).collect(),
            rate,
        }
    }

    /// What was added.
    fn added(mixed: &Mixed, speech: &Audio) -> Vec<f32> {
        let pairs = mixed.audio.samples.iter().zip(&speech.samples);
        pairs.map(|(m, s)| m - s).collect()
    }

    /// A folder as MUSAN has it, with two clips of each kind of so many samples.
    fn musan(samples: usize) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (number, path) in [
            "music/fma/music-fma-0000.wav",
            "music/rfm/music-rfm-0000.wav",
            "noise/free-sound/noise-free-sound-0000.wav",
            "noise/sound-bible/noise-sound-bible-0000.wav",
            "speech/librivox/speech-librivox-0000.wav",
        ]
        .into_iter()
        .enumerate()
        {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut rng = rng(number as u64, "clip");
            let noise = (0..samples).map(|_| rng.random_range(-0.5..0.5));
            let audio = Audio {
                samples: noise.collect(),
                rate: RATE,
            };
            write_wav(path, &audio).unwrap();
        }
        std::fs::write(root.path().join("music/fma/ANNOTATIONS"), "none").unwrap();
        root
    }

    #[test]
    fn the_ratio_is_what_was_drawn_and_covers_the_range() {
        let folder = musan(5000);
        let speech = speech(RATE, 8000);
        for background in [
            Background::musan(folder.path(), 3, false).unwrap(),
            Background::synthetic(3),
        ] {
            for kind in Backdrop::ALL {
                let mut drawn = Vec::new();
                for number in 0..40 {
                    let mixed = background.mix(&speech, kind, &number.to_string()).unwrap();
                    let ratio = power(&speech.samples) / power(&added(&mixed, &speech));
                    assert!((10.0 * ratio.log10() - mixed.snr_db).abs() < 0.01);
                    drawn.push(mixed.snr_db);
                }
                let (least, most) = (kind.snr_db().start() + 1.0, kind.snr_db().end() - 1.0);
                assert!(drawn.iter().all(|snr| kind.snr_db().contains(snr)));
                assert!(drawn.iter().any(|&snr| snr < least), "{drawn:?}");
                assert!(drawn.iter().any(|&snr| snr > most), "{drawn:?}");
            }
        }
    }

    #[test]
    fn a_mix_depends_on_the_seed_the_kind_and_the_name_alone() {
        let folder = musan(20_000);
        let speech = speech(RATE, 8000);
        let open = |seed| {
            [
                Background::musan(folder.path(), seed, false).unwrap(),
                Background::synthetic(seed),
            ]
        };
        for (background, other_seed) in open(1).iter().zip(open(2)) {
            let mix = |kind, id| background.mix(&speech, kind, id).unwrap();
            let (a, b) = (mix(Backdrop::Music, "a"), mix(Backdrop::Music, "b"));
            assert_eq!(
                (&b, &a),
                (&mix(Backdrop::Music, "b"), &mix(Backdrop::Music, "a"))
            );
            assert_ne!(a.audio, b.audio);
            assert_ne!(a.audio, mix(Backdrop::Noise, "a").audio);
            let other = other_seed.mix(&speech, Backdrop::Music, "a").unwrap();
            assert_ne!(a.audio, other.audio);
        }
    }

    #[test]
    fn a_part_has_the_ratio_of_the_whole() {
        let background = Background::synthetic(1);
        // Loud, then soft.
        let mut speech = speech(RATE, 8000);
        for sample in &mut speech.samples[4000..] {
            *sample *= 0.01;
        }
        let whole = background.mix(&speech, Backdrop::Noise, "a").unwrap();
        let part = |range| background.mix_part(&speech, range, Backdrop::Noise, "a");
        assert_eq!(part(0..8000).unwrap(), whole);
        let soft = part(4000..8000).unwrap();
        assert_eq!(soft.audio.samples.len(), 4000);
        let pairs = soft.audio.samples.iter().zip(&speech.samples[4000..]);
        let noise: Vec<f32> = pairs.map(|(mixed, speech)| mixed - speech).collect();
        let ratio = 10.0 * (power(&speech.samples) / power(&noise)).log10();
        assert!(
            (ratio - soft.snr_db).abs() < 0.01,
            "{ratio} {}",
            soft.snr_db
        );
        assert!(part(4000..8001).is_err());
    }

    #[test]
    fn training_and_test_have_backgrounds_of_their_own() {
        let speech = speech(RATE, 8000);
        let folder = musan(20_000);
        let clips = |background: &Background| -> std::collections::BTreeSet<String> {
            let ids = (0..20).map(|id| id.to_string());
            let mixed =
                ids.flat_map(|id| Backdrop::ALL.map(|kind| background.mix(&speech, kind, &id)));
            mixed.map(|mixed| mixed.unwrap().clip).collect()
        };
        let open = || Background::musan(folder.path(), 1, false).unwrap();
        let [training, test] = open().split().unwrap();
        assert_eq!((clips(&training).len(), clips(&test).len()), (2, 2));
        assert!(clips(&training).is_disjoint(&clips(&test)));
        assert_ne!(training.fingerprint(), test.fingerprint());
        // The same each time.
        assert_eq!(
            training.fingerprint(),
            open().split().unwrap()[0].fingerprint()
        );

        let [training, test] = Background::synthetic(1).split().unwrap();
        let mix = |background: &Background| background.mix(&speech, Backdrop::Music, "a").unwrap();
        assert_ne!(mix(&training).audio, mix(&test).audio);

        std::fs::remove_file(folder.path().join("music/fma/music-fma-0000.wav")).unwrap();
        let error = open().split().err().unwrap().to_string();
        assert!(error.contains("one recording in music/"), "{error}");
    }

    #[test]
    fn kinds_have_names() {
        for kind in Backdrop::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("speech".parse::<Backdrop>().is_err());
    }

    #[test]
    fn a_short_clip_repeats_and_a_long_one_starts_anywhere() {
        let short = musan(3000);
        let speech = speech(RATE, 8000);
        let background = Background::musan(short.path(), 1, false).unwrap();
        let mixed = background.mix(&speech, Backdrop::Noise, "a").unwrap();
        let noise = added(&mixed, &speech);
        assert!((3000..8000).all(|n| (noise[n] - noise[n - 3000]).abs() < 1e-6));
        let clip = speechlens_audio::read(short.path().join(&mixed.clip)).unwrap();
        let gain = (power(&noise[..3000]) / power(&clip.samples)).sqrt() as f32;
        for (n, c) in noise.iter().zip(&clip.samples) {
            assert!((n - gain * c).abs() < 1e-5);
        }

        let long = musan(40_000);
        let background = Background::musan(long.path(), 1, false).unwrap();
        let starts = |id: &str| {
            let mixed = background.mix(&speech, Backdrop::Noise, id).unwrap();
            let noise = added(&mixed, &speech);
            let clip = speechlens_audio::read(long.path().join(&mixed.clip)).unwrap();
            let likeness = |start: usize| -> f64 {
                let part = clip.samples[start..].iter().zip(&noise[..200]);
                let norm = power(&clip.samples[start..start + 200]).sqrt();
                part.map(|(a, b)| f64::from(a * b)).sum::<f64>() / norm
            };
            let best = (0..=32_000).max_by(|&a, &b| likeness(a).total_cmp(&likeness(b)));
            let start = best.unwrap();
            // The rest lies where its beginning does.
            let gain = (power(&noise) / power(&clip.samples[start..start + 8000])).sqrt() as f32;
            for (n, c) in noise.iter().zip(&clip.samples[start..]) {
                assert!((n - gain * c).abs() < 1e-4);
            }
            start
        };
        let starts: Vec<_> = ["a", "b", "c", "d", "e"].map(starts).into();
        assert!(starts.iter().max().unwrap() - starts.iter().min().unwrap() > 4000);
    }

    #[test]
    fn the_background_is_resampled_to_the_rate_of_the_speech() {
        // A clip of a tone at 1 kHz, in another rate.
        let root = tempfile::tempdir().unwrap();
        for kind in Backdrop::ALL {
            std::fs::create_dir_all(root.path().join(kind.name())).unwrap();
            let wave = |n: usize| 0.5 * (n as f32 * std::f32::consts::TAU / 44.1).sin();
            let clip = Audio {
                samples: (0..100_000).map(wave).collect(),
                rate: 44_100,
            };
            write_wav(root.path().join(kind.name()).join("tone.WAV"), &clip).unwrap();
        }
        let background = Background::musan(root.path(), 1, false).unwrap();
        let speech = speech(16_000, 10_007);
        let mixed = background.mix(&speech, Backdrop::Music, "a").unwrap();
        assert_eq!(
            (mixed.audio.rate, mixed.audio.samples.len()),
            (16_000, 10_007)
        );
        let noise = added(&mixed, &speech);
        let crossings = noise[1000..9000]
            .windows(2)
            .filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0);
        assert!((499..=501).contains(&crossings.count()));
    }

    #[test]
    fn a_folder_that_is_not_musan_is_an_error_that_says_what_is_expected() {
        let error = |folder: &Path| {
            Background::musan(folder, 1, false)
                .err()
                .unwrap()
                .to_string()
        };
        let root = musan(1000);
        std::fs::remove_dir_all(root.path().join("noise/free-sound")).unwrap();
        assert!(Background::musan(root.path(), 1, false).is_ok());
        std::fs::remove_file(
            root.path()
                .join("noise/sound-bible/noise-sound-bible-0000.wav"),
        )
        .unwrap();
        let empty = tempfile::tempdir().unwrap();
        let missing = PathBuf::from("no/such/musan");
        for (folder, lacking) in [
            (root.path(), "noise"),
            (empty.path(), "music"),
            (&missing, "music"),
        ] {
            let error = error(folder);
            assert!(error.starts_with(&folder.display().to_string()), "{error}");
            assert!(
                error.contains(&format!("no {lacking}/")) && error.contains("music/, noise/"),
                "{error}"
            );
        }
    }

    #[test]
    fn clips_that_cannot_be_read_are_passed_over_and_told() {
        let folder = musan(3000);
        let speech = speech(RATE, 2000);
        let spoil = |path: &str| {
            let path = folder.path().join(path);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
        };
        let open = |strict| Background::musan(folder.path(), 1, strict).unwrap();
        let ids: Vec<String> = (0..20).map(|id| id.to_string()).collect();
        let mix =
            |background: &Background, id: &String| background.mix(&speech, Backdrop::Music, id);
        let whole = open(false);
        let before: Vec<Mixed> = ids.iter().map(|id| mix(&whole, id).unwrap()).collect();
        assert_eq!(whole.left_out(), []);
        let lost = "music/fma/music-fma-0000.wav";
        assert!(before.iter().any(|mixed| mixed.clip == lost));

        spoil(lost);
        let damaged = open(false);
        let after: Vec<Mixed> = ids.iter().map(|id| mix(&damaged, id).unwrap()).collect();
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(after.clip, "music/rfm/music-rfm-0000.wav");
            // What did not draw it is as it was.
            assert!(before.clip == lost || before == after);
        }
        // Whatever was mixed before.
        for (id, after) in ids.iter().zip(&after).rev() {
            assert_eq!(mix(&open(false), id).unwrap(), *after);
        }
        let left_out = damaged.left_out();
        assert_eq!(left_out.len(), 1);
        assert_eq!(left_out[0].id, lost);
        assert!(left_out[0].message.contains("music-fma-0000.wav"));
        let strict = open(true);
        let failed = ids.iter().find_map(|id| mix(&strict, id).err()).unwrap();
        assert!(
            failed.to_string().contains("music-fma-0000.wav"),
            "{failed}"
        );

        spoil("music/rfm/music-rfm-0000.wav");
        let none = open(false);
        let error = mix(&none, &ids[0]).unwrap_err().to_string();
        assert_eq!(mix(&none, &ids[1]).unwrap_err().to_string(), error);
        let start = format!(
            "{}: none of the 2 recordings",
            folder.path().join("music").display()
        );
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains("2 truncated or damaged"), "{error}");
        assert!(open(false).mix(&speech, Backdrop::Noise, "a").is_ok());
    }

    #[test]
    fn silence_is_neither_drawn_nor_made() {
        let folder = musan(1000);
        let clip = |path: &str, samples: Vec<f32>| {
            let audio = Audio {
                samples,
                rate: RATE,
            };
            write_wav(folder.path().join(path), &audio).unwrap();
        };
        clip("music/fma/music-fma-0000.wav", vec![0.0; 1000]);
        let background = Background::musan(folder.path(), 1, false).unwrap();
        let speech = speech(RATE, 2000);
        for id in ["a", "b", "c", "d", "e", "f"] {
            let mixed = background.mix(&speech, Backdrop::Music, id).unwrap();
            assert_eq!(mixed.clip, "music/rfm/music-rfm-0000.wav");
        }
        clip("music/rfm/music-rfm-0000.wav", vec![0.0; 1000]);
        let error = background.mix(&speech, Backdrop::Music, "a").unwrap_err();
        assert!(error.to_string().contains("silent"), "{error}");

        let silence = Audio {
            samples: vec![0.0; 100],
            rate: RATE,
        };
        let mixed = Background::synthetic(1).mix(&silence, Backdrop::Noise, "a");
        assert_eq!(mixed.unwrap().audio, silence);
        let nothing = Audio {
            samples: vec![],
            rate: RATE,
        };
        assert!(background.mix(&nothing, Backdrop::Noise, "a").is_err());
    }

    /// The share of the energy in bins that stand out: ten times the median of the bins around them.
    ///
    /// Bins of Gaussian noise are distributed exponentially, with median ln 2; of their energy (1 + x) e^{−x} = 0.8 % lies
    /// above x = 10 ln 2. A steady tone is all above it but for what little lies beside its peak.
    fn tonality(audio: &Audio) -> f64 {
        let spectrum = Stft::new(2048, 1024).forward(&audio.samples);
        let (mut standing_out, mut all) = (0.0, 0.0);
        for frame in spectrum.columns() {
            let power: Vec<f64> = frame.iter().map(|z| z.norm_sqr()).collect();
            for (bin, &p) in power.iter().enumerate() {
                let mut around =
                    power[bin.saturating_sub(12)..(bin + 13).min(power.len())].to_vec();
                let middle = around.len() / 2;
                let (_, median, _) = around.select_nth_unstable_by(middle, f64::total_cmp);
                all += p;
                if p > 10.0 * *median {
                    standing_out += p;
                }
            }
        }
        standing_out / all
    }

    #[test]
    fn what_is_synthesized_as_music_is_tonal_and_as_noise_is_not() {
        let tonalities = Backdrop::ALL.map(|kind| {
            let of = |seed| tonality(&synthesize(kind, &mut rng(seed, "tonality")));
            let mut all: Vec<f64> = (0..20).map(of).collect();
            all.sort_by(f64::total_cmp);
            println!("{kind}: {all:.2?}");
            all
        });
        let [music, noise] = &tonalities;
        assert!(music[0] > 0.7 && noise[19] < 0.1, "{tonalities:?}");
    }

    #[test]
    fn what_is_synthesized_goes_on_without_long_pauses_and_varies() {
        for kind in Backdrop::ALL {
            let spectra: Vec<Vec<f64>> = (0..10)
                .map(|seed| {
                    let audio = synthesize(kind, &mut rng(seed, "variety"));
                    assert_eq!(audio.samples.len(), LENGTH);
                    let whole = power(&audio.samples);
                    assert!(audio.samples.iter().all(|s| s.is_finite()) && whole > 0.0);
                    for second in audio.samples.chunks(RATE as usize) {
                        assert!(power(second) > 1e-3 * whole, "{kind} {seed}");
                    }
                    let spectrum = Stft::new(256, 256).forward(&audio.samples);
                    let bins = spectrum.rows().into_iter();
                    let bins: Vec<f64> = bins
                        .map(|row| row.iter().map(|z| z.norm_sqr()).sum())
                        .collect();
                    let sum: f64 = bins.iter().sum();
                    bins.iter().map(|p| p / sum).collect()
                })
                .collect();
            for (number, a) in spectra.iter().enumerate() {
                for b in &spectra[..number] {
                    let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
                    assert!(apart > 0.1, "{kind}: two sound alike");
                }
            }
        }
    }
}
