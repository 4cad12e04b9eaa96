//! The options of every subcommand.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use tracing_subscriber::EnvFilter;

const HEADING: &str = "Options of every subcommand";

/// The options of every subcommand.
#[derive(clap::Args)]
pub struct Common {
    /// Where to compute: auto (the first CUDA device, or else the CPU), cpu, or cuda:N.
    #[arg(long, global = true, help_heading = HEADING, default_value = "auto", value_parser = device_name, value_name = "DEVICE")]
    device: String,
    /// Let matrix products in f32 on a GPU round their factors to TensorFloat-32, with 10 bits of 23: faster and less exact.
    #[arg(long, global = true, help_heading = HEADING)]
    tf32: bool,
    /// Decides every random choice: the same seed gives the same result.
    #[arg(long, global = true, help_heading = HEADING, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Say more: -v what is done, -vv details.
    #[arg(short, long, global = true, help_heading = HEADING, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show no progress and no messages but errors.
    #[arg(long, global = true, help_heading = HEADING, conflicts_with = "verbose")]
    pub quiet: bool,
}

impl Common {
    /// The device asked for.
    pub fn device(&self) -> Result<Device> {
        speechlens_nn::allow_tf32(self.tf32);
        Ok(speechlens_nn::device(&self.device)?)
    }

    /// Sends messages to standard error, as many as asked for.
    pub fn log(&self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => "error",
            (_, 0) => "warn",
            (_, 1) => "info",
            _ => "debug",
        };
        let filter = EnvFilter::new(format!("off,speechlens={level}"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .without_time()
            .init();
    }
}

fn device_name(name: &str) -> Result<String, String> {
    let number = |number: &str| number.parse::<usize>().is_ok();
    match name == "auto" || name == "cpu" || name.strip_prefix("cuda:").is_some_and(number) {
        true => Ok(name.to_owned()),
        false => Err("say auto, cpu or cuda:N".into()),
    }
}

/// An error and its causes. Many an error tells its cause itself: that is not said twice.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.contains(&cause) {
            let colon = if message.is_empty() { "" } else { ": " };
            message = message + colon + &cause;
        }
    }
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    lines.join(" ")
}

/// The error, with the model's name where the network is to blame.
pub fn of_model(model: &Path, error: speechlens_explain::Error) -> anyhow::Error {
    match &error {
        speechlens_explain::Error::NotFinite(_)
        | speechlens_explain::Error::Attribution(_)
        | speechlens_explain::Error::Network(_) => {
            anyhow::Error::from(error).context(model.display().to_string())
        }
        _ => error.into(),
    }
}

/// A count of at least one.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("say a whole number of at least 1".into()),
    }
}

/// A share in percent.
pub fn percentage(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("say a number from 0 to 100".into()),
    }
}

/// Fails now rather than after hours of work if a file cannot be written. Makes its folder.
pub fn check_writable(file: &Path) -> Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder))
        .with_context(|| {
            format!(
                "{}: cannot be written; check the folder and its permissions",
                file.display()
            )
        })?;
    ensure!(
        !file.is_dir(),
        "{}: is a folder; give the name of a file",
        file.display()
    );
    // What is written takes the place of what is there.
    ensure!(
        !file.exists() || file.is_file(),
        "{}: is no file but a device or the like, which would be gone; give the name of a file",
        file.display()
    );
    Ok(())
}
