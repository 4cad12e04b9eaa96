//! Servers that misbehave in every way that servers do.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::{
    Request, Server, archive, fails, is_whole, length, names, options, send, send_until,
    send_whole, sha256, source, succeeds,
};
use crate::fetch::{Outcome, fetch};

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
