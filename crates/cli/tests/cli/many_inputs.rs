//! Several inputs, and bad ones among them: told, passed over, and summed up at the end; and options that do not apply.

use crate::support::{Folder, model, speaker_model, spectrogram, waveform_model};

/// A folder of two good tones and four files that are none.
fn mixed() -> Folder {
    let folder = Folder::new();
    folder.write_below("in/notes.txt", "not looked at");
    folder.write_below("in/b/text.wav", "This is no recording.\nIt is text.\n");
    folder.tone("in/a.wav", 8000, 4000);
    folder.tone("in/b/c.wav", 8000, 5000);
    folder.tone("in/long.wav", 8000, 12000);
    folder.tone("in/nothing.wav", 8000, 0);
    folder.silence("in/silent.wav", 4000);
    folder
}

/// Standard output and the lines of standard error of a run that ends with status 1.
fn partly(folder: &Folder, arguments: &[&str]) -> (String, Vec<String>) {
    let output = folder.command(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    let lines = errors.lines().map(str::to_owned).collect();
    (String::from_utf8(output.stdout).unwrap(), lines)
}

const SUMMARY: &str = "error: 4 of 6 inputs were passed over: ";

fn check_summary(errors: &[String]) {
    assert_eq!(errors.len(), 5, "{errors:#?}");
    for (name, why) in [
        ("in/b/text.wav", "ffmpeg"),
        ("in/long.wav", "--trim (takes silence off its ends)"),
        ("in/nothing.wav", "no sound"),
        ("in/silent.wav", "is silent"),
    ] {
        let told = |line: &&String| line.contains(name) && line.contains("passed over");
        let line = errors[..4].iter().find(told).unwrap();
        assert!(line.contains(why), "{line}");
    }
    let summary = errors.last().unwrap();
    for part in [
        SUMMARY,
        "1 that cannot be decoded (in/b/text.wav)",
        "1 without any sound (in/nothing.wav)",
        "1 silent throughout (in/silent.wav)",
        "1 longer than one second (in/long.wav)",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
}

#[test]
fn predict_takes_folders_and_passes_over_what_is_bad() {
    let folder = mixed();
    let (said, errors) = partly(&folder, &["predict", model(), "in"]);
    let names: Vec<&str> = said
        .lines()
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(names, ["in/a.wav", "in/b/c.wav"]);
    check_summary(&errors);
    // One by itself is an error, and so is the first of many that must all be good.
    let message = folder.fail(&["predict", model(), "in/long.wav"]);
    assert!(message.contains("--pieces"), "{message}");
    assert!(!message.contains("passed over"), "{message}");
    let strict = [
        "predict",
        model(),
        "in/b/text.wav",
        "in/silent.wav",
        "--strict",
    ];
    let message = folder.fail(&strict);
    assert!(message.contains("text.wav"), "{message}");
}

#[test]
fn explain_goes_on_likewise() {
    let folder = mixed();
    let arguments = ["explain", model(), "in", "-o", "out", "--method", "random"];
    let (said, errors) = partly(&folder, &arguments);
    assert!(said.contains("contact sheet: out/index.html"), "{said}");
    check_summary(&errors);
    let page = std::fs::read_to_string(folder.path("out/index.html")).unwrap();
    assert!(page.contains("a.wav") && page.contains("c.wav"));
    assert!(!page.contains("silent.wav"));
    assert!(folder.path("out/b/c/heatmap.png").exists());
}

#[test]
fn features_of_many_recordings_are_named_after_them() {
    let folder = mixed();
    let arguments = ["features", "spectrogram", "in", "-o", "out"];
    let output = folder.command(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    // Features of silence are what they are; they are not an answer.
    assert!(
        errors.contains("error: 3 of 6 inputs were passed over"),
        "{errors}"
    );
    assert!(errors.contains("in/silent.wav: is silent"), "{errors}");
    assert_eq!(folder.list("out"), ["a.npy", "b", "silent.npy"]);
    assert_eq!(folder.list("out/b"), ["c.npy"]);
    folder.run(&["features", "spectrogram", "in/a.wav", "-o", "one.npy"]);
    let read = |name: &str| folder.read_npy::<ndarray::Ix2>(name);
    assert_eq!(read("one.npy"), read("out/a.npy"));
}

#[test]
fn features_of_pieces_are_those_that_predict_cuts() {
    let folder = Folder::new();
    folder.tone("long.wav", 8000, 20000);
    let long = ["features", "spectrogram", "long.wav", "-o", "pieces.npy"];
    let message = folder.fail(&long);
    assert!(
        message.contains("--trim") && message.contains("--pieces"),
        "{message}"
    );
    folder.run(&[&long[..], &["--pieces"]].concat());
    let answers = |arguments: &[&str]| -> Vec<String> {
        let said = folder.run(&[&["predict", model()], arguments].concat());
        let answer = |line: &str| line.split_once("  ").unwrap().1.to_owned();
        said.lines().map(answer).collect()
    };
    let of_array = answers(&["pieces.npy"]);
    assert!(of_array.len() >= 3);
    assert_eq!(of_array, answers(&["long.wav", "--pieces"]));
}

#[test]
fn options_that_do_not_apply_are_refused() {
    let folder = Folder::new();
    folder.tone("a.wav", 16000, 12000);
    folder.tone("long.wav", 16000, 48000);
    folder.npy("a.npy", &spectrogram(0));
    let speaker = speaker_model();
    for (model, input, options, word) in [
        (model(), "a.wav", &["--hop", "1"][..], "--hop"),
        (waveform_model(), "a.wav", &["--hop", "1"], "--hop"),
        (speaker, "long.wav", &["--offset", "3"], "--offset"),
        (speaker, "long.wav", &["--offset", "0"], "--offset"),
        (speaker, "long.wav", &["--pieces"], "--pieces"),
        (model(), "a.wav", &["--pieces", "--offset", "3"], "--offset"),
        (model(), "a.npy", &["--trim"], "--trim"),
        (model(), "a.npy", &["--pieces"], "--pieces"),
    ] {
        for command in [&["predict"][..], &["explain", "-o", "out"]] {
            let message = folder.fail(&[command, &[model, input], options].concat());
            let start = format!("error: {word}: ");
            assert!(message.starts_with(&start), "{message}");
            assert!(message.contains("leave it"), "{message}");
        }
    }
    assert!(!folder.path("out").exists());
}

/// What is there is named, unless it is given already.
#[test]
fn remedies_are_options_that_the_command_has() {
    let folder = Folder::new();
    folder.tone("long.wav", 8000, 20000);
    let predict = ["predict", model(), "long.wav"];
    let spectrogram = ["features", "spectrogram", "long.wav", "-o", "out.npy"];
    for command in [&predict[..], &spectrogram] {
        let message = folder.fail(&[command, &["--trim"]].concat());
        assert!(message.contains("without its silent ends"), "{message}");
        assert!(!message.contains("--trim"), "{message}");
        assert!(message.contains("--pieces"), "{message}");
        // Pieces have no offset.
        let message = folder.fail(&[command, &["--offset", "5"]].concat());
        assert!(message.contains("--trim"), "{message}");
        assert!(!message.contains("--pieces"), "{message}");
    }
}
