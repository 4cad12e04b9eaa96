//! The sounds of the ten English digits.

/// A target that the voice moves through.
#[derive(Clone, Copy, Debug)]
pub struct Phone {
    /// F1 to F4 of the average man and of the average woman, in Hz.
    pub formants: [[f64; 4]; 2],
    /// Amplitude of the voice.
    pub voicing: f64,
    /// Amplitude of noise at the glottis, coloured by the formants.
    pub aspiration: f64,
    /// Noise of a constriction in the mouth, if there is one.
    pub frication: Option<Frication>,
    /// Whether the nose is open, which damps the formants.
    pub nasal: bool,
    /// Length in proportion to the word's other phones.
    pub share: f64,
}

/// Noise around a frequency, from a constriction in the mouth.
#[derive(Clone, Copy, Debug)]
pub struct Frication {
    /// Amplitude.
    pub level: f64,
    /// Centre in Hz, for the average man.
    pub centre: f64,
    /// Bandwidth in Hz.
    pub width: f64,
}

/// F1 to F4 of men and women: Hillenbrand, Getty, Clark and Wheeler (1995), J. Acoust. Soc. Am. 97, Table V.
mod vowels {
    pub const I: [[f64; 4]; 2] = [[342., 2322., 3000., 3657.], [437., 2761., 3372., 4352.]];
    pub const NEAR_I: [[f64; 4]; 2] = [[427., 2034., 2684., 3618.], [483., 2365., 3053., 4334.]];
    pub const E: [[f64; 4]; 2] = [[476., 2089., 2691., 3649.], [536., 2530., 3047., 4319.]];
    pub const OPEN_E: [[f64; 4]; 2] = [[580., 1799., 2605., 3677.], [731., 2058., 2979., 4294.]];
    pub const A: [[f64; 4]; 2] = [[768., 1333., 2522., 3687.], [936., 1551., 2815., 4299.]];
    pub const OPEN_O: [[f64; 4]; 2] = [[652., 997., 2538., 3486.], [781., 1136., 2824., 3923.]];
    pub const O: [[f64; 4]; 2] = [[497., 910., 2459., 3384.], [555., 1035., 2828., 3927.]];
    pub const U: [[f64; 4]; 2] = [[378., 997., 2343., 3357.], [459., 1105., 2735., 4115.]];
    pub const CARET: [[f64; 4]; 2] = [[623., 1200., 2550., 3557.], [753., 1426., 2933., 4092.]];
}

fn vowel(formants: [[f64; 4]; 2], share: f64) -> Phone {
    Phone {
        formants,
        voicing: 1.0,
        aspiration: 0.0,
        frication: None,
        nasal: false,
        share,
    }
}

/// A consonant with the formants of an average man; women's are 16 % higher (Peterson and Barney 1952, mean ratio).
fn consonant(formants: [f64; 4], voicing: f64, share: f64) -> Phone {
    let women = formants.map(|f| 1.16 * f);
    Phone {
        voicing,
        ..vowel([formants, women], share)
    }
}

impl Phone {
    fn with_frication(self, level: f64, centre: f64, width: f64) -> Phone {
        let frication = Some(Frication {
            level,
            centre,
            width,
        });
        Phone { frication, ..self }
    }
}

/// The phones of a digit, 0 to 9. Formant loci of consonants after Klatt (1980), J. Acoust. Soc. Am. 67, Table III;
/// centres of fricatives after Jongman, Wayland and Wong (2000).
pub fn digit(digit: u8) -> Vec<Phone> {
    use vowels::*;
    let r = || consonant([310., 1060., 1380., 3300.], 0.7, 0.5);
    let n = |share| Phone {
        nasal: true,
        ..consonant([300., 1340., 2470., 3500.], 0.5, share)
    };
    let w = || consonant([290., 610., 2150., 3300.], 0.6, 0.5);
    let f = || consonant([340., 1100., 2080., 3400.], 0.0, 0.7).with_frication(0.06, 4500., 5000.);
    let v = || consonant([220., 1100., 2080., 3400.], 0.4, 0.4).with_frication(0.03, 4500., 5000.);
    let s = || consonant([320., 1390., 2530., 3500.], 0.0, 0.8).with_frication(0.5, 5200., 1600.);
    let z = || consonant([240., 1390., 2530., 3500.], 0.3, 0.6).with_frication(0.25, 5200., 1600.);
    let th = || consonant([320., 1290., 2540., 3500.], 0.0, 0.6).with_frication(0.05, 5000., 5000.);
    // A stop: silence, then a burst, then breath.
    let t = || {
        let place = [400., 1600., 2600., 3500.];
        let aspirated = Phone {
            aspiration: 1.5,
            ..consonant(place, 0.0, 0.3)
        };
        [
            consonant(place, 0.0, 0.3),
            consonant(place, 0.0, 0.15).with_frication(0.5, 4200., 1500.),
            aspirated,
        ]
    };
    let k = || {
        let place = [300., 1990., 2850., 3500.];
        [
            consonant(place, 0.0, 0.35),
            consonant(place, 0.0, 0.15).with_frication(0.5, 2100., 500.),
        ]
    };
    match digit {
        0 => vec![z(), vowel(NEAR_I, 0.6), r(), vowel(O, 1.0), vowel(U, 0.4)],
        1 => vec![w(), vowel(CARET, 1.0), n(0.7)],
        2 => [&t()[..], &[vowel(U, 1.4)]].concat(),
        3 => vec![th(), r(), vowel(I, 1.3)],
        4 => vec![f(), vowel(OPEN_O, 1.1), r()],
        5 => vec![f(), vowel(A, 0.9), vowel(NEAR_I, 0.5), v()],
        6 => [&[s(), vowel(NEAR_I, 0.7)], &k()[..], &[s()]].concat(),
        7 => vec![s(), vowel(OPEN_E, 0.7), v(), vowel(CARET, 0.4), n(0.5)],
        8 => [&[vowel(E, 0.8), vowel(NEAR_I, 0.5)], &t()[..]].concat(),
        _ => vec![n(0.5), vowel(A, 0.9), vowel(NEAR_I, 0.5), n(0.6)],
    }
}
