//! SpeechLens's side: `speechlens bench` for networks, front ends for features.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use serde_json::Value;
use speechlens_audio::{Audio, write_wav};
use speechlens_frontend::{FrontEnd, Reading};
use speechlens_models::{Model, Network};
use tempfile::{NamedTempFile, TempDir};

use super::onnx::{Onnx, Origin};
use super::operations::CLASSES;
use super::rows::{Pass, Rules, What, Work};
use super::statistics::median;
use crate::repository;

/// Between looks at a process's memory.
const POLL: Duration = Duration::from_millis(1);
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
    /// What was imported.
    models: TempDir,
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
            models: tempfile::tempdir()?,
        })
    }

    /// Does the work for this many seconds after one warming pass; recordings a second.
    pub fn measure(&self, work: Work, seconds: f64) -> Result<f64> {
        match work {
            Work::Network(pass) => self.rate(&mut self.command(pass, seconds)),
            Work::Onnx(network, batch) => self.onnx(network, batch, seconds),
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

    fn onnx(&self, network: &Onnx, batch: usize, seconds: f64) -> Result<f64> {
        let mut command = self.bench(What::Forward, batch, seconds);
        command.args(["--length", &network.length.to_string()]);
        match network.origin {
            Origin::Exported(network) => command.args(["--arch", network.name]),
            Origin::File(_, arguments) => command.arg(self.imported(network, arguments)?),
        };
        self.rate(&mut command)
    }

    /// The file's model, imported when it is first asked for.
    fn imported(&self, network: &Onnx, arguments: &[&str]) -> Result<PathBuf> {
        let model = self
            .models
            .path()
            .join(format!("{}.safetensors", network.name));
        if !model.exists() {
            let mut command = Command::new(&self.binary);
            command
                .arg("import")
                .arg(network.file().unwrap_or_default());
            command.arg("-o").arg(&model).args(arguments);
            self.output(&mut command)?;
        }
        Ok(model)
    }

    /// What `speechlens bench` measures.
    fn rate(&self, command: &mut Command) -> Result<f64> {
        let summary: Value = serde_json::from_slice(&self.output(command)?)
            .context("speechlens bench did not answer in JSON")?;
        summary["per_second"]
            .as_f64()
            .context("speechlens bench gave no `per_second`")
    }

    fn output(&self, command: &mut Command) -> Result<Vec<u8>> {
        let output = command.output().with_context(|| self.cannot_run())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("speechlens: {}, {}", output.status, said.trim());
        }
        Ok(output.stdout)
    }

    /// The most memory that a process held which did this for so many seconds, in bytes, as Linux tells it.
    ///
    /// The system forgets it when the process ends, so it is read over and over until then; passes are alike, and the first
    /// ones reach it.
    pub fn peak_memory(&self, pass: Pass, seconds: f64) -> Result<Option<u64>> {
        self.peak_of(&mut self.command(pass, seconds))
    }

    /// The same of `speechlens predict` with a recording and a network of this architecture, and the size of its weights.
    pub fn predicting(&self, network: &Network) -> Result<(Option<u64>, u64)> {
        let graph = network.architecture(CLASSES)?.random(1, &Device::Cpu)?;
        let classes = (0..CLASSES).map(|class| class.to_string()).collect();
        let folder = self.models.path();
        let (model, recording) = (folder.join("model.safetensors"), folder.join("noise.wav"));
        Model::of(network, graph, classes)?.save(&model)?;
        write_wav(&recording, &SPECTROGRAM.noise())?;
        let mut command = Command::new(&self.binary);
        command.args(["predict", "--device", "cpu"]);
        let peak = self.peak_of(command.arg(&model).arg(&recording))?;
        Ok((peak, model.metadata()?.len()))
    }

    fn peak_of(&self, command: &mut Command) -> Result<Option<u64>> {
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
        ensure!(status.success(), "speechlens: {status}");
        Ok(peak)
    }

    fn command(&self, pass: Pass, seconds: f64) -> Command {
        let mut command = self.bench(pass.what, pass.batch, seconds);
        command.args(["--arch", pass.network.name]);
        let rules = self.rules.iter();
        for (_, file) in rules.filter(|(rules, _)| pass.what.rules() == Some(*rules)) {
            command.arg("--rules").arg(file.path());
        }
        command
    }

    /// `speechlens bench`, but for the network.
    fn bench(&self, what: What, batch: usize, seconds: f64) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(["bench", what.name(), "--json", "--device", "cpu"])
            .args(["--batch", &batch.to_string()])
            .args(["--seconds", &seconds.to_string()]);
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
