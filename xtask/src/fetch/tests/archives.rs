//! Archives that are damaged or mean harm.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tar::{EntryType, Header};

use super::{Server, archive, entry, fails, file, gzip, names, noise, send_whole, source};
use crate::fetch::Fault;
use crate::fetch::unpack::unpack;

/// Unpacks in a folder beside which nothing may appear.
fn unpacked(archive: &[u8]) -> Result<(), Fault> {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    let outcome = unpack(archive, &folder, 1 << 20);
    let names = names(root.path());
    assert!(names.is_empty() || names == ["folder"], "{names:?}");
    outcome
}

#[test]
fn harmful_archives_leave_nothing() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    type Entry<'a> = (&'a str, EntryType, &'a str, u64, &'a [u8]);
    let outside = tempfile::tempdir().unwrap();
    let outside_name = outside.path().to_str().unwrap();
    let absolute = format!("{outside_name}/evil");
    let cases: [(&str, &[Entry]); 14] = [
        ("leads out", &[("../evil", Regular, "", 4, b"evil")]),
        ("leads out", &[("set/../../evil", Regular, "", 4, b"evil")]),
        ("leads out", &[("../evil/", Directory, "", 0, b"")]),
        ("leads out", &[(&absolute, Regular, "", 4, b"evil")]),
        (
            "a link",
            &[
                ("set/way", Symlink, outside_name, 0, b""),
                ("set/way/evil", Regular, "", 4, b"evil"),
            ],
        ),
        ("a link", &[("set/way", Symlink, "..", 0, b"")]),
        ("a link", &[("set/way", Link, "/etc/passwd", 0, b"")]),
        ("a link", &[("set/way", Link, "../../evil", 0, b"")]),
        ("a device", &[("set/device", Char, "", 0, b"")]),
        ("a device", &[("set/device", Block, "", 0, b"")]),
        ("a device", &[("set/pipe", Fifo, "", 0, b"")]),
        (
            "exists",
            &[
                ("set/a", Regular, "", 1, b"1"),
                ("set/a", Regular, "", 1, b"2"),
            ],
        ),
        (
            "set/a",
            &[
                ("set/a", Regular, "", 1, b"1"),
                ("set/a/b", Regular, "", 1, b"2"),
            ],
        ),
        ("in the middle", &[("set/a", Regular, "", 9_999, b"short")]),
    ];
    for (reason, entries) in cases {
        let mut tar = Vec::new();
        file(&mut tar, "set/sound.wav", &noise());
        for (name, kind, link, size, content) in entries {
            entry(&mut tar, name, *kind, link, *size, content);
        }
        let archive = gzip(tar);
        match unpacked(&archive) {
            Err(Fault::Archive(found)) => assert!(found.contains(reason), "{found}, not {reason}"),
            other => panic!("{other:?}, not {reason}"),
        }
        let served = archive.clone();
        let server = Server::new(move |_, _, stream| send_whole(stream, &served));
        let folder = tempfile::tempdir().unwrap();
        let line = fails(&source(&server, &archive), folder.path());
        assert!(line.contains(reason), "{line}, not {reason}");
        assert!(names(folder.path()).is_empty());
        assert!(names(outside.path()).is_empty());
    }
}

#[test]
fn an_archive_that_grows_beyond_bounds_is_stopped() {
    let mut tar = Vec::new();
    file(&mut tar, "set/sound.wav", &vec![0; 3 << 20]);
    let archive = gzip(tar);
    assert!(archive.len() < 50_000);
    let outcome = unpacked(&archive);
    let stopped = |found: &str| found.contains("more than it can hold");
    assert!(matches!(outcome, Err(Fault::Archive(found)) if stopped(&found)));

    // Headers alone do it too.
    let mut tar = Vec::new();
    for index in 0..3_000 {
        file(&mut tar, &format!("set/{index}"), b"");
    }
    let outcome = unpacked(&gzip(tar));
    assert!(matches!(outcome, Err(Fault::Archive(found)) if stopped(&found)));
}

#[test]
fn a_damaged_archive_is_deleted() {
    let whole = archive();
    let mut wrong_sum = whole.clone();
    let end = wrong_sum.len() - 6;
    wrong_sum[end] ^= 1;
    let cut = whole[..whole.len() - 5].to_vec();
    let half = whole[..whole.len() / 2].to_vec();
    let page = b"<html>Sign in to the network</html>".to_vec();
    let lacking = {
        let mut tar = Vec::new();
        file(&mut tar, "set/README", b"no sound");
        gzip(tar)
    };
    for archive in [wrong_sum, cut, half, page, lacking, Vec::from(b"\x1f\x8b")] {
        let served = archive.clone();
        let server = Server::new(move |_, _, stream| send_whole(stream, &served));
        let folder = tempfile::tempdir().unwrap();
        let line = fails(&source(&server, &archive), folder.path());
        assert!(line.contains("not as it should be"), "{line}");
        assert!(names(folder.path()).is_empty());
    }
}

#[test]
fn no_damage_to_an_archive_reaches_outside() {
    let mut tar = Vec::new();
    entry(&mut tar, "set/", EntryType::Directory, "", 0, &[]);
    file(&mut tar, "set/a/b.wav", b"sound");
    file(&mut tar, "set/c.wav", &[1; 700]);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..300 {
        let mut tar = tar.clone();
        // In the headers, with their sums mended so that the damage is read.
        for header in [0, 512, 1_536] {
            let bytes = &mut tar[header..header + 512];
            for _ in 0..rng.random_range(0..4) {
                let place = rng.random_range(0..512);
                let harm = [b'.', b'/', 0, b'1', b'2', b'7', rng.random()];
                bytes[place] = harm[rng.random_range(0..harm.len())];
            }
            let mut mended = Header::from_byte_slice(bytes).clone();
            mended.set_cksum();
            bytes.copy_from_slice(mended.as_bytes());
        }
        let _ = unpacked(&gzip(tar));
    }
}
