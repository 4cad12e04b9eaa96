//! Rules.

use ndarray::Array1;

use super::expect;
use crate::support::{Folder, waveform_model};

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
