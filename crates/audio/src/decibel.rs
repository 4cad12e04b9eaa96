//! Powers to levels in dB.

use multiversion::multiversion;

/// `librosa.power_to_db(ref=np.max)` in place, with no power below `smallest`: levels between `floor` and 0.
#[multiversion(targets("x86_64+avx2"))]
pub fn decibel(powers: &mut [f32], smallest: f32, floor: f32) {
    // In lanes, since a maximum of floats is not the compiler's to reorder.
    let mut lanes = [smallest; 32];
    let (blocks, rest) = powers.as_chunks::<32>();
    for block in blocks {
        for (max, &p) in lanes.iter_mut().zip(block) {
            *max = larger(*max, p);
        }
    }
    let loudest = lanes.iter().chain(rest).copied().fold(smallest, larger);
    let (octaves, mantissa) = level(loudest);
    for p in powers {
        let (o, m) = level(larger(*p, smallest));
        let level = (o - octaves) * OCTAVE_HIGH + ((o - octaves) * OCTAVE_LOW + (m - mantissa));
        *p = larger(level, floor).min(0.0);
    }
}

/// One instruction; `f32::max` has NaN to mind as well.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// 10 log10(2) in two parts: few enough bits for an exact product with an exponent, and what is missing.
const OCTAVE_HIGH: f32 = 3.009_765_6;
const OCTAVE_LOW: f32 = (10.0 * std::f64::consts::LOG10_2 - OCTAVE_HIGH as f64) as f32;

/// The level of a positive normal number: its exponent, in octaves, and what its mantissa adds, in dB.
///
/// No branch and no call, so that loops over it are vectorized; exact to 3e-7 dB. With m the mantissa in [1, 2),
/// ln(m) = ln √2 + 2 artanh((m − √2) / (m + √2)), by artanh's series.
#[inline(always)]
fn level(x: f32) -> (f32, f32) {
    const MIDDLE: f32 = std::f32::consts::SQRT_2;
    /// Twice 10 / ln(10).
    const SCALE: f32 = (20.0 * std::f64::consts::LOG10_E) as f32;
    let bits = x.to_bits();
    let octaves = (bits >> 23) as i32 as f32;
    let m = f32::from_bits(1f32.to_bits() | (bits & 0x007f_ffff));
    let s = (m - MIDDLE) / (m + MIDDLE);
    let z = s * s;
    let series = 1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0))));
    (octaves, SCALE * s * series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_standard_logarithm() {
        let powers: Vec<f32> = (0..100_000)
            .map(|i| 0.7 * (-f64::from(i) / 4000.0).exp() as f32)
            .collect();
        let mut levels = powers.clone();
        decibel(&mut levels, 1e-10, -80.0);
        for (level, power) in levels.iter().zip(powers) {
            let expected = 10.0 * (f64::from(power.max(1e-10)) / f64::from(0.7f32)).log10();
            assert!(
                (f64::from(*level) - expected.max(-80.0)).abs() < 5e-6,
                "{power}: {level}, {expected}"
            );
        }
        assert_eq!((levels[0], levels[99_999]), (0.0, -80.0));
    }
}
