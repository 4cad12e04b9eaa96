//! `gpu-check` runs through on a machine without a GPU, with the CPU in its place.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use speechlens_report::results::{Cell, Results};

fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["gpu-check", "--quiet", "--recordings", "2", "--only"]);
    command
}

#[test]
fn the_cpu_is_as_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let done = xtask()
        .args(["flipping", "--device", "cpu", "-o"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let results = Results::read(&folder.path().join("results.json")).unwrap();
    results.check().unwrap();
    let [curves] = results.experiments.as_slice() else {
        panic!("one part was asked for");
    };
    // Four orders for each of two networks, all of whose differences are nought.
    assert_eq!(curves.rows.len(), 8);
    let same = [Cell::from("0.0e0"), Cell::from("0")];
    for row in &curves.rows {
        assert_eq!(row.measured.as_deref(), Some(&same[..]), "{}", row.name);
    }
    assert!(folder.path().join("index.html").exists());
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let done = xtask()
        .args(["flipping", "--device", "cuda:97", "-o"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        said.starts_with("error: there is no device `cuda:97`"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
}
