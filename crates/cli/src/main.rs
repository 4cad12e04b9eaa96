//! `speechlens`: see what an audio network listens to.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod common;
mod data;
mod evaluate;
mod explain;
mod features;
mod input;
mod predict;
mod train;

use common::Common;

/// See what an audio network listens to: features, training, explanations, and whether these are true.
#[derive(Parser)]
#[command(name = "speechlens", version, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Turn a recording into what networks read.
    Features(features::Arguments),
    /// Train a network on recordings.
    Train(train::Arguments),
    /// Classify recordings.
    Predict(predict::Arguments),
    /// Show which parts of a recording speak for a class, and which against it.
    Explain(explain::Arguments),
    /// Measure whether explanations are true.
    Evaluate(evaluate::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.common.log();
    let common = &arguments.common;
    let result = match &arguments.command {
        Command::Features(arguments) => features::run(arguments),
        Command::Train(arguments) => train::run(arguments, common),
        Command::Predict(arguments) => predict::run(arguments, common),
        Command::Explain(arguments) => explain::run(arguments, common),
        Command::Evaluate(arguments) => evaluate::run(arguments, common),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever the causes say.
            eprintln!(
                "error: {}",
                format!("{error:#}")
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            );
            ExitCode::FAILURE
        }
    }
}
