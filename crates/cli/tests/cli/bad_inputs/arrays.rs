//! Arrays of features.

use super::expect;
use crate::support::{Folder, waveform_model};

/// A `.npy` file of version 2.
fn npy(header: &str, numbers: &[u8]) -> Vec<u8> {
    let length = (header.len() as u32).to_le_bytes();
    [
        b"\x93NUMPY\x02\x00",
        &length[..],
        header.as_bytes(),
        numbers,
    ]
    .concat()
}

#[test]
fn arrays() {
    let folder = Folder::new();
    let of = |descr: &str, shape: &str, numbers: &[u8]| {
        let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
        npy(&header, numbers)
    };
    folder.write("large.npy", of("'<f4'", "(1000000000000,)", &[0; 64]));
    folder.write(
        "overflow.npy",
        of("'<f4'", "(4294967296, 4294967296)", &[0; 64]),
    );
    folder.write("nothing.npy", of("'<f4'", "(0,)", &[]));
    folder.write("scalar.npy", of("'<f4'", "()", &[0; 4]));
    folder.write("deep.npy", of("'<f4'", "(1, 1, 1, 8000)", &[0; 32000]));
    folder.write("longer.npy", of("'<f4'", "(8001,)", &[0; 32004]));
    folder.write("text.npy", of("'<U5'", "(8000,)", &[0; 160_000]));
    folder.write(
        "object.npy",
        of("'|O'", "(8000,)", b"\x80\x04cos\nsystem\n"),
    );
    folder.write("record.npy", of("[('a', '<f4')]", "(8000,)", &[0; 32000]));
    let infinite = [f32::INFINITY.to_le_bytes(); 8000].concat();
    folder.write("infinite.npy", of("'<f4'", "(8000,)", &infinite));
    let mut header = npy("{}", &[]);
    header[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    folder.write("header.npy", header);
    folder.write("braces.npy", npy(&"{".repeat(1000), &[]));
    folder.write("archive.npy", b"PK\x03\x04\x14\x00\x00\x00");
    let shape: &[&str] = &["[8000]", "speechlens features thesis-waveform"];
    let whole: &[&str] = &["not a whole .npy file", "numpy.save"];
    let numbers: &[&str] = &["neither f32 nor f64", "numpy.save"];
    expect(
        &folder,
        &["predict", waveform_model(), "FILE"],
        &[
            ("large.npy", whole),
            ("overflow.npy", whole),
            ("nothing.npy", shape),
            ("scalar.npy", shape),
            ("deep.npy", shape),
            ("longer.npy", shape),
            ("text.npy", numbers),
            ("object.npy", numbers),
            ("record.npy", whole),
            ("infinite.npy", &["not finite", "numpy.save"]),
            ("header.npy", whole),
            ("braces.npy", whole),
            ("archive.npy", whole),
        ],
    );
}
