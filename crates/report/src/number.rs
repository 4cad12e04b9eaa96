//! Numbers as a reader wants them: few digits, a true minus sign, powers of ten written out.

/// `value` with at most `digits` significant digits; very small and very large ones as `1.2×10⁻⁵`.
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return minus(format!("{value:.0}"));
    }
    let digits = digits.max(1);
    let scientific = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-3..6).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        minus(trim(&format!("{value:.decimals$}")).to_owned())
    } else {
        minus(format!("{}×10{}", trim(mantissa), superscript(exponent)))
    }
}

/// `value` with exactly `decimals` digits behind the point.
pub fn fixed(value: f64, decimals: usize) -> String {
    minus(format!("{value:.decimals$}"))
}

/// A power of ten by which numbers up to `largest` are short, and what to write behind their label: ` (×10⁻³)`; 1 and
/// nothing where they are short as they are.
pub fn factor(largest: f64) -> (f64, String) {
    // The exponent of the number as it is printed: 0.0099999 is 1.0×10⁻².
    let printed = format!("{largest:.1e}");
    let exponent = printed.rsplit('e').next().and_then(|e| e.parse().ok());
    match exponent {
        Some(exponent) if largest != 0.0 && !(-1..3).contains(&exponent) => (
            10f64.powi(exponent),
            format!(" (×10{})", superscript(exponent)),
        ),
        _ => (1.0, String::new()),
    }
}

fn trim(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

fn minus(number: String) -> String {
    number.replacen('-', "−", 1)
}

fn superscript(exponent: i32) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    exponent
        .to_string()
        .chars()
        .map(|c| c.to_digit(10).map_or('⁻', |digit| digits[digit as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_digits_and_true_signs() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-80.0, "−80"),
            (97.8333, "97.83"),
            (0.0123456, "0.01235"),
            (12000.0, "12000"),
            (-0.000012346, "−1.235×10⁻⁵"),
            (1.5e9, "1.5×10⁹"),
        ];
        for (value, expected) in cases {
            assert_eq!(significant(value, 4), expected);
        }
        assert_eq!(fixed(-1.25, 1), "−1.2");
    }

    #[test]
    fn a_factor_leaves_one_digit_before_the_point() {
        let (factor_, label) = factor(0.0042);
        assert!((0.0042 / factor_ - 4.2).abs() < 1e-9);
        assert_eq!(label, " (×10⁻³)");
        assert_eq!(factor(0.01f32 as f64).1, " (×10⁻²)");
        assert_eq!(factor(25.0), (1.0, String::new()));
        assert_eq!(factor(0.0), (1.0, String::new()));
    }
}
