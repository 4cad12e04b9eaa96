//! The inks of the drawings. Each is a CSS variable in a page, so that a drawing follows the page's theme; the colour
//! here is what a picture on its own (or a page that sets no variable) shows.

use plotters::style::RGBColor;

/// Axes, ticks and text.
pub const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// Lesser text, and the reference points of another source.
pub const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xde, 0xe2, 0xe6);
/// Series, in order. Okabe and Ito's colours (2008), made for colour-blind readers, darkened where they were pale.
pub const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xc7, 0x4e, 0x00),
    RGBColor(0x00, 0x80, 0x5f),
    RGBColor(0xa8, 0x4f, 0x86),
    RGBColor(0x8a, 0x6d, 0x00),
    RGBColor(0x3b, 0x3f, 0x9e),
];

/// Every ink and its CSS variable.
pub fn variables() -> impl Iterator<Item = (String, RGBColor)> {
    let plain = [("--ink", INK), ("--muted", MUTED), ("--grid", GRID)];
    let series = SERIES.iter().enumerate();
    plain
        .into_iter()
        .map(|(name, colour)| (name.to_owned(), colour))
        .chain(series.map(|(i, &colour)| (format!("--series-{}", i + 1), colour)))
}

/// `#RRGGBB`, as plotters writes it.
pub fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}
