//! What is wrong with a front end is said, with the stage and the remedy.

#![allow(clippy::unwrap_used)]

use speechlens_audio::{Audio, Error as AudioError};
use speechlens_frontend::{Error, FrontEnd, NAMED, Placement, Reading};

fn problem(text: &str) -> String {
    FrontEnd::parse(text).unwrap_err().to_string()
}

#[test]
fn named_ones_survive_being_written() {
    for (name, text) in NAMED {
        let front_end = FrontEnd::parse(text).unwrap();
        let written = front_end.to_toml().unwrap();
        let again = FrontEnd::parse(&written).unwrap();
        assert_eq!(format!("{front_end:?}"), format!("{again:?}"), "{name}");
        assert_eq!(front_end.shape(), again.shape());
    }
}

#[test]
fn stages_that_cannot_be() {
    let with = |stages: &str| problem(&format!("rate = 16000\nlength = \"any\"\n{stages}"));
    for (stages, expected) in [
        (
            "[[stage]]\nop = \"melt\"",
            "stage 1 (`melt`): there is no such stage; there are affine",
        ),
        (
            "[[stage]]\nop = \"fbank\"",
            "stage 1 (`fbank`): missing field `bands`",
        ),
        (
            "[[stage]]\nop = \"fbank\"\nbands = 40\nhigh = 9000.0",
            "low < high ≤ 8000 Hz",
        ),
        (
            "[[stage]]\nop = \"mel\"\nbands = 40",
            "put `stft` and `power` before it",
        ),
        (
            "[[stage]]\nop = \"stft\"\nlength = 400\nhop = 160\n[[stage]]\nop = \"mel\"\nbands = 40",
            "stage 2 (`mel`): wants real values, and gets complex ones: put `power` before it",
        ),
        (
            "[[stage]]\nop = \"stft\"\nlength = 256\nhop = 160\n[[stage]]\nop = \"power\"\n[[stage]]\nop = \"mel\"\nbands = 128",
            "holds no frequency of the spectrum: take fewer bands",
        ),
        ("[[stage]]\nop = \"stft\"\nlength = 400\nhop = 0", "0 < hop"),
        (
            "[[stage]]\nop = \"stft\"\nlength = 400\nhop = 160\n[[stage]]\nop = \"log\"",
            "put `power` before it",
        ),
        ("[[stage]]\nop = \"log\"", "silence has no logarithm"),
        (
            "[[stage]]\nop = \"clip\"\nlowest = 1.0",
            "unknown field `lowest`",
        ),
        (
            "[[stage]]\nop = \"normalize\"\n[[stage]]\nop = \"fbank\"\nbands = 40",
            "stage 2 (`fbank`): stands behind a stage of windows",
        ),
    ] {
        let problem = with(stages);
        assert!(problem.contains(expected), "{stages}: {problem}");
    }
    assert!(problem("length = \"any\"").contains("missing field `rate`"));
    assert!(problem("rate = 0\nlength = \"any\"").contains("0 Hz"));
    assert!(problem("rate = 8000\nlength = { at-most = 0.0 }").contains("no sample"));
    let unknown = FrontEnd::load("whisper").unwrap_err().to_string();
    assert!(unknown.contains("whisper-log-mel"), "{unknown}");
    let missing = FrontEnd::load("there/is/none.toml").unwrap_err();
    assert!(missing.to_string().starts_with("there/is/none.toml: "));
}

#[test]
fn recordings_that_do_not_fit() {
    for name in ["thesis-spectrogram", "thesis-waveform"] {
        let front_end = FrontEnd::load(name).unwrap();
        let of = |samples: Vec<f32>, rate, placement| {
            let reading = Reading {
                placement,
                ..Reading::default()
            };
            front_end.compute(&Audio { samples, rate }, &reading)
        };
        let second = || vec![0.1; 44100];
        assert!(of(second(), 44100, Placement::Random(1)).is_ok());
        let refused = |samples, rate, start| of(samples, rate, Placement::At(start)).unwrap_err();
        for (rate, samples) in [(8000, 8001), (44100, 44101)] {
            let error = refused(vec![0.1; samples], rate, 0);
            let said = error.to_string();
            assert!(matches!(error, Error::Audio(AudioError::TooLong { .. })));
            assert!(said.contains("1 s is the most; cut it"), "{said}");
        }
        for (samples, rate, start, problem) in [
            (
                vec![0.1; 4000],
                8000,
                4001,
                "4000 samples at 8000 Hz cannot start at 4001; 4000 is the last start",
            ),
            (
                second(),
                44100,
                1,
                "8000 samples at 8000 Hz cannot start at 1; 0 is the last start",
            ),
            (second(), 44100, usize::MAX, "0 is the last start"),
        ] {
            let said = refused(samples, rate, start).to_string();
            assert!(said.contains(problem), "{said}");
        }
        let audio = |samples, rate| match refused(samples, rate, 0) {
            Error::Audio(error) => error,
            other => panic!("{other}"),
        };
        let empty = audio(vec![], 8000);
        assert!(matches!(empty, AudioError::NoSamples));
        assert!(empty.to_string().contains("no samples"));
        assert!(matches!(audio(vec![0.0], 0), AudioError::NoRate));
        assert!(matches!(
            audio(vec![0.0, f32::NAN], 8000),
            AudioError::NonFiniteSample(1)
        ));
    }
}

/// Windows of a fixed length follow each other, or overlap; the last is filled up.
#[test]
fn windows_of_a_fixed_length() {
    let text = "rate = 8000\nlength = { exactly = 0.5 }\n[[stage]]\nop = \"stft\"\nlength = 400\nhop = 100\nedges = \"zeros\"\n[[stage]]\nop = \"power\"";
    let front_end = FrontEnd::parse(text).unwrap();
    assert_eq!(front_end.shape(), [Some(201), Some(41)]);
    let audio = Audio {
        samples: (0..9000).map(|i| (i as f32 * 0.3).sin()).collect(),
        rate: 8000,
    };
    for (hop, starts) in [(None, vec![0, 40, 80]), (Some(25), vec![0, 25, 50])] {
        let reading = Reading {
            hop,
            ..Reading::default()
        };
        let heard = front_end.compute(&audio, &reading).unwrap();
        let found: Vec<usize> = heard.places.iter().map(|place| place.start).collect();
        assert_eq!(found, starts);
        assert_eq!(heard.windows.shape(), [3, 201, 41]);
        assert_eq!(heard.places[2].samples.end, 9000);
        assert_eq!(&heard.sound.samples[..9000], audio.samples);
    }
}
