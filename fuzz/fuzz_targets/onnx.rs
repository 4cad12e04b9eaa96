//! ONNX files, as far as their graphs: what depends on constants alone is computed.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use speechlens_onnx::Onnx;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(network) = Onnx::parse(bytes.to_vec(), Path::new("fuzzed")) {
        let _ = (network.inputs(), network.outputs(), network.parameters(), network.graph());
    }
});
