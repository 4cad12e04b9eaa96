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
fn writes_the_same_files_again() {
    let folder = Folder::new();
    folder.tone("tone.wav", 8000, 6000);
    let lrp = ["--method", "lrp", "--rules", "lrp-0"];
    explain(&folder, &["tone.wav"], "one", &lrp);
    explain(&folder, &["tone.wav"], "two", &["--rules", "lrp-0"]);
    let names = [
        "against.wav",
        "for.wav",
        "heard.wav",
        "heatmap.png",
        "index.html",
        "relevance.npy",
        "rest.wav",
        "summary.json",
        "without-top.wav",
    ];
    assert_eq!(folder.list("one"), names);
    for name in names {
        let read = |run: &str| std::fs::read(folder.path(run).join(name)).unwrap();
        assert!(read("one") == read("two"), "{name}");
    }
    for name in names.into_iter().filter(|name| name.ends_with(".wav")) {
        let sound = hound::WavReader::open(folder.path("one").join(name)).unwrap();
        assert_eq!((sound.spec().sample_rate, sound.duration()), (8000, 8000));
    }
    let page = folder.text("one/index.html");
    assert!(
        page.contains("tone.wav") && !page.contains("://"),
        "the page asks for nothing"
    );

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
    let target = explanation["target_index"].as_u64().unwrap() as usize;
    assert_eq!(explanation["score"], explanation["logits"][target]);
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

#[test]
fn a_contrast_is_the_difference_of_two_explanations() {
    let folder = Folder::new();
    folder.npy("a.npy", &spectrogram(0));
    let rules = ["--rules", "gender-silence"];
    explain(
        &folder,
        &["a.npy"],
        "male",
        &[&rules[..], &["--target", "male"]].concat(),
    );
    explain(
        &folder,
        &["a.npy"],
        "female",
        &[&rules[..], &["--target", "female"]].concat(),
    );
    explain(
        &folder,
        &["a.npy"],
        "both",
        &[&rules[..], &["--contrast", "male", "female"]].concat(),
    );
    let read = |name: &str| folder.read_npy::<Ix2>(&format!("{name}/relevance.npy"));
    assert!(difference(&(read("male") - read("female")), &read("both")) < 1e-5);
    let explanation = &folder.json("both/summary.json")["explanations"][0];
    assert_eq!(explanation["target"], "male");
    assert_eq!(explanation["contrast"], "female");
    assert!(
        folder
            .text("both/index.html")
            .contains("male rather than female")
    );
    let unknown = [
        "explain",
        model(),
        "a.npy",
        "-o",
        "out",
        "--contrast",
        "male",
        "child",
    ];
    assert!(folder.fail(&unknown).contains("`child` is no class"));
}

#[test]
fn several_ways_stand_side_by_side() {
    let folder = Folder::new();
    folder.tone("tone.wav", 8000, 6000);
    let ways = ["--method", "lrp,gradient", "--rules", "lrp-0,epsilon-plus"];
    explain(&folder, &["tone.wav"], "out", &ways);
    assert_eq!(
        folder.list("out"),
        ["epsilon-plus", "gradient", "index.html", "lrp-0"]
    );
    let alone = ["--method", "gradient"];
    explain(&folder, &["tone.wav"], "alone", &alone);
    let read = |name: &str| folder.read_npy::<Ix2>(&format!("{name}/relevance.npy"));
    assert_eq!(read("out/gradient"), read("alone"));
    assert!(difference(&read("out/lrp-0"), &read("out/epsilon-plus")) > 0.01);
    assert_eq!(folder.list("out/lrp-0").len(), 8);
    let page = folder.text("out/index.html");
    for title in [
        "lrp lrp-0: relevance",
        "lrp epsilon-plus: relevance",
        "gradient: relevance",
    ] {
        assert!(page.contains(title), "{title}");
    }
    let twice = [
        "explain",
        model(),
        "tone.wav",
        "-o",
        "twice",
        "--rules",
        "lrp-0,lrp-0",
    ];
    assert!(folder.fail(&twice).contains("there twice"));
}

#[test]
fn a_folder_becomes_a_contact_sheet() {
    let folder = Folder::new();
    for name in ["in/one.wav", "in/deep er/two.wav"] {
        folder.write_below(name, "");
        folder.tone(name, 8000, 6000);
    }
    folder.write_below("in/notes.txt", "no recording");
    explain(&folder, &["in"], "out", &[]);
    assert_eq!(folder.list("out"), ["deep er", "index.html", "one"]);
    let sheet = folder.text("out/index.html").replace("&#x2f;", "/");
    assert!(sheet.contains("2 recordings explained") && sheet.contains("Mean heatmap"));
    // Links lead where the files are, whatever their names.
    assert!(
        sheet.contains("href=\"deep%20er/two/index.html\""),
        "a link"
    );
    assert!(folder.path("out/deep er/two/index.html").exists());
    std::fs::create_dir(folder.path("empty")).unwrap();
    let empty = folder.fail(&["explain", model(), "empty", "-o", "out"]);
    assert!(empty.contains("empty: holds no recordings"), "{empty}");
}

#[test]
fn long_recordings_are_explained_piece_by_piece() {
    let folder = Folder::new();
    folder.tone("tone.wav", 8000, 20000);
    let long = folder.fail(&["explain", model(), "tone.wav", "-o", "out"]);
    assert!(long.contains("--pieces"), "{long}");
    explain(&folder, &["tone.wav"], "out", &["--pieces"]);
    let relevance = folder.read_npy::<Ix3>("out/relevance.npy");
    let summary = folder.json("out/summary.json");
    let pieces = summary["explanations"].as_array().unwrap();
    assert_eq!(relevance.len_of(Axis(0)), pieces.len());
    assert!(pieces.len() >= 3);
    assert_eq!(pieces[0]["start"], 0.0);
    assert!(pieces.last().unwrap()["end"].as_f64().unwrap() > 2.4);
    let sound = hound::WavReader::open(folder.path("out/for.wav")).unwrap();
    assert_eq!(sound.duration(), 20000);
}
