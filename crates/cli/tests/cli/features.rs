use ndarray::{Axis, Ix2};
use speechlens_audio::silence::{TRIM_DB, trim};
use speechlens_audio::{Audio, Crop, Filterbank, Placement, Spectrogram, filterbank};

use crate::support::Folder;

#[test]
fn spectrograms_are_those_of_the_audio_crate() {
    let folder = Folder::new();
    folder.tone("tone.wav", 16000, 10000);
    let audio = speechlens_audio::read(folder.path("tone.wav")).unwrap();
    for (options, crop, offset) in [
        (&[][..], Crop::Thesis, 0),
        (&["--offset", "1234"], Crop::Thesis, 1234),
        (&["--crop", "audiomnist"], Crop::AudioMnist, 0),
        (
            &["--crop", "audiomnist", "--offset", "3000"],
            Crop::AudioMnist,
            3000,
        ),
    ] {
        let fixed = ["features", "spectrogram", "tone.wav", "-o", "new/tone.npy"];
        assert_eq!(folder.run(&[&fixed, options].concat()), "");
        let expected = Spectrogram::new(crop)
            .compute(&audio, Placement::At(offset))
            .unwrap();
        let got = folder.read_npy::<Ix2>("new/tone.npy");
        assert_eq!(got.dim(), (227, 227));
        assert_eq!(got, expected.values, "{options:?}");
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
    let expected = Spectrogram::new(Crop::Thesis)
        .compute(&trimmed, Placement::At(0))
        .unwrap();
    assert_eq!(folder.read_npy::<Ix2>("long.npy"), expected.values);
    assert!(expected.samples < 4300, "{}", expected.samples);
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
