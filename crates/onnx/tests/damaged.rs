//! Files with a few wrong bytes: a graph or an error that names the file, and no panic.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use speechlens_onnx::Onnx;

#[test]
fn damaged_files_are_graphs_or_errors() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/goldens/onnx/ops.safetensors"
    );
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    for (name, tensor) in candle_core::safetensors::load(path, &Device::Cpu).unwrap() {
        if !name.ends_with("/model") {
            continue;
        }
        let whole: Vec<u8> = tensor.to_vec1().unwrap();
        for _ in 0..8 {
            let mut bytes = whole.clone();
            for _ in 0..rng.random_range(1..4) {
                let place = rng.random_range(0..bytes.len());
                bytes[place] = match rng.random_range(0..3) {
                    0 => rng.random(),
                    1 => bytes[place] ^ (1 << rng.random_range(0..8)),
                    _ => [0, 0x7f, 0x80, 0xff][rng.random_range(0..4)],
                };
            }
            let graph =
                Onnx::parse(bytes, Path::new("net.onnx")).and_then(|network| network.graph());
            if let Err(error) = graph {
                assert!(error.to_string().starts_with("net.onnx: "), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 500, "{refused}");
}
