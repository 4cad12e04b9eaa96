//! Composites: TOML files of rules.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use speechlens_lrp::Composite;

fuzz_target!(|text: &str| {
    let _ = Composite::parse(text, Path::new("fuzzed"));
});
