//! The peers' side: a Python process that runs `peers.py`, and answers one line of JSON with another.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::ours::{Clip, FILTERBANK, SPECTROGRAM};
use super::rows::{Rules, Work};

const SCRIPT: &str = include_str!("peers.py");

/// A Python process. It ends with this value.
pub struct Peer {
    python: PathBuf,
    /// Where networks compute, as PyTorch calls it.
    device: String,
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it says beside its answers: warnings, or why it ended.
    said: NamedTempFile,
    _script: NamedTempFile,
}

impl Peer {
    /// Starts Python, whose networks are to compute on this device; packages are loaded when they are needed.
    pub fn start(python: &Path, device: &str) -> Result<Self> {
        let mut script = tempfile::Builder::new().suffix(".py").tempfile()?;
        script.write_all(SCRIPT.as_bytes())?;
        let said = NamedTempFile::new()?;
        let mut process = Command::new(python)
            .arg(script.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.reopen()?)
            .spawn()
            .with_context(|| {
                format!(
                    "{}: cannot be run; --peers takes a Python 3",
                    python.display()
                )
            })?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("{}: has no pipes", python.display());
        };
        Ok(Peer {
            python: python.to_owned(),
            device: device.to_owned(),
            process,
            requests,
            answers: BufReader::new(answers),
            said,
            _script: script,
        })
    }

    /// The versions of Python and of these packages.
    ///
    /// # Errors
    /// If one is not installed; the error has the line that installs it.
    pub fn versions(&mut self, packages: &[&str]) -> Result<Vec<(String, String)>> {
        let answer = self.ask(&json!({"what": "versions", "packages": packages}))?;
        let all = answer.as_object().into_iter().flatten();
        let (found, missing): (Vec<_>, Vec<_>) = all.partition(|(_, version)| version.is_string());
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|(name, _)| name.as_str()).collect();
            let python = self.python.display();
            bail!(
                "{python} lacks {}: {python} -m pip install -r tests/goldens/requirements.txt",
                names.join(" and ")
            );
        }
        let text = |(name, version): (&String, &Value)| {
            let version = version.as_str().unwrap_or_default();
            (name.clone(), version.to_owned())
        };
        Ok(found.into_iter().map(text).collect())
    }

    /// Does the work for this many seconds after one warming pass; recordings a second.
    pub fn measure(&mut self, work: Work, seconds: f64) -> Result<f64> {
        let features = |what: &str, Clip { rate, length }: Clip| json!({"what": what, "length": length, "rate": rate, "seconds": seconds});
        let request = match work {
            Work::Network(pass) => json!({
                "what": pass.what.name(), "rules": pass.what.rules().map(Rules::name), "arch": pass.network.name, "batch": pass.batch,
                "device": self.device, "threads": rayon::current_num_threads(), "seconds": seconds,
            }),
            Work::Onnx(network, batch) => json!({
                "what": "onnx", "model": network.for_peer(), "length": network.length, "batch": batch,
                "threads": rayon::current_num_threads(), "seconds": seconds,
            }),
            Work::Spectrogram => features("spectrogram", SPECTROGRAM),
            Work::Filterbank => features("filterbank", FILTERBANK),
        };
        let answer = self.ask(&request)?;
        answer["per_second"]
            .as_f64()
            .context("the peer gave no `per_second`")
    }

    /// The most memory the process ever held, in bytes, where it is known.
    pub fn peak_memory(&mut self) -> Result<Option<u64>> {
        Ok(self.ask(&json!({"what": "memory"}))?["peak"].as_u64())
    }

    /// The same after PyTorch and zennit are loaded.
    pub fn peak_memory_of_packages(&mut self) -> Result<Option<u64>> {
        Ok(self.ask(&json!({"what": "packages"}))?["peak"].as_u64())
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        let mut line = String::new();
        let sent = writeln!(self.requests, "{request}");
        let read = sent.and_then(|()| self.answers.read_line(&mut line));
        let python = self.python.display();
        if !read.is_ok_and(|length| length > 0) {
            let said = std::fs::read_to_string(self.said.path()).unwrap_or_default();
            let last = said.lines().last().unwrap_or("it said nothing");
            bail!("{python} ended before it answered: {last}");
        }
        let answer: Value = serde_json::from_str(&line)
            .with_context(|| format!("{python} did not answer in JSON: {}", line.trim()))?;
        match answer["error"].as_str() {
            Some(error) => bail!("{python}: {error}"),
            None => Ok(answer),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
