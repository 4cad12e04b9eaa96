//! Model files: safetensors with SpeechLens's metadata.

#![no_main]

use std::path::Path;

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use speechlens_models::Model;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = Model::parse(bytes, Path::new("fuzzed"), &Device::Cpu) {
        let _ = (model.loss(), model.training());
    }
});
