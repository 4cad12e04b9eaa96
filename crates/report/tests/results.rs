//! `results.json` against the schema's text, and tables against what they were made of.

use serde_json::{Value, json};
use speechlens_report::{Cell, Error, Experiment, Results, Row, Run, Table, Thesis};

fn results() -> Results {
    Results {
        run: Run {
            seed: 7,
            profile: "quick".into(),
            device: "cpu".into(),
            git: "0123abc".into(),
            data: "synthetic".into(),
            seconds: 1.5,
        },
        experiments: vec![
            Experiment {
                id: "table-6.1".into(),
                title: "Accuracy".into(),
                columns: vec!["0.5 %".into(), "class".into()],
                rows: vec![
                    Row::measured("lrp", [Cell::from(9.1), "male".into()])
                        .with_thesis(Some(vec![10.8.into(), Cell::Missing])),
                ],
                files: vec!["pictures/figure-6.3.png".into()],
            },
            Thesis::published()
                .entry("figure-6.10")
                .expect("there")
                .not_run("the speaker experiment is not part of this run"),
        ],
    }
}

#[test]
fn the_file_has_the_shape_of_the_schema() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run/results.json");
    results().write(&path).expect("written");
    let text = std::fs::read_to_string(&path).expect("read");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        value["run"],
        json!({"seed": 7, "profile": "quick", "device": "cpu", "git": "0123abc", "data": "synthetic", "seconds": 1.5})
    );
    assert_eq!(
        value["experiments"][0],
        json!({"id": "table-6.1", "title": "Accuracy", "columns": ["0.5 %", "class"],
               "rows": [{"name": "lrp", "thesis": [10.8, null], "measured": [9.1, "male"]}],
               "files": ["pictures/figure-6.3.png"]})
    );
    let row = &value["experiments"][1]["rows"][0];
    assert_eq!(row["measured"], Value::Null);
    assert_eq!(row["thesis"], Value::Null);
    assert_eq!(
        row["reason"],
        "the speaker experiment is not part of this run"
    );
    assert_eq!(Results::read(&path).expect("read back"), results());
}

#[test]
fn numbers_that_are_not_finite_become_null() {
    assert_eq!(Cell::from(f64::NAN), Cell::Missing);
    assert_eq!(Cell::from(None::<f64>), Cell::Missing);
    assert_eq!(Cell::from(Some(2usize)), Cell::Number(2.0));
}

#[test]
fn contradictions_are_named() {
    type Damage = fn(&mut Results);
    let broken: [(&str, Damage); 4] = [
        ("2 columns", |r| {
            r.experiments[0].columns = vec!["a".into(), "b".into()]
        }),
        ("two entries", |r| r.experiments[1].id = "table-6.1".into()),
        ("no reason", |r| r.experiments[1].rows[0].reason = None),
        ("../secret", |r| {
            r.experiments[0].files = vec!["../secret".into()]
        }),
    ];
    for (words, damage) in broken {
        let mut results = results();
        results.experiments[0].rows = vec![Row::measured("one", [1.0])];
        results.experiments[0].columns = vec!["a".into()];
        results.check().expect("whole before the damage");
        damage(&mut results);
        let error = results.check().expect_err(words);
        assert!(matches!(error, Error::Schema(_)));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("results.json");
    std::fs::write(&path, "{\"run\": 3").expect("written");
    let error = Results::read(&path).expect_err("damaged");
    assert!(error.to_string().contains("results.json"), "{error}");
    let missing = Results::read(&folder.path().join("none.json")).expect_err("missing");
    assert!(missing.to_string().contains("none.json"), "{missing}");
}

fn table() -> Table {
    Table {
        corner: "order".into(),
        columns: vec!["0.5 %".into(), "größe".into()],
        rows: vec![
            Row::measured("lrp", [9.125, 1.0]).with_thesis(Some(vec![10.8.into(), Cell::Missing])),
            Row::measured("zufällig", [97.5, 0.00012]),
            Row::not_measured("<b>", "left out"),
        ],
    }
}

#[test]
fn a_table_for_the_terminal_is_aligned() {
    let expected = "\
order               0.5 %     größe
───────────────────────────────────
lrp       measured   9.12         1
          thesis     10.8         –
zufällig  measured  97.50  1.2×10⁻⁴
<b>       measured  – left out
";
    assert_eq!(table().text(), expected);
}

#[test]
fn a_table_for_a_page_is_escaped_and_spans_its_sources() {
    let html = table().html().expect("rendered");
    assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"));
    assert!(html.contains("rowspan=\"2\">lrp<"));
    assert_eq!(html.matches("<tr").count(), 5);
    assert!(html.contains("colspan=\"2\">left out<"));
}

#[test]
fn a_table_without_published_numbers_has_no_source_column() {
    let mut table = table();
    table.rows[0].thesis = None;
    assert!(!table.text().contains("measured"));
    assert!(!table.html().expect("rendered").contains("rowspan"));
}
