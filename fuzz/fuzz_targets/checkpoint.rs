//! Import of PyTorch's checkpoints: zip, legacy and safetensors.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use speechlens_models::{Checkpoint, audionet};
use speechlens_nn::Architecture;

static NETWORK: LazyLock<Architecture> = LazyLock::new(|| {
    let network = audionet::architecture(2);
    network.expect("AudioNet is well formed")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(checkpoint) = Checkpoint::parse(bytes.to_vec(), Path::new("fuzzed")) else {
        return;
    };
    for state_dict in checkpoint.state_dicts().keys() {
        let _ = checkpoint.tensors(state_dict);
    }
    let _ = checkpoint.weights(&NETWORK, None);
});
