use ndarray::{Array2, Axis, Ix2, Ix3, stack};

use crate::support::{Folder, model, spectrogram};

fn explain(folder: &Folder, inputs: &[&str], output: &str, options: &[&str]) {
    let fixed = ["explain", model(), "-o", output, "--quiet"];
    assert_eq!(folder.run(&[&fixed, inputs, options].concat()), "");
}

/// The largest difference, as a share of the largest value.
fn difference(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    let largest = |values: &Array2<f32>| values.iter().fold(0f32, |max, v| max.max(v.abs()));
    largest(&(a - b)) / largest(b)
}

#[test]
fn writes_three_files_and_the_same_ones_again() {
    let folder = Folder::new();
    folder.tone("tone.wav", 8000, 6000);
    let lrp = ["--method", "lrp", "--rules", "lrp-0"];
    explain(&folder, &["tone.wav"], "one", &lrp);
    explain(&folder, &["tone.wav"], "two", &["--rules", "lrp-0"]);
    for name in ["relevance.npy", "heatmap.png", "summary.json"] {
        let read = |run: &str| std::fs::read(folder.path(run).join(name)).unwrap();
        assert!(read("one") == read("two"), "{name}");
    }
    assert_eq!(folder.path("one").read_dir().unwrap().count(), 3);

    let relevance = folder.read_npy::<Ix2>("one/relevance.npy");
    assert_eq!(relevance.dim(), (227, 227));
    let picture = image::open(folder.path("one/heatmap.png")).unwrap();
    assert!(picture.width() > 227 && picture.height() > 227);
    let summary = folder.json("one/summary.json");
    for (key, value) in [
        ("input", "tone.wav"),
        ("method", "lrp"),
        ("rules", "lrp-0"),
        ("dtype", "f32"),
    ] {
        assert_eq!(summary[key], value);
    }
    assert_eq!(summary["shape"], serde_json::json!([227, 227]));
    let explanation = &summary["explanations"][0];
    let sum: f64 = relevance.iter().map(|r| f64::from(*r)).sum();
    assert_eq!(explanation["relevance_sum"].as_f64().unwrap(), sum);
    assert_eq!(explanation["target"], explanation["class"]);
    assert_eq!(explanation["target_index"], explanation["index"]);
    assert_eq!(explanation["logits"].as_array().unwrap().len(), 2);
}

#[test]
fn targets_go_by_name_and_index() {
    let folder = Folder::new();
    folder.npy("a.npy", &spectrogram(0));
    for (output, target) in [
        ("male", "male"),
        ("0", "0"),
        ("female", "female"),
        ("1", "1"),
    ] {
        explain(&folder, &["a.npy"], output, &["--target", target]);
    }
    let read = |name: &str| folder.read_npy::<Ix2>(&format!("{name}/relevance.npy"));
    assert_eq!(read("male"), read("0"));
    assert_eq!(read("female"), read("1"));
    assert!(difference(&read("male"), &read("female")) > 0.01);
    let summary = folder.json("1/summary.json");
    assert_eq!(summary["explanations"][0]["target"], "female");
    assert_eq!(summary["explanations"][0]["target_index"], 1);
}

#[test]
fn methods_beside_lrp() {
    let folder = Folder::new();
    folder.npy("a.npy", &spectrogram(0));
    folder.npy("mean.npy", &Array2::<f32>::from_elem((227, 227), -30.0));
    let methods: [(&str, &[&str]); 9] = [
        ("gradient", &[]),
        ("sensitivity", &[]),
        ("gradient-times-input", &["--reference", "0"]),
        ("smoothgrad", &["--samples", "2", "--noise", "0.05"]),
        ("integrated-gradients", &["--steps", "3"]),
        (
            "integrated-gradients",
            &["--steps", "3", "--reference", "mean.npy"],
        ),
        ("occlusion", &["--patch", "113,57"]),
        (
            "occlusion",
            &[
                "--patch",
                "113,57",
                "--stride",
                "114,85",
                "--score",
                "probability",
            ],
        ),
        ("random", &[]),
    ];
    let mut all: Vec<Array2<f32>> = Vec::new();
    for (place, (method, settings)) in methods.iter().enumerate() {
        let output = format!("{place}");
        let extra = [&["--target", "female", "--method", method], *settings].concat();
        explain(&folder, &["a.npy"], &output, &extra);
        let summary = folder.json(&format!("{output}/summary.json"));
        assert_eq!(summary["method"], *method);
        let gap = summary["completeness_gap"].as_array().map(Vec::len);
        assert_eq!(gap, (*method == "integrated-gradients").then_some(1));
        let relevance = folder.read_npy::<Ix2>(&format!("{output}/relevance.npy"));
        assert!(
            all.iter().all(|other| difference(other, &relevance) > 1e-3),
            "{method}"
        );
        all.push(relevance);
    }
    assert_eq!(all[0].mapv(f32::abs), all[1]);
    assert_eq!(&all[0] * &spectrogram(0), all[2]);
    assert_eq!(
        folder.json("4/summary.json")["settings"]["reference"],
        -80.0
    );
    assert_eq!(
        folder.json("5/summary.json")["settings"]["reference"],
        "mean.npy"
    );
    assert_eq!(
        folder.json("7/summary.json")["settings"]["score"],
        "probability"
    );

    let explain = ["explain", model(), "a.npy", "-o", "out", "--method"];
    let fail = |extra: &[&str]| folder.fail(&[&explain, extra].concat());
    assert!(fail(&["gradient", "--conservation"]).contains("for the method lrp"));
    assert!(fail(&["occlusion", "--patch", "300,1"]).contains("do not fit"));
    folder.npy("small.npy", &Array2::<f32>::zeros((2, 2)));
    let error = fail(&["integrated-gradients", "--reference", "small.npy"]);
    assert!(
        error.contains("small.npy") && error.contains("[1, 227, 227]"),
        "{error}"
    );
}

#[test]
fn f64_agrees_with_f32() {
    let folder = Folder::new();
    folder.npy("a.npy", &spectrogram(1));
    explain(&folder, &["a.npy"], "f32", &[]);
    explain(&folder, &["a.npy"], "f64", &["--dtype", "f64"]);
    let read = |name: &str| folder.read_npy::<Ix2>(&format!("{name}/relevance.npy"));
    let difference = difference(&read("f32"), &read("f64"));
    assert!(difference > 0.0 && difference < 1e-2, "{difference}");
    assert_eq!(folder.json("f64/summary.json")["dtype"], "f64");
}

#[test]
fn rules_come_from_presets_and_files() {
    let folder = Folder::new();
    folder.npy("a.npy", &spectrogram(2));
    let same = "[[rule]]\nkind = \"linear\"\nrule = \"lrp-0\"\n[[rule]]\nrule = \"epsilon\"\nepsilon = 0.8\n";
    folder.write("same.toml", same);
    folder.write(
        "silence.toml",
        format!("{same}[options]\nreference = -80.0\n"),
    );
    for rules in [
        "thesis-gender",
        "same.toml",
        "gender-silence",
        "silence.toml",
        "epsilon-plus",
    ] {
        explain(
            &folder,
            &["a.npy"],
            &format!("by {rules}"),
            &["--rules", rules],
        );
    }
    let read = |rules: &str| folder.read_npy::<Ix2>(&format!("by {rules}/relevance.npy"));
    assert_eq!(read("thesis-gender"), read("same.toml"));
    assert_eq!(read("gender-silence"), read("silence.toml"));
    assert!(difference(&read("gender-silence"), &read("thesis-gender")) > 0.01);
    assert!(difference(&read("epsilon-plus"), &read("thesis-gender")) > 0.01);
    assert_eq!(
        folder.json("by same.toml/summary.json")["rules"],
        "same.toml"
    );
}

#[test]
fn several_inputs_get_a_folder_each() {
    let folder = Folder::new();
    let rows = [0, 1].map(spectrogram);
    folder.npy(
        "two.npy",
        &stack(Axis(0), &rows.each_ref().map(|row| row.view())).unwrap(),
    );
    folder.npy("one.npy", &rows[1]);
    explain(&folder, &["two.npy", "one.npy"], "out", &[]);
    let two = folder.read_npy::<Ix3>("out/two/relevance.npy");
    assert_eq!(two.dim(), (2, 227, 227));
    let one = folder.read_npy::<Ix2>("out/one/relevance.npy");
    assert!(difference(&two.index_axis_move(Axis(0), 1), &one) < 1e-3);
    let summary = folder.json("out/two/summary.json");
    assert_eq!(summary["shape"], serde_json::json!([2, 227, 227]));
    assert_eq!(summary["explanations"].as_array().unwrap().len(), 2);
    for name in ["one", "two"] {
        image::open(folder.path(&format!("out/{name}/heatmap.png"))).unwrap();
    }

    std::fs::create_dir(folder.path("other")).unwrap();
    folder.npy("other/one.npy", &rows[0]);
    let message = folder.fail(&[
        "explain",
        model(),
        "one.npy",
        "other/one.npy",
        "-o",
        "twice",
    ]);
    assert!(
        message.contains("other/one.npy") && message.contains("one by one"),
        "{message}"
    );
}
