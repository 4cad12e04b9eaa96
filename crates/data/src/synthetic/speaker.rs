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
    /// F0: medians of 120 Hz for men and 200 Hz for women, those of running speech (Titze 1989); single words lie at 131 and
    /// 220 Hz (Peterson and Barney 1952; Hillenbrand et al. 1995). Tract: women's formants are 15 % to 17 % higher, and the
    /// lengths of vocal tracts vary by 5 % to 6 % within a sex (Fitch and Giedd 1999), 0.38 of that distance. Women's voices
    /// are breathier, with a longer open phase and a steeper tilt (Klatt and Klatt 1990; Hanson and Chuang 1999), with much
    /// overlap. The spread of F0, 3.5 semitones, is a little wider than measured among adults (about 3), so that few voices
    /// suffice for the lowest women to lie below the highest men. Nothing lies beyond two standard deviations.
    pub fn draw(sex: Sex, rng: &mut ChaCha8Rng) -> Speaker {
        let female = sex.index() as f64;
        let mut normal = || rng.sample::<f64, _>(StandardNormal).clamp(-2.0, 2.0);
        Speaker {
            sex,
            f0: 120.0 * (200.0f64 / 120.0).powf(female) * 2f64.powf(3.5 / 12.0 * normal()),
            tract: female + 0.38 * normal(),
            open_quotient: (0.56 + 0.08 * female + 0.07 * normal()).clamp(0.4, 0.85),
            tilt: 5000.0 * 2f64.powf(-0.4 * female + 0.4 * normal()),
            breath: 0.14 * 2f64.powf(0.6 * female + 0.8 * normal()),
            jitter: 0.008 * 2f64.powf(0.4 * normal()),
            shimmer: 0.04 * 2f64.powf(0.4 * normal()),
            liveliness: 4.0 * 2f64.powf(0.4 * normal()),
            damping: 2f64.powf(0.15 * female + 0.2 * normal()),
            colour: (0.3 * normal()).clamp(-0.5, 0.5),
        }
    }
}
