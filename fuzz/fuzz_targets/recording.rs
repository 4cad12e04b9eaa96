//! Recordings of every container that is read.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(audio) = speechlens_audio::read_bytes("fuzzed", bytes, 10.0) {
        assert!(audio.rate > 0 && audio.samples.iter().all(|sample| sample.is_finite()));
    }
});
