//! Any classifier on any front end: digits, and tables of labels.

use crate::support::Folder;

/// 40 bands of half a second.
const FBANK: &str = "rate = 16000\nlength = { frames = 48 }\nsilence = 0.0\n[[stage]]\nop = \"fbank\"\nbands = 40\n\
                     [[stage]]\nop = \"normalize\"\nover = \"window\"\n";

/// Twelve recordings in two classes, high and low, of six speakers.
fn tones(folder: &Folder) {
    let mut table = "speaker,path,label\n".to_owned();
    for n in 0..12u32 {
        let (class, hertz) = [("low", 300.0), ("high", 1500.0)][n as usize % 2];
        let name = format!("{n}.wav");
        let sample = |t: u32| {
            let phase =
                std::f64::consts::TAU * (hertz + 10.0 * f64::from(n)) * f64::from(t) / 8000.0;
            (9000.0 * phase.sin()) as i16 + (t * 7919 % 101) as i16
        };
        folder.recording(&name, 1, 8000, (0..8000).map(sample));
        table += &format!("{},{name},{class}\n", n / 2);
    }
    folder.write("labels.csv", table);
    folder.write("fbank.toml", FBANK);
}

#[test]
fn a_resnet_on_another_front_end_is_trained_told_explained_flipped_and_augmented() {
    let folder = Folder::new();
    tones(&folder);
    let train = [
        "train",
        "--task",
        "labels.csv",
        "--arch",
        "resnet34",
        "--frontend",
        "fbank.toml",
        "--batch",
        "4",
        "--epochs",
        "1",
        "-o",
    ];
    let said = folder.run(&[&train[..], &["m.safetensors"]].concat());
    assert!(said.contains("windows of validation recordings"), "{said}");
    let told = folder.run(&["predict", "m.safetensors", "0.wav", "1.wav"]);
    // A second has two windows of half a second, of which the last ends with it.
    assert!(
        told.lines().count() == 6 && told.contains("high") | told.contains("low"),
        "{told}"
    );
    let explain = ["explain", "m.safetensors", "0.wav", "-o", "out"];
    folder.run(&explain);
    let relevance = folder.read_npy::<ndarray::Ix3>("out/relevance.npy");
    assert_eq!(relevance.dim(), (3, 40, 48));
    let flip = [
        "evaluate",
        "flip",
        "m.safetensors",
        "labels.csv",
        "--percentages",
        "0,10,50",
        "-o",
        "flips",
    ];
    folder.run(&flip);
    let flips = folder.json("flips/flip.json");
    assert_eq!(flips["bins"], 40 * 48);
    assert_eq!(flips["curves"].as_array().unwrap().len(), 4);
    let augment = [
        "augment",
        "m.safetensors",
        "labels.csv",
        "--percent",
        "10",
        "-o",
        "more.h5",
    ];
    let said = folder.run(&augment);
    assert!(said.contains("36 windows, 10 % of the bins"), "{said}");
    // Network, front end and classes are those of the model, whatever of them is at hand.
    let again = [
        "train",
        "--task",
        "labels.csv",
        "more.h5",
        "--from",
        "m.safetensors",
    ];
    let rest = [
        "--batch",
        "4",
        "--epochs",
        "1",
        "--lr",
        "2e-5",
        "-o",
        "again.safetensors",
    ];
    folder.run(&[&again[..], &rest].concat());
    let of = |name: &str| {
        let model = speechlens_models::Model::load(&folder.path(name), &candle_core::Device::Cpu);
        let model = model.unwrap();
        (model.front_end.to_toml().unwrap(), model.classes().to_vec())
    };
    assert_eq!(of("again.safetensors"), of("m.safetensors"));
    let said = folder.fail(&[
        "train",
        "--task",
        "labels.csv",
        "synthetic",
        "-o",
        "x.safetensors",
    ]);
    assert!(
        said.contains("synthetic") && said.contains("table"),
        "{said}"
    );
    let said = folder.fail(&[&again[..], &["--trim", "-o", "x.safetensors"]].concat());
    assert!(
        said.contains("more.h5") && said.contains("--trim"),
        "{said}"
    );
    folder.run(&[
        "evaluate",
        "flip",
        "again.safetensors",
        "more.h5",
        "-o",
        "again",
    ]);
}

#[test]
fn digits_are_trained_on_the_front_end_of_the_network() {
    let folder = Folder::new();
    let train = [
        "train",
        "--task",
        "digits",
        "--arch",
        "audionet",
        "synthetic",
        "--limit",
        "20",
        "--batch",
        "10",
        "--epochs",
        "1",
        "-o",
        "m.safetensors",
    ];
    folder.run(&train);
    let model =
        speechlens_models::Model::load(&folder.path("m.safetensors"), &candle_core::Device::Cpu)
            .unwrap();
    assert_eq!(model.classes().concat(), "0123456789");
    assert_eq!(model.front_end.name(), Some("thesis-waveform"));
    let flip = [
        "evaluate",
        "flip",
        "m.safetensors",
        "synthetic",
        "--limit",
        "20",
        "--percentages",
        "0,50",
        "-o",
        "flips",
    ];
    folder.run(&flip);
    assert_eq!(folder.json("flips/flip.json")["recordings"], 10);
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_computed() {
    let folder = Folder::new();
    tones(&folder);
    folder.write("bad.csv", "path,label\n0.wav,x\n1.wav,\n");
    folder.write(
        "other.csv",
        "path,label\n0.wav,x\n1.wav,y\n2.wav,x\n3.wav,y\n4.wav,x\n5.wav,y\n",
    );
    let train = |task: &str, more: &[&str]| {
        let arguments = ["train", "--task", task, "-o", "m.safetensors"];
        folder.fail(&[&arguments[..], more].concat())
    };
    for (said, wanted) in [
        (
            train("labels.csv", &["--frontend", "fbank.toml"]),
            &["fbank.toml", "[40, 48]", "alexnet", "[1, 227, 227]"][..],
        ),
        (
            train(
                "labels.csv",
                &["--arch", "resnet34", "--frontend", "kaldi-fbank-80"],
            ),
            &["kaldi-fbank-80", "[80, any]", "[1, 80, 200]", "frames = N"],
        ),
        (
            train("labels.csv", &["--frontend", "kaldi-fbank-80"]),
            &["alexnet", "[1, 227, 227]; or give another of either"],
        ),
        (
            train("labels.csv", &["--frontend", "no-such"]),
            &["`no-such`", "thesis-fbank"],
        ),
        (
            train("bad.csv", &[]),
            &["bad.csv", "line 3", "label is empty"],
        ),
        (train("not.csv", &[]), &["not.csv"]),
        (
            train("gender", &["synthetic", "--frontend", "fbank.toml"]),
            &["--frontend", "digits"],
        ),
        (train("digits", &["labels"]), &["labels", "no such folder"]),
    ] {
        for wanted in wanted {
            assert!(said.contains(wanted), "{said}");
        }
    }
    for bad in [
        &["train", "--task", "labels", "-o", "m"][..],
        &["train", "--task", "digits", "-o", "m.safetensors"],
    ] {
        let status = folder.command(bad).output().unwrap().status;
        assert_eq!(status.code(), Some(2), "{bad:?}");
    }
}
