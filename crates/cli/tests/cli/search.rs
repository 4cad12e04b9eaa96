//! Rules for a network that nobody has tuned.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use speechlens_frontend::FrontEnd;
use speechlens_models::{Model, Task};
use speechlens_nn::Architecture;
use speechlens_nn::ops::{Along, Linear, ReduceMean};

use crate::support::Folder;

/// The power in eight bands, all of a recording.
const POWER: &str = "rate = 8000\nlength = \"any\"\nsilence = 0.0\n[[stage]]\nop = \"stft\"\nlength = 256\nhop = 128\n\
                     edges = \"zeros\"\n[[stage]]\nop = \"power\"\n[[stage]]\nop = \"mel\"\nbands = 8\n";

/// Its level, −60 dB for silence.
fn levels() -> String {
    let level = "[[stage]]\nop = \"decibel\"\nsmallest = 1e-9\nfloor = -60.0\n";
    POWER.replace("silence = 0.0", "silence = -60.0\nbounds = [-60.0, 0.0]") + level
}

/// A network that takes the mean of each of eight bands, and of these as many sums as the weights have rows.
fn network(folder: &Folder, front_end: &str, weights: &[[f32; 8]], task: Task) {
    let mut net = Architecture::reading("bands", vec![None, Some(8), None]);
    let mean = ReduceMean(Along {
        axes: vec![2],
        ..Along::default()
    });
    let x = net.add("mean", mean, [net.input()]).unwrap();
    let dense = Linear::new(8, weights.len()).without_bias();
    net.add("dense", dense, [x]).unwrap();
    let values = weights.concat();
    let weight = Tensor::from_vec(values, (weights.len(), 8), &Device::Cpu).unwrap();
    let model = Model {
        graph: net
            .with_weights([("dense.weight".to_owned(), weight)].into())
            .unwrap(),
        front_end: Arc::new(FrontEnd::parse(front_end).unwrap()),
        task,
        metadata: BTreeMap::new(),
    };
    model.save(&folder.path("net.safetensors")).unwrap();
}

/// A folder for each of six voices, with two recordings each: a tone that comes and goes, and noise.
fn voices(folder: &Folder, seconds: u32) {
    for voice in 0..6u32 {
        for take in 0..2u32 {
            folder.write_below(&format!("voices/{voice}/{take}.wav"), []);
            let hertz = f64::from(250 + 550 * voice + 40 * take);
            let sample = |t: u32| {
                let time = f64::from(t) / 8000.0;
                let loud = (std::f64::consts::TAU * (1.5 + 0.1 * f64::from(take)) * time).sin();
                let tone = (std::f64::consts::TAU * hertz * time).sin();
                (9000.0 * loud * loud * tone) as i16 + (t.wrapping_mul(7919 + voice) % 101) as i16
            };
            let name = format!("voices/{voice}/{take}.wav");
            folder.recording(&name, 1, 8000, (0..8000 * seconds).map(sample));
        }
    }
}

fn score() -> Task {
    Task::Score {
        names: vec!["tilt".into()],
    }
}

/// What lies at silence does nothing, and against 0 dB it would do the most.
#[test]
fn a_search_finds_the_reference_and_explain_takes_it() {
    let folder = Folder::new();
    let tilt = [[1.0, -0.5, 0.8, -1.0, 0.6, 0.9, -0.7, 0.5]];
    network(&folder, &levels(), &tilt, score());
    voices(&folder, 1);
    let search = "rules --search net.safetensors voices -o rules.toml";
    let search: Vec<&str> = search.split(' ').collect();
    let told = folder.run(&search);
    let kept = told
        .lines()
        .find(|line| line.starts_with("reference: silence"));
    assert!(kept.is_some_and(|line| line.ends_with("kept")), "{told}");
    assert!(!told.contains("convolutions"), "{told}");
    assert!(told.contains("symmetric relevance gain"), "{told}");
    assert!(
        told.contains("rules.toml  the rules that were chosen"),
        "{told}"
    );
    let text = folder.text("rules.toml");
    for words in [
        "# Rules for net.safetensors",
        "on voices.",
        "chosen: ",
        "any-network: ",
        "(n = 6) on others",
        "reference = -60.0",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // What is written is what was measured: found again, and by `explain` the same as a file of the rules alone.
    folder.run(&[&search[..], &["--quiet"]].concat());
    assert_eq!(folder.text("rules.toml"), text);
    let rows: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    folder.write("rows.toml", rows);
    for rules in ["rules.toml", "rows.toml", "any-network"] {
        let explain = [
            "explain",
            "net.safetensors",
            "voices/0/0.wav",
            "--rules",
            rules,
            "-o",
            rules.trim_end_matches(".toml"),
        ];
        folder.run(&explain);
    }
    let relevance = |name: &str| folder.read_npy::<ndarray::Ix2>(&format!("{name}/relevance.npy"));
    assert_eq!(relevance("rules"), relevance("rows"));
    assert_ne!(relevance("rules"), relevance("any-network"));
    let summary = folder.json("rules/summary.json");
    assert!(summary.to_string().contains("-60.0"), "{summary}");
}

/// Where nothing is better, the default is written, and it is told.
#[test]
fn a_search_that_finds_nothing_writes_the_default() {
    let folder = Folder::new();
    // One band alone answers, in proportion to what is there: no rule says it better.
    let one = [[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]];
    network(&folder, POWER, &one, score());
    voices(&folder, 1);
    let search = "rules --search net.safetensors voices -o rules.toml";
    let told = folder.run(&search.split(' ').collect::<Vec<_>>());
    let verdict = "no choice is better by more than noise: these are the rules any-network";
    assert!(told.contains(verdict) && !told.contains("kept"), "{told}");
    let text = folder.text("rules.toml");
    assert!(
        text.contains(verdict) && text.contains("gamma = 10.0"),
        "{text}"
    );
}

#[test]
fn voices_in_halves_are_the_measure_of_embeddings() {
    let folder = Folder::new();
    let band = |band: usize| std::array::from_fn(|other| f32::from(u8::from(band == other)));
    let bands: Vec<[f32; 8]> = (0..8).map(band).collect();
    network(&folder, &levels(), &bands, Task::Embedding);
    voices(&folder, 5);
    let search = "rules --search net.safetensors voices --recordings 5 -o rules.toml";
    let told = folder.run(&search.split(' ').collect::<Vec<_>>());
    assert!(
        told.contains("positive relevance in the speaker's half"),
        "{told}"
    );
    let text = folder.text("rules.toml");
    assert!(
        text.contains("(n = 5) where chosen") && text.contains("(n = 5) on others"),
        "{text}"
    );
    folder.run(&[
        "explain",
        "net.safetensors",
        "voices/0/0.wav",
        "--rules",
        "rules.toml",
        "-o",
        "out",
    ]);
}

#[test]
fn mistakes_are_told() {
    let folder = Folder::new();
    network(&folder, &levels(), &[[1.0; 8]], score());
    voices(&folder, 1);
    std::fs::create_dir(folder.path("empty")).unwrap();
    let fails = |arguments: &str, words: &[&str]| {
        let all = format!("rules --search net.safetensors {arguments}");
        let told = folder.fail(&all.split(' ').collect::<Vec<_>>());
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    };
    fails(
        "voices --by halves -o x.toml",
        &["--by halves", "`embedding`", "`score`"],
    );
    fails(
        "voices/0/0.wav -o x.toml",
        &["0 recordings choose and 1 test", "two or more"],
    );
    fails("empty -o x.toml", &["empty", "holds no recordings"]);
    fails("voices -o empty", &["empty", "is a folder"]);
    fails("voices --pieces -o x.toml", &["--pieces"]);
    let without = folder
        .command(&["rules", "net.safetensors", "voices", "-o", "x.toml"])
        .output()
        .unwrap();
    assert_eq!(without.status.code(), Some(2));
    // One bad recording is told and passed over; the rules are written, and the status is 1.
    folder.write("voices/0/bad.wav", b"no sound");
    let told = folder
        .command(&[
            "rules",
            "--search",
            "net.safetensors",
            "voices",
            "-o",
            "rules.toml",
        ])
        .output()
        .unwrap();
    let errors = String::from_utf8(told.stderr).unwrap();
    assert!(
        errors.contains("bad.wav") && errors.contains("1 of 13 inputs were passed over"),
        "{errors}"
    );
    assert_eq!(told.status.code(), Some(1));
    assert!(folder.path("rules.toml").exists());
}
