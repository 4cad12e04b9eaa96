//! VoxCeleb: a table of speakers, which is the input up to the first NUL, and the names of its files, which follow.

#![no_main]

use libfuzzer_sys::fuzz_target;
use speechlens_data::{Corpus, voxceleb};

mod folder;

fuzz_target!(|bytes: &[u8]| {
    folder::with("vox1_meta.csv", bytes, |folder| {
        if let Ok(corpus) = voxceleb::open(folder) {
            let _ = corpus.fingerprint(0);
        }
    });
});
