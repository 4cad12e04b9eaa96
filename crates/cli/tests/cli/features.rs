use ndarray::{Axis, Ix2};
use speechlens_audio::silence::{TRIM_DB, trim};
use speechlens_audio::{Audio, Filterbank, filterbank};
use speechlens_frontend::{FrontEnd, Heard, Placement, Reading};

use crate::support::Folder;

/// What a front end makes of a recording that begins at a sample.
fn heard(front_end: &str, audio: &Audio, offset: usize) -> Heard {
    let reading = Reading {
        placement: Placement::At(offset),
        ..Reading::default()
    };
    let front_end = FrontEnd::load(front_end).unwrap();
    front_end.compute(audio, &reading).unwrap()
}

#[test]
fn spectrograms_are_those_of_the_front_end() {
    let folder = Folder::new();
    folder.tone("tone.wav", 16000, 10000);
    let audio = speechlens_audio::read(folder.path("tone.wav")).unwrap();
    for (options, front_end, offset) in [
        (&[][..], "thesis-spectrogram", 0),
        (&["--offset", "1234"], "thesis-spectrogram", 1234),
        (&["--crop", "audiomnist"], "audiomnist-spectrogram", 0),
        (
            &["--crop", "audiomnist", "--offset", "3000"],
            "audiomnist-spectrogram",
            3000,
        ),
    ] {
        let fixed = ["features", "spectrogram", "tone.wav", "-o", "new/tone.npy"];
        assert_eq!(folder.run(&[&fixed, options].concat()), "");
        let expected = heard(front_end, &audio, offset).windows;
        let got = folder.read_npy::<Ix2>("new/tone.npy");
        assert_eq!(got.dim(), (227, 227));
        assert_eq!(
            got.into_dyn(),
            expected.index_axis(Axis(0), 0),
            "{options:?}"
        );
    }
    // f32 in C order, as numpy writes it.
    let bytes = std::fs::read(folder.path("new/tone.npy")).unwrap();
    let header = String::from_utf8_lossy(&bytes[..80]).into_owned();
    assert!(
        header.contains("'<f4'") && header.contains("False") && header.contains("(227, 227)"),
        "{header}"
    );
}

#[test]
fn trim_makes_room() {
    let folder = Folder::new();
    folder.tone("tone.wav", 8000, 4000);
    let tone = speechlens_audio::read(folder.path("tone.wav")).unwrap();
    let quiet = [0.0; 6000];
    let audio = Audio {
        samples: [&quiet[..], &tone.samples, &quiet[..]].concat(),
        rate: 8000,
    };
    speechlens_audio::write_wav(folder.path("long.wav"), &audio).unwrap();
    let arguments = ["features", "spectrogram", "long.wav", "-o", "long.npy"];
    let message = folder.fail(&arguments);
    assert!(
        message.contains("long.wav") && message.contains("2.000 s") && message.contains("--trim"),
        "{message}"
    );
    assert!(!folder.path("long.npy").exists());

    folder.run(&[&arguments[..], &["--trim"]].concat());
    let trimmed = trim(
        &speechlens_audio::read(folder.path("long.wav")).unwrap(),
        TRIM_DB,
    );
    let expected = heard("thesis-spectrogram", &trimmed, 0);
    let got = folder.read_npy::<Ix2>("long.npy").into_dyn();
    assert_eq!(got, expected.windows.index_axis(Axis(0), 0));
    let samples = expected.places[0].samples.len();
    assert!(samples < 4300, "{samples}");
}

#[test]
fn a_crop_that_there_is_not_is_refused() {
    let crop = [
        "features",
        "spectrogram",
        "a.wav",
        "-o",
        "a.npy",
        "--crop",
        "square",
    ];
    let output = Folder::new().command(&crop).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("square") && message.contains("audiomnist"),
        "{message}"
    );
}

#[test]
fn filterbanks_are_those_of_the_audio_crate() {
    let folder = Folder::new();
    folder.tone("tone.wav", 22050, 30000);
    let audio = speechlens_audio::read(folder.path("tone.wav")).unwrap();
    let mut expected = Filterbank::new().compute(&audio).unwrap();
    let arguments = ["features", "fbank", "tone.wav", "-o", "new/tone.npy"];
    folder.run(&[&arguments[..], &["--no-mean-norm"]].concat());
    let plain = folder.read_npy::<Ix2>("new/tone.npy");
    // 30000 samples are 21769 at 16 kHz.
    assert_eq!(plain.dim(), (64, 134));
    assert_eq!(plain, expected);

    assert_eq!(folder.run(&arguments), "");
    let normalized = folder.read_npy::<Ix2>("new/tone.npy");
    filterbank::subtract_mean(expected.view_mut());
    assert_eq!(normalized, expected);
    let means = normalized.mean_axis(Axis(1)).unwrap();
    assert!(means.iter().all(|mean| mean.abs() < 1e-4), "{means}");
}

#[test]
fn a_recording_without_a_whole_frame_has_no_filterbank() {
    let folder = Folder::new();
    folder.tone("click.wav", 16000, 399);
    let message = folder.fail(&["features", "fbank", "click.wav", "-o", "click.npy"]);
    assert!(
        message.contains("click.wav") && message.contains("0.025 s"),
        "{message}"
    );
    assert!(!folder.path("click.npy").exists());
}
