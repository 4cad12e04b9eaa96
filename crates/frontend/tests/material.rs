//! Windows of kept material are, to the bit, those of the recording.

#![allow(clippy::unwrap_used)]

use ndarray::{Axis, Slice};
use speechlens_audio::Audio;
use speechlens_frontend::{FrontEnd, NAMED, Placement, Reading};

/// A gliding tone.
fn sound(seconds: f64, rate: u32) -> Audio {
    let sample = |i: usize| {
        let t = i as f64 / f64::from(rate);
        (0.4 * (2000.0 * t * (1.0 + t)).sin() * (3.0 * t).sin()) as f32
    };
    Audio {
        samples: (0..(seconds * f64::from(rate)) as usize)
            .map(sample)
            .collect(),
        rate,
    }
}

#[test]
fn windows_of_material_are_those_of_the_recording() {
    let mel = "rate = 16000\nlength = { exactly = 0.5 }\n[[stage]]\nop = \"fbank\"\nbands = 40\n\
               [[stage]]\nop = \"normalize\"\nover = \"window\"\n";
    let samples = "rate = 8000\nlength = { frames = 1000 }\n[[stage]]\nop = \"normalize\"\n";
    for text in NAMED.iter().map(|(_, text)| *text).chain([mel, samples]) {
        let front_end = FrontEnd::parse(text).unwrap();
        let seconds = if text.contains("at-most") { 0.8 } else { 2.7 };
        let audio = sound(seconds, 16_000);
        for (placement, hop) in [(Placement::At(0), None), (Placement::Random(3), Some(17))] {
            let reading = Reading {
                placement,
                hop,
                ..Reading::default()
            };
            let heard = front_end.compute(&audio, &reading).unwrap();
            let material = front_end.material(&audio, placement).unwrap();
            let time = Axis(material.ndim() - 1);
            let starts = front_end.starts(material.len_of(time), hop).unwrap();
            assert_eq!(starts.len(), heard.places.len());
            for (start, window) in starts.iter().zip(heard.windows.outer_iter()) {
                let part = material.slice_axis(time, Slice::from(*start..));
                assert_eq!(front_end.window(part.to_owned()).unwrap(), window, "{text}");
            }
        }
    }
}

#[test]
fn what_is_too_short_for_a_window_says_how_much_is_needed() {
    let front_end = FrontEnd::load("thesis-fbank").unwrap();
    let short = sound(1.0, 16_000);
    let frames = front_end
        .material(&short, Placement::At(0))
        .unwrap()
        .shape()[1];
    let error = front_end.starts(frames, None).unwrap_err();
    assert!(error.to_string().contains("at least 2.0"), "{error}");
    let few = ndarray::ArrayD::zeros(vec![64, 199]);
    assert!(front_end.window(few).is_err());
}
