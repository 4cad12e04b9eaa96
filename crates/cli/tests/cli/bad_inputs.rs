//! Files that are damaged, hostile or of another kind: each gets one line that names it and says what to do, in little memory,
//! in little time, and nothing is written. (What people mistake is in `mistakes.rs`.)

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use hdf5::types::VarLenUnicode;
use ndarray::Array1;
use speechlens_models::Model;
use speechlens_nn::tensor_file;

use crate::support::{Folder, model, speaker_model, spectrogram, waveform_model};
use crate::train::voxceleb;

/// The memory a run may ask for, in kilobytes: a header that claims more is not to be believed.
const MEMORY: u32 = 3_000_000;
/// What no run may take, however busy the machine.
const TIME: Duration = Duration::from_secs(60);

/// A file, and words that its message has beside its name.
type Case<'a> = (&'a str, &'a [&'a str]);

/// Runs `arguments` for each file, in place of the word FILE, and expects one line that names it, and no output.
fn expect(folder: &Folder, arguments: &[&str], cases: &[Case]) {
    let before = folder.files();
    let mut problems = Vec::new();
    for (name, words) in cases {
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|word| if *word == "FILE" { *name } else { *word })
            .collect();
        let started = Instant::now();
        match folder.fail_within(&arguments, &format!("ulimit -v {MEMORY}")) {
            Ok(message) => {
                let mut missing = [name].into_iter().chain(*words);
                if let Some(word) = missing.find(|word| !message.contains(**word)) {
                    problems.push(format!("`{word}` is missing: {message}"));
                }
            }
            Err(problem) => problems.push(problem),
        }
        assert!(started.elapsed() < TIME, "{arguments:?} takes too long");
        assert_eq!(
            folder.files(),
            before,
            "{arguments:?} leaves something behind"
        );
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

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
        ("header.flac", ffmpeg),
        ("damaged.flac", again),
        ("tag.mp3", ffmpeg),
        ("cut.m4a", ffmpeg),
        ("atom.m4a", ffmpeg),
        ("head.ogg", ffmpeg),
        ("picture.wav", ffmpeg),
        ("page.wav", ffmpeg),
        ("zipped.wav", ffmpeg),
    ];
    let features = ["features", "spectrogram", "FILE", "-o", "new/out.npy"];
    expect(&folder, &features, cases);
    let explain = ["explain", waveform_model(), "FILE", "-o", "new"];
    expect(&folder, &explain, &cases[..3]);
}

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
    let shape: &[&str] = &["[8000]", "speechlens features waveform"];
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
    let mut alexnet = Model::load(Path::new(model()), &Device::Cpu).unwrap();
    alexnet.metadata.insert("crop".into(), "square".into());
    alexnet.save(&folder.path("crop.safetensors")).unwrap();
    drop(alexnet);
    folder.npy("spectrogram.npy", &spectrogram(0));
    expect(
        &folder,
        &["predict", "FILE", "spectrogram.npy"],
        &[("crop.safetensors", &["`square`", "audiomnist"])],
    );
}

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

#[test]
fn composites() {
    let folder = Folder::new();
    folder.npy("a.npy", &Array1::<f32>::zeros(8000));
    let rule = "[[rule]]\nrule = \"epsilon\"\nepsilon = ";
    for (name, text) in [
        ("option.toml", "[options]\nreferense = 1.0\n".to_owned()),
        ("value.toml", "[options]\nbias = \"keep\"\n".into()),
        ("nan.toml", format!("{rule}nan")),
        ("infinite.toml", format!("{rule}inf")),
        ("word.toml", format!("{rule}\"small\"")),
        ("date.toml", format!("{rule}2020-01-01")),
        ("glob.toml", format!("{rule}1e-6\nname = \"[\"")),
        (
            "braces.toml",
            format!("{rule}1e-6\nname = \"{}\"", "{a,".repeat(50_000)),
        ),
        ("deep.toml", format!("a = {}", "[".repeat(100_000))),
        ("keys.toml", format!("{}b = 1", "a.".repeat(100_000))),
        ("integer.toml", format!("{rule}{}", "9".repeat(400))),
        ("kind.toml", format!("{rule}1e-6\nkind = 3")),
        ("twice.toml", format!("{rule}1\nepsilon = 2")),
        ("nul.toml", "\0".repeat(1000)),
        ("box.toml", "[[rule]]\nrule = \"z-box\"\n".into()),
        ("nothing.toml", String::new()),
    ] {
        folder.write(name, text);
    }
    std::fs::create_dir(folder.path("folder.toml")).unwrap();
    let explain = [
        "explain",
        waveform_model(),
        "a.npy",
        "--rules",
        "FILE",
        "-o",
        "new",
    ];
    expect(
        &folder,
        &explain,
        &[
            (
                "option.toml",
                &["line 2", "referense", "expected", "reference"],
            ),
            ("value.toml", &["line 2", "keep", "expected", "absorb"]),
            ("nan.toml", &["row 1", "epsilon"]),
            ("infinite.toml", &["row 1", "epsilon"]),
            ("word.toml", &["row 1", "epsilon"]),
            ("date.toml", &["row 1", "epsilon"]),
            ("glob.toml", &["row 1", "["]),
            ("braces.toml", &["row 1"]),
            ("deep.toml", &["line 1"]),
            ("keys.toml", &["recursion limit"]),
            ("integer.toml", &["line 3"]),
            ("kind.toml", &["line 4", "string"]),
            ("twice.toml", &["line 4", "duplicate"]),
            ("nul.toml", &["line 1"]),
            ("box.toml", &["bounds"]),
            ("nothing.toml", &["no rule covers", "add a row"]),
            ("folder.toml", &["a directory"]),
        ],
    );
}

/// Has the binary compute a store, of what then fills no batch. (This process starts others, which would inherit its locks.)
fn good_store(folder: &Folder, task: &str, data: &[&str], name: &str) {
    let store = [
        "--batch",
        "9999",
        "--store",
        "good",
        "-o",
        "new.safetensors",
    ];
    let message = folder.fail(&[&["train", "--task", task], data, &store].concat());
    assert!(message.contains("do not fill one batch"), "{message}");
    let store = folder.stored("good", name);
    std::fs::rename(store, folder.path("good/store.h5")).unwrap();
}

/// A copy of a good store, changed.
fn store(folder: &Folder, name: &str, change: impl FnOnce(&hdf5::File)) {
    std::fs::copy(folder.path("good/store.h5"), folder.path(name)).unwrap();
    let mut builder = hdf5::FileBuilder::new();
    builder.with_fapl(|access| access.file_locking(false));
    change(&builder.open_rw(folder.path(name)).unwrap());
}

/// Replaces a column by one that claims to have so many values, and has none.
fn claim<T: hdf5::H5Type>(file: &hdf5::File, name: &str, shape: &[usize]) {
    file.unlink(name).unwrap();
    file.new_dataset::<T>().shape(shape).create(name).unwrap();
}

#[test]
fn stores() {
    let folder = Folder::new();
    good_store(
        &folder,
        "gender",
        &["synthetic", "--limit", "24"],
        "synthetic-train",
    );
    let bytes = std::fs::read(folder.path("good/store.h5")).unwrap();
    folder.write("cut.h5", &bytes[..bytes.len() / 2]);
    folder.write("signature.h5", b"\x89HDF\r\n\x1a\n");
    let mut damaged = bytes.clone();
    damaged[8..96].fill(0xa5);
    folder.write("damaged.h5", &damaged);
    hdf5::File::create(folder.path("other.h5")).unwrap();
    let many = 1_000_000_000_000;
    store(&folder, "ids.h5", |file| {
        claim::<VarLenUnicode>(file, "id", &[many])
    });
    store(&folder, "labels.h5", |file| {
        claim::<i8>(file, "label", &[many])
    });
    store(&folder, "rows.h5", |file| {
        for name in ["id", "speaker"] {
            claim::<VarLenUnicode>(file, name, &[many]);
        }
        for name in ["label", "digit"] {
            claim::<i8>(file, name, &[many]);
        }
        for name in ["sound_start", "sound_count"] {
            claim::<u64>(file, name, &[many]);
        }
        claim::<u32>(file, "offset", &[many]);
        claim::<f32>(file, "sound", &[many]);
    });
    store(&folder, "shape.h5", |file| {
        claim::<f32>(file, "sound", &[24, 8000])
    });
    store(&folder, "type.h5", |file| {
        claim::<VarLenUnicode>(file, "sound", &[1_000_000])
    });
    store(&folder, "column.h5", |file| file.unlink("offset").unwrap());
    let set = |file: &hdf5::File, name: &str, value: u64| {
        let values = Array1::from_elem(24, value);
        file.dataset(name).unwrap().write(&values).unwrap();
    };
    store(&folder, "start.h5", |file| {
        set(file, "sound_start", u64::MAX)
    });
    store(&folder, "count.h5", |file| {
        set(file, "sound_count", u64::MAX)
    });
    store(&folder, "long.h5", |file| set(file, "sound_count", 8001));
    store(&folder, "sex.h5", |file| {
        file.dataset("label")
            .unwrap()
            .write(&Array1::from_elem(24, 7i8))
            .unwrap();
    });
    store(&folder, "reason.h5", |file| {
        let text = ["of no use".parse::<VarLenUnicode>().unwrap()];
        for name in ["left_out_id", "left_out_reason", "left_out_message"] {
            file.unlink(name).unwrap();
            let builder = file.new_dataset_builder();
            builder.with_data(&text).create(name).unwrap();
        }
    });
    store(&folder, "nan.h5", |file| {
        let sound = file.dataset("sound").unwrap();
        let values = Array1::from_elem(sound.size(), f32::NAN);
        sound.write(&values).unwrap();
    });
    store(&folder, "crop.h5", |file| {
        let crop = "square".parse::<VarLenUnicode>().unwrap();
        file.attr("crop").unwrap().write_scalar(&crop).unwrap();
    });
    let changed = |file: &hdf5::File, bin: u16, level: f32| {
        let count = Array1::from_elem(24, 1u64);
        let starts = Array1::from_elem(24, 0u64);
        let data = || file.new_dataset_builder();
        data().with_data(&starts).create("changed_start").unwrap();
        data().with_data(&count).create("changed_count").unwrap();
        data().with_data(&[bin]).create("changed_bin").unwrap();
        data().with_data(&[level]).create("changed_level").unwrap();
    };
    store(&folder, "bin.h5", |file| changed(file, 227 * 227, -3.0));
    store(&folder, "level.h5", |file| changed(file, 0, f32::INFINITY));
    let anew: &[&str] = &["feature store", "give the recordings"];
    let train = [
        "train",
        "--task",
        "gender",
        "--batch",
        "4",
        "FILE",
        "-o",
        "new.safetensors",
    ];
    expect(
        &folder,
        &train,
        &[
            ("cut.h5", anew),
            ("signature.h5", anew),
            ("damaged.h5", anew),
            ("other.h5", anew),
            ("ids.h5", anew),
            ("labels.h5", anew),
            ("rows.h5", anew),
            ("shape.h5", anew),
            ("type.h5", anew),
            ("column.h5", anew),
            ("sex.h5", anew),
            ("start.h5", anew),
            ("count.h5", anew),
            ("long.h5", anew),
            ("reason.h5", anew),
            ("nan.h5", anew),
            ("crop.h5", anew),
            ("bin.h5", anew),
            ("level.h5", anew),
        ],
    );
}

#[test]
fn filterbanks() {
    let folder = Folder::new();
    voxceleb(&folder);
    good_store(&folder, "speaker", &["vox"], "voxceleb-filterbanks");
    let set = |file: &hdf5::File, name: &str, value: u64| {
        let values = Array1::from_elem(4, value);
        file.dataset(name).unwrap().write(&values).unwrap();
    };
    store(&folder, "offset.h5", |file| {
        set(file, "frames_start", u64::MAX)
    });
    store(&folder, "frames.h5", |file| {
        set(file, "frames_count", u64::MAX)
    });
    store(&folder, "mean.h5", |file| {
        claim::<f32>(file, "mean", &[1 << 40, 64])
    });
    store(&folder, "many.h5", |file| {
        claim::<u64>(file, "frames_start", &[1 << 40])
    });
    store(&folder, "long.h5", |file| {
        claim::<f32>(file, "features", &[1 << 40, 64]);
        set(file, "frames_start", 0);
        set(file, "frames_count", 1 << 40);
    });
    let train = [
        "train",
        "--task",
        "speaker",
        "FILE",
        "-o",
        "new.safetensors",
    ];
    let anew: &[&str] = &["feature store", "give the recordings"];
    let names = ["offset.h5", "frames.h5", "mean.h5", "many.h5", "long.h5"];
    expect(&folder, &train, &names.map(|name| (name, anew)));
}

/// A folder with one file of AudioMNIST's preprocessing.
fn preprocessed(folder: &Folder, name: &str, data: &[usize], labels: &[usize]) {
    std::fs::create_dir(folder.path(name)).unwrap();
    let path = folder.path(name).join("AlexNet_0_01_1.hdf5");
    let file = hdf5::File::create(path).unwrap();
    file.new_dataset::<f32>()
        .shape(data)
        .create("data")
        .unwrap();
    file.new_dataset::<i64>()
        .shape(labels)
        .create("label")
        .unwrap();
}

#[test]
fn corpora() {
    let folder = Folder::new();
    let meta = |folder_name: &str, text: &[u8]| {
        folder.write_below(&format!("{folder_name}/audioMNIST_meta.txt"), text);
    };
    meta("json", b"{\"01\": ");
    meta("robot", br#"{"01": {"gender": "robot"}}"#);
    meta("none", br#"{"01": {"age": 3}}"#);
    meta("list", b"[]");
    meta("bytes", &[0xff; 20]);
    meta("nested", &b"[".repeat(100_000));
    meta("escape", br#"{"../../..": {"gender": "male"}}"#);
    meta("name", br#"{"01": {"gender": "male"}}"#);
    folder.write_below("name/01/0_01.wav", "");
    folder.write_below("speakers/SPEAKERS.TXT", "; ID\n14 | F\n16\n");
    folder.write_below("stranger/SPEAKERS.TXT", "14 | F | a\n");
    folder.write_below("stranger/dev/15/1/15-1-0001.wav", "");
    folder.tone("stranger/dev/15/1/15-1-0001.wav", 8000, 8000);
    folder.write_below("table/vox1_meta.csv", "ID\tName\nid10001\tm\n");
    folder.write_below("sex/vox1_meta.csv", "ID\tGender\nid10001\tx\n");
    folder.write_below("latin/vox1_meta.csv", b"ID\tGender\nid10001\t\xff\n");
    for name in ["table", "sex", "latin"] {
        folder.write_below(&format!("{name}/id10001/v/1.wav"), "");
        folder.tone(&format!("{name}/id10001/v/1.wav"), 8000, 8000);
    }
    preprocessed(&folder, "labels", &[1, 1, 227, 227], &[1 << 40, 2]);
    preprocessed(&folder, "label", &[1, 1, 227, 227], &[1, 3]);
    folder.write_below("broken/AlexNet_0_01_1.hdf5", "HDF");
    folder.write_below("named/AlexNet_x.hdf5", "");
    let train = ["train", "--task", "gender", "FILE", "-o", "new.safetensors"];
    expect(
        &folder,
        &train,
        &[
            ("json", &["audioMNIST_meta.txt", "JSON"]),
            ("robot", &["no recordings"]),
            ("none", &["no recordings"]),
            ("list", &["audioMNIST_meta.txt", "JSON"]),
            ("bytes", &["audioMNIST_meta.txt", "JSON"]),
            ("nested", &["audioMNIST_meta.txt", "JSON"]),
            ("escape", &["no recordings"]),
            ("name", &["0_01.wav", "DIGIT_01_REPETITION"]),
            ("speakers", &["SPEAKERS.TXT", "line 3", "expected"]),
            ("stranger", &["no sex", "(15)", "SPEAKERS.TXT"]),
            ("table", &["vox1_meta.csv", "Gender", "again"]),
            ("sex", &["no sex", "(id10001)", "vox1_meta.csv"]),
            ("latin", &["no sex", "(id10001)", "vox1_meta.csv"]),
        ],
    );
    let digit: &[&str] = &["AlexNet_0_01_1.hdf5", "label", "expected a digit"];
    expect(
        &folder,
        &[&train[..], &["--crop", "audiomnist"]].concat(),
        &[
            ("labels", &["AlexNet_0_01_1.hdf5", "label"]),
            ("label", digit),
            ("broken", &["AlexNet_0_01_1.hdf5"]),
            (
                "named",
                &["AlexNet_x.hdf5", "AlexNet_DIGIT_SPEAKER_REPETITION"],
            ),
        ],
    );
    // What is wrong with sound is found when it is read.
    folder.write_below("sound/audioMNIST_meta.txt", {
        let speakers: Vec<String> = (1..=12)
            .map(|n| {
                let gender = ["male", "female"][n % 2];
                format!(r#""{n:02}": {{"gender": "{gender}"}}"#)
            })
            .collect();
        format!("{{{}}}", speakers.join(", "))
    });
    for n in 1..=12 {
        folder.write_below(&format!("sound/{n:02}/0_{n:02}_0.wav"), "no sound");
    }
    expect(
        &folder,
        &train,
        &[(
            "sound",
            &["none can be used", "cannot be decoded", "_0.wav", "ffmpeg"],
        )],
    );
}

/// Every command says what it could not write, and takes away what it began.
#[test]
fn a_full_disk() {
    let folder = Folder::new();
    folder.tone("good.wav", 8000, 4000);
    let whole = Model::load(Path::new(waveform_model()), &Device::Cpu).unwrap();
    tensor_file::write(
        &folder.path("c.safetensors"),
        &whole.graph.weights(),
        &BTreeMap::new(),
    )
    .unwrap();
    drop(whole);
    let model = waveform_model();
    let train = [
        "train",
        "--task",
        "gender",
        "synthetic",
        "--limit",
        "4",
        "--batch",
        "4",
    ];
    let audionet = [
        &train[..],
        &["--arch", "audionet", "--epochs", "1", "--quiet"],
    ]
    .concat();
    let stored = [&train[..], &["-o", "new/m.safetensors", "--store", "new"]].concat();
    let speakers = [
        "train",
        "--task",
        "speaker",
        "synthetic",
        "--limit",
        "4",
        "-o",
        "new/m.safetensors",
        "--store",
        "new",
    ];
    let trained = [&audionet[..], &["-o", "new/m.safetensors"]].concat();
    let checkpoint = [&trained[..], &["--checkpoint-seconds", "0"]].concat();
    let cases: &[(&[&str], &str)] = &[
        (
            &["features", "spectrogram", "good.wav", "-o", "new/out.npy"],
            "new/out.npy",
        ),
        (
            &[
                "import",
                "--arch",
                "audionet",
                "c.safetensors",
                "-o",
                "new/m.safetensors",
            ],
            "new/m.safetensors",
        ),
        (&["explain", model, "good.wav", "-o", "new"], "new/"),
        (&trained, "new/m.safetensors"),
        (&checkpoint, "new/m.checkpoint.safetensors"),
        (&stored, "new/synthetic-train-"),
        (&speakers, "new/synthetic-filterbanks-"),
    ];
    let disk = "size=16k";
    let can_mount = folder.can_mount(disk);
    let before = folder.files();
    for (arguments, name) in cases {
        // A file that may not grow, as under a quota; and a disk that is full.
        let mut messages = vec![folder.fail_within(arguments, "ulimit -f 16").unwrap()];
        assert_eq!(
            folder.files(),
            before,
            "{arguments:?} leaves something behind"
        );
        if can_mount {
            messages.push(folder.fail_on_disk(arguments, disk).unwrap());
        }
        for message in messages {
            for word in [name, "check", "free space"] {
                assert!(
                    message.contains(word),
                    "{arguments:?} does not say `{word}`: {message}"
                );
            }
        }
    }
}

/// A folder in which nothing may be written.
#[test]
fn a_read_only_folder() {
    let folder = Folder::new();
    folder.tone("good.wav", 8000, 4000);
    if !folder.can_mount("ro") {
        return;
    }
    let train = [
        "train",
        "--task",
        "gender",
        "synthetic",
        "--limit",
        "4",
        "--batch",
        "4",
    ];
    let cases: &[(&[&str], &str)] = &[
        (
            &["features", "spectrogram", "good.wav", "-o", "new/out.npy"],
            "new/out.npy",
        ),
        (
            &[
                "import",
                "--arch",
                "audionet",
                "none.pt",
                "-o",
                "new/m.safetensors",
            ],
            "new/m.safetensors",
        ),
        (
            &["explain", waveform_model(), "good.wav", "-o", "new"],
            "new",
        ),
        (
            &[&train[..], &["-o", "new/m.safetensors"]].concat(),
            "new/m.safetensors",
        ),
        (
            &[&train[..], &["-o", "m.safetensors", "--store", "new"]].concat(),
            "new",
        ),
        (
            &["augment", model(), "synthetic", "-o", "new/a.h5"],
            "new/a.h5",
        ),
        (
            &["evaluate", "flip", model(), "synthetic", "-o", "new"],
            "new",
        ),
    ];
    for (arguments, name) in cases {
        let message = folder.fail_on_disk(arguments, "ro").unwrap();
        for word in [name, "check", "ermission"] {
            assert!(
                message.contains(word),
                "{arguments:?} does not say `{word}`: {message}"
            );
        }
    }
}
