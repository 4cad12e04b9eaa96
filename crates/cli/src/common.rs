//! The options of every subcommand.

use anyhow::Result;
use candle_core::Device;
use tracing_subscriber::EnvFilter;

/// The options of every subcommand.
#[derive(clap::Args)]
pub struct Common {
    /// Where to compute: auto (the first CUDA device, or else the CPU), cpu, or cuda:N.
    #[arg(long, global = true, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// Decides every random choice: the same seed gives the same result.
    #[arg(long, global = true, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Say more: -v what is done, -vv details.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show no progress and no messages but errors.
    #[arg(long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

impl Common {
    /// The device asked for.
    pub fn device(&self) -> Result<Device> {
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
            .without_time()
            .init();
    }
}
