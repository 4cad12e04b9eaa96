//! `cargo xtask reproduce`, killed or interrupted at any moment, ends in the numbers of a run that was left alone.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const KILLS: usize = 4;

/// The experiment with the smallest network, with a seed that no one else has.
const REPRODUCE: [&str; 8] = [
    "reproduce",
    "--profile",
    "smoke",
    "--only",
    "audionet",
    "--quiet",
    "--seed",
    "901901",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/reproduce")
}

fn folder() -> PathBuf {
    root().join("smoke-synthetic-901901")
}

fn start() -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(REPRODUCE)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn finish() {
    let done = start().wait_with_output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// All that was measured, and the network's file.
fn outcome() -> (Value, Vec<u8>) {
    let text = std::fs::read(folder().join("results.json")).unwrap();
    let mut results: Value = serde_json::from_slice(&text).unwrap();
    results["run"]["seconds"].take();
    let network = std::fs::read(folder().join("audionet.safetensors")).unwrap();
    (results, network)
}

/// Puts the link to the latest run back, and takes the test's away.
struct Restore(Option<PathBuf>);

impl Drop for Restore {
    fn drop(&mut self) {
        let link = root().join("latest");
        let _ = std::fs::remove_file(&link);
        if let Some(latest) = &self.0 {
            let _ = std::os::unix::fs::symlink(latest, &link);
        }
        let _ = std::fs::remove_dir_all(folder());
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_numbers() {
    let _restore = Restore(std::fs::read_link(root().join("latest")).ok());
    let _ = std::fs::remove_dir_all(folder());
    let started = Instant::now();
    finish();
    let whole = started.elapsed();
    let expected = outcome();
    std::fs::remove_dir_all(folder()).unwrap();

    let mut lots = ChaCha8Rng::seed_from_u64(9);
    let mut wait = || {
        let share = f64::from(lots.next_u32()) / f64::from(u32::MAX);
        std::thread::sleep(whole.mul_f64(share));
    };
    let mut kills = 0;
    while kills < KILLS {
        let mut run = start();
        wait();
        run.kill().unwrap();
        kills += usize::from(!run.wait().unwrap().success());
    }
    // As a kill leaves it in the middle of writing a picture or a store.
    std::fs::create_dir_all(folder().join("features")).unwrap();
    for left in [".tmpAbCdEf", "features/.a.h5.x.partial"] {
        std::fs::write(folder().join(left), "half").unwrap();
    }

    let mut run = start();
    std::thread::sleep(whole.mul_f64(0.3).max(Duration::from_millis(300)));
    let sent = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    if run.try_wait().unwrap().is_none() || !folder().join("results.json").exists() {
        let ended = run.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{said}");
        let expected = format!("go on with: cargo xtask {}", REPRODUCE.join(" "));
        assert!(
            said.contains(&expected) && said.lines().count() == 1,
            "{said}"
        );
    }

    // It fails when all is found, and then takes up what it found: here something else than it would find again.
    let page = folder().join("index.html");
    let _ = std::fs::remove_file(&page);
    std::fs::create_dir_all(&page).unwrap();
    assert!(!start().wait_with_output().unwrap().status.success());
    std::fs::remove_dir(&page).unwrap();
    let kept = folder().join("audionet.finished.json");
    let mut finished: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    finished["findings"]["lead"] = "Taken up.".into();
    std::fs::write(&kept, finished.to_string()).unwrap();

    finish();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Taken up."));
    let (results, network) = outcome();
    assert_eq!(results, expected.0);
    assert!(network == expected.1, "other weights");
    for folder in [folder(), folder().join("features")] {
        for entry in folder.read_dir().unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                !name.starts_with('.')
                    && !name.contains("checkpoint")
                    && !name.contains("finished"),
                "{name} is left"
            );
        }
    }
}
