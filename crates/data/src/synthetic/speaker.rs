//! The voices: what is drawn once for each speaker.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::corpus::Sex;

/// A voice. Every quantity overlaps between the sexes; none but these differs between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speaker {
    /// The speaker's sex.
    pub sex: Sex,
    /// Median fundamental frequency in Hz.
    pub f0: f64,
    /// Where the vocal tract lies between the average man's (0) and the average woman's (1), on the logarithmic scale of
    /// formant frequencies.
    pub tract: f64,
    /// The part of a glottal cycle during which the glottis is open.
    pub open_quotient: f64,
    /// Corner of the low pass that tilts the glottal spectrum, in Hz.
    pub tilt: f64,
    /// Level of breath noise against the voice.
    pub breath: f64,
    /// Relative standard deviation of the length of a cycle.
    pub jitter: f64,
    /// Relative standard deviation of the strength of a cycle.
    pub shimmer: f64,
    /// Range of the intonation in semitones.
    pub liveliness: f64,
    /// Factor on the bandwidths of the formants.
    pub damping: f64,
    /// Colour of microphone and room: the coefficient of a first-order shelf, negative dull, positive bright.
    pub colour: f64,
}

impl Speaker {
    /// Draws a voice.
    ///
    /// F0: the medians of 131 Hz for men and 220 Hz for women that Hillenbrand et al. (1995) and Peterson and Barney (1952)
    /// measured in single words are lowered to those of speech, 120 and 200 Hz (Titze 1989); their spread, of three
    /// semitones among the speakers of a sex, makes the lowest women lower than the highest men. Tract: women's formants are
    /// 15 % to 17 % higher on average, and the lengths of vocal tracts vary by 5 % within a sex (Fitch and Giedd 1999), a
    /// third of that distance. Women's voices are breathier, with a longer open phase and a steeper tilt (Klatt and Klatt
    /// 1990; Hanson and Chuang 1999), again with much overlap.
    pub fn draw(sex: Sex, rng: &mut ChaCha8Rng) -> Speaker {
        let female = sex.index() as f64;
        let mut normal = || rng.sample::<f64, _>(StandardNormal).clamp(-2.5, 2.5);
        Speaker {
            sex,
            f0: 120.0 * (200.0f64 / 120.0).powf(female) * 2f64.powf(3.0 / 12.0 * normal()),
            tract: female + 0.33 * normal(),
            open_quotient: (0.56 + 0.08 * female + 0.07 * normal()).clamp(0.4, 0.85),
            tilt: 2200.0 * 2f64.powf(-0.4 * female + 0.4 * normal()),
            breath: 0.05 * 2f64.powf(0.6 * female + 0.8 * normal()),
            jitter: 0.008 * 2f64.powf(0.4 * normal()),
            shimmer: 0.04 * 2f64.powf(0.4 * normal()),
            liveliness: 4.0 * 2f64.powf(0.4 * normal()),
            damping: 2f64.powf(0.15 * female + 0.2 * normal()),
            colour: (0.25 * normal()).clamp(-0.5, 0.5),
        }
    }
}
