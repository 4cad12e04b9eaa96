//! Explanations as sound: does what speaks for the class, heard alone, keep the class, and does the recording without it?

use std::collections::HashSet;
use std::io::Cursor;

use anyhow::Result;
use candle_core::DType;
use serde_json::json;
use speechlens_audio::{Audio, read_bytes, to_writer};
use speechlens_data::Sex;
use speechlens_explain::{
    Answers, Details, Explainer, Explanation, Question, Reader, Reading, Settings, TOP, logits,
};
use speechlens_models::{Model, alexnet};
use speechlens_report::page::{Block, Section};
use speechlens_report::progress;
use speechlens_report::results::{Experiment, Row};
use speechlens_report::table::Table;

use crate::shared::{Findings, Lab, Profile, gender};

/// Recordings of voices that the network never heard.
fn recordings(profile: Profile) -> usize {
    match profile {
        Profile::Smoke => 2,
        Profile::Quick | Profile::Full => 100,
    }
}

/// What is compared: against silence, against full level, and by lot.
fn ways(seed: u64) -> Result<[(&'static str, Settings); 4]> {
    let rules = |rules: &str| Settings::default().with("rules", rules);
    Ok([
        (
            "LRP, thesis's rules from silence (gender-silence)",
            rules("gender-silence"),
        ),
        (
            "LRP, thesis's rules from 0 dB (thesis-gender)",
            rules("thesis-gender"),
        ),
        (
            "integrated gradients from silence",
            Settings::new("integrated-gradients", json!({ "steps": 16 }))?,
        ),
        (
            "relevance by lot",
            Settings::new("random", json!({ "seed": seed }))?,
        ),
    ])
}

/// Explains test recordings, makes sound of it, and classifies that again.
pub fn run(lab: &Lab) -> Result<Findings> {
    let trial = &*gender::Trial::of(lab)?;
    let (corpus, split) = gender::data::open(lab.arguments, &trial.setting)?;
    let model = Model::of(&alexnet::NETWORK, trial.trained.graph.clone(), Sex::names())?;
    let reader = Reader::new(&model, Reading::default());
    let used = trial.data.test.dataset.recordings().into_iter();
    let used: HashSet<&str> = used.map(|recording| recording.id.as_str()).collect();
    let is_used = |index: &&usize| used.contains(corpus.recordings()[**index].id.as_str());
    let test: Vec<usize> = split.test.iter().filter(is_used).copied().collect();
    let count = recordings(lab.arguments.profile).min(test.len());
    // Spread over the speakers, who follow each other.
    let places = (0..count).map(|n| test[n * test.len() / count]);
    let inputs = places
        .map(|place| {
            let recording = &corpus.recordings()[place];
            Ok(reader.audio(&recording.id, corpus.audio(place)?)?)
        })
        .collect::<Result<Vec<_>>>()?;

    let ways = ways(lab.arguments.seed)?;
    let bar = progress::bar("sound", ways.len() * inputs.len(), lab.arguments.quiet);
    let mut rows = Vec::new();
    for (name, settings) in ways {
        let place = (lab.device, DType::F32);
        let explainer = Explainer::new(
            &model,
            settings,
            Question::Predicted,
            Details::default(),
            place,
        )?;
        let mut kept = [0usize; 4];
        for input in &inputs {
            let answers: Answers = explainer.explain(input, &|_| ())?;
            let explanation = Explanation::new(&explainer, &answers, TOP);
            let sounds = explanation.sounds(input)?;
            let parts = sounds.iter().flat_map(|sounds| {
                [
                    &sounds.supporting,
                    &sounds.opposing,
                    &sounds.rest,
                    &sounds.without_top,
                ]
            });
            for (kept, part) in kept.iter_mut().zip(parts) {
                let again = reader.audio(&input.name, as_file(part)?)?;
                let logits = logits(&model, &again, lab.device)?;
                let same = model.task.foremost(&logits[0]) == answers.targets[0] as usize;
                *kept += usize::from(same);
            }
            bar.inc(1);
        }
        let percent = kept.map(|kept| 100.0 * kept as f64 / inputs.len() as f64);
        rows.push(Row::measured(name, percent));
    }
    bar.finish_and_clear();
    let columns = [
        "for alone".to_owned(),
        "against alone".to_owned(),
        "without for".to_owned(),
        format!("without the top {TOP} %"),
    ];
    let title = format!(
        "Recordings that keep their class when classified again as sound, of {count}, in percent"
    );
    let table = Table {
        corner: "explained by".into(),
        columns: columns.to_vec(),
        rows: rows.clone(),
    };
    let section = Section {
        id: "sound".into(),
        title: "What the explanations sound like".into(),
        blocks: vec![
            Block::text(
                "Of each bin's power a share in proportion to its positive (or negative) relevance is kept, with the phase it had, \
                 and written as a WAV file; the network then classifies that file. A sound of what speaks for a class should \
                 keep it; relevance by lot is the control.",
            ),
            Block::table(table, title.clone()),
        ],
    };
    Ok(Findings {
        experiments: vec![Experiment {
            id: "sound".into(),
            title,
            columns: columns.to_vec(),
            rows,
            files: Vec::new(),
        }],
        sections: vec![section],
        ..Findings::default()
    })
}

/// The sound as it is read from the file that `explain` writes.
fn as_file(audio: &Audio) -> Result<Audio> {
    let mut file = Cursor::new(Vec::new());
    to_writer(&mut file, audio)?;
    Ok(read_bytes("for.wav", file.get_ref(), 2.0)?)
}
