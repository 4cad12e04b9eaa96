//! A file over HTTP: tried again when the network fails, and gone on with where it was cut off.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use speechlens_report::progress;
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode};

use super::Options;
use super::part::Part;
use super::pump::pump;
use super::sources::Source;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a try ended early.
enum Stop {
    /// The network or the server, which may do better next time.
    Passing(String),
    /// Nothing that trying again would mend.
    Final(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Final(error)
    }
}

/// Completes `part` with what the source's address gives. What has arrived stays in it whatever happens.
///
/// # Errors
/// If the server refuses, or has another file than the source describes, or the network fails `options.tries` times without a
/// new byte, or the disk refuses.
pub fn download(source: &Source, part: &mut Part, options: &Options) -> Result<()> {
    let agent = agent(source, options.patience);
    let bar = progress::bytes("downloading", source.proof.bytes(), options.quiet);
    let mut furthest = part.length()?;
    let mut tries = 0;
    loop {
        let reason = match attempt(&agent, source, part, &bar) {
            Ok(()) => {
                bar.finish_and_clear();
                return Ok(());
            }
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Passing(reason)) => reason,
        };
        let length = part.length()?;
        if length > furthest {
            (furthest, tries) = (length, 0);
        }
        tries += 1;
        if tries >= options.tries {
            return Err(anyhow!(
                "{}: {reason}; gave up after {tries} tries without progress; what has arrived is kept: run this again to go on",
                source.url
            ));
        }
        let pause = options.pause * 2_u32.saturating_pow(tries - 1);
        let pause = pause.min(LONGEST_PAUSE);
        bar.set_message(format!("{reason}; again in {} s", pause.as_secs()));
        thread::sleep(pause);
        bar.set_message("");
    }
}

fn agent(source: &Source, patience: Duration) -> Agent {
    let config = Agent::config_builder()
        // A redirect may not lead out of what was secure.
        .https_only(source.url.starts_with("https:"))
        .http_status_as_error(false)
        .user_agent(concat!("speechlens/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(patience))
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        // Not for the whole body: how long that takes, nobody knows.
        .timeout_per_read(Some(patience))
        .build();
    Agent::new_with_config(config)
}

/// One request, which goes on where `part` ends.
fn attempt(
    agent: &Agent,
    source: &Source,
    part: &mut Part,
    bar: &progress::ProgressBar,
) -> Result<(), Stop> {
    let exact = source.proof.exact();
    let mut have = part.length()?;
    if exact.is_some_and(|bytes| have > bytes) {
        part.clear()?;
        have = 0;
    }
    if exact == Some(have) {
        return Ok(());
    }

    let mut request = agent.get(&source.url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| refused(source, error))?;
    let headers = response.headers();
    match response.status() {
        // The whole file, asked for or not: a server need not heed a range.
        StatusCode::OK => {
            let length = number(headers, "Content-Length");
            check_size(source, length)?;
            if let Some(length) = length {
                bar.set_length(length);
            }
            if have > 0 {
                part.clear()?;
                have = 0;
            }
        }
        StatusCode::PARTIAL_CONTENT => {
            let range = content_range(headers);
            check_size(source, range.and_then(|range| range.total))?;
            if range.and_then(|range| range.first) != Some(have) {
                part.clear()?;
                let reason = "the server went on at another place than asked; starting afresh";
                return Err(Stop::Passing(reason.into()));
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
            let total = content_range(headers).and_then(|range| range.total);
            check_size(source, total)?;
            // There is nothing behind the end.
            if exact.is_none() && total == Some(have) {
                return Ok(());
            }
            part.clear()?;
            let reason = "the server's file ends before what was kept of it; starting afresh";
            return Err(Stop::Passing(reason.into()));
        }
        status
            if status.is_server_error()
                || status == StatusCode::REQUEST_TIMEOUT
                || status == StatusCode::TOO_MANY_REQUESTS =>
        {
            return Err(Stop::Passing(format!("the server says {status}")));
        }
        status => {
            return Err(Stop::Final(anyhow!(
                "{}: the server says {status}; open the address in a browser to see whether the file has moved",
                source.url
            )));
        }
    }

    bar.set_position(have);
    bar.reset_eta();
    let mut body = response.into_body().into_reader();
    pump(&mut body, lost, |bytes| {
        let length = bytes.len() as u64;
        if have + length > source.proof.most() {
            let most = source.proof.most();
            let finding = format!("goes on after {most} bytes, where it should have ended");
            return Err(other_file(source, &finding));
        }
        part.append(bytes)?;
        have += length;
        bar.inc(length);
        Ok(())
    })?;
    match exact {
        Some(bytes) if have < bytes => {
            let reason = format!("the connection ended after {have} of {bytes} bytes");
            Err(Stop::Passing(reason))
        }
        _ => Ok(()),
    }
}

/// A header that is a number.
fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Which bytes come, of how many: `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`.
#[derive(Clone, Copy)]
struct ContentRange {
    first: Option<u64>,
    total: Option<u64>,
}

fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let text = headers.get("Content-Range")?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split('-').next().and_then(|first| first.parse().ok());
    Some(ContentRange {
        first,
        total: total.parse().ok(),
    })
}

/// Before anything that was kept is given up for a file that is not the right one.
fn check_size(source: &Source, total: Option<u64>) -> Result<(), Stop> {
    match (source.proof.exact(), total) {
        (Some(bytes), Some(total)) if bytes != total => {
            let finding = format!("has {total} bytes, where {bytes} are expected");
            Err(other_file(source, &finding))
        }
        _ => Ok(()),
    }
}

fn other_file(source: &Source, finding: &str) -> Stop {
    Stop::Final(anyhow!(
        "{}: the server's file {finding}; either it was replaced, or something on the way answers in the server's place: open \
         the address in a browser to see",
        source.url
    ))
}

/// What an error before the body means.
fn refused(source: &Source, error: ureq::Error) -> Stop {
    use ureq::Error::{BadUri, InvalidProxyUrl, RequireHttpsOnly, Rustls, Tls, TooManyRedirects};
    match error {
        TooManyRedirects => Stop::Final(anyhow!(
            "{}: the server redirects in circles; open the address in a browser to see whether the file has moved",
            source.url
        )),
        BadUri(_) | InvalidProxyUrl | RequireHttpsOnly(_) | Rustls(_) | Tls(_) => {
            Stop::Final(Error::new(error).context(source.url.clone()))
        }
        // A certificate that is not the server's.
        ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            Stop::Final(Error::new(error).context(source.url.clone()))
        }
        error => Stop::Passing(reason(&error)),
    }
}

/// What an error in the body means.
fn lost(error: io::Error) -> Stop {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    Stop::Passing(inner.map_or_else(|| error.to_string(), reason))
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "the server does not answer in time".into(),
        ureq::Error::HostNotFound => "the server is not found; is the network up?".into(),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
