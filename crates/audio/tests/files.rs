//! Reading and writing recordings.

#![allow(clippy::unwrap_used)]

use std::{
    f64::consts::TAU,
    fs,
    path::{Path, PathBuf},
};

use hound::{SampleFormat, WavSpec, WavWriter};
use proptest::prelude::*;
use speechlens_audio::{Audio, Error, read, to_writer, write_wav};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn spec(channels: u16, bits_per_sample: u16, sample_format: SampleFormat) -> WavSpec {
    WavSpec {
        channels,
        sample_rate: 11025,
        bits_per_sample,
        sample_format,
    }
}

/// Reads back what hound wrote with these samples.
fn through_wav<S: hound::Sample + Copy>(spec: WavSpec, samples: &[S]) -> Audio {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let mut wav = WavWriter::create(&path, spec).unwrap();
    for &s in samples {
        wav.write_sample(s).unwrap();
    }
    wav.finalize().unwrap();
    read(path).unwrap()
}

#[test]
fn every_pcm_width_has_the_same_full_scale() {
    for bits in [8, 16, 24, 32] {
        let one = 1i64 << (bits - 1);
        let samples = [-one, -one / 2, 0, one / 4, one - 1].map(|s| s as i32);
        let audio = through_wav(spec(1, bits, SampleFormat::Int), &samples);
        assert_eq!(audio.rate, 11025);
        let last = ((one - 1) as f64 / one as f64) as f32;
        assert_eq!(audio.samples, [-1.0, -0.5, 0.0, 0.25, last], "{bits} bits");
    }
}

#[test]
fn double_samples_are_read_too() {
    let values = [0.0f64, 0.5, -0.25, 1.0];
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    for field in [3u16, 1] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(8000u32.to_le_bytes());
    bytes.extend(64_000u32.to_le_bytes());
    for field in [8u16, 64] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("double.wav");
    std::fs::write(&path, bytes).unwrap();
    let audio = speechlens_audio::read(&path).unwrap();
    assert_eq!(audio.rate, 8000);
    assert_eq!(audio.samples, values.map(|v| v as f32));
}

#[test]
fn float_samples_stay_as_they_are() {
    let samples = [0.0f32, 1.0, -1.0, 0.1234567, 1.5, -3e-12];
    assert_eq!(
        through_wav(spec(1, 32, SampleFormat::Float), &samples).samples,
        samples
    );
}

#[test]
fn channels_are_mixed_by_their_mean() {
    let audio = through_wav(
        spec(3, 32, SampleFormat::Float),
        &[0.3f32, 0.6, 0.0, -1.0, 0.5, 0.5],
    );
    assert_eq!(audio.samples.len(), 2);
    assert!((audio.samples[0] - 0.3).abs() < 1e-7 && audio.samples[1].abs() < 1e-7);
}

/// The fixtures are 0.3 s of a 440 Hz sine with amplitude 1/8 at 16 kHz. Its projection on sine and cosine gives the
/// amplitude, whatever the delay that a codec adds;
/// what is left is not the tone.
#[test]
fn compressed_formats_decode_to_the_tone_they_hold() {
    // Name, amplitude (LAME scales by 0.95), samples that the decoder may add at the ends, and the share of the energy that
    // coding may turn into something else.
    for (name, expected, extra, loss) in [
        ("tone.flac", 0.125, 0, 1e-6),
        ("tone.ogg", 0.125, 0, 1e-2),
        ("tone.mp3", 0.95 * 0.125, 0, 1e-2),
        ("tone.m4a", 0.125, 2048, 1e-2),
    ] {
        let audio = read(data(name)).unwrap();
        assert_eq!(audio.rate, 16000, "{name}");
        assert!(
            (4800..=4800 + extra).contains(&audio.samples.len()),
            "{name}: {} samples",
            audio.samples.len()
        );
        let middle = &audio.samples[audio.samples.len() / 2 - 1000..][..2000];
        let project = |wave: fn(f64) -> f64| {
            let phase = |i: usize| TAU * 440.0 * i as f64 / 16000.0;
            middle
                .iter()
                .enumerate()
                .map(|(i, &s)| f64::from(s) * wave(phase(i)))
                .sum::<f64>()
                / 1000.0
        };
        let amplitude = project(f64::sin).hypot(project(f64::cos));
        assert!(
            (amplitude - expected).abs() < 0.002,
            "{name}: amplitude {amplitude}"
        );
        let energy = middle.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 1000.0;
        assert!(
            (energy - amplitude.powi(2)).abs() < loss * energy,
            "{name}: {energy} against {amplitude}²"
        );
    }
}

#[test]
fn a_librispeech_recording_is_read() {
    let folder = std::env::var_os("SPEECHLENS_DATA").map(PathBuf::from);
    let folder = folder
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let Some(path) = first_flac(&folder.join("LibriSpeech")) else {
        println!("skipped: no LibriSpeech in {}", folder.display());
        return;
    };
    // The checksum inside the file is part of `read`.
    let audio = read(&path).unwrap();
    assert_eq!(audio.rate, 16000);
    assert!(
        (1.0..40.0).contains(&audio.seconds()),
        "{}: {} s",
        path.display(),
        audio.seconds()
    );
    assert!(audio.samples.iter().any(|s| s.abs() > 0.01));
}

fn first_flac(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| {
            if path.is_dir() {
                first_flac(&path)
            } else {
                Some(path).filter(|p| p.extension().is_some_and(|e| e == "flac"))
            }
        })
}

/// The error that reading these bytes gives.
fn error(bytes: &[u8]) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.wav");
    fs::write(&path, bytes).unwrap();
    let error = read(&path).unwrap_err();
    assert!(
        error.to_string().starts_with(path.to_str().unwrap()),
        "{error}"
    );
    error
}

fn wav(samples: &[f32], rate: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    to_writer(
        &mut bytes,
        &Audio {
            samples: samples.to_vec(),
            rate,
        },
    )
    .unwrap();
    bytes.into_inner()
}

#[test]
fn bad_files_are_told_apart() {
    assert!(matches!(read("/no/such/file.wav"), Err(Error::Open { .. })));
    assert!(
        matches!(read(env!("CARGO_MANIFEST_DIR")), Err(Error::Open { .. })),
        "a folder"
    );
    assert!(matches!(error(b""), Error::Empty { .. }));
    assert!(matches!(error(&wav(&[], 8000)), Error::Empty { .. }));
    assert!(matches!(error(b"RIFF"), Error::Damaged { .. }));
    assert!(matches!(
        error(
            b"dear diary, today I recorded nothing at all. "
                .repeat(99)
                .as_slice()
        ),
        Error::Format { .. }
    ));

    let whole = wav(&[0.5; 1000], 8000);
    let mut no_rate = whole.clone();
    no_rate[24..28].fill(0);
    assert!(matches!(error(&no_rate), Error::Format { .. }));
    assert!(matches!(
        error(&whole[..whole.len() - 100]),
        Error::Damaged { .. }
    ));
    let mut no_channels = whole.clone();
    no_channels[22] = 0;
    assert!(matches!(error(&no_channels), Error::Format { .. }));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nan.wav");
    let mut nan = WavWriter::create(&path, spec(1, 32, SampleFormat::Float)).unwrap();
    for s in [0.0, 0.1, f32::NAN] {
        nan.write_sample(s).unwrap();
    }
    nan.finalize().unwrap();
    assert!(matches!(read(path), Err(Error::NonFinite { index: 2, .. })));
}

/// Coders that write whole blocks write none.
#[test]
fn recordings_of_nothing_are_empty() {
    let words = |words: &[u16]| {
        words
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let chunk =
        |name: &[u8], body: &[u8]| [name, &(body.len() as u32).to_le_bytes(), body].concat();
    // Tag, channels, rate, bytes a second, bytes a block, bits, and what is the coding's own.
    let ima = words(&[0x11, 1, 16000, 0, 8110, 0, 256, 4, 2, 505]);
    let microsoft = words(&[
        2, 1, 16000, 0, 8192, 0, 256, 4, 32, 500, 7, 256, 0, 512, 0xFF00, 0, 0, 192, 64, 240, 0,
        460, 0xFF30, 392, 0xFF18,
    ]);
    for format in [ima, microsoft] {
        let chunks = [
            chunk(b"fmt ", &format),
            chunk(b"fact", &[0; 4]),
            chunk(b"data", &[]),
        ];
        let wav = chunk(b"RIFF", &[b"WAVE", &chunks.concat()[..]].concat());
        assert!(
            matches!(error(&wav), Error::Empty { .. }),
            "{}",
            error(&wav)
        );
    }
    // STREAMINFO (RFC 9639): blocks of 4096, 16000 Hz, one channel of 16 bits.
    let info = [
        &[0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 3, 0xE8, 0, 0xF0][..],
        &[0; 20],
    ]
    .concat();
    let flac = [b"fLaC\x80\0\0\x22", &info[..]].concat();
    assert!(
        matches!(error(&flac), Error::Empty { .. }),
        "{}",
        error(&flac)
    );
}

#[test]
fn a_flac_file_that_ends_early_or_is_altered_is_damaged() {
    let mut bytes = fs::read(data("tone.flac")).unwrap();
    assert!(matches!(
        error(&bytes[..bytes.len() * 3 / 4]),
        Error::Damaged { .. }
    ));
    let at = bytes.len() * 3 / 4;
    bytes[at] ^= 0x10;
    assert!(matches!(error(&bytes), Error::Damaged { .. }));
}

#[test]
fn writing_leaves_nothing_behind_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wav");
    let bad = Audio {
        samples: vec![0.0, f32::INFINITY],
        rate: 8000,
    };
    assert!(matches!(
        write_wav(&path, &bad),
        Err(Error::NonFinite { index: 1, .. })
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let no_rate = Audio {
        samples: vec![0.0],
        rate: 0,
    };
    assert!(matches!(
        write_wav(&path, &no_rate),
        Err(Error::Write { .. })
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let good = Audio {
        samples: vec![0.0],
        rate: 8000,
    };
    // A folder is made where there is none, and not below a file.
    write_wav(folder.path().join("new/x.wav"), &good).unwrap();
    let error = write_wav(folder.path().join("new/x.wav/y.wav"), &good).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// To the nearest of the 16-bit steps, clipped at full scale; and what has been read is written as it was.
    #[test]
    fn written_wav_is_read_back(samples in prop::collection::vec(-1.1f32..1.1, 1..500), rate in 1u32..200_000) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        write_wav(&path, &Audio { samples: samples.clone(), rate }).unwrap();
        let first = read(&path).unwrap();
        prop_assert_eq!(first.rate, rate);
        prop_assert_eq!(first.samples.len(), samples.len());
        for (&read, &written) in first.samples.iter().zip(&samples) {
            prop_assert!((read - written.clamp(-1.0, 32767.0 / 32768.0)).abs() <= 0.5 / 32768.0 + 1e-7);
        }
        write_wav(&path, &first).unwrap();
        prop_assert_eq!(read(&path).unwrap(), first);
    }

    /// Whatever happens to a file, reading it gives finite sound or an error that names it, and never panics.
    #[test]
    fn damage_never_panics(
        name in prop::sample::select(vec!["tone.flac", "tone.mp3", "tone.m4a", "tone.ogg", "tone.wav"]),
        cut in 0.0f64..1.0,
        flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..8),
    ) {
        let mut bytes = if name == "tone.wav" { wav(&[0.25; 2000], 8000) } else { fs::read(data(name)).unwrap() };
        bytes.truncate(((bytes.len() + 200) as f64 * cut) as usize);
        for (at, value) in flips {
            let at = (bytes.len() as f64 * at) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        match read(&path) {
            Ok(audio) => prop_assert!(!audio.samples.is_empty() && audio.rate > 0),
            Err(error) => prop_assert!(error.to_string().contains(name), "{}", error),
        }
    }
}
