//! See what an audio network listens to.

fn main() {}
