//! The command line as scripts and people use it: the binary runs, and what it writes is read back.

#![allow(clippy::unwrap_used)]

mod augment;
mod bad_inputs;
mod bench;
mod corpora;
mod crash;
mod explain;
mod features;
mod filterbank;
mod flip;
mod foreign;
mod help;
mod import;
mod inspect;
mod many_inputs;
mod mistakes;
mod no_answer;
mod predict;
mod search;
mod support;
mod tasks;
mod train;
mod waveform;
