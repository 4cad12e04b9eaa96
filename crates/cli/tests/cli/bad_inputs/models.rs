//! Model files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use ndarray::Array1;
use speechlens_models::Model;
use speechlens_nn::tensor_file;

use super::expect;
use crate::support::{Folder, model, spectrogram, waveform_model};

/// A safetensors file with this header.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn models() {
    let folder = Folder::new();
    folder.npy("a.npy", &Array1::<f32>::zeros(8000));
    folder.write("endless.safetensors", [&[0xff; 8][..], b"{}"].concat());
    folder.write(
        "claims.safetensors",
        [&[0, 0, 0, 5, 0, 0, 0, 0][..], b"{}"].concat(),
    );
    let tensor = |dtype: &str, shape: &str, start: u64, end: u64| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}}}"#)
    };
    for (name, header) in [
        ("past", tensor("F32", "[2]", 0, 8)),
        ("backwards", tensor("F32", "[2]", 8, 0)),
        ("offsets", tensor("F32", "[2]", u64::MAX - 7, u64::MAX)),
        ("product", tensor("F32", "[4294967296,4294967296,0]", 0, 0)),
        ("sizes", tensor("F32", "[-1]", 0, 0)),
        ("type", tensor("F33", "[1]", 0, 4)),
        ("nested", "[".repeat(100_000)),
        ("json", "{\"a\":".to_owned()),
    ] {
        folder.write(
            &format!("{name}.safetensors"),
            safetensors(&header, &[0; 4]),
        );
    }
    folder.write(
        "utf8.safetensors",
        [&2u64.to_le_bytes()[..], &[b'{', 0xff]].concat(),
    );
    folder.write("pickle.safetensors", b"\x80\x02cos\nsystem\nU\x04trueR.");
    folder.write("store.safetensors", b"\x89HDF\r\n\x1a\n\x00\x00\x00\x00");

    let whole = Model::load(Path::new(waveform_model()), &Device::Cpu).unwrap();
    let weights = whole.graph.weights();
    let write = |name: &str, weights: &BTreeMap<String, Tensor>, metadata: &[(&str, &str)]| {
        let mut all = BTreeMap::from([("arch", "audionet"), ("classes", r#"["a","b"]"#)]);
        all.extend(metadata.iter().copied());
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let metadata = all.into_iter().map(owned).collect();
        tensor_file::write(&folder.path(name), weights, &metadata).unwrap();
    };
    let changed = |change: &dyn Fn(&Tensor) -> Tensor| {
        let mut weights = weights.clone();
        let last = weights.last_entry().unwrap().into_mut();
        *last = change(last);
        weights
    };
    write("other.safetensors", &weights, &[("arch", "alexnet")]);
    write(
        "three.safetensors",
        &weights,
        &[("classes", r#"["a","b","c"]"#)],
    );
    write("number.safetensors", &weights, &[("classes", "[1,2]")]);
    write("reads.safetensors", &weights, &[("features", "smell")]);
    write(
        "mismatch.safetensors",
        &weights,
        &[("features", "spectrogram")],
    );
    let nan = |weight: &Tensor| (weight * f64::NAN).unwrap();
    write("nan.safetensors", &changed(&nan), &[]);
    let integers = |weight: &Tensor| weight.to_dtype(candle_core::DType::I64).unwrap();
    write("integers.safetensors", &changed(&integers), &[]);
    let again: &[&str] = &["not a whole safetensors file", "again"];
    expect(
        &folder,
        &["predict", "FILE", "a.npy"],
        &[
            ("endless.safetensors", again),
            ("claims.safetensors", again),
            ("past.safetensors", again),
            ("backwards.safetensors", again),
            ("offsets.safetensors", again),
            ("product.safetensors", again),
            ("sizes.safetensors", again),
            ("type.safetensors", again),
            ("nested.safetensors", again),
            ("json.safetensors", again),
            ("utf8.safetensors", again),
            ("pickle.safetensors", again),
            ("store.safetensors", again),
            (
                "other.safetensors",
                &["weights do not fit", "speechlens import"],
            ),
            (
                "three.safetensors",
                &["weights do not fit", "speechlens import"],
            ),
            ("number.safetensors", &["classes", "list of names"]),
            ("reads.safetensors", &["`smell`", "waveform"]),
            (
                "mismatch.safetensors",
                &["audionet", "spectrogram", "speechlens train"],
            ),
            ("nan.safetensors", &["not finite"]),
            (
                "integers.safetensors",
                &["of i64, not f32", "speechlens import"],
            ),
        ],
    );
    write("crop.safetensors", &weights, &[("arch", "audionet")]);
    let alexnet = Model::load(Path::new(model()), &Device::Cpu).unwrap();
    let weights = alexnet.graph.weights();
    let crop = [
        ("arch", "alexnet"),
        ("classes", "[\"a\",\"b\"]"),
        ("crop", "square"),
    ];
    write("crop.safetensors", &weights, &crop);
    drop(alexnet);
    folder.npy("spectrogram.npy", &spectrogram(0));
    expect(
        &folder,
        &["predict", "FILE", "spectrogram.npy"],
        &[("crop.safetensors", &["`square`", "audiomnist"])],
    );
}
