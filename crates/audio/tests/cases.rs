//! Files as people have them, in a folder outside of the project: each is read as its `expected.json` says.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use speechlens_audio::read;

/// `SPEECHLENS_CASES`, or a folder beside the repository.
fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let folder = std::env::var_os("SPEECHLENS_CASES").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

#[test]
fn files_as_people_have_them() {
    let Some(folder) = folder() else {
        eprintln!("skipped: there is no folder of cases; name one in SPEECHLENS_CASES");
        return;
    };
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        let audio = read(folder.join(name)).unwrap();
        let number = |key: &str| expected[key].as_f64().unwrap();
        assert_eq!(f64::from(audio.rate), number("rate"), "{name}");
        assert_eq!(audio.samples.len() as f64, number("samples"), "{name}");
        let power: f64 = audio.samples.iter().map(|s| f64::from(s * s)).sum();
        let level = (power / audio.samples.len() as f64).sqrt();
        assert!(
            (level / number("rms") - 1.0).abs() < 0.01,
            "{name}: {level}"
        );
        // One coder's sound is not another's to the bit.
        let is_lossy = ["m4a", "opus", "webm"]
            .iter()
            .any(|ending| name.ends_with(ending));
        let near = if is_lossy && !name.starts_with("alac") {
            0.02
        } else {
            1e-7
        };
        for (at, value) in expected["first_channel_at"].as_object().unwrap() {
            let (found, value) = (
                audio.samples[at.parse::<usize>().unwrap()],
                value.as_f64().unwrap(),
            );
            assert!(
                (f64::from(found) - value).abs() <= near,
                "{name}[{at}]: {found} for {value}"
            );
        }
    }
}
