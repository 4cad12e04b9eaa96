//! Recordings.

use super::{Case, expect};
use crate::support::{Folder, waveform_model};

/// A WAV file whose header says what is asked for.
fn wav(tag: u16, channels: u16, rate: u32, bits: u16, claimed: u32, data: &[u8]) -> Vec<u8> {
    let align = channels.wrapping_mul(bits / 8);
    let mut bytes = b"RIFF\x00\x00\x00\x7fWAVEfmt \x10\x00\x00\x00".to_vec();
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(align.into()).to_le_bytes());
    bytes.extend(align.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn recordings() {
    let folder = Folder::new();
    let data: [u8; 8000] = std::array::from_fn(|at| (at % 7) as u8);
    let of = |tag, channels, rate, bits| wav(tag, channels, rate, bits, 8000, &data);
    folder.write("zero-rate.wav", of(1, 1, 0, 16));
    folder.write("zero-channels.wav", of(1, 0, 8000, 16));
    folder.write("many-channels.wav", of(1, 65535, 8000, 16));
    folder.write("zero-bits.wav", of(1, 1, 8000, 0));
    folder.write("wide-bits.wav", of(1, 1, 8000, 64));
    folder.write("adpcm.wav", of(2, 1, 8000, 4));
    folder.write("claims.wav", wav(1, 1, 8000, 16, u32::MAX - 1, &data));
    let tone = |name| {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../audio/tests/data/tone.");
        std::fs::read(format!("{data}{name}")).unwrap()
    };
    let nan = [0.5f32, f32::NAN].map(f32::to_le_bytes).concat();
    folder.write("nan.wav", wav(3, 1, 8000, 32, 8, &nan));
    let infinite = [0.5, f64::INFINITY].map(f64::to_le_bytes).concat();
    folder.write("infinite.wav", wav(3, 1, 8000, 64, 16, &infinite));
    // Three hours, and none of it on the disk.
    let hours = 3 * 3600 * 8000 * 2;
    folder.write("hours.wav", wav(1, 1, 8000, 16, hours, &[]));
    let file = std::fs::File::options()
        .write(true)
        .open(folder.path("hours.wav"))
        .unwrap();
    file.set_len(u64::from(hours) + 44).unwrap();
    // The first samples of an hour at 1 Hz fit no second.
    folder.write("slow.wav", wav(1, 1, 1, 16, 8000, &data));
    let mut flac = tone("flac");
    folder.write("header.flac", &flac[..42]);
    let middle = flac.len() / 2;
    flac[middle..middle + 40].fill(0x5a);
    folder.write("damaged.flac", &flac);
    folder.write("tag.mp3", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f");
    let mp4 = tone("m4a");
    folder.write("cut.m4a", &mp4[..mp4.len() / 3]);
    let huge = [b"\x00\x00\x00\x01mdat", &[0xff; 8][..]].concat();
    folder.write("atom.m4a", [&mp4[..28], &huge].concat());
    let ogg = tone("ogg");
    folder.write("head.ogg", &ogg[..60]);
    folder.write("picture.wav", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR");
    folder.write("page.wav", "<!doctype html><title>404 Not Found</title>");
    folder.write("zipped.wav", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03");
    let ffmpeg: &[&str] = &["can be decoded", "ffmpeg"];
    let again: &[&str] = &["damaged", "again"];
    // They end before their first sample.
    let empty: &[&str] = &["holds no sound", "again"];
    let cases: &[Case] = &[
        ("zero-rate.wav", &["0 Hz", "ffmpeg"]),
        ("zero-channels.wav", ffmpeg),
        ("many-channels.wav", ffmpeg),
        ("zero-bits.wav", ffmpeg),
        ("wide-bits.wav", ffmpeg),
        ("adpcm.wav", ffmpeg),
        ("claims.wav", &["again"]),
        ("nan.wav", &["sample 1", "not a finite number", "again"]),
        (
            "infinite.wav",
            &["sample 1", "not a finite number", "again"],
        ),
        ("hours.wav", &["lasts longer than 120 minutes", "cut it"]),
        ("slow.wav", &["1 s is the most", "--trim"]),
        ("header.flac", empty),
        ("damaged.flac", again),
        ("tag.mp3", empty),
        ("cut.m4a", ffmpeg),
        ("atom.m4a", ffmpeg),
        ("head.ogg", empty),
        ("picture.wav", ffmpeg),
        ("page.wav", ffmpeg),
        ("zipped.wav", ffmpeg),
    ];
    let features = ["features", "spectrogram", "FILE", "-o", "new/out.npy"];
    expect(&folder, &features, cases);
    let explain = ["explain", waveform_model(), "FILE", "-o", "new"];
    expect(&folder, &explain, &cases[..3]);
}
