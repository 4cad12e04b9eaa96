//! What lies on the disk already, and disks that take no more.

use std::fs;

use super::{Server, archive, fails, is_whole, names, options, send_whole, source};
use crate::fetch::fetch;
use crate::fetch::part::Part;

#[test]
fn a_second_run_is_told_of_the_first() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| send_whole(stream, &served));
    let folder = tempfile::tempdir().unwrap();
    let first = Part::open(&folder.path().join("Set.tar.gz.part")).unwrap();
    let line = fails(&source(&server, &archive), folder.path());
    assert!(line.contains("another `cargo xtask fetch`"), "{line}");
    assert!(line.contains("Set.tar.gz.part"), "{line}");
    assert!(server.asked().is_empty());
    drop(first);
    fetch(&source(&server, &archive), folder.path(), &options()).unwrap();
    is_whole(folder.path());
}

#[test]
fn what_a_killed_run_left_is_cleared_away() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| send_whole(stream, &served));
    let folder = tempfile::tempdir().unwrap();
    let unpacking = folder.path().join("Set.unpacking/set");
    let part = folder.path().join("Set.tar.gz.part");
    let leave = || {
        fs::create_dir_all(&unpacking).unwrap();
        fs::write(unpacking.join("half"), "of a file").unwrap();
        fs::write(&part, &archive).unwrap();
    };
    leave();
    fetch(&source(&server, &archive), folder.path(), &options()).unwrap();
    is_whole(folder.path());
    leave();
    fetch(&source(&server, &archive), folder.path(), &options()).unwrap();
    is_whole(folder.path());
}

#[test]
fn another_folder_in_the_place_is_left_alone() {
    let server = Server::new(|_, _, _| {});
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("Set/own");
    fs::create_dir_all(&own).unwrap();
    let source = source(&server, &archive());
    let error = fetch(&source, folder.path(), &options()).unwrap_err();
    let line = format!("{error:#}");
    assert!(line.contains("without sound.wav"), "{line}");
    assert!(line.contains("-o"), "{line}");
    assert!(own.is_dir());
    assert_eq!(names(folder.path()), ["Set"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let server = Server::new(|_, _, _| {});
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let source = source(&server, &archive());
    let folder = root.path().join("file/below");
    let error = fetch(&source, &folder, &options()).unwrap_err();
    let line = format!("{error:#}");
    assert!(line.contains("file/below"), "{line}");
    assert!(line.contains("-o"), "{line}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_line() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| send_whole(stream, &served));
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("Set.tar.gz.part");
    std::os::unix::fs::symlink("/dev/full", part).unwrap();
    let line = fails(&source(&server, &archive), folder.path());
    assert!(line.contains("Set.tar.gz.part"), "{line}");
    assert!(line.contains("make room"), "{line}");
    assert_eq!(server.asked(), [None]);
}
