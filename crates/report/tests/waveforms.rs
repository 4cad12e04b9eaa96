//! Pixels of a waveform's picture against the values it was drawn from.

use ndarray::Array1;
use speechlens_report::{Error, Trace, stack};

/// Half a second of a tone, then a step; relevance only at two places.
fn example() -> (Array1<f32>, Array1<f32>) {
    let waveform = Array1::from_shape_fn(8000, |n| match n {
        0..4000 => (n as f32 * 0.05).sin(),
        _ => 0.0,
    });
    let mut relevance = Array1::zeros(8000);
    relevance.slice_mut(ndarray::s![1000..1400]).fill(1.0);
    relevance.slice_mut(ndarray::s![6000..6400]).fill(-1.0);
    (waveform, relevance)
}

#[test]
fn samples_have_the_colour_of_their_relevance_at_their_time() {
    let (waveform, relevance) = example();
    let trace = Trace::new(1.0, "amplitude", waveform.view(), relevance.view(), 1.0)
        .expect("drawable")
        .titled("female");
    let picture = stack(std::slice::from_ref(&trace)).expect("drawn");
    let png = image::load_from_memory(&picture.png().expect("encoded")).expect("a PNG");
    let image = png.to_rgb8();
    let density = image.width() / picture.size().0;
    // The plot begins at 56 and ends where the colour bar's room of 103 begins.
    let (left, right) = (56 * density, (picture.size().0 - 103) * density);
    let columns = |inside: fn([u8; 3]) -> bool| {
        let hits = image.enumerate_pixels().filter(|(x, y, p)| {
            (left + 4..right - 4).contains(x)
                && (28 * density..180 * density).contains(y)
                && inside(p.0)
        });
        let times = hits.map(|(x, _, _)| f64::from(x - left) / f64::from(right - left));
        let times: Vec<f64> = times.collect();
        let first = times.iter().copied().fold(f64::INFINITY, f64::min);
        (
            first,
            times.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        )
    };
    let red = columns(|[r, g, b]| r > 150 && g < 90 && b < 90);
    let blue = columns(|[r, g, b]| b > 120 && r < 90 && g < 130);
    for ((first, last), (from, to)) in [(red, (0.125, 0.175)), (blue, (0.75, 0.8))] {
        assert!((first - from).abs() < 0.005, "{first}, not {from}");
        assert!((last - to).abs() < 0.005, "{last}, not {to}");
    }
    let svg = picture.svg("");
    for words in ["time (s)", "amplitude", "female", "relevance"] {
        assert!(svg.contains(words), "{words}");
    }
}

#[test]
fn traces_stand_under_each_other_and_draw_the_same_bytes() {
    let (waveform, relevance) = example();
    let trace = || Trace::new(1.0, "", waveform.view(), relevance.view(), 0.5).expect("drawable");
    let one = stack(&[trace()]).expect("drawn");
    let two = stack(&[trace(), trace()]).expect("drawn");
    assert_eq!(two.size(), (one.size().0, 2 * one.size().1));
    let again = stack(&[trace()]).expect("drawn");
    assert_eq!(one.png().expect("encoded"), again.png().expect("encoded"));
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let (waveform, relevance) = example();
    let short = relevance.slice(ndarray::s![..7000]);
    let error = Trace::new(1.0, "", waveform.view(), short, 1.0).expect_err("lengths differ");
    assert!(error.to_string().contains("7000"), "{error}");
    let nan = Array1::from_elem(8000, f32::NAN);
    for (waveform, relevance) in [(nan.view(), waveform.view()), (waveform.view(), nan.view())] {
        let error = Trace::new(1.0, "", waveform, relevance, 1.0).expect_err("not finite");
        assert!(matches!(error, Error::Undrawable { .. }), "{error}");
    }
    assert!(matches!(stack(&[]), Err(Error::Undrawable { .. })));
    // Silence and no relevance can.
    let nothing = Array1::zeros(8000);
    let trace = Trace::new(1.0, "", nothing.view(), nothing.view(), 1.0).expect("drawable");
    assert!(stack(&[trace]).is_ok());
}
