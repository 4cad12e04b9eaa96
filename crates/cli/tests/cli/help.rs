use crate::support::Folder;

#[test]
fn every_subcommand_explains_itself() {
    let folder = Folder::new();
    for (command, told) in [
        (
            &[][..],
            &[
                "features", "import", "train", "predict", "explain", "evaluate", "--device",
                "--seed", "--quiet",
            ][..],
        ),
        (
            &["features"],
            &[
                "spectrogram",
                "waveform",
                "fbank",
                "whisper-log-mel",
                "[8000]",
                "95th percentile",
                "[227, 227]",
                "frequency × time",
                "[64, frames]",
                "band × time",
                "Kaldi",
                "natural logarithm",
                "f32",
                "--trim",
                "--no-mean-norm",
                "[[stage]]",
            ],
        ),
        (
            &["train"],
            &[
                "--task",
                "speaker",
                "--arch",
                "audionet",
                "VoxCeleb",
                "one-cycle",
                "--normalization",
                "--resume",
                "synthetic",
                "Learning rate",
                "--checkpoint-seconds",
                "in seconds",
                "LibriTTS",
                "audioMNIST_meta.txt",
                "--trim",
                "--pieces",
                "--strict",
                "speechlens cache",
            ],
        ),
        (
            &["inspect"],
            &["ONNX", "not supported", "front end", "--json"],
        ),
        (
            &["rules"],
            &[
                "--search",
                "--by",
                "gain",
                "halves",
                "--recordings",
                "speaker",
            ],
        ),
        (
            &["import"],
            &[
                "ONNX",
                "speechlens inspect",
                "embedding",
                "state dict",
                "--classes",
                "a file",
                "softmax",
                "torch.save",
            ],
        ),
        (
            &["predict"],
            &["[H, W]", "[N, H, W]", ".flac", "probability"],
        ),
        (
            &["explain"],
            &[
                "relevance.npy",
                "heatmap.png",
                "summary.json",
                "--target",
                "f64",
                "[N, H, W]",
            ],
        ),
        (
            &["serve"],
            &[
                "curl -F file=@voice.wav",
                "--data-binary",
                "against",
                "GET /model",
            ],
        ),
        (&["evaluate"], &["flip"]),
        (
            &["cache"],
            &[
                "list",
                "clear",
                "path",
                "SPEECHLENS_CACHE",
                "loses nothing but time",
            ],
        ),
        (&["cache", "clear"], &["--older-than", "days"]),
        (
            &["augment"],
            &[
                "--fill",
                "--percent",
                "--class",
                "train --from",
                "AudioMNIST",
            ],
        ),
        (
            &["evaluate", "flip"],
            &["flip.json", "in percent", "in dB", "reference"],
        ),
    ] {
        let help = folder.run(&[command, &["--help"]].concat());
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in told {
            assert!(
                words.contains(text),
                "{command:?} does not tell of {text}:\n{help}"
            );
        }
    }
    let help = folder.run(&["explain", "--help"]);
    for (preset, _) in speechlens_lrp::PRESETS {
        assert!(help.contains(preset), "{preset}");
    }
    assert!(folder.run(&["--version"]).starts_with("speechlens 0."));
}

#[test]
fn bad_use_exits_with_2() {
    let folder = Folder::new();
    let train = [
        "train",
        "--task",
        "gender",
        "synthetic",
        "-o",
        "m.safetensors",
    ];
    let flip = [
        "evaluate",
        "flip",
        "m.safetensors",
        "synthetic",
        "-o",
        "out",
    ];
    for arguments in [
        vec![],
        vec!["fly"],
        vec!["features"],
        vec!["features", "spectrogram", "a.wav"],
        vec![
            "features",
            "spectrogram",
            "a.wav",
            "-o",
            "a.npy",
            "--crop",
            "middle",
        ],
        vec![
            "features",
            "spectrogram",
            "a.wav",
            "-o",
            "a.npy",
            "--offset",
            "-1",
        ],
        vec!["features", "fbank", "a.wav"],
        vec!["predict"],
        vec!["predict", "m.safetensors"],
        vec!["predict", "m.safetensors", "a.wav", "--device", "gpu"],
        vec!["predict", "m.safetensors", "a.wav", "-v", "--quiet"],
        vec!["explain", "m.safetensors", "a.wav"],
        vec![
            "explain",
            "m.safetensors",
            "a.wav",
            "-o",
            "out",
            "--method",
            "guess",
        ],
        vec![
            "explain",
            "m.safetensors",
            "a.wav",
            "-o",
            "out",
            "--dtype",
            "f16",
        ],
        [&train[..], &["--task", "age"]].concat(),
        [&train[..], &["--epochs", "0"]].concat(),
        [&train[..], &["--batch", "0"]].concat(),
        [&train[..], &["--lr", "nan"]].concat(),
        [&train[..], &["--schedule", "two-cycles"]].concat(),
        [&train[..], &["--normalization", "none"]].concat(),
        [&train[..], &["--limit", "0"]].concat(),
        [&flip[..], &["--percentages", "1,101"]].concat(),
        [&flip[..], &["--recordings", "0"]].concat(),
        [&flip[..], &["--value", "inf"]].concat(),
    ] {
        let output = folder.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            !output.stderr.is_empty() && output.stdout.is_empty(),
            "{arguments:?}"
        );
    }
}
