//! Against a server on this machine that misbehaves in every way that servers do, and archives that mean harm.

mod archives;
mod catalogue;
mod disk;
mod servers;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::sources::{Proof, Source};
use super::{Options, Outcome, fetch};

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
