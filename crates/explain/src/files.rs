//! An explanation's files.

use std::path::Path;

use candle_core::DType;
use ndarray::{ArrayD, Axis};
use serde_json::{Value, json};
use speechlens_lrp::Conservation;
use speechlens_report::{atomic, npy};

use crate::show::{Explanation, exhibit, parts, wav};
use crate::{Input, Question, Result};

/// The heatmap of the window whose answer is the surest, of inputs of several.
pub const SUREST: &str = "surest.png";

/// Writes relevance.npy (of the shape of what is explained; view.npy of what is shown, where that is another), heatmap.png, of several windows also [`SUREST`], summary.json and, of a recording, its parts as WAV files; the
/// relevance of layers, if asked for, to layers/NAME.npy.
///
/// # Errors
/// If a file cannot be written.
pub fn write(
    folder: &Path,
    model_name: &str,
    input: &Input,
    explanation: &Explanation,
) -> Result<()> {
    let answers = explanation.answers;
    let array = |name: &str, values: &ArrayD<f32>| {
        let path = folder.join(name);
        match input.single {
            true => npy::write(&path, values.index_axis(Axis(0), 0)),
            false => npy::write(&path, values.view()),
        }
    };
    let explained = answers.explained.as_ref();
    array("relevance.npy", explained.unwrap_or(&answers.relevance))?;
    if explained.is_some() {
        array("view.npy", &answers.relevance)?;
    }
    for (name, relevance) in &answers.layers {
        npy::write(&folder.join(format!("layers/{name}.npy")), relevance.view())?;
    }
    explanation
        .picture(input)?
        .write_png(&folder.join("heatmap.png"))?;
    if input.len() > 1 {
        let (.., surest) = answers.majority(explanation.explainer.model(), input);
        let picture = explanation.picture_of(input, surest)?;
        picture.write_png(&folder.join(SUREST))?;
    }
    if let Some(sounds) = explanation.sounds(input)? {
        for (name, _, audio) in parts(sounds, explanation.top) {
            atomic::write(&folder.join(format!("{name}.wav")), &wav(audio)?)?;
        }
    }
    let summary = summary(model_name, input, explanation);
    let path = folder.join("summary.json");
    Ok(atomic::write(&path, format!("{summary:#}\n").as_bytes())?)
}

/// Writes index.html.
///
/// # Errors
/// If the file cannot be written.
pub fn write_page(
    folder: &Path,
    model_name: &str,
    input: &Input,
    explanations: &[Explanation],
) -> Result<()> {
    let page = exhibit(model_name, input, explanations)?;
    Ok(page.write(&folder.join("index.html"))?)
}

/// What was computed, and by what.
pub fn summary(model_name: &str, input: &Input, explanation: &Explanation) -> Value {
    let (explainer, answers) = (explanation.explainer, explanation.answers);
    let (model, method) = (explainer.model(), explainer.method());
    let windows = answers.logits.iter().zip(answers.relevance.outer_iter());
    let windows = windows.zip(&answers.targets).enumerate();
    let items = windows.map(|(window, ((logits, relevance), target))| {
        let index = answers.foremost(model, window);
        let mut item = json!({
            "class": model.classes()[index], "index": index, "logits": logits,
            "target": model.classes()[*target as usize], "target_index": target,
            "relevance_sum": relevance.iter().map(|r| f64::from(*r)).sum::<f64>(),
        });
        if model.task.probability().is_some() {
            item["probability"] = model.probability(logits, index).into();
        }
        if input.silent[window] {
            item["silent"] = true.into();
        }
        if let Some(score) = explainer.score(answers, window) {
            item["score"] = json!(score);
        }
        if input.heard.is_some() {
            let (start, end) = input.span(window);
            item["start"] = json!(start);
            item["end"] = json!(end);
        }
        if let Question::Contrast(_, other) = explainer.question() {
            item["contrast"] = json!(model.classes()[other]);
            item["contrast_index"] = json!(other);
        }
        item
    });
    let explained = answers.explained.as_ref().unwrap_or(&answers.relevance);
    let mut summary = json!({
        "input": input.name, "model": model_name, "method": method.to_string(),
        "settings": explainer.settings().summary(method),
        "dtype": match explainer.dtype() {
            DType::F64 => "f64",
            _ => "f32",
        },
        "shape": explained.shape()[usize::from(input.single)..],
        "explanations": items.collect::<Vec<_>>(),
    });
    if answers.explained.is_some() {
        let axes = &input.axes;
        summary["view"] = json!({
            "shape": answers.relevance.shape()[usize::from(input.single)..],
            "frequencies": axes.frequencies, "first": axes.first, "step": axes.step, "value": axes.value,
        });
    }
    if let Some(node) = &input.at {
        summary["at"] = json!(node);
    }
    if let Some(composite) = method.rules() {
        summary["rules"] = composite.name().into();
    }
    if let Some(gap) = &answers.completeness_gap {
        summary["completeness_gap"] = json!(gap);
    }
    if let Some(deletion) = &answers.deletion {
        summary["deletion"] = deletion.summary();
    }
    if explainer.details().conservation {
        let node = |node: &Conservation| {
            json!({
                "node": node.node, "kind": node.kind.to_string(), "rule": node.rule, "arrived": node.arrived,
                "passed": node.passed, "bias": node.bias, "epsilon": node.epsilon,
                "softmax": node.softmax, "remainder": node.remainder(),
            })
        };
        summary["conservation"] = answers.conservation.iter().map(node).collect();
    }
    summary
}
