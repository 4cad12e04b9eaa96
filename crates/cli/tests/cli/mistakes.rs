//! What goes wrong at run time: status 1 and one line that names the file and what to do.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use ndarray::{Array2, Array3};
use speechlens_nn::tensor_file;

use crate::support::{Folder, model, spectrogram};

/// Runs and expects the words in the one line of the error.
fn expect(folder: &Folder, arguments: &[&str], words: &[&str]) {
    let message = folder.fail(arguments);
    assert!(message.starts_with("error: "), "{message}");
    for word in words {
        assert!(
            message.contains(word),
            "{arguments:?} does not say `{word}`: {message}"
        );
    }
}

#[test]
fn recordings() {
    let folder = Folder::new();
    folder.tone("good.wav", 8000, 4000);
    folder.tone("nothing.wav", 8000, 0);
    folder.tone("long.wav", 16000, 16001);
    folder.write("empty.wav", "");
    folder.write("text.wav", "This is no recording.\nIt is text.\n");
    folder.write("text.flac", [7; 5000]);
    let good = std::fs::read(folder.path("good.wav")).unwrap();
    folder.write("cut.wav", &good[..good.len() / 2]);
    folder.write("header.wav", &good[..20]);
    std::fs::create_dir(folder.path("folder.wav")).unwrap();
    let cases: &[(&str, &[&str])] = &[
        ("missing.wav", &["check the path"]),
        ("a  b\tmissing.wav", &["check the path"]),
        ("empty.wav", &["no sound"]),
        ("nothing.wav", &["no sound"]),
        ("text.wav", &["ffmpeg"]),
        ("text.flac", &["ffmpeg"]),
        ("cut.wav", &["truncated", "again"]),
        ("header.wav", &["again"]),
        ("folder.wav", &["folder.wav"]),
        ("long.wav", &["--trim"]),
    ];
    for (name, words) in cases {
        let words = [&[*name], *words].concat();
        expect(
            &folder,
            &["features", "spectrogram", name, "-o", "out.npy"],
            &words,
        );
        assert!(!folder.path("out.npy").exists());
    }
    for command in [
        &["predict", model()][..],
        &["explain", model(), "-o", "out"],
    ] {
        expect(
            &folder,
            &[command, &["text.wav", "good.wav", "--strict"]].concat(),
            &["text.wav", "ffmpeg"],
        );
        expect(
            &folder,
            &[command, &["long.wav"]].concat(),
            &["long.wav", "--trim"],
        );
        assert!(!folder.path("out").exists());
    }
    let late = [
        "features",
        "spectrogram",
        "good.wav",
        "-o",
        "out.npy",
        "--offset",
        "4001",
    ];
    expect(
        &folder,
        &late,
        &["good.wav", "4001", "4000 is the last start"],
    );
    folder.write("file", "");
    let below = ["features", "spectrogram", "good.wav", "-o", "file/out.npy"];
    expect(&folder, &below, &["file/out.npy", "check"]);
}

#[test]
fn arrays() {
    let folder = Folder::new();
    let mut values = spectrogram(0);
    values[[3, 4]] = f32::NAN;
    folder.npy("nan.npy", &values);
    folder.npy("small.npy", &Array2::<f32>::zeros((227, 226)));
    folder.npy("none.npy", &Array3::<f32>::zeros((0, 227, 227)));
    folder.npy("flat.npy", &spectrogram(0).flatten().to_owned());
    ndarray_npy::write_npy(folder.path("int.npy"), &Array2::<i32>::zeros((227, 227))).unwrap();
    let whole = {
        folder.npy("whole.npy", &spectrogram(0));
        std::fs::read(folder.path("whole.npy")).unwrap()
    };
    folder.write("cut.npy", &whole[..whole.len() - 5]);
    folder.write("text.npy", "no array");
    folder.write("empty.npy", "");
    let cases: &[(&str, &[&str])] = &[
        ("missing.npy", &["check the path"]),
        ("nan.npy", &["not finite", "give"]),
        (
            "small.npy",
            &["[227, 227]", "[227, 226]", "features thesis-spectrogram"],
        ),
        ("none.npy", &["[0, 227, 227]"]),
        ("flat.npy", &["[51529]", "features thesis-spectrogram"]),
        ("int.npy", &["f32", "give"]),
        ("cut.npy", &["give"]),
        ("text.npy", &["give"]),
        ("empty.npy", &["give"]),
    ];
    for (name, words) in cases {
        expect(
            &folder,
            &["predict", model(), name],
            &[&[*name], *words].concat(),
        );
    }
    expect(
        &folder,
        &["explain", model(), "nan.npy", "-o", "out"],
        &["nan.npy"],
    );
}

#[test]
fn models() {
    let folder = Folder::new();
    folder.npy("a.npy", &spectrogram(0));
    folder.write("text.safetensors", "this is no model at all");
    folder.write("empty.safetensors", "");
    let whole = std::fs::read(model()).unwrap();
    folder.write("cut.safetensors", &whole[..whole.len() / 3]);
    folder.write("head.safetensors", &whole[..100]);
    drop(whole);
    let file = |name: &str, metadata: &[(&str, &str)], shape: &[usize]| {
        let weight = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let tensors = BTreeMap::from([("features.0.weight".to_owned(), weight)]);
        let metadata = metadata
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        tensor_file::write(&folder.path(name), &tensors, &metadata.collect()).unwrap();
    };
    file("plain.safetensors", &[], &[3]);
    file(
        "resnet.safetensors",
        &[("arch", "resnet152"), ("classes", "[\"a\"]")],
        &[3],
    );
    file(
        "classes.safetensors",
        &[("arch", "alexnet"), ("classes", "a,b")],
        &[3],
    );
    file(
        "none.safetensors",
        &[("arch", "alexnet"), ("classes", "[]")],
        &[3],
    );
    file(
        "shape.safetensors",
        &[("arch", "alexnet"), ("classes", "[\"a\",\"b\"]")],
        &[64, 3, 11, 11],
    );
    let cases: &[(&str, &[&str])] = &[
        ("missing.safetensors", &["check the path"]),
        (
            "text.safetensors",
            &["not a whole safetensors file", "again"],
        ),
        ("empty.safetensors", &["not a whole safetensors file"]),
        (
            "cut.safetensors",
            &["not a whole safetensors file", "again"],
        ),
        ("head.safetensors", &["not a whole safetensors file"]),
        (
            "plain.safetensors",
            &["no SpeechLens model", "speechlens train"],
        ),
        ("resnet.safetensors", &["`resnet152`", "alexnet"]),
        ("classes.safetensors", &["classes"]),
        ("none.safetensors", &["classes"]),
        ("shape.safetensors", &["weights do not fit"]),
    ];
    for (name, words) in cases {
        let words = [&[*name], *words].concat();
        expect(&folder, &["predict", name, "a.npy"], &words);
        expect(&folder, &["explain", name, "a.npy", "-o", "out"], &words);
        expect(
            &folder,
            &["evaluate", "flip", name, "synthetic", "-o", "out2"],
            &words,
        );
    }
    let cuda = ["predict", model(), "a.npy", "--device", "cuda:97"];
    expect(&folder, &cuda, &["cuda:97"]);
}

#[test]
fn rules_and_targets() {
    let folder = Folder::new();
    folder.npy("a.npy", &spectrogram(0));
    folder.write("key.toml", "[[rule]]\nrule = \"lrp-0\"\nepsilonn = 1\n");
    folder.write("table.toml", "[[rules]]\nrule = \"lrp-0\"\n");
    folder.write("syntax.toml", "[[rule]\nrule = lrp-0\n");
    folder.write("rule.toml", "[[rule]]\nrule = \"magic\"\n");
    folder.write("gap.toml", "[[rule]]\nkind = \"conv\"\nrule = \"lrp-0\"\n");
    folder.write("bytes.toml", [0xff, 0xfe, 0x00]);
    let cases: &[(&str, &[&str])] = &[
        ("lrp-7", &["neither a preset", "thesis-gender"]),
        ("missing.toml", &["neither a preset", "missing.toml"]),
        ("key.toml", &["row 1", "takes no `epsilonn`"]),
        ("table.toml", &["line 1", "rules", "expected"]),
        ("syntax.toml", &["line 1"]),
        ("rule.toml", &["row 1", "magic", "epsilon"]),
        ("gap.toml", &["no rule covers", "add a row"]),
        ("bytes.toml", &["UTF-8"]),
    ];
    for (rules, words) in cases {
        let words = [&[*rules], *words].concat();
        expect(
            &folder,
            &["explain", model(), "a.npy", "-o", "out", "--rules", rules],
            &words,
        );
    }
    for target in ["child", "2", "-1", ""] {
        let target = format!("--target={target}");
        expect(
            &folder,
            &["explain", model(), "a.npy", "-o", "out", &target],
            &["no class", "male, female"],
        );
    }
    assert!(!folder.path("out").exists());
    folder.write("file", "");
    expect(
        &folder,
        &["explain", model(), "a.npy", "-o", "file"],
        &["file", "check"],
    );
}

#[test]
fn data() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.write("file", "no store");
    folder.write("bare.h5", "");
    folder.write("voice.flac", "fLaC");
    folder.write_below("books/SPEAKERS.TXT", "1 | F\n");
    let cases: &[(&[&str], &[&str])] = &[
        (&["missing"], &["missing", "synthetic"]),
        (&["empty"], &["empty", "AudioMNIST", "LibriSpeech"]),
        (&["file"], &["file", "feature store", "give the recordings"]),
        (&["bare.h5"], &["bare.h5", "feature store"]),
        (
            &["voice.flac"],
            &["voice.flac", "single recording", "folder"],
        ),
        (
            &["books/SPEAKERS.TXT"],
            &["SPEAKERS.TXT", "table", "the folder: books"],
        ),
        (
            &["synthetic", "--limit", "10"],
            &["10 samples", "smaller batch"],
        ),
        (&["synthetic", "--store", "file"], &["file"]),
    ];
    let train = ["train", "--task", "gender", "-o", "m.safetensors"];
    let flip = ["evaluate", "flip", model(), "-o", "out"];
    for (data, words) in cases {
        expect(&folder, &[&train[..], data].concat(), words);
        if !words.contains(&"smaller batch") {
            expect(&folder, &[&flip[..], data].concat(), words);
        }
    }
    let speaker = ["train", "--task", "speaker", "-o", "m.safetensors"];
    let cases: &[(&[&str], &[&str])] = &[
        (&["missing"], &["missing", "synthetic"]),
        (&["empty"], &["empty", "LibriSpeech", "VoxCeleb"]),
        (&["bare.h5"], &["bare.h5", "feature store"]),
        (&["mnist"], &["mnist", "single words"]),
        (&["vox"], &["vox", "of 2 speakers 0", "200 frames"]),
    ];
    folder.write_below("mnist/audioMNIST_meta.txt", "{}");
    for path in ["vox/aac/id00001/v/1.wav", "vox/aac/id00002/v/1.wav"] {
        folder.write_below(path, "");
        folder.tone(path, 16000, 30000);
    }
    for (data, words) in cases {
        expect(&folder, &[&speaker[..], data].concat(), words);
    }
    expect(
        &folder,
        &[&train[..], &["vox"]].concat(),
        &["2 of the speakers have no sex", "id00001", "vox1_meta.csv"],
    );
    assert!(!folder.path("m.safetensors").exists());
    // Before any work is done.
    for output in ["file/m.safetensors", "empty"] {
        let train = [
            "train",
            "--task",
            "gender",
            "synthetic",
            "-o",
            output,
            "--store",
            "new",
        ];
        expect(&folder, &train, &[output]);
        assert!(!folder.path("new").exists());
    }
    let flip = [
        "evaluate",
        "flip",
        model(),
        "synthetic",
        "-o",
        "file",
        "--store",
        "new",
    ];
    expect(&folder, &flip, &["file"]);
    assert!(!folder.path("new").exists());
}
