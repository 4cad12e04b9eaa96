//! PyTorch's checkpoints.

use std::io::Write;

use super::expect;
use crate::support::{Folder, speaker_model};

/// A zip archive of stored entries.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(&mut bytes));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

/// A pickled state dict of one tensor, which is called as a layer's is, at an offset in a storage, of a size and a stride, all as pickled numbers.
fn state_dict(offset: &str, size: &str, stride: &str) -> Vec<u8> {
    let text = |text: &str| {
        [
            b"X",
            &(text.len() as u32).to_le_bytes()[..],
            text.as_bytes(),
        ]
        .concat()
    };
    let number = |hex: &str| {
        let bytes: Vec<u8> = (0..8)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        [&[0x8a, 8][..], &bytes].concat()
    };
    [
        b"\x80\x02}(".to_vec(),
        text("features.0.weight"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        b"K\x04tQ".to_vec(),
        number(offset),
        number(size),
        b"\x85".to_vec(),
        number(stride),
        b"\x85\x89}tRu.".to_vec(),
    ]
    .concat()
}

#[test]
fn checkpoints() {
    let folder = Folder::new();
    let system = b"\x80\x02cos\nsystem\nX\x10\x00\x00\x00touch it-was-run\x85R.";
    folder.write("call.pt", system);
    let archive = |pickle: &[u8]| zip(&[("a/data.pkl", pickle), ("a/data/0", &[0; 16])]);
    folder.write("calls.pt", archive(system));
    let (none, one, four) = ("0000000000000000", "0100000000000000", "0400000000000000");
    let (most, half) = ("ffffffffffffff7f", "0000000000000020");
    // It is read, if its name were right.
    folder.write("small.pt", archive(&state_dict(none, four, one)));
    folder.write("size.pt", archive(&state_dict(none, most, one)));
    folder.write("bytes.pt", archive(&state_dict(none, half, none)));
    folder.write("offset.pt", archive(&state_dict(most, four, one)));
    folder.write("stride.pt", archive(&state_dict(none, four, most)));
    folder.write("beyond.pt", archive(&state_dict(one, four, one)));
    let good = state_dict(none, four, one);
    folder.write("without.pt", zip(&[("a/data.pkl", &good)]));
    folder.write("short.pt", archive(&good[..good.len() / 2]));
    folder.write("files.pt", zip(&[("a.txt", b"a"), ("b.txt", b"b")]));
    let whole = archive(&good);
    folder.write("cut.pt", &whole[..whole.len() - 30]);
    let mut damaged = whole.clone();
    let place = damaged.windows(6).position(|w| w == b"weight").unwrap();
    damaged[place] ^= 1;
    folder.write("checksum.pt", &damaged);
    // What the archive's directory says of the size of its first entry.
    let mut bomb = whole.clone();
    let place = bomb.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bomb[place + 20..place + 28].fill(0xfe);
    folder.write("bomb.pt", &bomb);
    let deep = [
        b"\x80\x02".to_vec(),
        b"(".repeat(200_000),
        b"t".repeat(200_000),
        b".".to_vec(),
    ];
    folder.write("deep.pt", archive(&deep.concat()));
    let mut doubled = b"\x80\x02)".to_vec();
    for _ in 0..100 {
        doubled.extend(b"q\x00h\x00h\x00\x86");
    }
    doubled.push(b'.');
    folder.write("doubled.pt", archive(&doubled));
    let text = [&b"\x80\x02X\xff\xff\xff\xff"[..], b"a."].concat();
    folder.write("text.pt", archive(&text));
    let goldens = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/goldens/checkpoints/"
    );
    let legacy = std::fs::read(format!("{goldens}plain.legacy.pt")).unwrap();
    folder.write("legacy.pt", &legacy[..legacy.len() - 9]);
    std::fs::copy(format!("{goldens}script.pt"), folder.path("script.pt")).unwrap();
    std::fs::copy(format!("{goldens}whole.zip.pt"), folder.path("module.pt")).unwrap();
    std::fs::copy(speaker_model(), folder.path("resnet.safetensors")).unwrap();
    let save: &[&str] = &["torch.save"];
    let again: &[&str] = &["again"];
    let import = [
        "import",
        "--arch",
        "audionet",
        "FILE",
        "-o",
        "new/m.safetensors",
    ];
    expect(
        &folder,
        &import,
        &[
            ("call.pt", save),
            ("calls.pt", save),
            ("small.pt", &["weights do not fit", "`features.0.weight`"]),
            ("size.pt", again),
            ("bytes.pt", again),
            (
                "offset.pt",
                &["`features.0.weight` reaches beyond", "again"],
            ),
            (
                "stride.pt",
                &["`features.0.weight` reaches beyond", "again"],
            ),
            (
                "beyond.pt",
                &["`features.0.weight` reaches beyond", "again"],
            ),
            ("without.pt", &["data/0", "again"]),
            ("short.pt", &["truncated", "again"]),
            ("files.pt", save),
            ("cut.pt", again),
            ("checksum.pt", &["data.pkl", "again"]),
            ("bomb.pt", again),
            ("deep.pt", &["deeper", "save the state dict"]),
            ("doubled.pt", &["deeper", "save the state dict"]),
            ("text.pt", &["truncated", "again"]),
            ("legacy.pt", &["truncated", "again"]),
            ("script.pt", &["TorchScript", "torch.save"]),
            ("module.pt", &["whole pickled module", "torch.save"]),
            ("resnet.safetensors", &["weights do not fit"]),
        ],
    );
}
