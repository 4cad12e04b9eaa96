//! Recordings against libsndfile (`tests/goldens/make_recordings.py`): every sample of every file.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde_json::Value;
use speechlens_audio::{Error, read};

/// What is wrong with how a file is read, if something is.
fn fault(path: &Path, expected: &Value) -> Option<String> {
    let audio = match (read(path), expected) {
        (Err(Error::Unread { .. }), Value::Null) => return None,
        (Err(Error::Empty { .. }), wanted) if wanted["mean"] == Value::Array(Vec::new()) => {
            return None;
        }
        (Ok(_), Value::Null) => return Some("is read, and was not expected to be".into()),
        (Err(error), _) => return Some(error.to_string()),
        (Ok(audio), _) => audio,
    };
    if u64::from(audio.rate) != expected["rate"].as_u64()? {
        return Some(format!("{} Hz for {}", audio.rate, expected["rate"]));
    }
    let mean = expected["mean"].as_array()?;
    if audio.samples.len() != mean.len() {
        return Some(format!(
            "{} samples for {}",
            audio.samples.len(),
            mean.len()
        ));
    }
    // A mean of several channels is rounded as it is summed. Decoders of ADPCM round otherwise, and carry it on: ffmpeg is up to 61 / 32768 from
    // libsndfile.
    let is_adpcm = path.to_string_lossy().contains("adpcm");
    let bound = if is_adpcm {
        2e-3
    } else {
        f64::from(f32::EPSILON)
    };
    let near =
        |found: f32, mean: f64| found == mean as f32 || (f64::from(found) - mean).abs() <= bound;
    let mut pairs = audio.samples.iter().zip(mean);
    let at = pairs.position(|(found, mean)| !near(*found, mean.as_f64().unwrap_or(f64::NAN)))?;
    Some(format!(
        "{} for {} at {at}",
        audio.samples[at], expected["mean"][at]
    ))
}

/// How many files there are, and what is wrong with which.
fn compare(folder: &Path) -> (usize, Vec<String>) {
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&expected).unwrap();
    let faults = expected.iter().filter_map(|(name, expected)| {
        fault(&folder.join(name), expected).map(|fault| format!("{name}: {fault}"))
    });
    (expected.len(), faults.collect())
}

#[test]
fn committed_recordings_are_read_as_by_libsndfile() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/recordings");
    let (files, wrong) = compare(&folder);
    assert!(files > 10 && wrong.is_empty(), "{wrong:#?}");
}

#[test]
#[ignore = "reads the folder that `make_recordings.py --full` makes, named in SPEECHLENS_RECORDINGS"]
fn all_recordings_are_read_as_by_libsndfile() {
    let folder = std::env::var_os("SPEECHLENS_RECORDINGS").map(PathBuf::from);
    let (files, wrong) = compare(&folder.expect("SPEECHLENS_RECORDINGS names a folder"));
    println!("{files} files, {} wrong", wrong.len());
    assert!(files > 300 && wrong.is_empty(), "{wrong:#?}");
}
