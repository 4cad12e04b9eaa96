//! Repeats every experiment of the thesis.

fn main() {}
