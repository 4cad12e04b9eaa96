//! `cargo xtask reproduce`: the experiments, into `target/reproduce/<run>/`.

use anyhow::Result;
pub use speechlens_experiments::Arguments;

use crate::repository;

/// Runs the experiments that are asked for.
pub fn run(arguments: &Arguments) -> Result<()> {
    let root = repository::root().join("target/reproduce");
    let own = std::env::args().skip(1);
    let command: Vec<String> = ["cargo", "xtask"]
        .map(str::to_owned)
        .into_iter()
        .chain(own)
        .collect();
    speechlens_experiments::run(arguments, &root, &repository::commit(), &command)
}
