//! Compressed recordings against ffmpeg and others (`tests/goldens/make_compressed.py`): the length of every file, and its samples.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde_json::Value;
use speechlens_audio::{Error, read, read_bytes};

/// How far samples may be from those expected, in decibels below these, by a file's coding, some dB short of what was measured: 113 dB of MP3, 132 dB
/// of AAC, Vorbis and Opus. 32-bit floats round at about 140 dB below full scale, and transforms add up many of them.
const BELOW: [(&str, f64); 7] = [
    ("mp3", 105.0),
    ("aac", 125.0),
    ("vorbis", 125.0),
    ("opus", 125.0),
    ("alac", 140.0),
    ("flac", 140.0),
    ("pcm", 140.0),
];
/// Of what holds noise that each decoder makes up for itself, the level alone: to so much of it.
const NOISE: f64 = 0.05;

/// What is wrong with how a file is read, if something is.
fn fault(folder: &Path, name: &str, expected: &Value) -> Option<String> {
    let audio = match (read(folder.join(name)), expected) {
        (Err(Error::Unread { .. }), Value::Null) => return None,
        (Ok(_), Value::Null) => return Some("is read, and was not expected to be".into()),
        (Ok(audio), _) => audio,
        (Err(error), _) => return Some(error.to_string()),
    };
    let number = |key: &str| expected[key].as_u64().unwrap();
    let (rate, samples) = (u64::from(audio.rate), audio.samples.len() as u64);
    if (rate, samples) != (number("rate"), number("samples")) {
        return Some(format!(
            "{samples} samples at {rate} Hz for {} at {}",
            expected["samples"], expected["rate"]
        ));
    }
    let values = expected["values"].as_array().unwrap();
    let found = audio.samples.iter().step_by(number("every") as usize);
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let pairs = || {
        let found = found.clone().map(|sample| f64::from(*sample));
        found.zip(values.iter().map(|value| value.as_f64().unwrap()))
    };
    let signal = power(&mut pairs().map(|(_, value)| value));
    let coding = name.split('-').next();
    let Some((_, bound)) = BELOW.iter().find(|(known, _)| Some(*known) == coding) else {
        let level = (power(&mut pairs().map(|(found, _)| found)) / signal).sqrt();
        return ((level - 1.0).abs() > NOISE).then(|| format!("its level is {level} times"));
    };
    let below = 10.0 * (signal / power(&mut pairs().map(|(found, value)| found - value))).log10();
    (below < *bound).then(|| format!("{below:.1} dB below, not {bound}"))
}

/// How many files there are, and what is wrong with which.
fn compare(folder: &Path) -> (usize, Vec<String>) {
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&expected).unwrap();
    let faults = expected.iter().filter_map(|(name, expected)| {
        fault(folder, name, expected).map(|fault| format!("{name}: {fault}"))
    });
    (expected.len(), faults.collect())
}

#[test]
fn committed_recordings_are_decoded_as_by_others() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/compressed");
    let (files, wrong) = compare(&folder);
    assert!(files > 20 && wrong.is_empty(), "{wrong:#?}");
}

/// A code of Vorbis 33 bits long: the decoder's panic is no end of ours.
#[test]
fn a_panic_of_a_decoder_is_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/compressed");
    let mut bytes = std::fs::read(folder.join("vorbis-16000-1ch-q0-webm.webm")).unwrap();
    let name = b"\x05vorbis";
    let setup = bytes.windows(7).position(|window| window == name).unwrap();
    // Lengths in order from 32 bits on, none of that and 8 of the next.
    bytes[setup + 16..setup + 19].copy_from_slice(&[0x3F, 0x20, 0x08]);
    let error = read_bytes("broken.webm", &bytes, 10.0).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[test]
#[ignore = "reads the folder that `make_compressed.py --full` makes, named in SPEECHLENS_COMPRESSED"]
fn all_recordings_are_decoded_as_by_others() {
    let folder = std::env::var_os("SPEECHLENS_COMPRESSED").map(PathBuf::from);
    let (files, wrong) = compare(&folder.expect("SPEECHLENS_COMPRESSED names a folder"));
    println!("{files} files, {} wrong", wrong.len());
    assert!(files > 300 && wrong.is_empty(), "{wrong:#?}");
}
