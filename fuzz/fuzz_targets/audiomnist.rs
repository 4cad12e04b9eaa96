//! AudioMNIST: its table of speakers, which is the input up to the first NUL, and the names of its files, which follow.

#![no_main]

use libfuzzer_sys::fuzz_target;
use speechlens_data::{Corpus, audiomnist};

mod folder;

fuzz_target!(|bytes: &[u8]| {
    folder::with("audioMNIST_meta.txt", bytes, |folder| {
        if let Ok(corpus) = audiomnist::open(folder) {
            let _ = corpus.fingerprint(0);
        }
    });
});
