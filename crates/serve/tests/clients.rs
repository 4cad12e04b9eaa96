//! Many clients at a time: each gets a result or a plain "busy", and memory stays bounded.
//!
//! For as many seconds as `SPEECHLENS_CLIENT_SECONDS` says, or five.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use speechlens_serve::Limits;

mod support;

use support::{agent, post, start, wav};

const CLIENTS: usize = 32;

/// The most memory this process has held, in MB; nothing where the system does not tell.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? / 1024)
}

#[test]
fn every_request_is_answered() {
    let address = start(Limits::default());
    let seconds = std::env::var("SPEECHLENS_CLIENT_SECONDS");
    let seconds = seconds.map_or(5, |seconds| seconds.parse().expect("a number of seconds"));
    let url = format!("http://{address}/explain?name=voice.wav&ways=gradient,lrp");
    let body = wav(6000);
    // What one explanation takes does not count.
    let (status, text) = post(&agent(), &url, &body);
    assert_eq!(status, 200, "{text}");
    let before = peak();
    let (results, busy) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (url, body, results, busy) = (&url, &body, &results, &busy);
            scope.spawn(move || {
                let agent = agent();
                // Every fourth sends as much as is taken.
                let large = vec![0; 19_000_000];
                while begun.elapsed() < Duration::from_secs(seconds) {
                    let body = if client % 4 == 3 { &large } else { body };
                    match post(&agent, url, body) {
                        (200, text) => {
                            assert!(text.starts_with("{\"title\":"), "{text}");
                            results.fetch_add(1, Ordering::Relaxed);
                        }
                        (422, text) => {
                            assert!(text.contains("not a recording"), "{text}");
                            results.fetch_add(1, Ordering::Relaxed);
                        }
                        (503, text) => {
                            assert!(text.contains("busy"), "{text}");
                            busy.fetch_add(1, Ordering::Relaxed);
                        }
                        (status, text) => panic!("{status}: {text}"),
                    }
                }
            });
        }
    });
    let (results, busy) = (results.into_inner(), busy.into_inner());
    // An answer takes some thirty passes: its explanations, and the tests of what they are worth.
    assert!(results > CLIENTS / 8, "{results} results, {busy} busy");
    assert!(
        busy > 0,
        "32 clients and a queue of 8, but nobody had to come again"
    );
    if let (Some(before), Some(after)) = (before, peak()) {
        println!(
            "{seconds} s: {results} results, {busy} busy, {before} MB before, {after} MB at most"
        );
        // The clients' own large bodies, eight that the server holds, and as much again for the buffers between them.
        assert!(
            after - before < 1000,
            "{before} MB before, {after} MB after"
        );
    }
}

#[test]
fn a_slow_upload_gives_its_place_away() {
    use std::io::{Read, Write};
    let limits = Limits {
        queue: 1,
        patience: Duration::from_millis(500),
        ..Limits::default()
    };
    let address = start(limits);
    let url = format!("http://{address}/explain?name=voice.wav");
    let mut slow = std::net::TcpStream::connect(address).expect("connected");
    let head = format!("POST /explain HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000\r\n\r\n");
    slow.write_all(head.as_bytes()).expect("sent");
    slow.write_all(b"RIFF").expect("sent");
    std::thread::sleep(Duration::from_millis(100));
    let (status, text) = post(&agent(), &url, &wav(6000));
    assert_eq!(status, 503, "{text}");
    std::thread::sleep(Duration::from_millis(600));
    let (status, text) = post(&agent(), &url, &wav(6000));
    assert_eq!(status, 200, "{text}");
    slow.set_read_timeout(Some(Duration::from_secs(5)))
        .expect("set");
    let mut answer = [0; 500];
    let length = slow.read(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn other_sites_are_kept_out_and_no_path_gets_out() {
    let address = start(Limits::default());
    let agent = agent();
    let get = |path: &str, header: (&str, &str)| {
        let request = agent.get(format!("http://{address}{path}"));
        let mut answer = request
            .header(header.0, header.1)
            .call()
            .expect("an answer");
        let policy = answer.headers().get("content-security-policy");
        let policy = policy.map(|policy| policy.to_str().expect("text").to_owned());
        assert!(
            policy
                .is_some_and(|policy| policy.starts_with("default-src 'none'; script-src 'self'"))
        );
        (
            answer.status().as_u16(),
            answer.body_mut().read_to_string().expect("text"),
        )
    };
    let own = format!("http://{address}");
    assert_eq!(get("/", ("Accept", "text/html")).0, 200);
    assert_eq!(get("/model", ("Origin", &own)).0, 200);
    assert_eq!(get("/model", ("Origin", "http://evil.example")).0, 403);
    assert_eq!(get("/", ("Host", "evil.example")).0, 403);
    assert_eq!(get("/", ("Host", "localhost")).0, 200);
    assert_eq!(get("/etc/passwd", ("Accept", "*/*")).0, 404);
    for ways in [
        "lrp:/etc/passwd",
        "lrp:../x.toml",
        "nothing",
        "lrp,lrp,lrp,lrp,lrp",
    ] {
        let url = format!("http://{address}/explain?ways={ways}&name=/home/me/voice.wav");
        let (status, text) = post(&agent, &url, &wav(6000));
        assert_eq!(status, 422, "{text}");
        assert!(
            !text.contains("/home") && !text.contains("os error"),
            "{text}"
        );
    }
    let url = format!("http://{address}/explain?name=/home/me/voice.wav");
    let (status, text) = post(&agent, &url, b"RIFF nonsense");
    assert_eq!(status, 422, "{text}");
    assert!(
        text.contains("voice.wav: ") && !text.contains("/home"),
        "{text}"
    );
}
