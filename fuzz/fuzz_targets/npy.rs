//! NumPy's `.npy` files.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use speechlens_report::npy;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = npy::parse(bytes, Path::new("fuzzed")) {
        assert!(array.len() <= bytes.len());
    }
});
