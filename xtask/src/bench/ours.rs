//! SpeechLens's side: `speechlens bench` for networks, front ends for features.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use speechlens_audio::Audio;
use speechlens_frontend::{FrontEnd, Reading};
use tempfile::NamedTempFile;

use super::rows::{Pass, Rules, Work};
use super::statistics::median;
use crate::repository;

/// Between looks at a process's memory.
const POLL: Duration = Duration::from_millis(20);
/// The recording that spectrograms are made of: 0.6 s.
pub const SPECTROGRAM: Clip = Clip {
    rate: 48_000,
    length: 28_800,
};
/// The one that filterbanks are made of: 10 s.
pub const FILTERBANK: Clip = Clip {
    rate: 16_000,
    length: 160_000,
};

/// How long a recording is.
pub struct Clip {
    /// Samples a second.
    pub rate: u32,
    /// In samples.
    pub length: usize,
}

impl Clip {
    fn noise(&self) -> Audio {
        let mut state = 1u32;
        let noise = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32 - 0.5
        };
        Audio {
            samples: (0..self.length).map(noise).collect(),
            rate: self.rate,
        }
    }
}

/// The built `speechlens`, and the rules it explains with.
pub struct Ours {
    binary: PathBuf,
    rules: Vec<(Rules, NamedTempFile)>,
}

impl Ours {
    /// Builds `speechlens` with the profile of releases; cargo does nothing where it is up to date.
    pub fn build() -> Result<Self> {
        // The folder this program was built in: TARGET/release/xtask.
        let own = std::env::current_exe()?;
        let target = own
            .ancestors()
            .nth(2)
            .with_context(|| format!("{}: stands in no target folder", own.display()))?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        // All of the workspace, as that is what a build of it left there.
        let status = Command::new(&cargo)
            .args([
                "build",
                "--release",
                "--workspace",
                "--locked",
                "--target-dir",
            ])
            .arg(target)
            .current_dir(repository::root())
            .status()
            .with_context(|| format!("{}: cannot be run", cargo.display()))?;
        ensure!(status.success(), "speechlens was not built: see above");
        let file = |rules: Rules| {
            let mut file = tempfile::Builder::new().suffix(".toml").tempfile()?;
            file.write_all(rules.composite().as_bytes())?;
            Ok((rules, file))
        };
        let rules = [Rules::Epsilon, Rules::Gamma].map(file).into_iter();
        let rules = rules.collect::<Result<_>>()?;
        let name = format!("speechlens{}", std::env::consts::EXE_SUFFIX);
        Ok(Ours {
            binary: target.join("release").join(name),
            rules,
        })
    }

    /// Does the work for this many seconds after one warming pass; recordings a second.
    pub fn measure(&self, work: Work, seconds: f64) -> Result<f64> {
        match work {
            Work::Network(pass) => self.network(pass, seconds),
            Work::Spectrogram => {
                let front_end = FrontEnd::load("thesis-spectrogram")?;
                features(&front_end, &SPECTROGRAM, seconds)
            }
            Work::Filterbank => {
                // The peer takes no mean off.
                let front_end = FrontEnd::load("fbank")?.without("normalize")?;
                features(&front_end, &FILTERBANK, seconds)
            }
        }
    }

    fn network(&self, pass: Pass, seconds: f64) -> Result<f64> {
        let output = self.command(pass, seconds).output();
        let output = output.with_context(|| self.cannot_run())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("speechlens bench: {}, {}", output.status, said.trim());
        }
        let summary: Value = serde_json::from_slice(&output.stdout)
            .context("speechlens bench did not answer in JSON")?;
        summary["per_second"]
            .as_f64()
            .context("speechlens bench gave no `per_second`")
    }

    /// The most memory that a process held which did this for so many seconds, in bytes, as Linux tells it.
    ///
    /// The system forgets it when the process ends, so it is read over and over until then; passes are alike, and the first
    /// ones reach it.
    pub fn peak_memory(&self, pass: Pass, seconds: f64) -> Result<Option<u64>> {
        let mut command = self.command(pass, seconds);
        let started = command.stdout(Stdio::null()).spawn();
        let mut process = started.with_context(|| self.cannot_run())?;
        let mut peak = None;
        let status = loop {
            peak = peak.max(high_water_mark(process.id()));
            match process.try_wait()? {
                Some(status) => break status,
                None => std::thread::sleep(POLL),
            }
        };
        ensure!(status.success(), "speechlens bench: {status}");
        Ok(peak)
    }

    fn command(&self, pass: Pass, seconds: f64) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(["bench", pass.what.name(), "--json", "--device", "cpu"])
            .args(["--arch", pass.network.name])
            .args(["--batch", &pass.batch.to_string()])
            .args(["--seconds", &seconds.to_string()]);
        let rules = self.rules.iter();
        for (_, file) in rules.filter(|(rules, _)| pass.what.rules() == Some(*rules)) {
            command.arg("--rules").arg(file.path());
        }
        command
    }

    fn cannot_run(&self) -> String {
        format!("{}: cannot be run", self.binary.display())
    }
}

/// The most memory that a running process has held so far, in bytes.
fn high_water_mark(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Features a second on one thread, of noise in memory; the median of the passes that fit in the time.
fn features(front_end: &FrontEnd, clip: &Clip, seconds: f64) -> Result<f64> {
    let noise = clip.noise();
    let pass = || front_end.compute(&noise, &Reading::default());
    let limit = Duration::try_from_secs_f64(seconds)?;
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    one.install(|| {
        pass()?;
        let (start, mut rates) = (Instant::now(), Vec::new());
        while rates.is_empty() || start.elapsed() < limit {
            let before = Instant::now();
            pass()?;
            rates.push(1.0 / before.elapsed().as_secs_f64());
        }
        Ok(median(rates))
    })
}
