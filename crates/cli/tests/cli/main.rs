//! The command line as scripts and people use it: the binary runs, and what it writes is read back.

#![allow(clippy::unwrap_used)]

mod bench;
mod explain;
mod features;
mod flip;
mod help;
mod mistakes;
mod predict;
mod support;
mod train;
