//! Against a server on this machine that misbehaves in every way that servers do, and archives that mean harm.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use speechlens_audio::Audio;
use speechlens_data::background::Background;
use speechlens_data::{AudioMnist, Corpus, LibriSpeech};
use tar::{EntryType, Header};

use super::part::Part;
use super::sources::{DataSet, Proof, Source};
use super::unpack::unpack;
use super::{Fault, Options, Outcome, fetch};

// A server.

/// What a client asked for.
#[derive(Clone)]
struct Request {
    path: String,
    /// The first byte that it wants, if not all.
    from: Option<usize>,
}

struct Server {
    address: String,
    heard: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request with `answer`, which is told how many there were before.
    fn new(answer: impl Fn(usize, &Request, &mut TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read_request(&mut stream);
                let before = {
                    let mut heard = hearing.lock().unwrap();
                    heard.push(request.clone());
                    heard.len() - 1
                };
                answer(before, &request, &mut stream);
            }
        });
        Server { address, heard }
    }

    /// For each request: from where.
    fn asked(&self) -> Vec<Option<usize>> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|request| request.from).collect()
    }
}

fn read_request(stream: &mut TcpStream) -> Request {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let from = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let range = value.strip_prefix("bytes=")?.strip_suffix('-')?;
        (name.eq_ignore_ascii_case("range")).then(|| range.parse().unwrap())
    });
    Request {
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        from,
    }
}

/// Sends a head, and a body that need not fit it. A client may hang up at any time.
fn send(stream: &mut TcpStream, status: &str, headers: &[String], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(body);
}

fn length(bytes: usize) -> String {
    format!("Content-Length: {bytes}")
}

/// The whole file, whatever was asked for.
fn send_whole(stream: &mut TcpStream, file: &[u8]) {
    send(stream, "200 OK", &[length(file.len())], file);
}

/// What was asked for, up to a byte at which the connection ends.
fn send_until(stream: &mut TcpStream, request: &Request, file: &[u8], end: usize) {
    let total = file.len();
    match request.from {
        None => send(stream, "200 OK", &[length(total)], &file[..end]),
        Some(from) => {
            let range = format!("Content-Range: bytes {from}-{}/{total}", total - 1);
            let headers = [length(total - from), range];
            send(stream, "206 Partial Content", &headers, &file[from..end]);
        }
    }
}

// Archives.

/// An entry, whatever its name.
fn entry(tar: &mut Vec<u8>, name: &str, kind: EntryType, link: &str, size: u64, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn file(tar: &mut Vec<u8>, name: &str, content: &[u8]) {
    let size = content.len() as u64;
    entry(tar, name, EntryType::Regular, "", size, content);
}

fn gzip(mut tar: Vec<u8>) -> Vec<u8> {
    tar.resize(tar.len() + 1024, 0);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar).unwrap();
    gzip.finish().unwrap()
}

/// The content of `set/sound.wav` in the archive of most tests.
fn noise() -> Vec<u8> {
    let mut noise = vec![0; 200_000];
    ChaCha8Rng::seed_from_u64(1).fill(&mut noise[..]);
    noise
}

fn archive() -> Vec<u8> {
    let mut tar = Vec::new();
    entry(&mut tar, "set/", EntryType::Directory, "", 0, &[]);
    file(&mut tar, "set/sound.wav", &noise());
    file(&mut tar, "set/deep/er/README", b"read me");
    gzip(tar)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A source for an archive whose bytes are promised.
fn source(server: &Server, archive: &[u8]) -> Source {
    Source {
        title: "a set",
        url: format!("{}/set.tar.gz", server.address),
        proof: Proof::Archive {
            bytes: archive.len() as u64,
            sha256: sha256(archive),
        },
        licence: "none",
        top: "set".into(),
        folder: "Set",
        holds: &["sound.wav"],
        option: "--set",
    }
}

fn options() -> Options {
    Options {
        patience: Duration::from_millis(300),
        tries: 3,
        pause: Duration::from_millis(1),
        quiet: true,
    }
}

// What a test looks at.

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

/// Fetches into a new folder from a server that is expected to succeed in the end.
#[track_caller]
fn succeeds(archive: &[u8], server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let outcome = fetch(&source(server, archive), folder.path(), &options()).unwrap();
    assert_eq!(outcome, Outcome::Fetched(folder.path().join("Set")));
    is_whole(folder.path());
}

#[track_caller]
fn is_whole(folder: &Path) {
    assert_eq!(names(folder), ["Set"]);
    assert_eq!(names(&folder.join("Set")), ["deep", "sound.wav"]);
    assert!(fs::read(folder.join("Set/sound.wav")).unwrap() == noise());
    let readme = fs::read(folder.join("Set/deep/er/README")).unwrap();
    assert_eq!(readme, b"read me");
}

/// The one line that a failing fetch says. Only a part of the archive may be left.
#[track_caller]
fn fails(source: &Source, folder: &Path) -> String {
    let error = fetch(source, folder, &options()).unwrap_err();
    let line = format!("{error:#}");
    assert!(!line.contains('\n'), "{line}");
    let left = names(folder);
    assert!(left.is_empty() || left == ["Set.tar.gz.part"], "{left:?}");
    line
}

// The network.

#[test]
fn a_data_set_is_fetched_once() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| send_whole(stream, &served));
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("made/on/the/way");
    let source = source(&server, &archive);
    fetch(&source, &folder, &options()).unwrap();
    is_whole(&folder);
    let again = fetch(&source, &folder, &options()).unwrap();
    assert_eq!(again, Outcome::AlreadyThere(folder.join("Set")));
    is_whole(&folder);
    assert_eq!(server.asked(), [None]);
}

#[test]
fn a_download_that_is_cut_off_goes_on() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |before, request, stream| {
        let end = [70_000, 150_000, served.len()][before];
        send_until(stream, request, &served, end);
    });
    succeeds(&archive, &server);
    assert_eq!(server.asked(), [None, Some(70_000), Some(150_000)]);
}

#[test]
fn more_cuts_than_tries_are_fine_while_bytes_arrive() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |before, request, stream| {
        let end = served.len().min(20_000 * (before + 1));
        send_until(stream, request, &served, end);
    });
    succeeds(&archive, &server);
    assert!(server.asked().len() > 9);
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |before, _, stream| {
        let end = if before == 0 { 70_000 } else { served.len() };
        send(stream, "200 OK", &[length(served.len())], &served[..end]);
    });
    succeeds(&archive, &server);
    assert_eq!(server.asked(), [None, Some(70_000)]);
}

#[test]
fn a_server_that_ignores_ranges_and_cuts_is_given_up() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| {
        send(stream, "200 OK", &[length(served.len())], &served[..70_000]);
    });
    let folder = tempfile::tempdir().unwrap();
    let line = fails(&source(&server, &archive), folder.path());
    assert!(line.contains("gave up after 3 tries"), "{line}");
}

#[test]
fn a_range_from_another_place_starts_over() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |before, request, stream| match before {
        0 => send_until(stream, request, &served, 70_000),
        1 => {
            let elsewhere = Request {
                from: Some(60_000),
                ..request.clone()
            };
            send_until(stream, &elsewhere, &served, served.len());
        }
        _ => send_until(stream, request, &served, served.len()),
    });
    succeeds(&archive, &server);
    assert_eq!(server.asked(), [None, Some(70_000), None]);
}

#[test]
fn a_silent_server_is_given_up_in_time_and_its_bytes_are_kept() {
    let archive = archive();
    let served = archive.clone();
    let silent = Server::new(move |_, request, stream| {
        if request.from.is_none() {
            send_until(stream, request, &served, 70_000);
        }
        // An open connection without a word.
        let stream = stream.try_clone().unwrap();
        thread::spawn(move || (thread::sleep(Duration::from_secs(20)), drop(stream)));
    });
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let line = fails(&source(&silent, &archive), folder.path());
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(line.contains(&silent.address), "{line}");
    assert!(line.contains("does not answer in time"), "{line}");
    assert!(line.contains("run this again"), "{line}");
    let asked = [None, Some(70_000), Some(70_000)];
    assert_eq!(silent.asked(), asked);
    assert_eq!(names(folder.path()), ["Set.tar.gz.part"]);

    let served = archive.clone();
    let server =
        Server::new(move |_, request, stream| send_until(stream, request, &served, served.len()));
    fetch(&source(&server, &archive), folder.path(), &options()).unwrap();
    is_whole(folder.path());
    assert_eq!(server.asked(), [Some(70_000)]);
}

#[test]
fn a_silent_server_may_come_to_itself() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |before, request, stream| {
        if before == 0 {
            let stream = stream.try_clone().unwrap();
            thread::spawn(move || (thread::sleep(Duration::from_secs(20)), drop(stream)));
        } else {
            send_until(stream, request, &served, served.len());
        }
    });
    succeeds(&archive, &server);
}

#[test]
fn a_file_of_another_length_is_refused_before_it_arrives() {
    let archive = archive();
    for wrong in [archive.len() - 1, archive.len() + 1] {
        let served = archive.clone();
        let server = Server::new(move |_, _, stream| {
            send(stream, "200 OK", &[length(wrong)], &served);
        });
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Set.tar.gz.part"), &archive[..50_000]).unwrap();
        let line = fails(&source(&server, &archive), folder.path());
        let sizes = format!("has {wrong} bytes, where {} are", archive.len());
        assert!(line.contains(&sizes), "{line}");
        assert_eq!(server.asked(), [Some(50_000)]);
        let kept = fs::metadata(folder.path().join("Set.tar.gz.part")).unwrap();
        assert_eq!(kept.len(), 50_000);
    }
}

#[test]
fn a_body_without_a_length_is_read_to_its_end() {
    let archive = archive();
    let chunked = |file: &[u8]| {
        let mut body = Vec::new();
        for chunk in file.chunks(50_000) {
            body.extend(format!("{:x}\r\n", chunk.len()).bytes());
            body.extend(chunk);
            body.extend(b"\r\n");
        }
        body
    };
    let headers = ["Transfer-Encoding: chunked".to_owned()];
    let served = archive.clone();
    // The first time, it is cut off between two chunks.
    let server = Server::new(move |before, _, stream| {
        let mut body = match before {
            0 => chunked(&served[..100_000]),
            _ => chunked(&served),
        };
        if before > 0 {
            body.extend(b"0\r\n\r\n");
        }
        send(stream, "200 OK", &headers, &body);
    });
    succeeds(&archive, &server);
    assert_eq!(server.asked(), [None, Some(100_000)]);

    // One that does not end when it should.
    let headers = ["Transfer-Encoding: chunked".to_owned()];
    let served = [archive.clone(), vec![0; 10]].concat();
    let server = Server::new(move |_, _, stream| {
        send(stream, "200 OK", &headers, &chunked(&served));
    });
    let folder = tempfile::tempdir().unwrap();
    let line = fails(&source(&server, &archive), folder.path());
    assert!(line.contains("should have ended"), "{line}");
}

#[test]
fn redirects_are_followed_with_the_range() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |before, request, stream| {
        let location = "Location: /elsewhere".to_owned();
        match (request.path.as_str(), before) {
            ("/elsewhere", 1) => send_until(stream, request, &served, 70_000),
            ("/elsewhere", _) => send_until(stream, request, &served, served.len()),
            _ => send(stream, "302 Found", &[location, length(0)], &[]),
        }
    });
    succeeds(&archive, &server);
    assert_eq!(server.asked(), [None, None, Some(70_000), Some(70_000)]);
}

#[test]
fn redirects_in_circles_are_an_error() {
    let server = Server::new(|_, _, stream| {
        let location = "Location: /set.tar.gz".to_owned();
        send(stream, "302 Found", &[location, length(0)], &[]);
    });
    let folder = tempfile::tempdir().unwrap();
    let line = fails(&source(&server, &archive()), folder.path());
    assert!(line.contains("redirects in circles"), "{line}");
    assert!(server.asked().len() < 20);
}

#[test]
fn what_the_server_refuses_is_not_asked_for_again() {
    let server = Server::new(|_, _, stream| send(stream, "404 Not Found", &[length(0)], &[]));
    let folder = tempfile::tempdir().unwrap();
    let source = source(&server, &archive());
    let line = fails(&source, folder.path());
    assert!(line.starts_with(&source.url), "{line}");
    assert!(line.contains("404"), "{line}");
    assert_eq!(server.asked(), [None]);
}

#[test]
fn an_overloaded_server_is_asked_again() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |before, request, stream| match before {
        0 => send(stream, "503 Service Unavailable", &[length(0)], &[]),
        1 => send(stream, "429 Too Many Requests", &[length(0)], &[]),
        _ => send_until(stream, request, &served, served.len()),
    });
    succeeds(&archive, &server);

    let server = Server::new(|_, _, stream| {
        send(stream, "500 Internal Server Error", &[length(0)], &[]);
    });
    let folder = tempfile::tempdir().unwrap();
    let line = fails(&source(&server, &archive), folder.path());
    assert!(line.contains("500"), "{line}");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_range_that_is_not_satisfiable_starts_over() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |_, request, stream| match request.from {
        Some(_) => send(stream, "416 Range Not Satisfiable", &[length(0)], &[]),
        None => send_whole(stream, &served),
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Set.tar.gz.part"), &archive[..50_000]).unwrap();
    fetch(&source(&server, &archive), folder.path(), &options()).unwrap();
    is_whole(folder.path());
    assert_eq!(server.asked(), [Some(50_000), None]);
}

#[test]
fn what_was_kept_of_another_file_is_downloaded_afresh() {
    let archive = archive();
    let longer = archive.len() + 1;
    for kept in [vec![7; 50_000], vec![7; archive.len()], vec![7; longer]] {
        let served = archive.clone();
        let server = Server::new(move |_, request, stream| {
            send_until(stream, request, &served, served.len());
        });
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Set.tar.gz.part"), kept).unwrap();
        fetch(&source(&server, &archive), folder.path(), &options()).unwrap();
        is_whole(folder.path());
        assert_eq!(server.asked().last(), Some(&None));
    }
}

#[test]
fn an_archive_that_is_there_needs_no_server() {
    let archive = archive();
    let server = Server::new(|_, _, _| {});
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Set.tar.gz.part"), &archive).unwrap();
    fetch(&source(&server, &archive), folder.path(), &options()).unwrap();
    is_whole(folder.path());
    assert!(server.asked().is_empty());
}

#[test]
fn wrong_bytes_are_deleted() {
    let archive = archive();
    let mut served = archive.clone();
    served[100_000] ^= 1;
    let server = Server::new(move |_, _, stream| send_whole(stream, &served));
    let folder = tempfile::tempdir().unwrap();
    let line = fails(&source(&server, &archive), folder.path());
    assert!(line.contains(&sha256(&archive)), "{line}");
    assert!(line.contains("run this again"), "{line}");
    assert!(names(folder.path()).is_empty());
    assert_eq!(server.asked(), [None]);
}

#[test]
fn a_server_that_hangs_up_is_asked_again() {
    let archive = archive();
    let served = archive.clone();
    let server = Server::new(move |before, request, stream| {
        if before > 1 {
            send_until(stream, request, &served, served.len());
        }
    });
    succeeds(&archive, &server);

    let server = Server::new(|_, _, _| {});
    let folder = tempfile::tempdir().unwrap();
    let line = fails(&source(&server, &archive), folder.path());
    assert!(line.contains("gave up after 3 tries"), "{line}");
}

#[test]
fn no_server_is_one_line() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let server = Server {
        address,
        heard: Arc::default(),
    };
    let folder = tempfile::tempdir().unwrap();
    let line = fails(&source(&server, &archive()), folder.path());
    assert!(line.contains(&server.address), "{line}");
}

// The disk.

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

// Archives that mean harm.

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

// The data sets.

/// An archive with these files in the folder of the catalogue's source, as GitHub packs it.
fn archive_of(source: &Source, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    let comment = b"52 comment=630d7dab4c040882834de6fa21baf9a60372accd\n";
    let size = comment.len() as u64;
    let kind = EntryType::XGlobalHeader;
    entry(&mut tar, "pax_global_header", kind, "", size, comment);
    for (name, content) in files {
        file(&mut tar, &format!("{}/{name}", source.top), content);
    }
    // Sound hardly gets smaller.
    file(&mut tar, &format!("{}/hiss", source.top), &noise());
    gzip(tar)
}

/// Fetches such an archive in place of the catalogue's.
fn fetch_instead(data_set: DataSet, files: &[(&str, &[u8])], folder: &Path) -> anyhow::Result<()> {
    let mut source = data_set.source().unwrap();
    let archive = archive_of(&source, files);
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| send_whole(stream, &served));
    source.url = server.address.clone();
    source.proof = match source.proof {
        Proof::Archive { .. } => Proof::Archive {
            bytes: archive.len() as u64,
            sha256: sha256(&archive),
        },
        Proof::AudioMnist { .. } => Proof::AudioMnist {
            about: 300_000,
            recordings: 2,
            speakers: 2,
        },
    };
    fetch(&source, folder, &options()).map(drop)
}

#[test]
fn librispeech_is_where_its_reader_looks() {
    let folder = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 2] = [
        (
            "SPEAKERS.TXT",
            b"84 | F | dev-clean | 8.02 | Christie Nowak\n",
        ),
        ("dev-clean/84/121123/84-121123-0000.flac", b""),
    ];
    fetch_instead(DataSet::LibrispeechDevClean, &files, folder.path()).unwrap();
    let corpus = LibriSpeech::open(&folder.path().join("LibriSpeech")).unwrap();
    assert_eq!(corpus.recordings().len(), 1);
}

#[test]
fn musan_is_where_its_reader_looks() {
    let folder = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 2] = [
        ("music/fma/music-fma-0000.wav", b""),
        ("noise/free-sound/noise-free-sound-0000.wav", b""),
    ];
    fetch_instead(DataSet::Musan, &files, folder.path()).unwrap();
    assert!(Background::musan(&folder.path().join("musan"), 1, false).is_ok());
}

#[test]
fn audiomnist_is_read_before_it_is_called_whole() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tone.wav");
    let audio = Audio {
        samples: vec![0.5; 480],
        rate: 48_000,
    };
    speechlens_audio::write_wav(&path, &audio).unwrap();
    let tone = fs::read(&path).unwrap();
    let meta = br#"{"01": {"gender": "male"}, "02": {"gender": "female"}}"#;
    let files: [(&str, &[u8]); 3] = [
        ("data/audioMNIST_meta.txt", meta),
        ("data/01/0_01_0.wav", &tone),
        ("data/02/7_02_49.wav", &tone),
    ];
    let fetched = |files: &[(&str, &[u8])]| {
        let folder = tempfile::tempdir().unwrap();
        let outcome = fetch_instead(DataSet::Audiomnist, files, folder.path());
        (outcome.map_err(|error| format!("{error:#}")), folder)
    };

    let (outcome, folder) = fetched(&files);
    outcome.unwrap();
    let corpus = AudioMnist::open(&folder.path().join("AudioMNIST")).unwrap();
    assert_eq!(corpus.recordings().len(), 2);

    let (outcome, folder) = fetched(&files[..2]);
    let line = outcome.unwrap_err();
    assert!(line.contains("1 recordings of 1 speakers"), "{line}");
    assert!(names(folder.path()).is_empty());

    let broken: [(&str, &[u8]); 3] = [files[0], files[1], ("data/02/7_02_49.wav", b"no sound")];
    let (outcome, folder) = fetched(&broken);
    let line = outcome.unwrap_err();
    assert!(line.contains("7_02_49.wav"), "{line}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_archive_of_unknown_bytes_goes_on_where_it_can() {
    let archive = archive();
    let proof = Proof::AudioMnist {
        about: archive.len() as u64,
        recordings: 1,
        speakers: 1,
    };
    // All of it was there: the server has nothing behind the end. It is no AudioMNIST, though.
    let served = archive.clone();
    let server = Server::new(move |_, _, stream| {
        let range = format!("Content-Range: bytes */{}", served.len());
        send(
            stream,
            "416 Range Not Satisfiable",
            &[range, length(0)],
            &[],
        );
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Set.tar.gz.part"), &archive).unwrap();
    let source = Source {
        proof: proof.clone(),
        ..source(&server, &archive)
    };
    let line = fails(&source, folder.path());
    assert!(line.contains("not AudioMNIST"), "{line}");
    assert_eq!(server.asked(), [Some(archive.len())]);

    // A length that promises more than comes, and one that promises less.
    for (wrong, reason) in [
        (archive.len() + 9, "gave up"),
        (archive.len() - 9, "not as"),
    ] {
        let served = archive.clone();
        let server = Server::new(move |_, _, stream| {
            send(stream, "200 OK", &[length(wrong)], &served);
        });
        let source = Source {
            url: server.address.clone(),
            ..source.clone()
        };
        let folder = tempfile::tempdir().unwrap();
        let line = fails(&source, folder.path());
        assert!(line.contains(reason), "{line}");
    }
}

#[test]
fn the_catalogue_is_in_order() {
    for data_set in [
        DataSet::Audiomnist,
        DataSet::LibrispeechDevClean,
        DataSet::Musan,
    ] {
        let source = data_set.source().unwrap();
        assert!(source.url.starts_with("https://"), "{}", source.url);
        assert!(source.url.ends_with(".tar.gz"), "{}", source.url);
        if let Proof::Archive { sha256, .. } = &source.proof {
            let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            assert!(sha256.len() == 64 && sha256.bytes().all(digit));
        }
    }
    assert!(DataSet::Voxceleb.source().is_none());
}
