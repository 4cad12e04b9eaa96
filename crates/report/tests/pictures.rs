//! Pixels of finished pictures against the values they were drawn from.

use ndarray::{Array2, array};
use speechlens_report::colormap::Colormap;
use speechlens_report::{Axes, Axis, Chart, Error, Panel, Picture, Series, grid, limit};

/// The pixels of a picture's PNG, and how many there are a CSS pixel.
fn pixels(picture: &Picture) -> (image::RgbImage, u32) {
    let png = picture.png().expect("drawn");
    let image = image::load_from_memory(&png).expect("a PNG").to_rgb8();
    let density = image.width() / picture.size().0;
    assert_eq!(image.height(), picture.size().1 * density);
    (image, density)
}

/// The area in which `inside` holds, as left, top, right, bottom.
fn extent(image: &image::RgbImage, inside: impl Fn([u8; 3]) -> bool) -> (u32, u32, u32, u32) {
    let hits = || image.enumerate_pixels().filter(|(_, _, p)| inside(p.0));
    (
        hits().map(|h| h.0).min().expect("a hit"),
        hits().map(|h| h.1).min().expect("a hit"),
        hits().map(|h| h.0).max().expect("a hit"),
        hits().map(|h| h.1).max().expect("a hit"),
    )
}

fn axes() -> Axes {
    Axes::spectrogram(1.0, 4000.0)
}

#[test]
fn low_frequencies_lie_at_the_bottom_and_time_runs_to_the_right() {
    let mut relevance = Array2::<f32>::zeros((10, 10));
    relevance[[0, 0]] = 1.0;
    relevance[[9, 9]] = -1.0;
    let panel = Panel::relevance(axes(), relevance.view(), 1.0).expect("drawable");
    let (image, density) = pixels(&panel.picture().expect("drawn"));
    // Left of the colour bar, which holds these colours too.
    let plot = image::imageops::crop_imm(&image, 0, 0, 325 * density, image.height()).to_image();
    let near = |a: [u8; 3], b: [u8; 3]| (0..3).all(|c| a[c].abs_diff(b[c]) < 12);
    let red = extent(&plot, |p| near(p, Colormap::relevance().at(1.0)));
    let blue = extent(&plot, |p| near(p, Colormap::relevance().at(0.0)));
    assert!(red.2 < blue.0, "the first frame lies left of the last");
    assert!(blue.3 < red.1, "the lowest bin lies below the highest");
}

#[test]
fn marked_bins_are_red_and_cover_their_share() {
    let level = Array2::from_shape_fn((100, 100), |(f, t)| -((f + t) as f32));
    let mask = Array2::from_shape_fn((100, 100), |(f, t)| f < 20 && t < 25);
    let panel = Panel::marked(axes(), level.view(), "level (dB)", mask.view()).expect("drawable");
    let picture = panel.picture().expect("drawn");
    let (image, density) = pixels(&picture);
    let red = |p: [u8; 3]| p[0] > 180 && p[1] < 60;
    let count = image.pixels().filter(|p| red(p.0)).count() as f64;
    // 20 % × 25 % of the plot of 264 × 220, and a swatch of 10 × 10.
    let expected = (0.05 * 264.0 * 220.0 + 100.0) * (density * density) as f64;
    assert!(
        (count / expected - 1.0).abs() < 0.03,
        "{count} of {expected} pixels"
    );
    assert!(picture.svg("").contains("marked: 5 % of the bins"));
}

#[test]
fn the_limit_is_the_99_5_percent_quantile() {
    let ramp = Array2::from_shape_fn((73, 137), |(r, c)| -((r * 137 + c) as f32));
    assert_eq!(ramp.len(), 10_001);
    assert_eq!(limit(ramp.view()), 9950.0);
    let mut lone = Array2::<f32>::zeros((100, 100));
    lone[[3, 4]] = -7.0;
    assert_eq!(limit(lone.view()), 7.0);
    assert_eq!(limit(Array2::zeros((4, 4)).view()), 1.0);
}

#[test]
fn the_bar_tells_when_values_lie_beyond_it() {
    let relevance = array![[0.001f32, -0.02], [0.004, 0.0]];
    let svg = |limit| {
        let panel = Panel::relevance(axes(), relevance.view(), limit).expect("drawable");
        panel.picture().expect("drawn").svg("")
    };
    let cut = svg(0.01);
    assert!(cut.contains("≥ 1\n") && cut.contains("≤ −1\n") && cut.contains("(×10⁻²)"));
    assert!(!svg(0.02).contains('≥'));
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let level = Array2::<f32>::zeros((3, 4));
    let other = Array2::<f32>::zeros((4, 3));
    let shape = Panel::overlay(axes(), level.view(), other.view(), 1.0).expect_err("shapes differ");
    assert!(shape.to_string().contains("relevance is 4×3"), "{shape}");
    let nan = array![[f32::NAN]];
    for bad in [
        Panel::spectrogram(axes(), nan.view(), "").expect_err("not finite"),
        Panel::spectrogram(axes(), Array2::zeros((0, 4)).view(), "").expect_err("empty"),
        grid(&[], 2).map(|_| ()).expect_err("no panels"),
    ] {
        assert!(matches!(bad, Error::Undrawable { .. }), "{bad}");
    }
}

fn chart(series: Vec<Series>) -> Chart {
    Chart {
        title: "a < b".into(),
        axes: Axes {
            x: Axis::linear("x", 0.0, 10.0),
            y: Axis::linear("y", 0.0, 100.0),
        },
        series,
    }
}

#[test]
fn a_curve_passes_through_its_points() {
    // A level line at half height: its pixels lie in the middle of the plot and span it.
    let line = chart(vec![Series::new(
        "",
        (0..40).map(|i| (i as f64 / 3.9, 50.0)).collect(),
    )]);
    let (image, density) = pixels(&line.picture().expect("drawn"));
    let blue = |p: [u8; 3]| p == [0x00, 0x72, 0xb2];
    let plot = image::imageops::crop_imm(&image, 0, 60 * density, image.width(), 230 * density);
    let (left, top, right, bottom) = extent(&plot.to_image(), blue);
    let width = (right - left) as f64 / density as f64;
    assert!((width - 426.0).abs() < 2.0, "{width}");
    // Title 28, legend 20, space 12, then 250 of plot: the middle is at 185.
    let middle = (top + bottom) as f64 / 2.0 / density as f64 + 60.0;
    assert!((middle - 185.0).abs() < 1.5, "{middle}");
}

#[test]
fn gaps_and_empty_charts() {
    let gap = chart(vec![Series::new(
        "s",
        vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)],
    )]);
    assert!(gap.picture().is_ok());
    let empty = chart(vec![Series::new("s", vec![(0.0, f64::NAN)])]);
    assert!(matches!(empty.picture(), Err(Error::Undrawable { .. })));
    assert!(chart(Vec::new()).picture().is_err());
}

#[test]
fn an_svg_follows_the_theme_and_escapes() {
    let picture = chart(vec![Series::new("<script>", vec![(0.0, 1.0), (5.0, 9.0)])])
        .picture()
        .expect("drawn");
    let svg = picture.svg("a \"quoted\" <alt>");
    assert!(svg.contains("var(--ink, ") && svg.contains("var(--series-1, "));
    assert!(!svg.contains("\"#1F2328\""), "every ink is a variable");
    assert!(svg.contains("aria-label=\"a &quot;quoted&quot; &lt;alt&gt;\""));
    assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"));
    assert!(svg.contains("a &lt; b"));
}

#[test]
fn pictures_stand_beside_each_other() {
    let one = chart(vec![Series::new("one", vec![(0.0, 1.0), (5.0, 9.0)])]);
    let two = chart(vec![Series::new("two", vec![(0.0, 9.0), (5.0, 1.0)])]);
    let (one, two) = (one.picture().expect("drawn"), two.picture().expect("drawn"));
    let both = one.beside(&two);
    let (width, height) = one.size();
    assert_eq!(both.size(), (2 * width, height));
    let [left, right, both] = [&one, &two, &both].map(|picture| pixels(picture).0);
    let half = |x| image::imageops::crop_imm(&both, x, 0, left.width(), left.height()).to_image();
    assert!(half(0) == left && half(left.width()) == right);
}

#[test]
fn the_same_values_draw_the_same_bytes() {
    let level = Array2::from_shape_fn((30, 20), |(f, t)| (f * t) as f32);
    let png = || {
        let panel = Panel::spectrogram(axes(), level.view(), "level (dB)").expect("drawable");
        panel
            .titled("ε γ ≤ ×")
            .picture()
            .expect("drawn")
            .png()
            .expect("encoded")
    };
    assert_eq!(png(), png());
}
